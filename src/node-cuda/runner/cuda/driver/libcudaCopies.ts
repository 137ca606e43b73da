/** Copies between page-locked memory and the device by its copy engines, by libcuda: many pieces in one call where the driver can. */
import type { NativeFunction } from "../../../internal/native.js"
import type { CopyList, CudaCopies } from "./CudaDriver.js"
import { CudaError } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"
import { success } from "./libcudaCalls.js"

export const makeCopies = ({ asyncProblem, check, copyBatch, fail, functions }: LibcudaCalls, adoptPool: () => void): CudaCopies => {
  /** CUmemcpyAttributes: source access in stream order, no hints of places, copies beside kernels preferred. */
  const attributes = new Uint32Array([1, 0, 0, 0, 0, 1])
  const firstOnly = new BigUint64Array(1)
  const failedAt = new BigUint64Array(1)
  const copyAll = (list: CopyList, to: Uint32Array, from: Uint32Array, one: NativeFunction, name: "cuMemcpyHtoDAsync" | "cuMemcpyDtoHAsync", stream: number): void => {
    const { bytes, count } = list
    if (copyBatch !== undefined && count > 1) {
      const code = copyBatch(to, from, bytes, count, attributes, firstOnly, 1, failedAt, stream) as number
      return code === success ? undefined : fail("cuMemcpyBatchAsync", code)
    }
    for (let i = 0; i < count; i++) {
      const at = 2 * i
      check(name, one(
        to[at]! + 2 ** 32 * to[at + 1]!, from[at]! + 2 ** 32 * from[at + 1]!, bytes[at]! + 2 ** 32 * bytes[at + 1]!, stream
      ) as number)
    }
  }
  const copyAllIn = (list: CopyList, stream: number): void =>
    copyAll(list, list.device, list.host, functions.cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync", stream)
  return {
    copyIn: (to, from, bytes, stream) => check("cuMemcpyHtoDAsync", functions.cuMemcpyHtoDAsync(to, from, bytes, stream) as number),
    copyOut: (to, from, bytes, stream) => check("cuMemcpyDtoHAsync", functions.cuMemcpyDtoHAsync(to, from, bytes, stream) as number),
    copyAllIn,
    copyAllInAsync: (list, stream, done) => {
      // What cannot go elsewhere is for the caller, who copies where this says that it failed.
      if (copyBatch === undefined || list.count < 2) return done(new CudaError("cuMemcpyBatchAsync", 801, "CUDA_ERROR_NOT_SUPPORTED"))
      copyBatch.async(list.device, list.host, list.bytes, list.count, attributes, firstOnly, 1, failedAt, stream, (error: unknown, code: number) => {
        if (code !== success) adoptPool()
        done(asyncProblem("cuMemcpyBatchAsync", error, code))
      })
    },
    copyAllOut: (list, stream) => copyAll(list, list.host, list.device, functions.cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync", stream)
  }
}
