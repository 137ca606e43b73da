/**
 * What glets of each share cost, by how they can be put together: two of 60 % take two GPUs, so where there are many of them they are dear and what fits
 * beside them costs little.
 *
 * A covering program over all ways to cut a GPU. Ways are added one by one, each the best at prices that fall where glets are covered already (Young's
 * fractional covering); the prices that prove most are kept. A knapsack of shares finds the best way.
 */

/** Looks at prices. */
const looks = 150
const step = 0.1

/** The most that a GPU of some percent is worth, where a glet may take the place of a larger one. */
const knapsack = (sharesPct: ReadonlyArray<number>, value: ArrayLike<number>, chosen?: Int32Array): Float64Array => {
  const most = new Float64Array(101)
  for (let pct = 1; pct <= 100; pct++) {
    most[pct] = most[pct - 1]!
    if (chosen !== undefined) chosen[pct] = -1
    for (let share = 0; share < sharesPct.length && sharesPct[share]! <= pct; share++) {
      const sum = most[pct - sharesPct[share]!]! + value[share]!
      if (sum > most[pct]! + 1e-12) {
        most[pct] = sum
        if (chosen !== undefined) chosen[pct] = share
      }
    }
  }
  return most
}

/** For so many glets of each share, what one costs, as a part of a GPU. */
export const cutPrices = (sharesPct: ReadonlyArray<number>, counts: ArrayLike<number>): Float64Array => {
  const sizes = Float64Array.from(sharesPct, (pct) => pct / 100)
  let total = 0
  for (let share = 0; share < sizes.length; share++) total += counts[share]!
  if (total === 0) return sizes
  const covered = new Float64Array(sizes.length)
  const chosen = new Int32Array(101)
  const value = new Float64Array(sizes.length)
  let best = 0
  let bestOf = knapsack(sharesPct, sizes)
  for (let look = 0; look < looks; look++) {
    let proved = 0
    for (let share = 0; share < sizes.length; share++) {
      value[share] = counts[share]! > 0 ? sizes[share]! * Math.exp((-step * covered[share]!) / counts[share]! * total / sizes.length) : 0
    }
    const most = knapsack(sharesPct, value, chosen)
    for (let share = 0; share < sizes.length; share++) proved += (counts[share]! * value[share]!) / most[100]!
    if (proved > best) {
      best = proved
      bestOf = most.map((each) => each / most[100]!)
    }
    for (let pct = 100; pct > 0;) {
      const share = chosen[pct]!
      if (share < 0) {
        pct--
        continue
      }
      covered[share]!++
      pct -= sharesPct[share]!
    }
  }
  // What a glet keeps from standing in its place.
  return Float64Array.from(sharesPct, (pct) => 1 - bestOf[100 - pct]!)
}
