/**
 * The least that carrying a demand can cost at given prices: a knapsack of visits that covers its rate.
 *
 * The rate is cut into cells, at least two. A visit that carries more than k - 1 cells and at most k counts as k, but pays only for k - 1: never more
 * than it does pay. Only a visit that carries the whole rate counts for all cells: one that nearly does leaves something to another. Many small visits would be counted far too high by that; for them the best price of an item, times the rate, is the better bound. Both hold,
 * so the larger does.
 */
import type { Resources } from "./resources.js"
import type { VisitCurve } from "./visits.js"
import { mostOf, timeFor } from "./visits.js"

/** A demand's visits, tabulated for one rate. */
export interface CoverTable {
  readonly rateRps: number
  readonly cells: number
  /** By curve. */
  readonly time: Int32Array
  readonly places: Int32Array
  readonly memoryAt: Int32Array
  readonly memory: Float64Array
  /** Least time by curve and cell, from 1; at the last that of the whole rate. `Infinity` beyond `reach`. */
  readonly cellTime: Float64Array
  /** By curve, the most cells that a visit counts for: few where the rate takes many GPUs. */
  readonly reach: Int32Array
  /** Of all curves. */
  readonly mostReach: number
  /** By curve, the visit with the least cost per item whatever the prices: as much as the glet or the rate allows, in the least time. */
  readonly fullTime: Float64Array
  readonly fullRate: Float64Array
}

export const coverTable = (resources: Resources, curves: ReadonlyArray<VisitCurve>, rateRps: number, cells: number): CoverTable => {
  const count = curves.length
  const cellTime = new Float64Array(count * (cells + 1))
  const [memory, fullTime, fullRate] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)]
  const [time, places, memoryAt, reach] = [new Int32Array(count), new Int32Array(count), new Int32Array(count), new Int32Array(count)]
  curves.forEach((curve, c) => {
    const at = resources.at[curve.gpuClass]!
    time[c] = at.time + curve.share
    places[c] = at.places + curve.share
    memoryAt[c] = at.memory
    memory[c] = curve.memory
    const row = c * (cells + 1)
    const most = Math.min(mostOf(curve), rateRps)
    for (let k = 1; k < cells; k++) {
      const least = ((k - 1) * rateRps) / cells
      cellTime[row + k] = least < most ? timeFor(curve, least) : Infinity
    }
    cellTime[row + cells] = timeFor(curve, rateRps)
    for (let k = 1; k <= cells; k++) if (cellTime[row + k]! < Infinity) reach[c] = k
    fullRate[c] = most
    fullTime[c] = timeFor(curve, most)
  })
  return { rateRps, cells, time, places, memoryAt, memory, cellTime, reach, mostReach: Math.max(0, ...reach), fullTime, fullRate }
}

/** Scratch of one demand at a time. */
interface CoverScratch {
  readonly cost: Float64Array
  readonly curve: Int32Array
  readonly least: Float64Array
  readonly last: Int32Array
}

export const makeScratch = (cells: number): CoverScratch => ({
  cost: new Float64Array(cells + 1),
  curve: new Int32Array(cells + 1),
  least: new Float64Array(cells + 1),
  last: new Int32Array(cells + 1)
})

const addVisit = (table: CoverTable, c: number, time: number, amount: number, into: Float64Array): void => {
  into[table.time[c]!]! += amount * time
  into[table.places[c]!]! += amount
  into[table.memoryAt[c]!]! += amount * table.memory[c]!
}

/** The least cost of the demand; adds to `used` what a cover of that cost uses. `Infinity` where nothing covers it. */
export const leastCost = (table: CoverTable, prices: ArrayLike<number>, scratch: CoverScratch, used: Float64Array): number => {
  const { cells, cellTime } = table
  const { cost, curve, last, least } = scratch
  cost.fill(Infinity)
  let perItem = Infinity
  let cheapest = -1
  for (let c = 0; c < table.time.length; c++) {
    const ofTime = prices[table.time[c]!]!
    const fixed = prices[table.places[c]!]! + prices[table.memoryAt[c]!]! * table.memory[c]!
    const each = (fixed + ofTime * table.fullTime[c]!) / table.fullRate[c]!
    if (each < perItem) {
      perItem = each
      cheapest = c
    }
    const row = c * (cells + 1)
    for (let k = 1, end = table.reach[c]!; k <= end; k++) {
      const value = fixed + ofTime * cellTime[row + k]!
      if (value < cost[k]!) {
        cost[k] = value
        curve[k] = c
      }
    }
  }
  least[0] = 0
  for (let j = 1; j <= cells; j++) {
    let best = Infinity
    let choice = 0
    for (let k = 1, end = Math.min(j, table.mostReach); k <= end; k++) {
      const value = cost[k]! + least[j - k]!
      if (value < best) {
        best = value
        choice = k
      }
    }
    least[j] = best
    last[j] = choice
  }
  const byItems = perItem * table.rateRps
  if (byItems === Infinity) return Infinity
  if (byItems >= least[cells]!) {
    addVisit(table, cheapest, table.fullTime[cheapest]!, table.rateRps / table.fullRate[cheapest]!, used)
    return byItems
  }
  for (let j = cells; j > 0;) {
    const k = last[j]!
    const c = curve[k]!
    addVisit(table, c, cellTime[c * (cells + 1) + k]!, 1, used)
    j -= Math.min(j, k)
  }
  return least[cells]!
}
