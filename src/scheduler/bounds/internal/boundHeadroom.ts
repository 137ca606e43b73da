/** The bound on all rates' growth by prices, and by `prove` where it is given (see boundFewest.ts). */
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { Solver } from "../../solver/Solver.js"
import type { BoundEffort, HeadroomBound, HeadroomBoundOptions } from "../Bound.js"
import type { Proofs } from "./boundFewest.js"
import { makeBoundModel } from "./boundModel.js"
import { firstPrices, knownPrices, loadOf, priceAll, raisePrices } from "./prices.js"
import { relativeSlack } from "./slack.js"

const looksOf: Readonly<Record<BoundEffort, number>> = { quick: 12, thorough: 60, proof: 60 }
/** Combinations are asked about so many factors. */
const proofProbes = 6
const mostProved = 4
const mostProbes = 40
/** The bound is looked for this closely. */
const closest = 1.002
const closeWhenKnown = 1.025
/** Steps of the search for it at the least. */
const leastStep = 1.02
const widest = 1e6

interface Options extends HeadroomBoundOptions {
  /** Of a bound for nearly the same rates, which was `factor`; see boundFewest. What they prove is found within a percent. */
  readonly known?: { readonly prices: ReadonlyArray<number>; readonly factor: number } | undefined
}

/** See `headroomBound`. */
export const boundHeadroom = (problem: PlanProblem, options: Options, prove: Proofs["byCombinations"] | undefined): HeadroomBound => {
  const { classes, demands, resources, tablesAt } = makeBoundModel(problem)
  const effort = options.effort ?? "quick"
  const cells = demands.length <= 32 ? 24 : 6
  let how = "prices of time, places and memory"
  if (demands.length === 0) return { factor: Infinity, how: "no model has a rate" }
  const counts = classes.map(({ count }) => count)
  const given = knownPrices(resources, options.known?.prices)
  const closeness = given === undefined ? closest : closeWhenKnown
  let starts = given ?? firstPrices(resources, classes.map(() => 1))
  const loadAt = (factor: number): number => {
    const found = raisePrices(resources, tablesAt(factor, cells), (priced) => loadOf(priced, counts), starts, given?.length ?? looksOf[effort], 1 + 2 * relativeSlack)
    starts = [found.prices]
    return found.bound * (1 - relativeSlack)
  }
  let possible = 0
  let impossible = Infinity
  let factor = given === undefined ? 1 : Math.min(widest, Math.max(1 / widest, options.known!.factor))
  for (let probe = 0; probe < mostProbes; probe++) {
    const load = loadAt(factor)
    if (load > 1) impossible = factor
    else possible = factor
    if (load > 1 && given !== undefined && load < closeness) break
    if (impossible <= 1 / widest || possible >= widest) break
    if (impossible < possible * closeness) break
    if (possible === 0) factor = Math.max(1 / widest, impossible / Math.max(leastStep, Math.min(load, 64)))
    else if (impossible === Infinity) factor = Math.min(widest, possible * Math.max(leastStep, Math.min(1 / load, 64)))
    else factor = Math.sqrt(possible * impossible)
  }
  if (effort === "proof" && options.solver !== undefined && prove !== undefined && problem.gpus.length <= mostProved && impossible < Infinity) {
    let known = options.knownFactor ?? impossible / 2
    for (let probe = 0; probe < proofProbes && impossible > known * closeness; probe++) {
      const middle = Math.sqrt(known * impossible)
      if (isProvedTooMuch(prove, options.solver, problem, middle, starts)) {
        impossible = middle
        how = "programs of every combination of cuts"
      } else known = middle
    }
  }
  return { factor: impossible, how, prices: [...starts[0]!] }
}

const isProvedTooMuch = (prove: Proofs["byCombinations"], solver: Solver, problem: PlanProblem, factor: number, starts: ReadonlyArray<Float64Array>): boolean => {
  const scaled = { ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor })) }
  const model = makeBoundModel(scaled)
  const counts = model.classes.map(({ count }) => count)
  const tables = model.tablesAt(1, 24)
  const { prices } = raisePrices(model.resources, tables, (priced) => loadOf(priced, counts), starts, looksOf.proof)
  return prove(solver, model, counts, problem.gpus.length, prices, priceAll(model.resources, tables, prices).cost) !== "none"
}
