/**
 * What row prices prove of a linear program, by our own arithmetic.
 *
 * For any price y of each row, c x >= sum of y times the row's nearer limit + sum over columns of the least of (c - y A) x within the column's bounds.
 * A solver's duals are such prices, good ones; that they are optimal, or feasible, need not be believed.
 */
import type { LinearProgram } from "../../solver/Solver.js"

/** No solution of the program costs less. All columns must have finite bounds, or the answer may be -Infinity. */
export const provenCost = (program: LinearProgram, prices: ArrayLike<number>): number => {
  const reduced = program.cost.slice()
  let cost = 0
  // The sum of all magnitudes bounds what rounding can have done to it.
  let magnitude = 0
  const add = (value: number): void => {
    cost += value
    magnitude += Math.abs(value)
  }
  for (let row = 0; row < program.rowLower.length; row++) {
    let price = prices[row] ?? 0
    const limit = price >= 0 ? program.rowLower[row]! : program.rowUpper[row]!
    // No price on a side that has no limit.
    if (!Number.isFinite(price) || !Number.isFinite(limit)) price = 0
    if (price === 0) continue
    add(price * limit)
    for (let i = program.starts[row]!; i < program.starts[row + 1]!; i++) reduced[program.columns[i]!]! -= price * program.values[i]!
  }
  reduced.forEach((value, column) => {
    if (value !== 0) add(value * (value > 0 ? program.lower[column]! : program.upper[column]!))
  })
  return cost - 1e-12 * magnitude
}
