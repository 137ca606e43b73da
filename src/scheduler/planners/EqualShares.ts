/**
 * Every model in a process of its own on every GPU, all with the same share: what is set by hand where nobody plans. A baseline.
 *
 * Each glet is made to carry the largest multiple of its part of the rate that its share allows, up to tenfold; where interference among them does
 * not allow all of that, all give way in proportion.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { invalidDemands } from "../internal/diagnosis.js"
import { draftToPlan } from "../internal/draftToPlan.js"
import type { GletDraft } from "../internal/gletSolver.js"
import { solveGlet, solveGpu } from "../internal/gletSolver.js"
import { makePlanTables } from "../internal/planTables.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"

const name = "equal-shares"
const largestFactor = 10
const smallestFactor = 1e-3
const bisections = 20

/** The largest number up to `most` for which it holds, to a millionth; undefined where it does not even for `smallestFactor`. */
const largest = (most: number, holds: (factor: number) => boolean): number | undefined => {
  if (holds(most)) return most
  if (!holds(smallestFactor)) return undefined
  let [low, high] = [smallestFactor, most]
  for (let i = 0; i < bisections; i++) {
    const middle = Math.sqrt(low * high)
    if (holds(middle)) low = middle
    else high = middle
  }
  return low
}

const plan = (problem: PlanProblem): Either.Either<Plan, Infeasible> => {
  const infeasible = ([first, ...others]: ReadonlyArray<Culprit>) => Either.left(new Infeasible({ planner: name, culprits: [first!, ...others] }))
  const invalid = invalidDemands(problem)
  if (invalid.length > 0) return infeasible(invalid)
  const { demands, gpus, options } = problem
  const tables = makePlanTables(problem)
  const critical = demands.flatMap(({ serviceClass }, demand) => (serviceClass === "latency-critical" ? [demand] : []))
  const reasons = new Map(demands.flatMap(({ serviceClass }, demand) => (serviceClass === "best-effort" ? [[demand, "is best-effort, which equal shares do not place"] as [number, string]] : [])))
  const culprits: Array<Culprit> = []
  const drafts = gpus.map((gpu) => {
    const sharePct = gpu.sharesPct.filter((share) => share * critical.length <= 100).at(-1)
    if (sharePct === undefined) return { gpu, glets: [] }
    const gletOf = (demand: number, factor: number): GletDraft => ({
      sharePct, works: [{ demand, rateRps: demands[demand]!.rateRps / gpus.length }], bestEffort: [], factor
    })
    const alone = critical.map((demand) => largest(largestFactor, (factor) => solveGlet(tables, gpu.type, gletOf(demand, factor)) !== undefined))
    const fitting = critical.flatMap((demand, i) => (alone[i] === undefined ? [] : [{ demand, factor: alone[i] }]))
    const glets = (part: number) => fitting.map(({ demand, factor }) => gletOf(demand, factor * part))
    const part = largest(1, (each) => solveGpu(tables, gpu, glets(each)) !== undefined)
    return { gpu, glets: part === undefined ? [] : glets(part) }
  })
  for (const demand of critical) {
    if (drafts.some(({ glets }) => glets.some(({ works }) => works[0]!.demand === demand))) continue
    const detail = `keeps no SLO on an equal share of a GPU, 1 of ${critical.length}`
    culprits.push({ model: demands[demand]!.model, reason: "slo-too-short", detail })
    reasons.set(demand, detail)
  }
  const made = draftToPlan(tables, { planner: name, gpus: drafts, reasons, shortReason: "its equal share of the GPUs carries no more" })
  if (made === undefined) return infeasible(critical.map((demand) => ({ model: demands[demand]!.model, reason: "slo-too-short", detail: "has no plan with equal shares" })))
  if (options.whenShort === "degrade") return Either.right(made)
  for (const { model, plannedRps } of made.shortfalls) {
    if (critical.some((demand) => demands[demand]!.model === model) && culprits.every((culprit) => culprit.model !== model)) {
      culprits.push({ model, reason: "rate-too-high", detail: `its equal share of the GPUs carries ${plannedRps} items/s`, ...(plannedRps > 0 ? { nearestRateRps: plannedRps } : {}) })
    }
  }
  return culprits.length > 0 ? infeasible(culprits) : Either.right(made)
}

/** @since 0.1.0 @category planners */
export const equalShares: PlannerAlgorithm = {
  name,
  summary: "A glet for every model on every GPU, all of the same share, as one sets it by hand.",
  plan: (problem) => plan(problem)
}
