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

interface FileMapping {
  readonly address: number
  /** Whole pages. */
  readonly byteLength: number
  readonly unmap: () => void
}

/** Looks after the last page of a mapping. */
export interface PageWatch {
  /** Whether the memory is still the file's. A page that its owner has cut off is unmapped, and stays so where the file grows again. */
  readonly isWhole: () => boolean
  readonly close: () => void
}

/** For a mapping of this process, whichever thread made it. */
export const watchPages = (address: number, byteLength: number): PageWatch => {
  const pages = fs.openSync("/proc/self/pagemap", "r")
  const lastPage = Math.ceil((address + byteLength) / pageBytes) - 1
  const entry = Buffer.alloc(entryBytes)
  return {
    isWhole: () => {
      fs.readSync(pages, entry, 0, entryBytes, lastPage * entryBytes)
      return (entry[entryBytes - 1]! & presentBit) !== 0
    },
    close: () => fs.closeSync(pages)
  }
}

/** Maps the first `byteLength` bytes with all their pages, which takes time. Throws where that is not possible. */
export const mapFile = (fd: number, byteLength: number): FileMapping => {
  const libc = loadKoffi().load(null)
  const mmap = libc.func("int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)")
  const munmap = libc.func("int munmap(void *address, size_t length)")
  const length = Math.ceil(byteLength / pageBytes) * pageBytes
  const mapped = BigInt(mmap(null, length, readWrite, shared | populate, fd, 0) as number | bigint)
  if (mapped === -1n) throw new Error(`mmap of ${length} bytes failed`)
  return { address: Number(mapped), byteLength: length, unmap: () => void munmap(mapped, length) }
}
