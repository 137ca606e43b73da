/**
 * A `TensorArena` over one piece of memory, shared with runners or not: a buddy allocator with a small stock of ready slots per size in front
 * of it, so that the usual request costs neither a split nor a new view.
 */
import type { TensorArena, TensorSlot } from "../TensorArena.js"
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

export const makeSegmentArena = (memory: ArrayBufferLike): TensorArena => {
  const buddy = makeBuddy(Math.floor(memory.byteLength / unitBytes))
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
      bytes: new Uint8Array(memory, unit * unitBytes, byteLength),
      offset: unit * unitBytes,
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
      for (const slot of slots) buddy.free(slot.offset / unitBytes, order)
      slots.length = 0
    })
  }

  return {
    capacityBytes,
    usedBytes: () => used,
    allocate: (byteLength) => {
      if (!(byteLength >= 0 && byteLength <= capacityBytes)) return undefined
      const order = orderOf(byteLength)
      const ready = stocks[order]?.slots.pop()
      if (ready !== undefined) {
        ready.live = true
        used += ready.bytes.length
        return ready
      }
      let unit = buddy.allocate(order)
      if (unit < 0) {
        clearStocks()
        unit = buddy.allocate(order)
        if (unit < 0) return undefined
      }
      used += unitBytes * 2 ** order
      return makeSlot(unit, order)
    }
  }
}
