/**
 * Tensors in clients' memory as a run frame names them, and what of them went wrong as an end frame says it:
 *
 * ```
 * u32 count + count x (u32 entry | u32 side: 0 inputs, 1 outputs | u32 index in the signature | u32 region | f64 position)    24 bytes each
 * [[entry, problem], ...] as JSON
 * ```
 */
import type { BatchEntry } from "../../core/Executor.js"
import type { DirectTensor } from "../../core/ClientMemory.js"

const partBytes = 24

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
    for (const { index, position, region, side } of direct) {
      buffer.writeUInt32LE(entry, next)
      buffer.writeUInt32LE(side === "inputs" ? 0 : 1, next + 4)
      buffer.writeUInt32LE(index, next + 8)
      buffer.writeUInt32LE(region, next + 12)
      buffer.writeDoubleLE(position, next + 16)
      next += partBytes
      count++
    }
  })
  buffer.writeUInt32LE(count, at)
}

export const readDirect = (buffer: Buffer, at: number): ReadonlyArray<DirectTensor & { readonly entry: number }> =>
  Array.from({ length: buffer.readUInt32LE(at) }, (_, i) => {
    const part = at + 4 + partBytes * i
    return {
      entry: buffer.readUInt32LE(part),
      side: buffer.readUInt32LE(part + 4) === 0 ? "inputs" : "outputs",
      index: buffer.readUInt32LE(part + 8),
      region: buffer.readUInt32LE(part + 12),
      position: buffer.readDoubleLE(part + 16)
    }
  })

export const problemBytes = (problems: ReadonlyMap<number, string>): Buffer => Buffer.from(JSON.stringify([...problems]))

export const readProblems = (buffer: Buffer, start: number, end: number): ReadonlyMap<number, string> =>
  new Map(JSON.parse(buffer.toString("utf8", start, end)) as ReadonlyArray<readonly [number, string]>)
