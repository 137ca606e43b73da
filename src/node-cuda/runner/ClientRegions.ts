/**
 * The memory of clients in a runner. It is reached through its file, by position: a region that its owner has shrunk is a short read. Only a
 * device reads and writes it where it is mapped, as long as it is whole.
 */
import * as fs from "node:fs"
import type { ClientObject } from "../../core/ClientMemory.js"
import type { ClientFile } from "../../core/internal/directParts.js"
import { shrunk, transferProblem, transferSync } from "../../link/clientFile.js"

/** A region as a device finds it. */
export interface DeviceRegion {
  readonly address: number
  readonly isWhole: () => boolean
  readonly release: () => void
}

/** Makes the first bytes of a file known to the device. Rejects where it cannot, or need not. */
export type LockFile = (fd: number, byteLength: number) => Promise<DeviceRegion>

export class RegionFile implements ClientFile {
  private users = 1
  private locked: DeviceRegion | undefined
  private isForgotten = false

  constructor(readonly number: number, private readonly fd: number, private readonly endBytes: number, private readonly onLost: () => void) {}

  get address(): number | undefined {
    return this.locked?.address
  }

  /** Whether `bytes` from there on are what requests may name. */
  has(position: number, bytes: number): boolean {
    return position >= 0 && position + bytes <= this.endBytes
  }

  /** Whether a device reaches what its owner has there. What it does not any more it never will again: the owner's pages are others. */
  isOnDevice(): boolean {
    if (this.locked === undefined) return false
    if (this.locked.isWhole()) return true
    if (!this.isLost) this.onLost()
    this.isLost = true
    return false
  }
  private isLost = false

  /** Has a device reach it. Rejects where it cannot. */
  async lock(lockFile: LockFile): Promise<void> {
    this.retain()
    try {
      const locked = await lockFile(this.fd, this.endBytes)
      if (this.isForgotten) locked.release()
      else this.locked = locked
    } finally {
      this.release()
    }
  }

  read(bytes: Uint8Array, position: number): string | undefined {
    return transferSync("read", this.fd, bytes, position)
  }

  write(bytes: Uint8Array, position: number): string | undefined {
    try {
      // To write behind its end would make it longer.
      if (fs.fstatSync(this.fd).size < position + bytes.length) return shrunk
    } catch (error) {
      return transferProblem("write", error)
    }
    return transferSync("write", this.fd, bytes, position)
  }

  retain(): void {
    this.users += 1
  }

  /** Closed with its last user. */
  release(): void {
    this.users -= 1
    if (this.users > 0) return
    this.locked?.release()
    fs.closeSync(this.fd)
  }

  forget(): void {
    this.isForgotten = true
    this.release()
  }
}

export class ClientRegions {
  private readonly files = new Map<number, RegionFile>()

  /** `onLost` is told the number of a region that a device does not reach any more. */
  constructor(private readonly onLost: (region: number) => void) {}

  find(number: number): RegionFile | undefined {
    return this.files.get(number)
  }

  /** Throws where it is not the object that it should be. */
  open(number: number, { device, endBytes, inode, isWritable, path }: ClientObject): RegionFile {
    const fd = fs.openSync(path, isWritable ? "r+" : "r")
    const stat = fs.fstatSync(fd)
    if (stat.dev !== device || stat.ino !== inode) {
      fs.closeSync(fd)
      throw new Error("the object is another by now")
    }
    const file = new RegionFile(number, fd, endBytes, () => this.onLost(number))
    this.files.set(number, file)
    return file
  }

  /** Batches that use it end first. */
  forget(number: number): void {
    const file = this.files.get(number)
    this.files.delete(number)
    file?.forget()
  }
}
