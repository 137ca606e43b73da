/** Clients' memory mapped and page-locked by the driver. Both hold the thread, for a tenth of a millisecond and more a MiB: not the one that serves. */
import { mapFile, watchPages } from "../../internal/fileMapping.js"
import type { CudaDriver } from "./driver/CudaDriver.js"

/** What is locked of a file. */
export interface LockedFile {
  readonly address: number
  readonly byteLength: number
}

export class FileLocks {
  private readonly unmaps = new Map<number, () => void>()

  constructor(private readonly driver: Pick<CudaDriver, "lockHost" | "unlockHost">) {}

  /** The first `byteLength` bytes. Throws where that is not possible. */
  lock(fd: number, byteLength: number): LockedFile {
    const mapping = mapFile(fd, byteLength)
    try {
      const pages = watchPages(mapping.address, mapping.byteLength)
      const isWhole = pages.isWhole()
      pages.close()
      if (!isWhole) throw new Error("its pages are not all there")
      this.driver.lockHost(mapping.address, mapping.byteLength)
    } catch (error) {
      mapping.unmap()
      throw error
    }
    this.unmaps.set(mapping.address, mapping.unmap)
    return { address: mapping.address, byteLength: mapping.byteLength }
  }

  unlock(address: number): void {
    const unmap = this.unmaps.get(address)
    this.unmaps.delete(address)
    try {
      this.driver.unlockHost(address)
    } finally {
      unmap?.()
    }
  }
}
