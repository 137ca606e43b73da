/** `CudaDriver` on the driver's own library, libcuda.so.1, through koffi. */
import { checkMover } from "./checkMover.js"
import type { CudaDriver } from "./CudaDriver.js"
import { loadLibcuda } from "./libcudaCalls.js"
import { makeCopies } from "./libcudaCopies.js"
import { openDevice } from "./libcudaDevice.js"
import { makeGraphNodes } from "./libcudaGraphNodes.js"
import { makeGraphs } from "./libcudaGraphs.js"
import { makeGreenContexts } from "./libcudaGreenContexts.js"
import { makeMemory } from "./libcudaMemory.js"
import { loadMover } from "./libcudaMover.js"
import { makeStreams } from "./libcudaStreams.js"

/** Opens the driver for device 0 of those that the process sees, and makes its primary context current. Throws where there is none. */
export const openLibcuda = (): CudaDriver => {
  const calls = loadLibcuda()
  const { adoptPool, device, ordinal } = openDevice(calls)
  const memory = makeMemory(calls)
  // A spread keeps its methods as quick to find as those of a literal; `Object.assign` makes a dictionary of so many.
  const driver: CudaDriver = {
    device,
    ...memory,
    ...makeGreenContexts(calls, ordinal),
    ...makeStreams(calls),
    ...makeCopies(calls, adoptPool),
    ...makeGraphs(calls),
    ...makeGraphNodes(calls, memory),
    openMover: () => {
      const mover = loadMover(calls)
      checkMover(driver, mover)
      return mover
    }
  }
  return driver
}
