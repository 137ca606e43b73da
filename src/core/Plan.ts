/**
 * A plan: all glets with their assignments for all GPUs, with what is predicted of each. A value: versioned, serialisable, explainable.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { GletId, GpuId, ModelName } from "./Ids.js"

const Milliseconds = Schema.NonNegative.pipe(Schema.finite())

/**
 * A latency-critical model on a glet.
 * @since 0.1.0
 * @category plans
 */
export const Assignment = Schema.Struct({
  model: ModelName,
  /** Items of one execution. */
  batch: Schema.Int.pipe(Schema.positive()),
  /** The part of the model's rate that this glet carries, items per second. */
  rateRps: Schema.NonNegative.pipe(Schema.finite()),
  /** Predicted 99th percentile of one execution, interference included. */
  latencyMs: Milliseconds,
  /** Predicted longest time from arrival to answer under the plan's duty rule, best-effort blocking included. */
  worstMs: Milliseconds,
  /** SLO minus `worstMs`. */
  slackMs: Schema.Number,
  /** Items per second this assignment can carry. */
  capacityRps: Schema.NonNegative.pipe(Schema.finite())
})
/** @since 0.1.0 @category plans */
export type Assignment = typeof Assignment.Type

/**
 * Best-effort work allowed on a glet. It may delay latency-critical work there by at most `blockingMs`, which the assignments' `worstMs`
 * include.
 * @since 0.1.0
 * @category plans
 */
export const BestEffortAssignment = Schema.Struct({
  model: ModelName,
  /** Largest batch it may run at once. */
  batch: Schema.Int.pipe(Schema.positive()),
  /** Predicted 99th percentile of one such execution. */
  blockingMs: Milliseconds
})
/** @since 0.1.0 @category plans */
export type BestEffortAssignment = typeof BestEffortAssignment.Type

/**
 * A virtual GPU: a share of one GPU. Several assignments are time-shared within a duty cycle.
 * @since 0.1.0
 * @category plans
 */
export const PlannedGlet = Schema.Struct({
  id: GletId,
  sharePct: Schema.Int.pipe(Schema.between(1, 100)),
  /** 0 normal; negative is higher, as CUDA's stream priorities are. */
  priority: Schema.Int,
  /**
   * Best-effort work only, over the shares of the GPU's other glets: its share is not counted with theirs, and theirs goes first, by the gate and by
   * priority.
   */
  overlay: Schema.optionalWith(Schema.Literal(true), { exact: true }),
  /** Duty cycle: every assignment runs one batch in it. */
  dutyMs: Milliseconds,
  assignments: Schema.Array(Assignment),
  bestEffort: Schema.Array(BestEffortAssignment)
})
/** @since 0.1.0 @category plans */
export type PlannedGlet = typeof PlannedGlet.Type

/** One GPU with its glets; GPUs without glets stand in the plan too. @since 0.1.0 @category plans */
export const PlannedGpu = Schema.Struct({ gpu: GpuId, type: Schema.String, glets: Schema.Array(PlannedGlet) })
/** @since 0.1.0 @category plans */
export type PlannedGpu = typeof PlannedGpu.Type

/**
 * How a duty cycle of several assignments bounds the wait: `cycle` duty + L_i <= SLO_i, what a server with fixed offsets keeps; `strict`
 * duty + sum L <= SLO_i, gpulet's own.
 * @since 0.1.0
 * @category plans
 */
export const DutyRule = Schema.Literal("cycle", "strict")
/** @since 0.1.0 @category plans */
export type DutyRule = typeof DutyRule.Type

/**
 * A model's demand that the plan could not meet in full, where the GPUs are given and must do.
 * @since 0.1.0
 * @category plans
 */
export const Shortfall = Schema.Struct({
  model: ModelName,
  askedRps: Schema.NonNegative,
  plannedRps: Schema.NonNegative,
  /** What limits it, for people. */
  reason: Schema.String
})
/** @since 0.1.0 @category plans */
export type Shortfall = typeof Shortfall.Type

/**
 * The whole plan of a host.
 * @since 0.1.0
 * @category plans
 */
export const Plan = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Plan"),
  /** Counts the plans of a host; 0 before deployment. */
  generation: Schema.NonNegativeInt,
  planner: Schema.String,
  dutyRule: DutyRule,
  gpus: Schema.Array(PlannedGpu),
  shortfalls: Schema.Array(Shortfall),
  /** No plan under the same model uses fewer GPUs (or costs less) than this. */
  lowerBound: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** What the planner looked for, where it can look for several things. */
  objective: Schema.optionalWith(Schema.Literal("fewest", "headroom"), { exact: true }),
  /** All rates can grow by this factor on the planned glets. */
  headroom: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** No plan on the same GPUs under the same model has more head-room than this. */
  headroomBound: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /**
   * Prices of what GPUs offer that prove the bound (scheduler/bounds/FewestBound): a plan that is kept for other rates has its bound by them, at a look
   * instead of a search.
   */
  boundPrices: Schema.optionalWith(Schema.Array(Schema.NonNegative.pipe(Schema.finite())), { exact: true })
})
/** @since 0.1.0 @category plans */
export type Plan = typeof Plan.Type

/** The plan of nothing. @since 0.1.0 @category plans */
export const emptyPlan: Plan = {
  apiVersion: "glet/v1alpha1", kind: "Plan", generation: 0, planner: "none", dutyRule: "cycle", gpus: [], shortfalls: []
}

/** All glets of a plan with their GPU, in the plan's order. @since 0.1.0 @category plans */
export const gletsOf = (plan: Plan): ReadonlyArray<{ readonly gpu: PlannedGpu; readonly glet: PlannedGlet }> =>
  plan.gpus.flatMap((gpu) => gpu.glets.map((glet) => ({ gpu, glet })))

/** GPUs that carry at least one glet. @since 0.1.0 @category plans */
export const gpusUsed = (plan: Plan): number => plan.gpus.filter((gpu) => gpu.glets.length > 0).length

/** Text of a plan; equal plans give equal bytes. @since 0.1.0 @category plans */
export const encodePlan: (plan: Plan) => string = Schema.encodeSync(Schema.parseJson(Plan, { space: 2 }))

/** Reads a plan's text. @since 0.1.0 @category plans */
export const decodePlan = Schema.decodeUnknown(Schema.parseJson(Plan))
