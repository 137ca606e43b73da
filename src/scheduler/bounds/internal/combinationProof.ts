/**
 * Whether a number of GPUs is too few, by looking at every combination of cuts that prices do not rule out.
 */
import type { Solver } from "../../solver/Solver.js"
import type { BoundModel } from "./boundModel.js"
import { provenCost } from "./certificate.js"
import type { KindsOf } from "./combinationProgram.js"
import { combinationProgram, kindsOf } from "./combinationProgram.js"
import type { Cut } from "./cuts.js"
import { combinationsWorth, maximalCuts } from "./cuts.js"

/** Looking goes no further than this. */
const mostCuts = 1000
const mostCombinations = 600
/** Of all combinations together, glets times models. */
const mostVisits = 5000
const mostWhole = 40
const mostNodes = 500
/** Shortages are parts of rates; less than this is rounding. */
const leastShortage = 1e-6

const isImpossible = (solver: Solver, model: BoundModel, combination: ReadonlyArray<Cut>, kinds: KindsOf, isWhole: boolean): boolean => {
  const program = combinationProgram(model, combination, kinds, isWhole)
  if (!isWhole) {
    const { rowDuals } = solver.solve(program)
    return provenCost(program, rowDuals) > leastShortage
  }
  // No shortage is allowed: that there is no solution is then all that is asked.
  program.upper[0] = 0
  return solver.solve(program, { maxNodes: mostNodes }).status === "infeasible"
}

/** How far it had to look. */
type CombinationProof = "none" | "linear" | "whole"

/**
 * Proves that no plan uses `count` GPUs, or fewer; there are `counts` of each class. `prices` with the cost of all demands at them come from the price bound.
 */
export const proveTooFew = (
  solver: Solver,
  model: BoundModel,
  counts: ReadonlyArray<number>,
  count: number,
  prices: ArrayLike<number>,
  cost: number
): CombinationProof => {
  const cuts: Array<Cut> = []
  for (let gpuClass = 0; gpuClass < model.classes.length; gpuClass++) {
    const found = maximalCuts(model.problem, model.resources, model.demands, gpuClass, mostCuts)
    if (found === undefined) return "none"
    cuts.push(...found)
  }
  const combinations = combinationsWorth(model.resources, cuts, counts, prices, count, cost * (1 - 1e-5), mostCombinations)
  if (combinations === undefined) return "none"
  const glets = combinations.reduce((sum, combination) => sum + combination.reduce((all, { shares }) => all + shares.length, 0), 0)
  if (glets * model.demands.length > mostVisits) return "none"
  const byTightest = kindsOf(model, "by-tightest")
  const alone = kindsOf(model, "one")
  const left = combinations.filter((combination) =>
    !isImpossible(solver, model, combination, alone, false) && !isImpossible(solver, model, combination, byTightest, false))
  if (left.length > mostWhole) return "none"
  for (const combination of left) {
    if (!isImpossible(solver, model, combination, byTightest, true)) return "none"
  }
  return left.length === 0 ? "linear" : "whole"
}
