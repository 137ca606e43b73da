/**
 * How few GPUs a planner needs, as the judge sees it.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Gpu } from "../core/Gpu.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { Plan } from "../core/Plan.js"
import { gpusUsed } from "../core/Plan.js"
import type { PlanProblem } from "../core/PlanProblem.js"
import { validatePlan } from "../core/ValidatePlan.js"
import { makePlanTables } from "./internal/planTables.js"
import type { PlannerAlgorithm } from "./Planner.js"

/** @since 0.1.0 @category planning */
export interface FewestGpus {
  /** A plan that the judge accepts; undefined where none was found. */
  readonly plan: Plan | undefined
  /** GPUs that carry a glet in it. */
  readonly gpus: number | undefined
  /** No plan under the same model needs fewer. */
  readonly lowerBound: number
}

/**
 * A bound for GPUs of one kind that holds for every planner: in a cycle of at least twice its latency no model does more than its best
 * throughput per percent on all the percents it is given (see `orion`). `Infinity` where a model cannot run at all.
 * @since 0.1.0
 * @category planning
 */
export const shareBound = (problem: PlanProblem, gpu: Gpu): number => {
  const tables = makePlanTables(problem)
  let pct = 0
  let least = 0
  problem.demands.forEach(({ rateRps, serviceClass }, demand) => {
    if (serviceClass !== "latency-critical") return
    const perPct = Math.max(...gpu.sharesPct.map((share) => tables.saturation(gpu.type, demand, share).rateRps / share))
    if (perPct === 0) pct = Infinity
    else pct += rateRps / perPct
    least = 1
  })
  return Math.max(least, Math.ceil(pct / 100 - 1e-6))
}

/**
 * The fewest GPUs of a type, up to `limit`, on which a planner finds a plan for the problem's demands that `validatePlan` accepts. The problem's
 * first GPU of the type is the pattern for all.
 *
 * Planners that give a bound look for the fewest themselves and are asked once. Others are asked with one GPU more each time: what they need does
 * not always fall with what they are given.
 * @since 0.1.0
 * @category planning
 */
export const fewestGpus = (planner: PlannerAlgorithm, problem: PlanProblem, type: string, limit = 32): FewestGpus => {
  const pattern = problem.gpus.find((gpu) => gpu.type === type)
  if (pattern === undefined) return { plan: undefined, gpus: undefined, lowerBound: Infinity }
  const bound = shareBound(problem, pattern)
  const attempt = (count: number): Plan | undefined => {
    const gpus = Array.from({ length: count }, (_, i): Gpu => ({ ...pattern, id: unsafeGpuId(`${type}:${i}`) }))
    const asked: PlanProblem = { ...problem, gpus, options: { ...problem.options, whenShort: "fail" } }
    const answer = planner.plan(asked)
    return Either.isRight(answer) && validatePlan(answer.right, asked).length === 0 ? answer.right : undefined
  }
  const found = (plan: Plan): FewestGpus => ({ plan, gpus: gpusUsed(plan), lowerBound: Math.max(bound, plan.lowerBound ?? 0) })

  // Nobody finds anything below the bound.
  if (bound > limit) return { plan: undefined, gpus: undefined, lowerBound: bound }
  const all = attempt(limit)
  if (all?.lowerBound !== undefined) return found(all)
  for (let count = Math.max(1, bound); count < limit; count++) {
    const plan = attempt(count)
    if (plan !== undefined) return found(plan)
  }
  return all === undefined ? { plan: undefined, gpus: undefined, lowerBound: bound } : found(all)
}
