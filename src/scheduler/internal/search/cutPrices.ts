/**
 * What glets of each share cost, by how they can be put together: two of 60 % take two GPUs, so where there are many of them they are dear and what fits
 * beside them costs little.
 *
 * A covering program over all ways to cut a GPU, solved by the revised simplex method: ways are added one by one, each the best at the prices of those there
 * are (Gilmore and Gomory). A knapsack of shares finds the best way.
 */

/** Ways that are added at most. */
const mostPivots = 500
const little = 1e-6
const slack = 1e-9

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))

/**
 * The most that so much of a GPU is worth in up to so many glets, and the glet that is taken of it first, -1 where that is none: row by row of `width`, each for
 * one glet more. `before`: how far back stands what is left beside a glet, a row or, where any number of glets is allowed, none.
 */
const knapsack = (
  units: ReadonlyArray<number>, value: ArrayLike<number>, width: number, before: number, most: Float64Array, chosen: Int32Array
): void => {
  for (let row = before; row < most.length; row += width) {
    for (let room = 1; room < width; room++) {
      const at = row + room
      most[at] = most[at - 1]!
      chosen[at] = -1
      for (let share = 0; share < units.length && units[share]! <= room; share++) {
        const sum = most[at - before - units[share]!]! + value[share]!
        if (sum <= most[at]! + 1e-12) continue
        most[at] = sum
        chosen[at] = share
      }
    }
  }
}

/** A way to cut a GPU: glets by share, and how many GPUs are cut so. */
interface CutWay {
  readonly glets: Float64Array
  readonly times: number
}

interface Cutting {
  /** What a glet costs, by share, as a part of a GPU. */
  readonly prices: Float64Array
  readonly ways: ReadonlyArray<CutWay>
}

/** For so many glets of each share, ascending, at most `maxGlets` of them on a GPU, what one costs, as a part of a GPU. */
export const cutPrices = (sharesPct: ReadonlyArray<number>, counts: ArrayLike<number>, maxGlets: number): Float64Array => cutting(sharesPct, counts, maxGlets).prices

/** The fewest GPUs for so many glets of each share, if parts of GPUs could be had. */
export const cutting = (sharesPct: ReadonlyArray<number>, counts: ArrayLike<number>, maxGlets: number): Cutting => {
  const used = sharesPct.map((_, share) => share).filter((share) => counts[share]! > 0)
  const size = used.length
  if (size === 0) return { prices: Float64Array.from(sharesPct, (pct) => pct / 100), ways: [] }
  const unit = sharesPct.reduce(divisor, 100)
  const units = sharesPct.map((pct) => pct / unit)
  const whole = 100 / unit
  const width = whole + 1
  // Where even the smallest glets cannot be too many, one row does for any number.
  const rows = maxGlets * units[0]! >= whole ? 0 : maxGlets
  const before = rows === 0 ? 0 : width
  const end = rows * width + whole
  const most = new Float64Array(end + 1)
  const chosen = new Int32Array(end + 1)
  const value = new Float64Array(sharesPct.length)

  // Ways to cut a GPU that are in the basis, as columns by row; first each share with itself. Rows with nothing to cover would stall: all have a little.
  const inverse = new Float64Array(size * size)
  const times = new Float64Array(size)
  const costs = new Float64Array(size).fill(1)
  const ways: Array<Float64Array> = []
  for (let row = 0; row < size; row++) {
    const alike = Math.max(1, Math.min(maxGlets, Math.floor(whole / units[used[row]!]!)))
    inverse[row * size + row] = 1 / alike
    times[row] = (counts[used[row]!]! + little * (row + 1)) / alike
    ways.push(Float64Array.from(sharesPct, (_, share) => (share === used[row] ? alike : 0)))
  }
  const prices = new Float64Array(size)
  const column = new Float64Array(size)
  const change = new Float64Array(size)
  for (let pivot = 0; ; pivot++) {
    prices.fill(0)
    for (let row = 0; row < size; row++) {
      if (costs[row] === 0) continue
      for (let at = 0; at < size; at++) prices[at]! += inverse[row * size + at]!
    }
    // A price below nothing: more glets than are asked for may be cut.
    let lowest = 0
    for (let at = 1; at < size; at++) if (prices[at]! < prices[lowest]!) lowest = at
    const isFree = prices[lowest]! < -slack
    if (!isFree || pivot >= mostPivots) {
      value.fill(0)
      for (let at = 0; at < size; at++) value[used[at]!] = Math.max(0, prices[at]!)
      knapsack(units, value, width, before, most, chosen)
      if (most[end]! <= 1 + slack || pivot >= mostPivots) break
    }
    column.fill(0)
    if (isFree) column[lowest] = -1
    else {
      for (let room = whole, at = end; room > 0 && at >= before;) {
        const share = chosen[at]!
        if (share >= 0) column[used.indexOf(share)]!++
        const step = share >= 0 ? units[share]! : 1
        room -= step
        at -= step + (share >= 0 ? before : 0)
      }
    }
    let leaves = -1
    let least = Infinity
    for (let row = 0; row < size; row++) {
      let sum = 0
      for (let at = 0; at < size; at++) if (column[at] !== 0) sum += inverse[row * size + at]! * column[at]!
      change[row] = sum
      if (sum > slack && times[row]! < least * sum) {
        least = times[row]! / sum
        leaves = row
      }
    }
    if (leaves < 0) break
    for (let at = 0; at < size; at++) inverse[leaves * size + at]! /= change[leaves]!
    for (let row = 0; row < size; row++) {
      if (row === leaves || change[row] === 0) continue
      times[row] = Math.max(0, times[row]! - least * change[row]!)
      for (let at = 0; at < size; at++) inverse[row * size + at]! -= change[row]! * inverse[leaves * size + at]!
    }
    times[leaves] = least
    costs[leaves] = isFree ? 0 : 1
    ways[leaves] = Float64Array.from(sharesPct, (_, share) => Math.max(0, column[used.indexOf(share)] ?? 0))
  }
  // What glets keep from standing in their place, one or several alike: of shares that nobody has yet, two may cost no more than one.
  const ofShares = Float64Array.from(units, (each) => {
    let price = 1
    for (let n = 1; n * each <= whole && (rows === 0 || n <= rows); n++) {
      price = Math.min(price, (1 - most[end - n * (before + each)]! / Math.max(1, most[end]!)) / n)
    }
    return price
  })
  return { prices: ofShares, ways: ways.flatMap((glets, row) => (costs[row] === 0 ? [] : [{ glets, times: times[row]! }])) }
}
