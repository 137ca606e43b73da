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
import { fewestBound } from "./bounds/FewestBound.js"
import type { PlannerAlgorithm } from "./Planner.js"

/** The least number of GPUs for which a planner has a plan, with that plan. @since 0.1.0 @category planning */
export interface FewestGpus {
  /** A plan that the judge accepts; undefined where none was found. */
  readonly plan: Plan | undefined
  /** GPUs that carry a glet in it. */
  readonly gpus: number | undefined
  /** No plan under the same model needs fewer. `Infinity` where no number of GPUs is enough. */
  readonly lowerBound: number
}

/** The problem on `count` GPUs like its first of the type, without their price; undefined where it has none. @since 0.1.0 @category planning */
export const onGpusOf = (problem: PlanProblem, type: string, count: number): PlanProblem | undefined => {
  const like = problem.gpus.find((gpu) => gpu.type === type)
  if (like === undefined) return undefined
  // All cost the same, so bounds in GPUs and in costs are one.
  const { cost: _, ...pattern } = like
  const gpus = Array.from({ length: count }, (_, i): Gpu => ({ ...pattern, id: unsafeGpuId(`${type}:${i}`) }))
  return { ...problem, gpus, options: { ...problem.options, whenShort: "fail" } }
}

/**
 * The fewest GPUs of a type, up to `limit`, on which a planner finds a plan for the problem's demands that `validatePlan` accepts. The problem's
 * first GPU of the type is the pattern for all. The bound is the quick one; `fewestBound` proves more with more effort.
 *
 * Planners that give a bound look for the fewest themselves and are asked once. Others are asked with one GPU more each time: what they need does
 * not always fall with what they are given.
 * @since 0.1.0
 * @category planning
 */
export const fewestGpus = (planner: PlannerAlgorithm, problem: PlanProblem, type: string, limit = 32): FewestGpus => {
  const single = onGpusOf(problem, type, 1)
  if (single === undefined) return { plan: undefined, gpus: undefined, lowerBound: Infinity }
  const bound = fewestBound(single, { isUnlimited: true }).gpus
  let isTooLarge = false
  const attempt = (count: number): Plan | undefined => {
    const asked = onGpusOf(problem, type, count)!
    const answer = planner.plan(asked)
    if (Either.isLeft(answer)) isTooLarge = answer.left.culprits.some(({ reason }) => reason === "too-large")
    return Either.isRight(answer) && validatePlan(answer.right, asked).length === 0 ? answer.right : undefined
  }
  const found = (plan: Plan): FewestGpus => ({ plan, gpus: gpusUsed(plan), lowerBound: Math.max(bound, plan.lowerBound ?? 0) })

  // Nobody finds anything below the bound.
  if (bound > limit) return { plan: undefined, gpus: undefined, lowerBound: bound }
  const all = attempt(limit)
  if (all?.lowerBound !== undefined) return found(all)
  // Nor is a problem smaller for having fewer GPUs.
  for (let count = Math.max(1, bound); count < limit && !isTooLarge; count++) {
    const plan = attempt(count)
    if (plan !== undefined) return found(plan)
  }
  return all === undefined ? { plan: undefined, gpus: undefined, lowerBound: bound } : found(all)
}
