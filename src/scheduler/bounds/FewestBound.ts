/**
 * How few GPUs, or how little cost, any plan can do with: a certified lower bound. docs/planning-bounds.md has the proof.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { Solver } from "../solver/Solver.js"
import type { BoundModel } from "./internal/boundModel.js"
import { makeBoundModel } from "./internal/boundModel.js"
import { proveTooFew } from "./internal/combinationProof.js"
import type { CoverTable } from "./internal/covers.js"
import { firstPrices, leastPurchase, loadOf, priceAll, raisePrices } from "./internal/prices.js"
import { purchasesBetween } from "./internal/purchases.js"
import { relativeSlack, wholeAtLeast } from "./internal/slack.js"

/** @since 0.1.0 @category bounds */
export type BoundEffort = "quick" | "thorough" | "proof"

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
  /**
   * `quick`: tens of milliseconds at a hundred models. `thorough`: several times that, and tighter. `proof`: then every combination of cuts of few GPUs,
   * for which a solver is needed; seconds. Default `quick`.
   */
  readonly effort?: BoundEffort
  readonly solver?: Solver
  /** A plan with so many GPUs is known: nothing above it can be proved, so the search ends there. */
  readonly knownGpus?: number
  /** The same for the cost, where GPUs have unlike prices. */
  readonly knownCost?: number
  /** Of each kind of GPU in the problem there are as many as it takes. */
  readonly isUnlimited?: boolean
}

/** Fine cells tell few models' visits apart; of many models' visits the sum hardly changes. */
const cellsOf = (effort: BoundEffort, models: number): number => (effort === "quick" ? (models <= 32 ? 24 : 6) : models <= 32 ? 96 : 12)
const looksOf: Readonly<Record<BoundEffort, number>> = { quick: 60, thorough: 200, proof: 200 }

/** Combinations of more GPUs than this are too many. */
const mostProved = 12

/**
 * A bound that holds for every plan that `validatePlan` accepts for the problem.
 * @since 0.1.0
 * @category bounds
 */
export const fewestBound = (problem: PlanProblem, options: FewestBoundOptions = {}): FewestBound => {
  const effort = options.effort ?? "quick"
  const model = makeBoundModel(problem)
  const { classes, resources, tablesAt } = model
  const tables = tablesAt(1, cellsOf(effort, model.demands.length))
  if (tables.length === 0) return { gpus: 0, cost: 0, how: "no model has a rate" }
  const counts = classes.map(({ count }) => (options.isUnlimited === true ? Infinity : count))
  const known = options.knownGpus ?? Infinity
  const ascend = (unitCosts: ReadonlyArray<number>, enough: number) =>
    raisePrices(resources, tables, (priced) => leastPurchase(priced, unitCosts, counts), firstPrices(resources, unitCosts), looksOf[effort], enough)
  const priced = ascend(classes.map(() => 1), known - 1 + 1e-3)
  let gpus = wholeAtLeast(priced.bound * (1 - relativeSlack))
  let how = "prices of time, places and memory"
  if (effort === "proof" && options.solver !== undefined) {
    const inventory = counts.reduce((sum, count) => sum + count, 0)
    const { cost } = priceAll(resources, tables, priced.prices)
    while (gpus < Math.min(known, inventory + 1, mostProved)) {
      const proof = proveTooFew(options.solver, model, counts, gpus, priced.prices, cost)
      if (proof === "none") break
      how = proof === "linear" ? "linear programs of every combination of cuts" : "integer programs of every combination of cuts"
      gpus++
    }
    if (gpus > inventory) gpus = Infinity
  }
  const unitCosts = classes.map((each) => each.cost)
  if (unitCosts.every((each) => each === unitCosts[0])) return { gpus, cost: gpus * (unitCosts[0] ?? 1), how }
  return { gpus, cost: gpus === Infinity ? Infinity : costBound(model, tables, gpus, effort, options), how }
}

/** Purchases that are looked at beyond what prices prove. */
const mostPurchases = 200

/** The cheapest purchase that is not ruled out. */
const costBound = (model: BoundModel, tables: ReadonlyArray<CoverTable>, gpus: number, effort: BoundEffort, options: FewestBoundOptions): number => {
  const { classes, resources } = model
  const unitCosts = classes.map(({ cost }) => cost)
  const available = classes.map(({ count }) => (options.isUnlimited === true ? Infinity : count))
  const { bound, prices } = raisePrices(
    resources, tables, (priced) => leastPurchase(priced, unitCosts, available), firstPrices(resources, unitCosts), looksOf[effort]
  )
  const least = bound * (1 - relativeSlack)
  const below = Math.min(options.knownCost ?? Infinity, least + 2 * Math.max(...unitCosts))
  const purchases = purchasesBetween(unitCosts, available, least * (1 - 1e-9), below, mostPurchases)
  if (purchases === undefined || !(least < below)) return least
  const priced = priceAll(resources, tables, prices)
  for (const { cost, counts } of purchases) {
    const count = counts.reduce((sum, n) => sum + n, 0)
    if (count < gpus || loadOf(priced, counts).bound * (1 - relativeSlack) > 1) continue
    const isProved = effort === "proof" && options.solver !== undefined && count <= mostProved &&
      proveTooFew(options.solver, model, counts, count, prices, priced.cost) !== "none"
    if (!isProved) return Math.max(least, cost)
  }
  return below
}
