/** Which bytes of a slot travel where memory is not shared. Both sides must agree on them. */
import type { SlotLayout } from "../../core/SlotLayout.js"

/** Bytes that a run frame carries of a slot: bindings and inputs, all that stands before the first output. */
export const inputPartBytes = (layout: SlotLayout, items: number, bindings: ReadonlyArray<number>): number => {
  const { outputOffsets, totalBytes } = layout.placement(items, bindings)
  return outputOffsets[0] ?? totalBytes
}

/** Adds the pieces of a slot that an end frame carries, its outputs, to `pieces`. `at` is where the slot begins in `memory`. */
export const addOutputParts = (
  pieces: Array<Uint8Array>,
  layout: SlotLayout,
  memory: Uint8Array,
  at: number,
  items: number,
  bindings: ReadonlyArray<number>
): void => {
  const { outputBytes, outputOffsets } = layout.placement(items, bindings)
  outputBytes.forEach((size, j) => {
    if (size > 0) pieces.push(memory.subarray(at + outputOffsets[j]!, at + outputOffsets[j]! + size))
  })
}
