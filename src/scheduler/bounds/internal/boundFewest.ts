/**
 * The bound on GPUs and cost by prices, and by `proofs` where they are given: proofs that need programs come as an argument, so that planners, which do
 * without, do not bring them into an application's bundle.
 */
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { Solver } from "../../solver/Solver.js"
import type { BoundEffort, FewestBound, FewestBoundOptions } from "../Bound.js"
import type { BoundModel } from "./boundModel.js"
import { makeBoundModel } from "./boundModel.js"
import type { proveTooFew } from "./combinationProof.js"
import type { contentProof, ContentProof } from "./contentProof.js"
import type { CoverTable } from "./covers.js"
import type { Ascent } from "./prices.js"
import { firstPrices, knownPrices, leastPurchase, loadOf, priceAll, raisePrices } from "./prices.js"
import { purchasesBetween } from "./purchases.js"
import { relativeSlack, wholeAtLeast } from "./slack.js"

export interface Proofs {
  readonly byContents: typeof contentProof
  readonly byCombinations: typeof proveTooFew
}

/** Fine cells tell few models' visits apart; of many models' visits the sum hardly changes. */
const cellsOf = (effort: BoundEffort, models: number): number => (effort === "quick" ? (models <= 32 ? 24 : 6) : models <= 32 ? 96 : 12)
const looksOf: Readonly<Record<BoundEffort, number>> = { quick: 60, thorough: 200, proof: 200 }

/** Combinations of more GPUs than this are too many. */
const mostProved = 12
/** Of more GPUs than this one more or less is a small part, as much as contents can prove; of more models than that they take too long. */
const mostByContents = { gpus: 60, models: 250 }

const byContents = "contents of glets"
const byCombinations = { linear: "linear programs of every combination of cuts", whole: "integer programs of every combination of cuts" }

interface Options extends FewestBoundOptions {
  /** Of a bound for nearly the same rates: what they prove is looked at, and nothing else, nor are numbers of GPUs given prices of their own. Ignored where they are not of these kinds of GPU. */
  readonly prices?: ReadonlyArray<number> | undefined
}

/** See `fewestBound`; without `proofs` the effort `proof` does no more than `thorough`. */
export const boundFewest = (problem: PlanProblem, options: Options, proofs: Proofs | undefined): FewestBound => {
  const effort = options.effort ?? "quick"
  const model = makeBoundModel(problem)
  const { classes, resources, tablesAt } = model
  const tables = tablesAt(1, cellsOf(effort, model.demands.length))
  if (tables.length === 0) return { gpus: 0, cost: 0, how: "no model has a rate" }
  const counts = classes.map(({ count }) => (options.isUnlimited === true ? Infinity : count))
  const given = knownPrices(resources, options.prices)
  const known = options.knownGpus ?? Infinity
  const ascend = (unitCosts: ReadonlyArray<number>, enough: number) =>
    raisePrices(resources, tables, (priced) => leastPurchase(priced, unitCosts, counts), given ?? firstPrices(resources, unitCosts), given?.length ?? looksOf[effort], enough)
  const priced = ascend(classes.map(() => 1), known - 1 + 1e-3)
  let gpus = wholeAtLeast(priced.bound * (1 - relativeSlack))
  let how = "prices of time, places and memory"
  const { solver } = options
  const programs = effort === "proof" && solver !== undefined && proofs !== undefined ? { ...proofs, solver } : undefined
  if (programs !== undefined) {
    const inventory = counts.reduce((sum, count) => sum + count, 0)
    const { cost } = priceAll(resources, tables, priced.prices)
    // Of several classes it is told apart below how many of each there are.
    const isTooFew = classes.length === 1 && gpus <= mostByContents.gpus && model.demands.length <= mostByContents.models ? programs.byContents(programs.solver, model, tables, priced.prices) : undefined
    while (gpus < Math.min(known, inventory + 1)) {
      if (isTooFew?.([gpus]) === true) how = byContents
      else {
        const proof = gpus < mostProved ? programs.byCombinations(programs.solver, model, counts, gpus, priced.prices, cost) : "none"
        if (proof === "none") break
        how = byCombinations[proof]
      }
      gpus++
    }
    if (gpus > inventory) gpus = Infinity
  }
  const unitCosts = classes.map((each) => each.cost)
  if (unitCosts.every((each) => each === unitCosts[0])) return { gpus, cost: gpus * (unitCosts[0] ?? 1), how, prices: [...priced.prices] }
  if (gpus === Infinity) return { gpus, cost: Infinity, how, prices: [...priced.prices] }
  const costed = ascend(unitCosts, Infinity)
  const proved = costBound(model, tables, gpus, costed, effort, options, programs, given !== undefined)
  return { gpus, cost: proved.cost, how: proved.how ?? how, prices: [...costed.prices] }
}

/** Purchases that are looked at beyond what prices prove, and up to which cost, in GPUs: the first of these below which there are no more. */
const mostPurchases = 200
const purchaseWindows = [2, 1, 0.5, 0.25, 0.125]

/** Looks at prices for each of them: those that prove most of the cheapest cost prove less of GPUs that are not bought at that cost. */
const purchaseLooks: Readonly<Record<BoundEffort, number>> = { quick: 10, thorough: 60, proof: 60 }

/** The cost of the cheapest purchase that is not ruled out, and what ruled out the last before it, if it was not prices. */
const costBound = (
  model: BoundModel, tables: ReadonlyArray<CoverTable>, gpus: number, { bound, prices }: Ascent, effort: BoundEffort, options: FewestBoundOptions,
  programs: (Proofs & { readonly solver: Solver }) | undefined, isKnown: boolean
): { readonly cost: number; readonly how?: string | undefined } => {
  const { classes, resources } = model
  const unitCosts = classes.map(({ cost }) => cost)
  const available = classes.map(({ count }) => (options.isUnlimited === true ? Infinity : count))
  const least = bound * (1 - relativeSlack)
  let below = 0
  let purchases: ReturnType<typeof purchasesBetween>
  for (const window of purchaseWindows) {
    below = Math.min(options.knownCost ?? Infinity, least + window * Math.max(...unitCosts))
    purchases = purchasesBetween(unitCosts, available, least * (1 - 1e-9), below, mostPurchases)
    if (purchases !== undefined) break
  }
  if (purchases === undefined || !(least < below)) return { cost: least }
  const priced = priceAll(resources, tables, prices)
  const tooMuch = 1 + 2 * relativeSlack
  let start = prices
  let isTooFew: ContentProof | undefined
  let how: string | undefined
  for (const { cost, counts } of purchases) {
    const count = counts.reduce((sum, n) => sum + n, 0)
    if (count < gpus || loadOf(priced, counts).bound > tooMuch) continue
    // Each has prices of its own, which are near those of the one before.
    const own = isKnown ? undefined : raisePrices(resources, tables, (each) => loadOf(each, counts), [start, prices], purchaseLooks[effort], tooMuch)
    if (own !== undefined && own.bound > tooMuch) {
      start = own.prices
      continue
    }
    if (programs !== undefined && count <= mostByContents.gpus && model.demands.length <= mostByContents.models) {
      isTooFew ??= programs.byContents(programs.solver, model, tables, prices)
      if (isTooFew(counts)) {
        how = byContents
        continue
      }
    }
    const proof = programs !== undefined && count <= mostProved ? programs.byCombinations(programs.solver, model, counts, count, prices, priced.cost) : "none"
    if (proof === "none") return { cost: Math.max(least, cost), how }
    how = byCombinations[proof]
  }
  return { cost: below, how }
}
