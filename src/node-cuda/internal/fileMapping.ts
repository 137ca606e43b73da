/**
 * A file mapped for a device that reads memory by itself. No instruction of this process may touch the memory: where its owner has shrunk the
 * file, that kills the process (SIGBUS). A device is not in that danger: the driver holds the pages that it was given, in the file or not.
 */
import * as fs from "node:fs"
import { loadKoffi } from "./native.js"

const readWrite = 1 | 2
const shared = 1
const populate = 0x8000
const pageBytes = 4096
/** Of the entry of a page in /proc/self/pagemap: its length, and the bit in its last byte that says that the page is mapped. */
const entryBytes = 8
const presentBit = 0x80

export interface FileMapping {
  readonly address: number
  readonly byteLength: number
  /** Whether the memory is still the file's. A page that its owner has cut off is unmapped, and stays so where the file grows again. */
  readonly isWhole: () => boolean
  readonly unmap: () => void
}

/** Maps the first `byteLength` bytes with all their pages, on another thread. Rejects where that is not possible. */
export const mapFile = async (fd: number, byteLength: number): Promise<FileMapping> => {
  const koffi = loadKoffi()
  const libc = koffi.load(null)
  const mmap = libc.func("int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)")
  const munmap = libc.func("int munmap(void *address, size_t length)")
  const length = Math.ceil(byteLength / pageBytes) * pageBytes
  const pages = fs.openSync("/proc/self/pagemap", "r")
  let mapped = -1n
  const release = (): void => {
    fs.closeSync(pages)
    if (mapped !== -1n) munmap(mapped, length)
  }
  try {
    mapped = await new Promise<bigint>((resolve, reject) => {
      mmap.async(null, length, readWrite, shared | populate, fd, 0, (error: unknown, address: number | bigint) => {
        if (error !== null && error !== undefined) reject(error instanceof Error ? error : new Error(String(error)))
        else resolve(BigInt(address))
      })
    })
    if (mapped === -1n) throw new Error(`mmap of ${length} bytes failed`)
    const lastPage = Number(mapped / BigInt(pageBytes)) + length / pageBytes - 1
    const entry = Buffer.alloc(entryBytes)
    const isWhole = (): boolean => {
      fs.readSync(pages, entry, 0, entryBytes, lastPage * entryBytes)
      return (entry[entryBytes - 1]! & presentBit) !== 0
    }
    if (!isWhole()) throw new Error("its pages are not all there")
    return { address: Number(mapped), byteLength: length, isWhole, unmap: release }
  } catch (error) {
    release()
    throw error
  }
}
