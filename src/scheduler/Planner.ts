/**
 * Planners by name: each a pure function from a problem to a plan.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { ModelName } from "../core/Ids.js"
import type { Plan } from "../core/Plan.js"
import type { PlanProblem } from "../core/PlanProblem.js"

/** What makes one model impossible to place. @since 0.1.0 @category errors */
export const Culprit = Schema.Struct({
  model: ModelName,
  reason: Schema.Literal("no-profile", "slo-too-short", "rate-too-high", "memory", "not-enough-gpus", "invalid", "too-large"),
  detail: Schema.String,
  /** The smallest SLO in ms that could be kept at this rate on these GPUs, where one is known. */
  nearestSloMs: Schema.optionalWith(Schema.Number, { exact: true }),
  /** The largest rate that could be carried within the SLO, where one is known. */
  nearestRateRps: Schema.optionalWith(Schema.Number, { exact: true })
})
/** @since 0.1.0 @category errors */
export type Culprit = typeof Culprit.Type

/**
 * No plan was found. Exit code 3.
 * @since 0.1.0
 * @category errors
 */
export class Infeasible extends Schema.TaggedError<Infeasible>()("Infeasible", {
  planner: Schema.String,
  culprits: Schema.NonEmptyArray(Culprit),
  /** The largest factor on all rates together for which a plan was found. */
  nearestFactor: Schema.optionalWith(Schema.Number, { exact: true })
}) {
  override get message(): string {
    return `planner ${this.planner} found no plan: ${this.culprits.map((c) => `model "${c.model}" ${c.detail}`).join("; ")}`
  }
}

/**
 * A planning algorithm.
 * @since 0.1.0
 * @category planning
 */
export interface PlannerAlgorithm {
  readonly name: string
  /** One sentence for `glet plan --help`. */
  readonly summary: string
  /**
   * Plans for the problem; equal problems give equal plans. `current` is the deployed plan, for planners that prefer few moves. Glet ids of the
   * answer are provisional: `adoptPlan` (PlanDiff) keeps the ids of glets that stay.
   */
  readonly plan: (problem: PlanProblem, current?: Plan) => Either.Either<Plan, Infeasible>
}

/**
 * The planner the scheduler uses.
 * @since 0.1.0
 * @category services
 */
export class Planner extends Context.Tag("glet/scheduler/Planner")<Planner, PlannerAlgorithm>() {}
