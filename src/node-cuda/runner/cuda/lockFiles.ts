/** Clients' memory page-locked for the GPU, within bounds. */
import { textOf } from "../../../core/internal/loadFailure.js"
import { watchPages } from "../../internal/fileMapping.js"
import type { DeviceRegion, LockFile } from "../ClientRegions.js"
import type { CudaError as CudaErrorType } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { FileLocker } from "./lockThread.js"

/** One client is not to keep the others waiting for long: they are locked one after the other. */
const mostBytesOfRegion = 64 << 20
/** Locked pages cannot leave memory, whoever may want it. A limit of the system's (`ulimit -l`) is the driver's to heed: it refuses. */
const mostBytes = 1 << 30

/** `onFatal` must end the process. */
export const makeLockFile = (locker: FileLocker, onFatal: (error: CudaErrorType) => void): LockFile => {
  let lockedBytes = 0
  const endWhereFatal = (error: unknown): void => {
    if (error instanceof CudaError && error.isFatal) onFatal(error)
  }
  return async (fd, byteLength): Promise<DeviceRegion> => {
    if (byteLength > mostBytesOfRegion) throw new Error(`it has more than ${mostBytesOfRegion} bytes`)
    if (lockedBytes + byteLength > mostBytes) throw new Error(`clients' memory of more than ${mostBytes} bytes is not locked`)
    lockedBytes += byteLength
    const giveBack = (): void => void (lockedBytes -= byteLength)
    try {
      const locked = await locker.lock(fd, byteLength)
      const pages = watchPages(locked.address, locked.byteLength)
      return {
        address: locked.address,
        isWhole: pages.isWhole,
        release: () => {
          pages.close()
          // What is locked later comes after it.
          giveBack()
          locker.unlock(locked.address).catch(endWhereFatal)
        }
      }
    } catch (error) {
      giveBack()
      endWhereFatal(error)
      throw new Error(textOf(error))
    }
  }
}
