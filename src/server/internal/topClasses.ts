/** Triton's classification extension: of an output the highest values with their places, and the names of those, as strings. */
import type { DataType } from "../../core/Tensor.js"

type Values = Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array | BigInt64Array | BigUint64Array

const views: { readonly [T in DataType]?: new(buffer: ArrayBufferLike, at: number, count: number) => Values } = {
  FP32: Float32Array, FP64: Float64Array,
  INT8: Int8Array, INT16: Int16Array, INT32: Int32Array, INT64: BigInt64Array,
  UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, UINT64: BigUint64Array
}

/** Whether classes can be read from outputs of this type; the same ones as Triton's. */
export const hasClasses = (datatype: DataType): boolean => views[datatype] !== undefined

/** As C's `%f` prints it. */
const valueText = (value: number | bigint, isFloat: boolean): string => {
  if (typeof value === "bigint" || !isFloat) return String(value)
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`
}

/** Whether place `a` stands before place `b`: the higher value, then the lower place; what is no number stands behind all. */
const isBefore = (values: Values, a: number, b: number): boolean => {
  const x = values[a]!
  const y = values[b]!
  if (x > y) return true
  if (x < y) return false
  if (x === y) return a < b
  const numbers = Number(x === x) - Number(y === y)
  return numbers === 0 ? a < b : numbers > 0
}

/** The places of the `count` highest values in order: a heap with the least of them on top, so that most values are compared once. */
const highest = (values: Values, count: number): Uint32Array => {
  const heap = new Uint32Array(Math.min(count, values.length))
  const sink = (from: number, place: number, size: number): void => {
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && isBefore(values, heap[child]!, heap[child + 1]!)) child++
      if (!isBefore(values, place, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = place
  }
  const size = heap.length
  if (size === 0) return heap
  for (let i = 0; i < size; i++) heap[i] = i
  for (let at = (size >> 1) - 1; at >= 0; at--) sink(at, heap[at]!, size)
  for (let place = size; place < values.length; place++) if (isBefore(values, place, heap[0]!)) sink(0, place, size)
  for (let end = size - 1; end > 0; end--) {
    const last = heap[end]!
    heap[end] = heap[0]!
    sink(0, last, end)
  }
  return heap
}

/**
 * `<value>:<place>[:<label>]` of the `count` highest elements of each of `items` rows with `elements` each, highest first. `bytes` begins where
 * typed arrays can.
 */
export const topClasses = (
  datatype: DataType, bytes: Uint8Array, items: number, elements: number, count: number, labels: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const View = views[datatype]!
  const isFloat = datatype === "FP32" || datatype === "FP64"
  const values = new View(bytes.buffer, bytes.byteOffset, items * elements)
  const texts: Array<string> = []
  for (let item = 0; item < items; item++) {
    const row = values.subarray(item * elements, (item + 1) * elements)
    for (const place of highest(row, count)) {
      const label = labels[place]
      texts.push(`${valueText(row[place]!, isFloat)}:${place}${label === undefined || label === "" ? "" : `:${label}`}`)
    }
  }
  return texts
}

/** Strings as binary tensors have them: the length of each before it. */
export const stringBytes = (texts: ReadonlyArray<string>): Buffer => {
  const parts: Array<Buffer> = []
  for (const text of texts) {
    const bytes = Buffer.from(text)
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}
