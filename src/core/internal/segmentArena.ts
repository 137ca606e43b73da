/**
 * A `TensorArena` over one piece of memory, shared with runners or not: a buddy allocator with a small stock of ready slots per size in front
 * of it, so that the usual request costs neither a split nor a new view.
 */
import type { LentPart, TensorArena, TensorSlot } from "../TensorArena.js"
import { makeBuddy } from "./buddy.js"

/** Smallest slot. */
const unitBytes = 1024
/** Ready slots kept per size, and the part of the arena that those of one size may hold. */
const stockSlots = 64
const stockPart = 1 / 32

interface PooledSlot extends TensorSlot {
  live: boolean
}

/** Order of the smallest block that holds so many bytes. */
const orderOf = (byteLength: number): number => {
  const units = Math.max(1, Math.ceil(byteLength / unitBytes))
  return units === 1 ? 0 : 32 - Math.clz32(units - 1)
}

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
  const buddy = makeBuddy(Math.floor((place.byteLength ?? memory.byteLength - placeOffset) / unitBytes))
  const lent = new Set<LentPart>()
  const capacityBytes = buddy.units * unitBytes
  const stocks = Array.from({ length: buddy.orders }, (_, order) => ({
    slots: [] as Array<PooledSlot>,
    limit: Math.min(stockSlots, Math.floor((capacityBytes * stockPart) / (unitBytes * 2 ** order)))
  }))
  let used = 0

  const makeSlot = (unit: number, order: number): PooledSlot => {
    const byteLength = unitBytes * 2 ** order
    const { limit, slots } = stocks[order]!
    const slot: PooledSlot = {
      bytes: new Uint8Array(memory, placeOffset + unit * unitBytes, byteLength),
      offset: placeOffset + unit * unitBytes,
      live: true,
      release: () => {
        if (!slot.live) throw new Error("tensor slot released twice")
        slot.live = false
        used -= byteLength
        if (slots.length < limit) slots.push(slot)
        else buddy.free(unit, order)
      }
    }
    return slot
  }
  /** Gives all stocks back, so that their blocks can join. */
  const clearStocks = (): void => {
    stocks.forEach(({ slots }, order) => {
      for (const slot of slots) buddy.free((slot.offset - placeOffset) / unitBytes, order)
      slots.length = 0
    })
  }

  const usedBytes = (): number => {
    let sum = used
    for (const part of lent) sum += part.usedBytes
    return sum
  }
  /** First unit of a free block, or -1. */
  const take = (order: number): number => {
    const unit = buddy.allocate(order)
    if (unit >= 0) return unit
    clearStocks()
    return buddy.allocate(order)
  }
  const lend = (byteLength: number): LentPart | undefined => {
    if (!(byteLength >= 0 && byteLength <= capacityBytes)) return undefined
    const order = orderOf(byteLength)
    const unit = take(order)
    if (unit < 0) return undefined
    const part: LentPart = {
      offset: placeOffset + unit * unitBytes,
      byteLength: unitBytes * 2 ** order,
      usedBytes: 0,
      release: () => {
        if (!lent.delete(part)) throw new Error("part of the tensor memory released twice")
        buddy.free(unit, order)
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
      const order = orderOf(byteLength)
      const ready = stocks[order]?.slots.pop()
      if (ready !== undefined) {
        ready.live = true
        used += ready.bytes.length
        return ready
      }
      const unit = take(order)
      if (unit < 0) return undefined
      used += unitBytes * 2 ** order
      return makeSlot(unit, order)
    },
    ...(fd === undefined ? {} : { shared: { fd, memory, lend } })
  }
}
