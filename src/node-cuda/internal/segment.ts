/**
 * The piece of memory that agent and runners share. On Linux an anonymous file in memory (memfd), elsewhere a temporary file that is unlinked
 * as soon as it is open: either way it has no name, a runner inherits it as a file descriptor, and the kernel frees it with the last process
 * that has it, however that process ends. Unlike a file in /dev/shm it is not bound by that mount's size (64 MiB in many containers).
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { loadKoffi } from "./native.js"

/** File descriptors of a runner beside the usual three: its connection to the agent, and the segment. */
export const connectionFd = 3
export const segmentFd = 4

const readWrite = 1 | 2
const mapShared = 1
const closeOnExec = 1
/** Frees the pages of a file mapping, in the file too; they read as zeros afterwards. */
const madviseRemove = 9

/** Symbols of the C library that the process has loaded already. */
const libc = () => loadKoffi().load(process.platform === "linux" ? null : "libSystem.dylib")

const openUnnamed = (): number => {
  if (process.platform === "linux") {
    const fd: number = libc().func("int memfd_create(const char *name, unsigned int flags)")("glet-orion", closeOnExec)
    if (fd < 0) throw new Error(`memfd_create failed with errno ${loadKoffi().errno()}`)
    return fd
  }
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "glet-orion-")), "segment")
  const fd = fs.openSync(file, "wx+", 0o600)
  fs.rmSync(path.dirname(file), { recursive: true })
  return fd
}

/** A mapped segment. */
interface MappedSegment {
  readonly memory: ArrayBuffer
  readonly address: bigint
}

/** Maps an inherited segment. The mapping stays until the process ends. */
export const mapSegment = (fd: number, byteLength: number): MappedSegment => {
  const mmap = libc().func("int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)")
  const mapped = BigInt(mmap(null, byteLength, readWrite, mapShared, fd, 0))
  if (mapped === -1n) throw new Error(`mmap of ${byteLength} bytes failed with errno ${loadKoffi().errno()}`)
  return { memory: loadKoffi().view(mapped, byteLength), address: mapped }
}

/** A segment made here. */
interface Segment extends MappedSegment {
  /** For runners to inherit. */
  readonly fd: number
  /**
   * Frees the memory and closes the file. The mapping stays, of zeros: a slot that outlives its executor must not crash the process, and an
   * address range costs nothing.
   */
  readonly close: () => void
}

/** Makes a segment; sparse, its pages are taken when first written. Throws where that is not possible. */
export const createSegment = (byteLength: number): Segment => {
  const fd = openUnnamed()
  try {
    fs.ftruncateSync(fd, byteLength)
    const mapped = mapSegment(fd, byteLength)
    return {
      ...mapped,
      fd,
      close: () => {
        if (process.platform === "linux") {
          libc().func("int madvise(void *address, size_t length, int advice)")(mapped.address, byteLength, madviseRemove)
        }
        fs.closeSync(fd)
      }
    }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}
