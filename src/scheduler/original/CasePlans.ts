/**
 * Plans for cases, as lines of JSON.
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import type { FewestGpus } from "../FewestGpus.js"
import type { PlanningCase } from "./Cases.js"
import type { NoSharesMeasured, UnknownGpuType } from "./OriginalProblem.js"
import { originalOptions, originalProblem } from "./OriginalProblem.js"
import type { OriginalResource } from "./Resource.js"

/**
 * By which plans for cases are made and judged: the original's duty rule, head-room and interference, without its limits on glets and models.
 * @since 0.1.0
 * @category cases
 */
export const caseOptions: PlanOptions = originalOptions({ latencyRatio: 1.1, interference: true, maxModels: 8 })

/** gpulet puts at most three models into one partition. @since 0.1.0 @category cases */
export const publishedCaseOptions: PlanOptions = { ...caseOptions, maxModelsPerGlet: 3 }

/** The problem of a case on `count` GPUs of its first type. @since 0.1.0 @category cases */
export const problemOfCase = (
  resource: OriginalResource,
  each: PlanningCase,
  count: number,
  options: PlanOptions
): Either.Either<PlanProblem, UnknownGpuType | NoSharesMeasured> =>
  originalProblem({ resource, gpus: [{ type: each.gpus[0].type, count }], memoryBytes: each.memoryBytes, tasks: each.tasks, options })

/** A line of the answer. @since 0.1.0 @category cases */
export interface CaseLine {
  readonly set_id: string
  readonly planner: string
  readonly min_gpus: number | null
  /** Null where no number of GPUs is enough. */
  readonly lower_bound: number | null
  readonly valid: boolean
  /** (min_gpus - lower_bound) / lower_bound. */
  readonly gap: number | null
  readonly solve_ms: number
  readonly plan: ReadonlyArray<CaseGpu> | null
}

/** GPUs of one type in a line of cases. @since 0.1.0 @category cases */
export interface CaseGpu {
  readonly type: string
  readonly glets: ReadonlyArray<{
    readonly share: number
    readonly duty_ms: number
    readonly assignments: ReadonlyArray<{ readonly model: string; readonly batch: number; readonly rate: number }>
  }>
}

const gpusOf = (plan: Plan): ReadonlyArray<CaseGpu> =>
  plan.gpus.filter(({ glets }) => glets.length > 0).map(({ glets, type }) => ({
    type,
    glets: glets.map((glet) => ({
      share: glet.sharePct,
      duty_ms: glet.dutyMs,
      assignments: glet.assignments.map(({ batch, model, rateRps }) => ({ model, batch, rate: rateRps }))
    }))
  }))

/** What a planner found, as a line. @since 0.1.0 @category cases */
export const caseLine = (setId: string, planner: string, { gpus, lowerBound, plan }: FewestGpus, solveMs: number): CaseLine => ({
  set_id: setId,
  planner,
  min_gpus: gpus ?? null,
  lower_bound: Number.isFinite(lowerBound) ? lowerBound : null,
  valid: plan !== undefined,
  gap: gpus === undefined || lowerBound === 0 ? null : (gpus - lowerBound) / lowerBound,
  solve_ms: solveMs,
  plan: plan === undefined ? null : gpusOf(plan)
})
