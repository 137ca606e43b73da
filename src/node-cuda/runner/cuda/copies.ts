/** Which bytes a batch moves between its requests' slots, or their clients' memory, and the device. Pure but for the list it fills. */
import type { SlotLayout, SlotPlacement } from "../../../core/SlotLayout.js"
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import type { ClientFile } from "../../../core/internal/directParts.js"
import type { CopyList, DevicePointer } from "./driver/CudaDriver.js"
import { getU64, putU64 } from "./driver/CudaDriver.js"

export type Side = "inputs" | "outputs"

const offsetsOf = (placement: SlotPlacement, side: Side): ReadonlyArray<number> =>
  side === "inputs" ? placement.inputOffsets : placement.outputOffsets
const bytesOf = (placement: SlotPlacement, side: Side): ReadonlyArray<number> => side === "inputs" ? placement.inputBytes : placement.outputBytes

/** Where a side's tensors stand in a placement: from the first to the end of the last. */
export const rangeOf = (placement: SlotPlacement, side: Side): { readonly start: number; readonly bytes: number } => {
  const offsets = offsetsOf(placement, side)
  const bytes = bytesOf(placement, side)
  const start = offsets[0] ?? 0
  let end = start
  for (let j = 0; j < offsets.length; j++) if (bytes[j]! > 0) end = offsets[j]! + bytes[j]!
  return { start, bytes: end - start }
}

/** Whether one request fills a device buffer of `size` items: then both are laid out alike and one copy moves all. */
export const isWhole = (batch: RunBatch, size: number): boolean => batch.offsets.length === 1 && batch.entryItems[0] === size

/** Pieces that a batch may need. */
export const mostPieces = (layout: SlotLayout, batch: RunBatch, side: Side): number => batch.offsets.length * layout.signature[side].length

/** Adds a piece, to the last one where it follows it on both sides, and may: the driver refuses a copy across two pieces of memory that were locked apart. */
const add = (list: CopyList, host: number, device: number, bytes: number, mayJoin: boolean): void => {
  const last = list.count - 1
  if (last >= 0 && mayJoin) {
    const before = getU64(list.bytes, last)
    if (getU64(list.host, last) + before === host && getU64(list.device, last) + before === device) {
      putU64(list.bytes, last, before + bytes)
      return
    }
  }
  putU64(list.host, list.count, host)
  putU64(list.device, list.count, device)
  putU64(list.bytes, list.count, bytes)
  list.count++
}

/** Fills `list` with one side of a batch. The device buffer is laid out as `placement`, one slot of `size` items, of which the first are used. */
export const listCopies = (
  list: CopyList,
  side: Side,
  layout: SlotLayout,
  batch: RunBatch,
  segmentAddress: number,
  placement: SlotPlacement,
  size: number,
  device: DevicePointer
): void => {
  list.count = 0
  // Between outputs stand bytes that are not ours to write.
  if (side === "inputs" && batch.direct === undefined && isWhole(batch, size)) {
    const { bytes, start } = rangeOf(placement, side)
    if (bytes > 0) add(list, segmentAddress + batch.offsets[0]! + start, device + start, bytes, false)
    return
  }
  const tensors = layout.signature[side].length
  const offsets = offsetsOf(placement, side)
  const bytes = bytesOf(placement, side)
  /** Of the piece before: a client's memory, or the segment. */
  let source: ClientFile | undefined
  for (let j = 0; j < tensors; j++) {
    const perItem = bytes[j]! / size
    if (perItem === 0) continue
    let at = device + offsets[j]!
    let items = 0
    let ownOffset = 0
    for (let i = 0; i < batch.offsets.length; i++) {
      if (batch.entryItems[i]! !== items) {
        items = batch.entryItems[i]!
        ownOffset = segmentAddress + offsetsOf(layout.placement(items, batch.bindings), side)[j]!
      }
      const direct = batch.direct?.find(side, i, j)
      const host = direct === undefined ? ownOffset + batch.offsets[i]! : direct.file.address! + direct.position
      add(list, host, at, perItem * items, direct?.file === source)
      source = direct?.file
      at += perItem * items
    }
  }
}
