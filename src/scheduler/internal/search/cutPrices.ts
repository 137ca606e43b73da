/**
 * What glets of each share cost, by how they can be put together: two of 60 % take two GPUs, so where there are many of them they are dear and what fits
 * beside them costs little.
 *
 * A covering program over all ways to cut a GPU. Ways are added one by one, each the best at prices that fall where glets are covered already (Young's
 * fractional covering); the prices that prove most are kept. A knapsack of shares finds the best way.
 */

/** Looks at prices. */
const looks = 200
const step = 0.1

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

/** For so many glets of each share, ascending, at most `maxGlets` of them on a GPU, what one costs, as a part of a GPU. */
export const cutPrices = (sharesPct: ReadonlyArray<number>, counts: ArrayLike<number>, maxGlets: number): Float64Array => {
  const sizes = Float64Array.from(sharesPct, (pct) => pct / 100)
  const total = sizes.reduce((sum, _, share) => sum + counts[share]!, 0)
  if (total === 0) return sizes
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
  const covered = new Float64Array(sizes.length)
  const part = new Float64Array(sizes.length)
  const value = new Float64Array(sizes.length)
  let best = 0
  let bestMost = most
  for (let look = 0; look < looks; look++) {
    let least = Infinity
    for (let share = 0; share < sizes.length; share++) {
      part[share] = counts[share]! > 0 ? (covered[share]! * total) / (counts[share]! * sizes.length) : Infinity
      least = Math.min(least, part[share]!)
    }
    for (let share = 0; share < sizes.length; share++) value[share] = sizes[share]! * Math.exp(step * (least - part[share]!))
    knapsack(units, value, width, before, most, chosen)
    const proved = value.reduce((sum, each, share) => sum + counts[share]! * each, 0) / most[end]!
    if (proved > best) {
      best = proved
      bestMost = most.map((each) => each / most[end]!)
    }
    for (let room = whole, at = end; room > 0 && at >= before;) {
      const share = chosen[at]!
      if (share >= 0) covered[share]!++
      const step = share >= 0 ? units[share]! : 1
      room -= step
      at -= step + (share >= 0 ? before : 0)
    }
  }
  // What a glet keeps from standing in its place.
  return Float64Array.from(units, (each) => 1 - bestMost[end - before - each]!)
}
