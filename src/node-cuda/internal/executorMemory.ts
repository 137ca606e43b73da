/** The memory of an executor: a shared segment where one can be made, else memory of this process whose bytes go over the connections. */
import * as os from "node:os"
import type { TensorArena } from "../../core/TensorArena.js"
import { claimsBytes } from "./claims.js"
import { createSegment } from "./segment.js"
import { makeSegmentArena } from "../../core/internal/segmentArena.js"

interface ExecutorMemory {
  readonly arena: TensorArena
  readonly memory: ArrayBuffer
  readonly byteLength: number
  /** For runners to inherit; undefined where nothing is shared. */
  readonly fd: number | undefined
  /** Why nothing is shared although it was asked for. */
  readonly problem: string | undefined
  readonly close: () => void
}

const gibibyte = 2 ** 30
/** A process has to hold a copy of the bytes in use where memory is not shared. */
const largestUnshared = gibibyte / 4
/** Offsets are counted in units of 64 bytes in 32 bits. */
const largestShared = 2 ** 38
const smallest = 1 << 20

/** What is free for us, also within a container's limit. */
const freeBytes = (): number => process.availableMemory?.() ?? os.freemem()

/** The size asked for, or a quarter of the free memory up to 1 GiB; only pages that were written to are taken from the system. */
const sizeOf = (asked: number | undefined, largest: number): number => {
  const bytes = Math.min(asked ?? Math.min(gibibyte, freeBytes() / 4), largest)
  return Math.floor(Math.max(smallest, bytes) / smallest) * smallest
}

/** Behind the claims. */
const arenaIn = (memory: ArrayBuffer, fd: number | undefined) => ({ memory, arena: makeSegmentArena(memory, { fd, offset: claimsBytes }) })

export const openMemory = (sharing: "auto" | "off", askedBytes: number | undefined): ExecutorMemory => {
  let problem: string | undefined
  if (sharing === "auto") {
    try {
      const byteLength = sizeOf(askedBytes, largestShared)
      const segment = createSegment(byteLength)
      return { ...arenaIn(segment.memory, segment.fd), byteLength, fd: segment.fd, problem: undefined, close: segment.close }
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
    }
  }
  const byteLength = sizeOf(askedBytes, largestUnshared)
  return { ...arenaIn(new ArrayBuffer(byteLength), undefined), byteLength, fd: undefined, problem, close: () => undefined }
}
