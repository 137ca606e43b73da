/**
 * A `TensorArena` over one piece of memory, shared with runners or not: an allocator of runs of KiB, with a small stock of ready slots per size in front
 * of it, so that the usual request costs neither a split nor a new view.
 */
import type { LentPart, TensorArena, TensorSlot } from "../TensorArena.js"
import { classOf, makeSegregatedFit } from "./segregatedFit.js"

/** Smallest slot. */
const unitBytes = 1024
/** Ready slots kept per size, and the part of the arena that those of one size may hold. */
const stockSlots = 64
const stockPart = 1 / 32

interface PooledSlot extends TensorSlot {
  live: boolean
}

const unitsOf = (byteLength: number): number => Math.max(1, Math.ceil(byteLength / unitBytes))

/** The piece of its memory that an arena allocates in; offsets of slots count from the beginning of the memory. */
interface ArenaPlace {
  /** A multiple of 1024; 0 where absent. */
  readonly offset?: number
  /** To the end of the memory where absent. */
  readonly byteLength?: number
  /** Descriptor of the file behind it, where other processes can map it. */
  readonly fd?: number | undefined
}

export const makeSegmentArena = (memory: ArrayBufferLike, place: ArenaPlace = {}): TensorArena => {
  const { fd, offset: placeOffset = 0 } = place
  const runs = makeSegregatedFit(Math.floor((place.byteLength ?? memory.byteLength - placeOffset) / unitBytes))
  const lent = new Set<LentPart>()
  const capacityBytes = runs.units * unitBytes
  /** By class of the size in units: slots are rounded up to the classes' least, so that those of one class are alike. */
  const stocks = Array.from({ length: classOf(Math.max(1, runs.units)) + 1 }, (): Array<PooledSlot> => [])
  let used = 0

  const makeSlot = (unit: number, units: number): PooledSlot => {
    const byteLength = unitBytes * units
    const slots = stocks[classOf(units)]!
    const limit = Math.min(stockSlots, Math.floor((capacityBytes * stockPart) / byteLength))
    const slot: PooledSlot = {
      bytes: new Uint8Array(memory, placeOffset + unit * unitBytes, byteLength),
      offset: placeOffset + unit * unitBytes,
      live: true,
      release: () => {
        if (!slot.live) throw new Error("tensor slot released twice")
        slot.live = false
        used -= byteLength
        if (slots.length < limit) slots.push(slot)
        else runs.free(unit, units)
      }
    }
    return slot
  }
  /** Gives all stocks back, so that their runs can join. */
  const clearStocks = (): void => {
    for (const slots of stocks) {
      for (const slot of slots) runs.free((slot.offset - placeOffset) / unitBytes, slot.bytes.length / unitBytes)
      slots.length = 0
    }
  }

  const usedBytes = (): number => {
    let sum = used
    for (const part of lent) sum += part.usedBytes
    return sum
  }
  /** First unit of a free run, or -1. */
  const take = (units: number): number => {
    const unit = runs.allocate(units)
    if (unit >= 0) return unit
    clearStocks()
    return runs.allocate(units)
  }
  const lend = (byteLength: number): LentPart | undefined => {
    if (!(byteLength >= 0 && byteLength <= capacityBytes)) return undefined
    const units = unitsOf(byteLength)
    const unit = take(units)
    if (unit < 0) return undefined
    const part: LentPart = {
      offset: placeOffset + unit * unitBytes,
      byteLength: unitBytes * units,
      usedBytes: 0,
      release: () => {
        if (!lent.delete(part)) throw new Error("part of the tensor memory released twice")
        runs.free(unit, units)
      }
    }
    lent.add(part)
    return part
  }

  return {
    capacityBytes,
    usedBytes,
    allocate: (byteLength) => {
      if (!(byteLength >= 0 && byteLength <= capacityBytes)) return undefined
      const units = runs.rounded(unitsOf(byteLength))
      const ready = stocks[classOf(units)]?.pop()
      if (ready !== undefined) {
        ready.live = true
        used += ready.bytes.length
        return ready
      }
      const unit = take(units)
      if (unit < 0) return undefined
      used += unitBytes * units
      return makeSlot(unit, units)
    },
    ...(fd === undefined ? {} : { shared: { fd, memory, lend } })
  }
}
