/**
 * A buddy allocator over blocks numbered from 0: integers only, no memory behind it. Blocks have 2^order units and stand at multiples of their
 * size; a freed block joins its free buddy. Every operation takes at most `orders` steps.
 */
interface Buddy {
  readonly units: number
  /** Orders there are, from 0. */
  readonly orders: number
  /** First unit of a free block of 2^order units, or -1. */
  readonly allocate: (order: number) => number
  /** Takes a block back. The order must be the one it was allocated with. */
  readonly free: (unit: number, order: number) => void
}

const none = -1

/** All of `units` (at most 2^30) is free at first; `units` need not be a power of two. */
export const makeBuddy = (units: number): Buddy => {
  const orders = 32 - Math.clz32(units)
  const head = new Int32Array(orders).fill(none)
  const next = new Int32Array(units)
  const previous = new Int32Array(units)
  /** Order of the free block that begins at a unit, plus one; 0 where none begins. */
  const freeOrder = new Uint8Array(units)
  /** Bit per order that has a free block. */
  let available = 0

  const push = (unit: number, order: number): void => {
    const first = head[order]!
    next[unit] = first
    previous[unit] = none
    if (first !== none) previous[first] = unit
    head[order] = unit
    freeOrder[unit] = order + 1
    available |= 1 << order
  }
  const remove = (unit: number, order: number): void => {
    const after = next[unit]!
    const before = previous[unit]!
    if (after !== none) previous[after] = before
    if (before !== none) next[before] = after
    else {
      head[order] = after
      if (after === none) available &= ~(1 << order)
    }
    freeOrder[unit] = 0
  }

  // Whole blocks from the left, each the largest that still fits: they begin at multiples of their size.
  for (let order = orders - 1, unit = 0; order >= 0; order--) {
    if ((units & (1 << order)) !== 0) {
      push(unit, order)
      unit += 1 << order
    }
  }

  return {
    units,
    orders,
    allocate: (order) => {
      if (order >= orders) return none
      const fitting = available & (none << order)
      if (fitting === 0) return none
      let found = 31 - Math.clz32(fitting & -fitting)
      const unit = head[found]!
      remove(unit, found)
      while (found > order) {
        found--
        push(unit + (1 << found), found)
      }
      return unit
    },
    free: (unit, order) => {
      while (order < orders - 1) {
        const buddy = unit ^ (1 << order)
        if (buddy >= units || freeOrder[buddy] !== order + 1) break
        remove(buddy, order)
        unit &= ~(1 << order)
        order++
      }
      push(unit, order)
    }
  }
}
