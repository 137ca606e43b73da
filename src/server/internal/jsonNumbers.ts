/**
 * Numbers of a JSON array, read from the bytes of the body straight into a tensor: no JavaScript array, no strings, 64-bit integers exact.
 *
 * Decimal to binary is exact. Up to 15 digits and a power of ten up to 22, one correctly rounded operation on exact doubles gives the nearest
 * double (Clinger's fast path). Longer decimals for FP32 are cut after 15 digits, and kept where the error made cannot reach another float.
 * What is left is read by `Number`.
 */
import type { DataType } from "../../core/Tensor.js"
import { InvalidRequest } from "../../core/RequestError.js"

/** Where a tensor's numbers go: `bytes` of a slot from `offset` on, `count` elements. */
interface NumberTarget {
  readonly datatype: DataType
  readonly shape: ReadonlyArray<number>
  readonly count: number
  readonly bytes: Uint8Array
  readonly offset: number
}

interface Kind {
  readonly integer: boolean
  readonly min: number
  readonly max: number
  /** Copies doubles into the target from element `base` on. */
  readonly store: (target: NumberTarget, base: number, values: Float64Array) => void
}

type ViewConstructor = new(buffer: ArrayBufferLike, byteOffset: number, length: number) => { set(values: ArrayLike<number>): void }

const viaView = (View: ViewConstructor, elementBytes: number): Kind["store"] => (target, base, values) => {
  new View(target.bytes.buffer, target.bytes.byteOffset + target.offset + base * elementBytes, values.length).set(values)
}

// Two halves: BigInt per element would cost more than reading its text. Exact for integers up to 2^53.
const storeHalves: Kind["store"] = (target, base, values) => {
  const halves = new Int32Array(target.bytes.buffer, target.bytes.byteOffset + target.offset + base * 8, values.length * 2)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    halves[2 * i] = value % 4294967296
    halves[2 * i + 1] = Math.floor(value / 4294967296)
  }
}

const maxFloat = 3.4028234663852886e38
const integer = (min: number, max: number, store: Kind["store"]): Kind => ({ integer: true, min, max, store })
const kinds = new Map<DataType, Kind>([
  ["BOOL", integer(0, 1, viaView(Uint8Array, 1))],
  ["UINT8", integer(0, 255, viaView(Uint8Array, 1))],
  ["UINT16", integer(0, 65535, viaView(Uint16Array, 2))],
  ["UINT32", integer(0, 4294967295, viaView(Uint32Array, 4))],
  ["UINT64", integer(0, Number.MAX_SAFE_INTEGER, storeHalves)],
  ["INT8", integer(-128, 127, viaView(Int8Array, 1))],
  ["INT16", integer(-32768, 32767, viaView(Int16Array, 2))],
  ["INT32", integer(-2147483648, 2147483647, viaView(Int32Array, 4))],
  ["INT64", integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, storeHalves)],
  ["FP32", { integer: false, min: -maxFloat, max: maxFloat, store: viaView(Float32Array, 4) }],
  ["FP64", { integer: false, min: -Number.MAX_VALUE, max: Number.MAX_VALUE, store: viaView(Float64Array, 8) }]
])

/** Whether tensors of this type can be written as JSON; half floats and BYTES come as binary data only. */
export const hasJsonForm = (datatype: DataType): boolean => kinds.has(datatype)

const powers = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))
const scratch = new Float64Array(4096)

const isSpace = (c: number): boolean => c === 32 || c === 10 || c === 13 || c === 9

const snippet = (bytes: Uint8Array, at: number, end: number): string => {
  let text = ""
  for (let i = at; i < end && text.length < 24; i++) {
    const c = bytes[i]!
    if (text !== "" && (c === 44 || c === 93 || c === 91 || isSpace(c))) break
    text += c >= 32 && c < 127 ? String.fromCharCode(c) : "?"
  }
  return text
}

const literalAt = (bytes: Uint8Array, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

/** Set by `readNumber` where the token is an integer of more than 15 digits: what it stored is not exact. */
let isLongInteger = false

/**
 * Reads the number token at `at` into `out[index]`. The position after it, or -1 where no JSON number stands there. Digits are gathered in two
 * 32-bit integers (nine, then six), which is what makes this faster than the text's way through `JSON.parse`.
 */
const readNumber = (bytes: Uint8Array, at: number, single: boolean, out: Float64Array, index: number): number => {
  let i = at
  let c = bytes[i]!
  const negative = c === 45
  if (negative) c = bytes[++i]!
  let high = 0
  let low = 0
  let digits = 0
  let exponent = 0
  let cut = false
  let plain = true
  if (c === 48) {
    c = bytes[++i]!
    if (c >= 48 && c <= 57) return -1
  } else if (c >= 49 && c <= 57) {
    do {
      if (digits < 9) high = (high * 10 + c - 48) | 0
      else if (digits < 15) low = (low * 10 + c - 48) | 0
      else {
        exponent++
        cut = true
      }
      digits++
      c = bytes[++i]!
    } while (c >= 48 && c <= 57)
  } else {
    return -1
  }
  if (c === 46) {
    plain = false
    c = bytes[++i]!
    if (!(c >= 48 && c <= 57)) return -1
    const begin = i
    let unused = 0
    // Zeros before the first digit that counts.
    if (digits === 0) while (c === 48) c = bytes[++i]!
    while (c >= 48 && c <= 57) {
      if (digits < 9) high = (high * 10 + c - 48) | 0
      else if (digits < 15) low = (low * 10 + c - 48) | 0
      else unused++
      digits++
      c = bytes[++i]!
    }
    if (unused > 0) cut = true
    exponent -= i - begin - unused
  }
  if (c === 101 || c === 69) {
    plain = false
    c = bytes[++i]!
    const down = c === 45
    if (down || c === 43) c = bytes[++i]!
    if (!(c >= 48 && c <= 57)) return -1
    let power = 0
    do {
      // Beyond any double already; the token's text decides below.
      if (power < 10000) power = power * 10 + c - 48
      c = bytes[++i]!
    } while (c >= 48 && c <= 57)
    exponent += down ? -power : power
  }
  if (cut && plain) isLongInteger = true
  if (exponent >= -22 && exponent <= 22) {
    const mantissa = digits <= 9 ? high : high * powers[digits < 15 ? digits - 9 : 6]! + low
    const scaled = exponent < 0 ? mantissa / powers[-exponent]! : mantissa * powers[exponent]!
    // What was cut is less than 1e-14 of the value; the rest of the margin is the rounding of these operations.
    if (!cut || (single && Math.fround(scaled * (1 - 1e-15)) === Math.fround(scaled * (1 + 1.2e-14)))) {
      out[index] = negative ? -scaled : scaled
      return i
    }
  }
  let text = ""
  for (let j = at; j < i; j++) text += String.fromCharCode(bytes[j]!)
  out[index] = Number(text)
  return i
}

const wrongToken = (field: string, index: number, datatype: DataType, bytes: Uint8Array, at: number, end: number): InvalidRequest => {
  const where = `${field}[${index}]`
  if (at >= end) return new InvalidRequest({ field, problem: "the array is not closed" })
  const token = snippet(bytes, at, end)
  if (/^-?(NaN|Infinity|inf|nan)/.test(token)) {
    return new InvalidRequest({ field: where, problem: `${token} is not JSON; send such values as binary data` })
  }
  return new InvalidRequest({ field: where, problem: `expected a value of type ${datatype}, found ${token}` })
}

const storeLong = (target: NumberTarget, index: number, value: bigint): boolean => {
  const [min, max] = target.datatype === "UINT64" ? [0n, (1n << 64n) - 1n] : [-(1n << 63n), (1n << 63n) - 1n]
  if (value < min || value > max) return false
  new BigInt64Array(target.bytes.buffer, target.bytes.byteOffset + target.offset + index * 8, 1)[0] = BigInt.asIntN(64, value)
  return true
}

/**
 * Reads the array that begins with `[` at `start` and ends with `]` before `end` into the target. It is flat, or nested as the shape says.
 * Undefined, or what is wrong.
 */
export const readNumbers = (bytes: Uint8Array, start: number, end: number, target: NumberTarget, field: string): InvalidRequest | undefined => {
  const { count, datatype, shape } = target
  const kind = kinds.get(datatype)
  if (kind === undefined) return new InvalidRequest({ field, problem: `${datatype} has no JSON form; send it as binary data` })
  const rank = shape.length
  const lengths = new Array<number>(rank + 1).fill(0)
  const single = datatype === "FP32"
  const wide = datatype === "INT64" || datatype === "UINT64"
  const { integer, max, min } = kind
  const wrong = (problem: string) => new InvalidRequest({ field, problem })
  const tooLarge = (at: number) =>
    new InvalidRequest({ field: `${field}[${n}]`, problem: `${snippet(bytes, at, end)} does not fit ${datatype}` })
  const wrongNesting = () => wrong(`is neither flat nor nested as its shape [${shape.join(", ")}] says`)

  isLongInteger = false
  let at = start
  let depth = 0
  // Depth at which numbers stand: 1 for a flat array, the rank for a nested one; known at the first number.
  let leaf = 0
  let n = 0
  let base = 0
  // True where a value or an opening bracket must come next; false where a comma or a closing bracket must.
  let wantsValue = true
  while (at < end) {
    const c = bytes[at]!
    if (isSpace(c)) {
      at++
      continue
    }
    if (!wantsValue) {
      if (c === 44) {
        wantsValue = true
        at++
        continue
      }
      if (c !== 93) return wrongToken(field, n, datatype, bytes, at, end)
    }
    if (c === 91) {
      if (depth === leaf && leaf !== 0) return wrongNesting()
      depth++
      if (depth > Math.max(rank, 1)) return wrongNesting()
      lengths[depth] = 0
      at++
      continue
    }
    if (c === 93) {
      // An empty array, or one that ends after a value; never after a comma.
      if (wantsValue && lengths[depth] !== 0) return wrongToken(field, n, datatype, bytes, at, end)
      if (leaf !== 0 && leaf === rank && rank > 1 && lengths[depth] !== shape[depth - 1]) return wrongNesting()
      depth--
      at++
      if (depth === 0) break
      lengths[depth]!++
      wantsValue = false
      continue
    }
    if (leaf === 0) {
      if (depth !== 1 && depth !== rank) return wrongNesting()
      leaf = depth
    } else if (depth !== leaf) {
      return wrongNesting()
    }
    if (n === count) return wrong(`has more than the ${count} elements that its shape [${shape.join(", ")}] says`)
    const after = readNumber(bytes, at, single, scratch, n - base)
    if (after > 0) {
      const value = scratch[n - base]!
      if (isLongInteger && wide) {
        isLongInteger = false
        kind.store(target, base, scratch.subarray(0, n - base))
        if (after - at > 40 || !storeLong(target, n, BigInt(String.fromCharCode(...bytes.subarray(at, after))))) return tooLarge(at)
        base = n + 1
      } else if (!(value >= min && value <= max) || (integer && value !== Math.floor(value))) {
        // A double just above the largest float still rounds to it.
        if (!single || !(Math.fround(Math.abs(value)) <= maxFloat)) return tooLarge(at)
      }
      at = after
    } else if (datatype === "BOOL" && literalAt(bytes, at, "true")) {
      scratch[n - base] = 1
      at += 4
    } else if (datatype === "BOOL" && literalAt(bytes, at, "false")) {
      scratch[n - base] = 0
      at += 5
    } else {
      return wrongToken(field, n, datatype, bytes, at, end)
    }
    n++
    lengths[depth]!++
    wantsValue = false
    if (n - base === scratch.length) {
      kind.store(target, base, scratch)
      base = n
    }
  }
  if (depth !== 0) return wrong("the array is not closed")
  if (n !== count) return wrong(`has ${n} elements, its shape [${shape.join(", ")}] says ${count}`)
  if (n > base) kind.store(target, base, scratch.subarray(0, n - base))
  return undefined
}
