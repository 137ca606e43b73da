/**
 * What a visit counts for of its demand, as a part of all that the demand is worth: a function of the rate that it carries, wherever it is, such that visits
 * that carry the whole rate together count for 1 at the least.
 */
import type { CoverTable } from "./covers.js"
import { leastCost, makeScratch } from "./covers.js"

/** Of a demand. */
export interface Worth {
  /** What the demand is worth at the prices that the function was made of. */
  readonly cost: number
  /** By the part of the rate that a visit carries, more than 0 and at most 1; does not fall as parts grow. */
  readonly ofPart: (part: number) => number
}

/** A part that is at the edge of a cell counts for the cell below it only where it is there within our own rounding. */
const slack = 1e-12

/**
 * At given prices visits count for what they cost where that is least, by cells, or for the part of the rate that they carry: whichever says that the demand
 * costs more. By cells a visit counts for as many as in `covers.ts`, and the least cover counts for 1.
 */
export const worthOf = (table: CoverTable, prices: ArrayLike<number>): Worth => {
  const { cells, mostReach } = table
  const scratch = makeScratch(cells)
  const cost = leastCost(table, prices, scratch, new Float64Array(prices.length))
  const covered = scratch.least[cells]!
  if (!(covered >= cost && covered > 0 && covered < Infinity)) return { cost, ofPart: (part) => part }
  // Nothing carries more than the cells that can be reached: what rounding takes to be more is as much.
  const parts = new Float64Array(cells + 1)
  for (let k = 1; k <= cells; k++) parts[k] = Math.max(parts[k - 1]!, k <= mostReach ? scratch.cost[k]! / covered : 0)
  return { cost, ofPart: (part) => (part >= 1 ? parts[cells]! : parts[Math.max(1, Math.min(cells - 1, Math.ceil(part * cells - slack)))]!) }
}
