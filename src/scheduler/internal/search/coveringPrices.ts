/**
 * A covering program, min c x with A x >= 1 and x >= 0, solved nearly: what each row is worth and how much of each column is used.
 *
 * The primal-dual hybrid gradient of Chambolle and Pock with their diagonal steps; averages of iterates are what counts. Rows' prices from last time are
 * a good start.
 */

export interface Covering {
  readonly rows: number
  /** By column. */
  readonly cost: ArrayLike<number>
  /** Column by column: entries `starts[column]` to `starts[column + 1]`. */
  readonly starts: ArrayLike<number>
  readonly row: ArrayLike<number>
  readonly part: ArrayLike<number>
}

interface CoveringPrices {
  readonly prices: Float64Array
  readonly used: Float64Array
}

export const coveringPrices = ({ cost, part, row, rows, starts }: Covering, from: ArrayLike<number>, fromUsed: ArrayLike<number>, steps: number): CoveringPrices => {
  const columns = cost.length
  const perRow = new Float64Array(rows)
  const tau = new Float64Array(columns)
  for (let j = 0; j < columns; j++) {
    let sum = 0
    for (let e = starts[j]!; e < starts[j + 1]!; e++) {
      sum += part[e]!
      perRow[row[e]!]! += part[e]!
    }
    tau[j] = sum > 0 ? 1 / sum : 0
  }
  const sigma = perRow.map((sum) => (sum > 0 ? 1 / sum : 0))
  let prices = Float64Array.from(from)
  let used = Float64Array.from({ length: columns }, (_, j) => fromUsed[j] ?? 0)
  const carried = new Float64Array(rows)
  // Steps of prices are as large as prices are, those of use as large as it is.
  let scale = 0
  for (let i = 0; i < rows; i++) scale += prices[i]!
  scale = Math.max(1e-9, scale / Math.max(1, rows))
  let averagePrices = new Float64Array(rows)
  let averageUsed = new Float64Array(columns)
  let count = 0
  let length = 40
  for (let step = 0; step < steps; step++) {
    carried.fill(0)
    for (let j = 0; j < columns; j++) {
      let reduced = cost[j]!
      for (let e = starts[j]!; e < starts[j + 1]!; e++) reduced -= part[e]! * prices[row[e]!]!
      const old = used[j]!
      const next = Math.max(0, old - (tau[j]! / scale) * reduced)
      used[j] = next
      const forward = 2 * next - old
      if (forward !== 0) for (let e = starts[j]!; e < starts[j + 1]!; e++) carried[row[e]!]! += part[e]! * forward
      averageUsed[j]! += next
    }
    for (let i = 0; i < rows; i++) {
      prices[i] = Math.max(0, prices[i]! + sigma[i]! * scale * (1 - carried[i]!))
      averagePrices[i]! += prices[i]!
    }
    if (++count === length || step === steps - 1) {
      for (let i = 0; i < rows; i++) averagePrices[i]! /= count
      for (let j = 0; j < columns; j++) averageUsed[j]! /= count
      prices = averagePrices
      used = averageUsed
      averagePrices = new Float64Array(rows)
      averageUsed = new Float64Array(columns)
      count = 0
      length = Math.min(400, Math.round(length * 1.5))
    }
  }
  return { prices, used }
}
