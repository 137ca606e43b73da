/**
 * Tensors in clients' memory as a run frame names them, and what of them went wrong as an end frame says it:
 *
 * ```
 * u32 count + count x (u32 entry | tensor as in link/directTensor.ts)    24 bytes each
 * [[entry, problem], ...] as JSON
 * ```
 */
import type { BatchEntry } from "../../core/Executor.js"
import type { DirectTensor } from "../../core/ClientMemory.js"
import { directTensorBytes, readDirectTensor, writeDirectTensor } from "../../link/directTensor.js"

const partBytes = 4 + directTensorBytes

/** Bytes that the tensors of a batch take; 0 where there are none. */
export const directBytes = (entries: ReadonlyArray<Pick<BatchEntry, "direct">>): number => {
  let count = 0
  for (const { direct } of entries) count += direct?.length ?? 0
  return count === 0 ? 0 : 4 + partBytes * count
}

export const writeDirect = (buffer: Buffer, at: number, entries: ReadonlyArray<Pick<BatchEntry, "direct">>): void => {
  let next = at + 4
  let count = 0
  entries.forEach(({ direct }, entry) => {
    if (direct === undefined) return
    for (const tensor of direct) {
      next = writeDirectTensor(buffer, buffer.writeUInt32LE(entry, next), tensor)
      count++
    }
  })
  buffer.writeUInt32LE(count, at)
}

export const readDirect = (buffer: Buffer, at: number): ReadonlyArray<DirectTensor & { readonly entry: number }> =>
  Array.from({ length: buffer.readUInt32LE(at) }, (_, i) => {
    const part = at + 4 + partBytes * i
    return { entry: buffer.readUInt32LE(part), ...readDirectTensor(buffer, part + 4) }
  })

export const problemBytes = (problems: ReadonlyMap<number, string>): Buffer => Buffer.from(JSON.stringify([...problems]))

export const readProblems = (buffer: Buffer, start: number, end: number): ReadonlyMap<number, string> =>
  new Map(JSON.parse(buffer.toString("utf8", start, end)) as ReadonlyArray<readonly [number, string]>)
