/** Elements of a tensor as numbers; what is beyond 2^53 is rounded. */
import type { DataType } from "../Tensor.js"

const half = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const views = {
  BOOL: Uint8Array, UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, UINT64: BigUint64Array, INT8: Int8Array, INT16: Int16Array,
  INT32: Int32Array, INT64: BigInt64Array, FP16: Uint16Array, BF16: Uint16Array, FP32: Float32Array, FP64: Float64Array, BYTES: Uint8Array
} as const

const bfloat = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!

/** At most so many elements, from all over the tensor. */
export const numbersOf = (datatype: DataType, bytes: Uint8Array, most: number): ReadonlyArray<number> => {
  // A copy: bytes that came over a socket may not be aligned.
  const all = new views[datatype](bytes.slice().buffer)
  const step = Math.max(1, Math.ceil(all.length / most))
  const elements = Array.from({ length: Math.ceil(all.length / step) }, (_, i) => Number(all[i * step]))
  return datatype === "FP16" ? elements.map(half) : datatype === "BF16" ? elements.map(bfloat) : elements
}
