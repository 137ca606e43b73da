/** Memory of the device, and page-locked memory of the host, by libcuda. */
import { loadKoffi } from "../../../internal/native.js"
import type { CudaMemory } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"
import { success } from "./libcudaCalls.js"

/** Other than the driver's own allocations may be copied from by it: mapped memory of all contexts. */
const portable = 1
/** The GPU may read it where it is. */
const mapped = 2

export const makeMemory = ({ check, fail, functions, make, preemption, words }: LibcudaCalls): CudaMemory => {
  const koffi = loadKoffi()
  return {
    freeBytes: () => {
      check("cuMemGetInfo", functions.cuMemGetInfo(words.subarray(0, 1), words.subarray(1, 2)) as number)
      return Number(words[0])
    },
    lockHost: (address, bytes) => check("cuMemHostRegister", functions.cuMemHostRegister(address, bytes, portable | mapped) as number),
    deviceAddress: (address) => {
      words[0] = 0n
      const code = preemption().cuMemHostGetDevicePointer(words, address, 0) as number
      return code === success ? Number(words[0]) : fail("cuMemHostGetDevicePointer", code)
    },
    unlockHost: (address) => check("cuMemHostUnregister", functions.cuMemHostUnregister(address) as number),
    allocateHost: (bytes) => {
      const address = make("cuMemHostAlloc", bytes, portable)
      return { address, memory: new Uint8Array(koffi.view(BigInt(address), bytes)) }
    },
    freeHost: (address) => check("cuMemFreeHost", functions.cuMemFreeHost(address) as number),
    allocate: (bytes) => {
      const pointer = make("cuMemAlloc", bytes)
      check("cuMemsetD8", functions.cuMemsetD8(pointer, 0, bytes) as number)
      // Our streams do not wait for the one that this is put on.
      check("cuStreamSynchronize", functions.cuStreamSynchronize(0) as number)
      return pointer
    },
    free: (pointer) => check("cuMemFree", functions.cuMemFree(pointer) as number)
  }
}
