/**
 * How few GPUs, or how little cost, any plan can do with: a certified lower bound. docs/planning-bounds.md has the proof.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import { makeBoundModel } from "./internal/boundModel.js"
import { firstPrices, leastPurchase, raisePrices } from "./internal/prices.js"
import { relativeSlack, wholeAtLeast } from "./internal/slack.js"

/** @since 0.1.0 @category bounds */
export type BoundEffort = "quick" | "thorough"

/** @since 0.1.0 @category bounds */
export interface FewestBound {
  /** No plan uses fewer GPUs. `Infinity` where no plan exists on the problem's GPUs. */
  readonly gpus: number
  /** No plan costs less: the sum of `Gpu.cost`, 1 for GPUs without a price, over the GPUs that it uses. */
  readonly cost: number
  /** What proves it, for people. */
  readonly how: string
}

/** @since 0.1.0 @category bounds */
export interface FewestBoundOptions {
  /** `quick`: tens of milliseconds at a hundred models. `thorough`: several times that, and tighter. Default `quick`. */
  readonly effort?: BoundEffort
  /** A plan with so many GPUs is known: nothing above it can be proved, so the search ends there. */
  readonly knownGpus?: number
}

const cellsOf: Readonly<Record<BoundEffort, number>> = { quick: 24, thorough: 96 }
const looksOf: Readonly<Record<BoundEffort, number>> = { quick: 60, thorough: 300 }

/**
 * A bound that holds for every plan that `validatePlan` accepts for the problem.
 * @since 0.1.0
 * @category bounds
 */
export const fewestBound = (problem: PlanProblem, options: FewestBoundOptions = {}): FewestBound => {
  const effort = options.effort ?? "quick"
  const { classes, resources, tablesAt } = makeBoundModel(problem)
  const tables = tablesAt(1, cellsOf[effort])
  if (tables.length === 0) return { gpus: 0, cost: 0, how: "no model has a rate" }
  const counts = classes.map(({ count }) => count)
  const costs = classes.map(({ cost }) => cost)
  const ones = classes.map(() => 1)
  const proven = (unitCosts: ReadonlyArray<number>, enough: number): number => 
    raisePrices(resources, tables, (priced) => leastPurchase(priced, unitCosts, counts), firstPrices(resources, unitCosts), looksOf[effort], enough).bound * (1 - relativeSlack)
  const gpus = wholeAtLeast(proven(ones, options.knownGpus === undefined ? Infinity : options.knownGpus - 1 + 1e-3))
  const [cost, ...others] = costs
  return {
    gpus,
    cost: others.every((other) => other === cost) ? gpus * cost! : proven(costs, Infinity),
    how: "prices of time, places and memory"
  }
}
