/**
 * Walks protobuf messages of any size through a small window, without I/O of its own: a walk is a generator that asks for byte ranges, and
 * whoever drives it reads them from a file or an array. Skipping a field of gigabytes costs nothing.
 */
import { WireType } from "@bufbuild/protobuf/wire"

/** Bytes a walk needs; always within the file. */
interface ByteRange {
  readonly offset: number
  readonly length: number
}

export type Walk<A> = Generator<ByteRange, A, Uint8Array>

/** The bytes are not what the format demands. */
export class WalkError extends Error {
  constructor(readonly offset: number, message: string, readonly kind: "invalid" | "unsupported" = "invalid", readonly field?: string) {
    super(message)
  }
}

/** One field: its payload is [start, end); the next field begins at `end`. */
export interface Field {
  readonly number: number
  readonly wire: WireType
  /** Of a varint, as a signed 64-bit integer; beyond 2^53 inexact. */
  readonly value: number
  readonly at: number
  readonly start: number
  readonly end: number
}

const smallestWindow = 4096
const largestWindow = 65536
/** Tag and length of a field at their longest. */
const headerBytes = 20
/** A bound on the work that any file can cause: enough for graphs of some 500,000 nodes, seconds for a crafted file. */
const fieldBudget = 10_000_000

/** The largest message or text that is read as a whole; only descriptions are, never weights. */
const smallMessageBytes = 1 << 20

export class ProtoCursor {
  private window: Uint8Array = new Uint8Array(0)
  private windowStart = 0
  private windowSize = smallestWindow
  private fields = 0
  /** Position after the varint that was read last. */
  private next = 0

  constructor(readonly size: number) {}

  /** The field at `at` of a message that ends at `end`. */
  *field(at: number, end: number): Walk<Field> {
    if (++this.fields > fieldBudget) throw new WalkError(at, `more than ${fieldBudget} fields`, "unsupported")
    yield* this.cover(at, Math.min(headerBytes, end - at))
    const tag = this.varint(at, end)
    const start = this.next
    const number = Math.floor(tag / 8)
    const wire = tag % 8
    if (tag < 8 || number > 0x1fffffff) throw new WalkError(at, `expected a protobuf field, found tag ${tag}`)
    let value = 0
    let payload = start
    let after: number
    switch (wire) {
      case WireType.Varint:
        value = this.varint(start, end)
        after = this.next
        break
      case WireType.Bit64:
        after = start + 8
        break
      case WireType.Bit32:
        after = start + 4
        break
      case WireType.LengthDelimited: {
        const length = this.varint(start, end)
        payload = this.next
        if (length < 0) throw new WalkError(start, "a length is negative")
        after = payload + length
        break
      }
      default:
        throw new WalkError(at, `field ${number} has wire type ${wire}, which ONNX does not use`)
    }
    if (after > end) throw new WalkError(at, `field ${number} ends at byte ${after}, beyond its message's end at ${end}: the file is cut off or damaged`)
    return { number, wire, value, at, start: payload, end: after }
  }

  /** A whole field, which must be small. */
  *bytes(field: Field): Walk<Uint8Array> {
    const length = field.end - field.start
    if (length > smallMessageBytes) throw new WalkError(field.at, `a description of ${length} bytes, at most ${smallMessageBytes} are read`)
    yield* this.cover(field.start, length)
    const from = field.start - this.windowStart
    return this.window.subarray(from, from + length)
  }

  *text(field: Field): Walk<string> {
    return new TextDecoder().decode(yield* this.bytes(field))
  }

  private *cover(offset: number, length: number): Walk<void> {
    const windowEnd = this.windowStart + this.window.length
    if (offset >= this.windowStart && offset + length <= windowEnd) return
    // Reading on: larger windows, fewer reads. After a jump over a tensor: a small one, for a model may have thousands of them.
    this.windowSize = offset >= this.windowStart && offset <= windowEnd ? Math.min(this.windowSize * 2, largestWindow) : smallestWindow
    const wanted = Math.min(Math.max(length, this.windowSize), this.size - offset)
    if (wanted < length) throw new WalkError(this.size, `the file ends here, ${offset + length - this.size} bytes early`)
    this.window = yield { offset, length: wanted }
    this.windowStart = offset
  }

  private varint(at: number, end: number): number {
    let low = 0
    let high = 0
    for (let i = 0; i < 10; i++) {
      const position = at + i
      const byte = position < end ? this.window[position - this.windowStart] : undefined
      if (byte === undefined) throw new WalkError(position, "a number is cut off")
      const bits = byte & 0x7f
      if (i < 4) low += bits * 2 ** (7 * i)
      else if (i === 4) {
        low += (bits & 0x0f) * 2 ** 28
        high += bits >> 4
      } else high += bits * 2 ** (7 * i - 32)
      if (byte < 0x80) {
        this.next = position + 1
        high = high % 2 ** 32
        return high >= 2 ** 31 ? (high - 2 ** 32) * 2 ** 32 + low : high * 2 ** 32 + low
      }
    }
    throw new WalkError(at, "a number has more than 10 bytes")
  }
}
