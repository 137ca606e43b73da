/**
 * Copies between clients' memory and slots, by position through the region's file: once, as a socket's bytes are copied once, at the speed of memory. A region
 * that has shrunk is a short read.
 */
import * as fs from "node:fs"
import type { InvalidRequest } from "../../core/RequestError.js"
import type { Transfer } from "../../link/clientFile.js"
import { shrunk, transferProblem, transferSync } from "../../link/clientFile.js"
import { invalid } from "./jsonValue.js"
import type { SharedRange } from "./sharedRegions.js"

/** Up to here a copy takes less time than handing it to another thread. */
const syncBytes = 64 * 1024

/** One tensor to copy. */
export interface SharedCopy {
  readonly range: SharedRange
  readonly bytes: Uint8Array
  /** Where in the request it is. */
  readonly field: string
}

/** Told what went wrong; for small pieces before the call returns. */
type CopyEnd = (problem: string | undefined) => void

const copyAsync = (transfer: Transfer, fd: number, bytes: Uint8Array, position: number, done: number, end: CopyEnd): void => {
  const step = (error: NodeJS.ErrnoException | null, count: number): void => {
    if (error !== null) end(transferProblem(transfer, error))
    else if (count === 0) end(shrunk)
    else if (done + count === bytes.byteLength) end(undefined)
    else copyAsync(transfer, fd, bytes, position, done + count, end)
  }
  if (transfer === "read") fs.read(fd, bytes, done, bytes.byteLength - done, position + done, step)
  else fs.write(fd, bytes, done, bytes.byteLength - done, position + done, step)
}

const copyOne = (transfer: Transfer, { bytes, range: { offset, region } }: SharedCopy, end: CopyEnd): void => {
  const position = region.placed.offset + offset
  if (bytes.byteLength <= syncBytes) end(transferSync(transfer, region.fd, bytes, position))
  else copyAsync(transfer, region.fd, bytes, position, 0, end)
}

/**
 * Copies between regions and `bytes`, which are as long as their ranges or shorter. Calls back once, when nothing is being copied any more, with
 * the first that went wrong.
 */
export const copyShared = (transfer: Transfer, copies: ReadonlyArray<SharedCopy>, end: (problem: InvalidRequest | undefined) => void): void => {
  let left = copies.length
  let wrong: InvalidRequest | undefined
  for (const copy of copies) {
    copyOne(transfer, copy, (problem) => {
      if (problem !== undefined) wrong ??= invalid(`${copy.field}.parameters.shared_memory_region`, problem)
      left -= 1
      if (left === 0) end(wrong)
    })
  }
}
