/**
 * What the published planners have in common: the order of models, what happens when GPUs are short, and the plan of finished slices.
 *
 * They know no best-effort work; the plan says so.
 */
import * as Either from "effect/Either"
import type { Plan, Shortfall } from "../../../core/Plan.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import { impossibleAlone, invalidDemands } from "../../internal/diagnosis.js"
import type { PlanTables } from "../../internal/planTables.js"
import { makePlanTables } from "../../internal/planTables.js"
import type { Culprit } from "../../Planner.js"
import { Infeasible } from "../../Planner.js"
import type { ElasticRules, Sliced } from "./elasticSearch.js"
import { makeSearch } from "./elasticSearch.js"
import { runGpu } from "./slices.js"
import { planOfSlices } from "./slicesToPlan.js"

interface PublishedPlanner {
  readonly name: string
  readonly rules: ElasticRules
  /** Cuts of the GPUs to begin with, tried one after the other. */
  readonly starts: (problem: PlanProblem) => Iterable<Sliced>
}

interface Outcome {
  readonly sliced: Sliced
  /** Demands without a place. Empty unless partial. */
  readonly unplaced: ReadonlyArray<number>
}

/** The failure of the last cut that was tried: the demand that found no place. */
interface Failure {
  readonly demand: number
}

/** Ascending by rate times SLO, as published. */
const published = (tables: PlanTables, numbers: ReadonlyArray<number>): ReadonlyArray<number> => {
  const weight = (demand: number): number => tables.demands[demand]!.rateRps * tables.demands[demand]!.sloMs
  return [...numbers].sort((a, b) => weight(a) - weight(b) || a - b)
}

const placeAll = (
  tables: PlanTables,
  planner: PublishedPlanner,
  order: ReadonlyArray<number>,
  factor: number,
  partial: boolean
): Either.Either<Outcome, Failure> => {
  const { add } = makeSearch(tables, planner.rules)
  let failure: Failure = { demand: order[0] ?? 0 }
  for (const start of planner.starts(tables.problem)) {
    let sliced = start
    const unplaced: Array<number> = []
    let failed = false
    for (const demand of order) {
      const next = add(sliced, { demand, rateRps: tables.demands[demand]!.rateRps * factor })
      if (next !== undefined) sliced = next
      else if (partial) unplaced.push(demand)
      else {
        failure = { demand }
        failed = true
        break
      }
    }
    if (!failed) return Either.right({ sliced, unplaced })
  }
  return Either.left(failure)
}

/** Models that miss their SLO, or whose cycle overruns, under the problem's own rules. */
const misses = (plan: Plan): ReadonlyArray<Culprit> => {
  const culprits = new Map<string, Culprit>()
  for (const { glets } of plan.gpus) {
    for (const { assignments, dutyMs } of glets) {
      const overruns = assignments.reduce((sum, { latencyMs }) => sum + latencyMs, 0) > dutyMs * (1 + 1e-6)
      for (const { model, slackMs, worstMs } of assignments) {
        if (slackMs >= -1e-6 * worstMs && !overruns) continue
        const detail = "keeps its SLO only if the glets beside it do not slow it down, which this planner leaves out of account; elastic-int does not"
        culprits.set(model, { model, reason: "not-enough-gpus", detail })
      }
    }
  }
  return [...culprits.values()]
}

const bestEffortReason = "is best-effort, which this planner does not place; orion does"
const steps = 10

/** Plans by the rules of a published planner. */
export const planPublished = (planner: PublishedPlanner, problem: PlanProblem): Either.Either<Plan, Infeasible> => {
  const infeasible = ([first, ...others]: ReadonlyArray<Culprit>): Either.Either<Plan, Infeasible> =>
    Either.left(new Infeasible({ planner: planner.name, culprits: [first!, ...others] }))
  const invalid = invalidDemands(problem)
  if (invalid.length > 0) return infeasible(invalid)
  const tables = makePlanTables(problem)
  const whole = problem.gpus.map((gpu) => ({ gpu, glets: [] }))
  const impossible = new Map<number, Culprit>()
  const critical: Array<number> = []
  const shortfalls: Array<Shortfall> = []
  problem.demands.forEach(({ model, serviceClass }, demand) => {
    if (serviceClass === "best-effort") {
      shortfalls.push({ model, askedRps: 0, plannedRps: 0, reason: bestEffortReason })
      return
    }
    const culprit = impossibleAlone(tables, whole, demand)
    if (culprit === undefined) critical.push(demand)
    else impossible.set(demand, culprit)
  })
  const planOf = (sliced: Sliced): Plan =>
    planOfSlices(tables, planner.name, sliced, (gpu) => runGpu(tables, gpu, planner.rules.interference)!, shortfalls)
  const shown = (rateRps: number): string => `${Number(rateRps.toPrecision(4))} items/s`

  const order = published(tables, critical)
  const canFail = problem.options.whenShort === "fail"
  if (canFail && impossible.size > 0) return infeasible([...impossible.values()])
  const full = placeAll(tables, planner, order, 1, false)
  if (canFail || (Either.isRight(full) && impossible.size === 0)) {
    if (Either.isRight(full)) {
      const plan = planOf(full.right.sliced)
      const missed = misses(plan)
      if (missed.length === 0) return Either.right(plan)
      if (canFail) return infeasible(missed)
    } else {
      const { model, rateRps } = tables.demands[full.left.demand]!
      return infeasible([{ model, reason: "not-enough-gpus", detail: `asks for ${shown(rateRps)}, for which the models placed before it leave no room` }])
    }
  }

  // The GPUs are given: models without a place at any rate go, and the same part of all other rates is planned.
  const short = (demand: number, factor: number, reason: string): void => {
    const { model, rateRps } = tables.demands[demand]!
    shortfalls.push({ model, askedRps: rateRps, plannedRps: rateRps * factor, reason })
  }
  for (const [demand, { detail }] of impossible) short(demand, 0, detail)
  const noRoom = "no glet has room for it beside the other models; add a GPU or memory, or relax SLOs"
  let placed = order
  let sliced: Sliced
  for (;;) {
    const least = Either.getOrThrow(placeAll(tables, planner, placed, 0, true))
    sliced = least.sliced
    const gone = new Map(least.unplaced.map((demand) => [demand, noRoom]))
    for (const { detail, model } of misses(planOf(sliced))) gone.set(placed.find((demand) => tables.demands[demand]!.model === model)!, detail)
    for (const [demand, reason] of gone) short(demand, 0, reason)
    placed = placed.filter((demand) => !gone.has(demand))
    // Without those that break their SLOs the others may go elsewhere.
    if (gone.size === least.unplaced.length) break
  }
  let carried = { factor: 0, sliced }
  let high = 1
  for (let step = 0; step <= steps && carried.factor < 1; step++) {
    const factor = step === 0 ? 1 : (carried.factor + high) / 2
    const attempt = placeAll(tables, planner, placed, factor, false)
    if (Either.isRight(attempt) && misses(planOf(attempt.right.sliced)).length === 0) carried = { factor, sliced: attempt.right.sliced }
    else high = factor
  }
  if (carried.factor < 1) {
    for (const demand of placed) {
      if (tables.demands[demand]!.rateRps > 0) short(demand, carried.factor, `the GPUs carry ${Math.floor(100 * carried.factor)} % of what all models ask for together`)
    }
  }
  return Either.right(planOf(carried.sliced))
}
