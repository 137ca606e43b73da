/** Tensors as JSON text. */
import type { DataType } from "../../core/Tensor.js"

const powers = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))

const slowShortest = (value: number): number => {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return candidate
  }
  return Number(value.toPrecision(9))
}

/**
 * The double whose text is the shortest decimal that reads back as the float `value`: 0.1, where the float's own double prints
 * 0.10000000149011612. Six digits always tell a float's text apart from what a shorter one would round to, nine tell any two floats apart.
 */
export const shortestFloat = (value: number): number => {
  if (value === Math.floor(value) && value < 1e6 && value > -1e6) return value
  const magnitude = value < 0 ? -value : value
  if (!(magnitude >= 1e-12 && magnitude < 1e21)) return Number.isFinite(value) ? slowShortest(value) : value
  const exponent = Math.floor(Math.log10(magnitude))
  for (let shift = 5 - exponent; shift <= 9 - exponent; shift++) {
    // A whole number of at most ten digits, divided or multiplied by an exact power of ten: the nearest double to that decimal.
    const candidate = shift >= 0 ? Math.round(value * powers[shift]!) / powers[shift]! : Math.round(value / powers[-shift]!) * powers[-shift]!
    if (Math.fround(candidate) === value) return candidate
  }
  return slowShortest(value)
}

const floats = (values: Float32Array): string => {
  const shortest = new Array<number>(values.length)
  for (let i = 0; i < values.length; i++) shortest[i] = shortestFloat(values[i]!)
  return JSON.stringify(shortest)
}

const bigints = (values: BigInt64Array | BigUint64Array): string => {
  let text = "["
  for (let i = 0; i < values.length; i++) text += i === 0 ? values[i]!.toString() : `,${values[i]!.toString()}`
  return `${text}]`
}

/**
 * The elements of a tensor as a flat JSON array, `undefined` for types without a JSON form. JSON has no NaN and no infinity: they become null.
 */
export const tensorText = (datatype: DataType, bytes: Uint8Array, offset: number, count: number): string | undefined => {
  const { buffer } = bytes
  const at = bytes.byteOffset + offset
  switch (datatype) {
    case "FP32": return floats(new Float32Array(buffer, at, count))
    case "FP64": return JSON.stringify(Array.from(new Float64Array(buffer, at, count)))
    case "INT64": return bigints(new BigInt64Array(buffer, at, count))
    case "UINT64": return bigints(new BigUint64Array(buffer, at, count))
    case "BOOL": return JSON.stringify(Array.from(new Uint8Array(buffer, at, count), (value) => value !== 0))
    case "UINT8": return `[${new Uint8Array(buffer, at, count).join()}]`
    case "UINT16": return `[${new Uint16Array(buffer, at, count).join()}]`
    case "UINT32": return `[${new Uint32Array(buffer, at, count).join()}]`
    case "INT8": return `[${new Int8Array(buffer, at, count).join()}]`
    case "INT16": return `[${new Int16Array(buffer, at, count).join()}]`
    case "INT32": return `[${new Int32Array(buffer, at, count).join()}]`
    default: return undefined
  }
}
