/**
 * Finds room for runs of units of any length, numbered from 0: integers only, no memory behind it. Free runs stand in lists by size (two levels, the
 * power of two and sixteenths of it; M. Masmano et al., TLSF: a new dynamic memory allocator for real-time systems, 2004), and a run that is given back joins its free neighbours
 * at once. Every operation takes a bounded number of steps. Blocks of powers of two, as a buddy allocator has them, would leave 40 % of an image's unused.
 */
interface SegregatedFit {
  readonly units: number
  /** The smallest length that is a class of its own and at least `count`: lengths that differ by less share what is kept ready. */
  readonly rounded: (count: number) => number
  /** First unit of a run of so many units (at least 1), or -1. */
  readonly allocate: (count: number) => number
  /** Takes a run back, as long as it was allocated. */
  readonly free: (unit: number, count: number) => void
}

const none = -1
/** Classes of a power of two. */
const finenessBits = 4
const fineness = 1 << finenessBits
/** Runs of the request's own class that are looked at where no larger class has one: they are mostly as large. */
const mostLooks = 16

const log2 = (count: number): number => 31 - Math.clz32(count)

/** The class that holds runs of this length: below `fineness` each length, above it sixteenths of powers of two. */
export const classOf = (count: number): number => {
  const power = log2(count)
  return power < finenessBits ? count : (power - finenessBits + 1) * fineness + ((count >> (power - finenessBits)) & (fineness - 1))
}

const roundedUp = (count: number): number => {
  const step = 1 << Math.max(0, log2(count) - finenessBits)
  return Math.ceil(count / step) * step
}

/** All of `units` (at most 2^30) is free at first. */
export const makeSegregatedFit = (units: number): SegregatedFit => {
  const classes = classOf(Math.max(1, units)) + 1
  const head = new Int32Array(classes).fill(none)
  const next = new Int32Array(units)
  const previous = new Int32Array(units)
  /** Length of the free run that begins at a unit, and of the one that ends there; 0 where none does. */
  const beginning = new Int32Array(units)
  const ending = new Int32Array(units)
  /** Bit per class that has a run, 32 a word. */
  const filled = new Uint32Array((classes >> 5) + 1)

  const push = (unit: number, count: number): void => {
    const at = classOf(count)
    const first = head[at]!
    next[unit] = first
    previous[unit] = none
    if (first !== none) previous[first] = unit
    head[at] = unit
    filled[at >> 5]! |= 1 << (at & 31)
    beginning[unit] = count
    ending[unit + count - 1] = count
  }
  const remove = (unit: number): void => {
    const count = beginning[unit]!
    const at = classOf(count)
    const after = next[unit]!
    const before = previous[unit]!
    if (after !== none) previous[after] = before
    if (before !== none) next[before] = after
    else {
      head[at] = after
      if (after === none) filled[at >> 5]! &= ~(1 << (at & 31))
    }
    beginning[unit] = 0
    ending[unit + count - 1] = 0
  }
  /** The smallest class from `at` on that has a run, or -1. */
  const filledFrom = (at: number): number => {
    if (at >= classes) return none
    let word = at >> 5
    let bits = filled[word]! & (none << (at & 31))
    while (bits === 0) {
      if (++word === filled.length) return none
      bits = filled[word]!
    }
    return (word << 5) + log2(bits & -bits)
  }
  const find = (count: number): number => {
    const larger = filledFrom(classOf(roundedUp(count)))
    if (larger >= 0) return head[larger]!
    let unit = head[classOf(count)]!
    for (let looks = 0; unit !== none && looks < mostLooks && beginning[unit]! < count; looks++) unit = next[unit]!
    return unit !== none && beginning[unit]! >= count ? unit : none
  }

  if (units > 0) push(0, units)

  return {
    units,
    rounded: (count) => (count > units ? count : Math.min(units, roundedUp(count))),
    allocate: (count) => {
      if (count > units) return none
      const unit = find(count)
      if (unit === none) return none
      const left = beginning[unit]! - count
      remove(unit)
      if (left > 0) push(unit + count, left)
      return unit
    },
    free: (unit, count) => {
      let [from, length] = [unit, count]
      const before = unit > 0 ? ending[unit - 1]! : 0
      if (before > 0) {
        from -= before
        length += before
        remove(from)
      }
      const after = unit + count
      if (after < units && beginning[after]! > 0) {
        length += beginning[after]!
        remove(after)
      }
      push(from, length)
    }
  }
}
