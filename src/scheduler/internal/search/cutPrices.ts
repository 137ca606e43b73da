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

/** The most that so much of a GPU is worth, and the glet that is taken of it first; -1 where that is none. */
const knapsack = (units: ReadonlyArray<number>, value: ArrayLike<number>, most: Float64Array, chosen: Int32Array): void => {
  for (let room = 1; room < most.length; room++) {
    most[room] = most[room - 1]!
    chosen[room] = -1
    for (let share = 0; share < units.length && units[share]! <= room; share++) {
      const sum = most[room - units[share]!]! + value[share]!
      if (sum <= most[room]! + 1e-12) continue
      most[room] = sum
      chosen[room] = share
    }
  }
}

/** For so many glets of each share, ascending, what one costs, as a part of a GPU. */
export const cutPrices = (sharesPct: ReadonlyArray<number>, counts: ArrayLike<number>): Float64Array => {
  const sizes = Float64Array.from(sharesPct, (pct) => pct / 100)
  const total = sizes.reduce((sum, _, share) => sum + counts[share]!, 0)
  if (total === 0) return sizes
  const unit = sharesPct.reduce(divisor, 100)
  const units = sharesPct.map((pct) => pct / unit)
  const whole = 100 / unit
  const most = new Float64Array(whole + 1)
  const chosen = new Int32Array(whole + 1)
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
    knapsack(units, value, most, chosen)
    const proved = value.reduce((sum, each, share) => sum + counts[share]! * each, 0) / most[whole]!
    if (proved > best) {
      best = proved
      bestMost = most.map((each) => each / most[whole]!)
    }
    for (let room = whole; room > 0;) {
      const share = chosen[room]!
      if (share >= 0) covered[share]!++
      room -= share >= 0 ? units[share]! : 1
    }
  }
  // What a glet keeps from standing in its place.
  return Float64Array.from(units, (each) => 1 - bestMost[whole - each]!)
}
