/** Clients' memory page-locked for the GPU, within bounds. */
import { textOf } from "../../../core/internal/loadFailure.js"
import { mapFile } from "../../internal/fileMapping.js"
import type { DeviceRegion, LockFile } from "../ClientRegions.js"
import type { CudaDriver, CudaError as CudaErrorType } from "./CudaDriver.js"
import { CudaError } from "./CudaDriver.js"

/** Locking holds the JavaScript thread: a region of so many bytes for a few milliseconds, once. */
const mostBytesOfRegion = 64 << 20
/** Locked pages cannot leave memory, whoever may want it. */
const mostBytes = 1 << 30

/** `onFatal` must end the process. */
export const makeLockFile = (driver: CudaDriver, onFatal: (error: CudaErrorType) => void): LockFile => {
  let lockedBytes = 0
  return async (fd, byteLength): Promise<DeviceRegion> => {
    if (byteLength > mostBytesOfRegion) throw new Error(`it has more than ${mostBytesOfRegion} bytes`)
    if (lockedBytes + byteLength > mostBytes) throw new Error(`clients' memory of more than ${mostBytes} bytes is not locked`)
    lockedBytes += byteLength
    const giveBack = (): void => void (lockedBytes -= byteLength)
    try {
      const mapping = await mapFile(fd, byteLength)
      try {
        driver.lockHost(mapping.address, mapping.byteLength)
      } catch (error) {
        mapping.unmap()
        throw error
      }
      return {
        address: mapping.address,
        isWhole: mapping.isWhole,
        release: () => {
          try {
            driver.unlockHost(mapping.address)
          } catch (error) {
            if (error instanceof CudaError && error.isFatal) onFatal(error)
          }
          mapping.unmap()
          giveBack()
        }
      }
    } catch (error) {
      giveBack()
      if (error instanceof CudaError && error.isFatal) onFatal(error)
      throw new Error(textOf(error))
    }
  }
}
