/** `Mover` by libcuda: launches the kernel that moves small pieces. */
import { loadKoffi } from "../../../internal/native.js"
import type { CopyList, Mover } from "./CudaDriver.js"
import { getU64 } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"
import { blocksOfPiece, mostPieces, moveKernel, moveKernelName, threadsOfBlock } from "./moveKernel.js"

export const loadMover = ({ check, functions, make }: LibcudaCalls): Mover => {
  const kernel = make("cuModuleGetFunction", make("cuModuleLoadData", moveKernel), moveKernelName)
  const parameters = new Uint32Array(6 * mostPieces)
  // Where the one parameter stands. The driver reads both at each launch: they live as long as `move` does.
  const addresses = BigUint64Array.of(loadKoffi().address(parameters.buffer))
  const move = ({ bytes, count }: CopyList, from: Uint32Array, to: Uint32Array, stream: number): void => {
    for (let first = 0; first < count; first += mostPieces) {
      const pieces = Math.min(mostPieces, count - first)
      parameters.set(from.subarray(2 * first, 2 * (first + pieces)), 0)
      parameters.set(to.subarray(2 * first, 2 * (first + pieces)), 2 * mostPieces)
      parameters.set(bytes.subarray(2 * first, 2 * (first + pieces)), 4 * mostPieces)
      let longest = 0
      for (let i = first; i < first + pieces; i++) longest = Math.max(longest, getU64(bytes, i))
      check("cuLaunchKernel", functions.cuLaunchKernel(kernel, blocksOfPiece(longest), pieces, 1, threadsOfBlock, 1, 1, 0, stream, addresses, null) as number)
    }
  }
  return {
    moveIn: (list, stream) => move(list, list.host, list.device, stream),
    moveOut: (list, stream) => move(list, list.device, list.host, stream)
  }
}
