/** The elements of a tensor as numbers; what is beyond 2^53 is rounded. */
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

export const numbersOf = (datatype: DataType, bytes: Uint8Array): ReadonlyArray<number> => {
  // A copy: bytes that came over a socket may not be aligned.
  const { buffer } = bytes.slice()
  if (datatype === "BF16") return Array.from(new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer))
  const elements = Array.from(new views[datatype](buffer) as ArrayLike<number | bigint>, Number)
  return datatype === "FP16" ? elements.map(half) : elements
}
