/**
 * The ways to cut a GPU into glets that no other way outdoes.
 */
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { GpuClass } from "./gpuClasses.js"
import type { Resources } from "./resources.js"

/** A GPU of a class, cut; glets by place of their share, largest first. */
export interface Cut {
  readonly gpuClass: number
  readonly shares: ReadonlyArray<number>
}

/**
 * By share, whether the next larger one is at least as good for every batch that is of use: it nearly always is, but nothing in a latency model says so.
 */
const nextIsBetter = (problem: PlanProblem, gpuClass: GpuClass, demands: ReadonlyArray<number>): ReadonlyArray<boolean> =>
  gpuClass.sharesPct.map((sharePct, s) => {
    const larger = gpuClass.sharesPct[s + 1]
    return larger !== undefined && demands.every((demand) => {
      const { maxBatch, model, sloMs } = problem.demands[demand]!
      for (let batch = 1; batch <= maxBatch; batch++) {
        const ms = problem.latency.latencyMs({ gpuType: gpuClass.type, model, sharePct, batch })
        if (!(ms < Infinity)) return true
        if (ms > sloMs) continue
        if (!(problem.latency.latencyMs({ gpuType: gpuClass.type, model, sharePct: larger, batch }) <= ms)) return false
      }
      return true
    })
  })

/** All cuts of a class that cannot be bettered by a larger share or one more glet; undefined where they are more than `most`. */
export const maximalCuts = (
  problem: PlanProblem,
  { classes }: Resources,
  demands: ReadonlyArray<number>,
  gpuClass: number,
  most: number
): ReadonlyArray<Cut> | undefined => {
  const { maxGlets, sharesPct } = classes[gpuClass]!
  const isBettered = nextIsBetter(problem, classes[gpuClass]!, demands)
  const cuts: Array<Cut> = []
  let looked = 0
  /** False where there are too many. */
  const extend = (from: number, left: number, shares: ReadonlyArray<number>): boolean => {
    if (looked++ > 50 * most) return false
    const isFull = shares.length === maxGlets || sharesPct[0]! > left
    const canGrow = shares.some((s) => isBettered[s] && sharesPct[s + 1]! - sharesPct[s]! <= left)
    if (isFull && !canGrow && shares.length > 0 && cuts.push({ gpuClass, shares }) > most) return false
    if (shares.length === maxGlets) return true
    for (let s = from; s >= 0; s--) {
      if (sharesPct[s]! <= left && !extend(s, left - sharesPct[s]!, [...shares, s])) return false
    }
    return true
  }
  return extend(sharesPct.length - 1, 100, []) ? cuts : undefined
}

/** What a GPU cut so is worth at some prices. */
export const worthOf = ({ at, classes, placesPerGlet }: Resources, { gpuClass, shares }: Cut, prices: ArrayLike<number>): number => {
  const { gletBytes, memoryBytes } = classes[gpuClass]!
  const { memory, places, time } = at[gpuClass]!
  // A glet that takes more memory than its time is worth is not used.
  return shares.reduce(
    (sum, s) => sum + Math.max(0, prices[time + s]! + placesPerGlet * prices[places + s]! - (prices[memory]! * gletBytes) / memoryBytes),
    prices[memory]!
  )
}

/**
 * All ways to take `count` cuts, at most `counts` of each class, that are worth at least `worth` together: what else there is does not carry
 * the demands. Undefined where they are more than `most`.
 */
export const combinationsWorth = (
  resources: Resources,
  cuts: ReadonlyArray<Cut>,
  counts: ReadonlyArray<number>,
  prices: ArrayLike<number>,
  count: number,
  worth: number,
  most: number
): ReadonlyArray<ReadonlyArray<Cut>> | undefined => {
  const valued = cuts.map((cut) => ({ cut, value: worthOf(resources, cut, prices) })).sort((a, b) => b.value - a.value)
  const found: Array<ReadonlyArray<Cut>> = []
  const taken = resources.classes.map(() => 0)
  let looked = 0
  const extend = (from: number, chosen: ReadonlyArray<Cut>, value: number): boolean => {
    if (chosen.length === count) return found.push(chosen) <= most
    for (let i = from; i < valued.length; i++) {
      const next = valued[i]!
      // All others are worth no more.
      if (value + next.value * (count - chosen.length) < worth) return true
      if (looked++ > 100 * most) return false
      const { gpuClass } = next.cut
      if (taken[gpuClass]! >= counts[gpuClass]!) continue
      taken[gpuClass]!++
      const goesOn = extend(i, [...chosen, next.cut], value + next.value)
      taken[gpuClass]!--
      if (!goesOn) return false
    }
    return true
  }
  return extend(0, [], 0) ? found : undefined
}
