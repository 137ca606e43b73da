/**
 * What a planner is asked, and what `validatePlan` judges its answer by.
 *
 * @since 0.1.0
 */
import type { Gpu } from "./Gpu.js"
import type { ModelName } from "./Ids.js"
import type { LatencyModel } from "./LatencyModel.js"
import type { ServiceClass } from "./Model.js"
import type { DutyRule } from "./Plan.js"
import { effortOf } from "./PlanEffort.js"

/** One model's demand. @since 0.1.0 @category planning */
export interface Demand {
  readonly model: ModelName
  readonly serviceClass: ServiceClass
  /** Items per second to plan for, head-room for bursts included. Ignored for best-effort models. */
  readonly rateRps: number
  /** In ms; `Infinity` for best-effort models. */
  readonly sloMs: number
  readonly maxBatch: number
  /** How many items come together with a request, by item; 1 where it is left out. They run together: `orion` plans for no smaller batches. */
  readonly itemsPerRequest?: number
}

/**
 * A glet that is given instead of searched for.
 * @since 0.1.0
 * @category planning
 */
export interface FixedGlet {
  /** Place of its GPU among the problem's, from 0. */
  readonly gpu: number
  readonly sharePct: number
  readonly dutyMs: number
  readonly works: ReadonlyArray<{ readonly model: ModelName; readonly batch: number }>
}

/** What a plan may do, whatever the models are. @since 0.1.0 @category planning */
export interface PlanOptions {
  readonly dutyRule: DutyRule
  /**
   * Multiplies every predicted latency; >= 1. What serving adds to what a profile saw: other models' batches before and after, copies beside, pauses of the
   * host. 99th percentiles of glets that had an H200 for themselves were 1.04 to 1.19 times the profile's (bench/results/h200/gpu-suite.json).
   */
  readonly latencyHeadroom: number
  /** Whether glets of one GPU slow each other down in the prediction. */
  readonly interference: boolean
  /** The part of a GPU's memory that plans may fill, 0 to 1. */
  readonly memoryFraction: number
  readonly maxGletsPerGpu: number
  /** Latency-critical models that may share one glet. */
  readonly maxModelsPerGlet: number
  /** `fail`: a demand that cannot be met is an error. `degrade`: the GPUs are given, plan what fits and say what does not. */
  readonly whenShort: "fail" | "degrade"
  /** Seed of planners that search. */
  readonly seed: number
  /**
   * What planners that search look for. `fewest`: the fewest GPUs, or the least cost. `headroom`: the GPUs are given, all rates can grow by the
   * largest factor. Default: `fewest` where `whenShort` is `fail`, else `headroom`.
   */
  readonly objective?: "fewest" | "headroom"
  /** What loading a model on a GPU where none is deployed counts, in GPUs (or cost): another plan must save more than its moves. Default 0.02. */
  readonly moveCost?: number
  /**
   * How long planners search, as a multiple of the usual number of steps. Default 1: about a second for a thousand models, some seconds for up to 200
   * of which several share a GPU. `effortOf` (PlanEffort) has names for some.
   */
  readonly effort?: number
  /** Whether glets that have nothing but best-effort work get a lower priority of the hardware. Default true. */
  readonly priorities?: boolean
  /**
   * Planner `orion`: the share of a GPU, in percent, on which best-effort work runs over the latency-critical glets there (`PlannedGlet.overlay`),
   * instead of on them and beside them. Default: where batches give way (`Gpu.preemptMs`) besides, on the share on which most is done; else it does not.
   */
  readonly overlayPct?: number
  /**
   * Planner `orion`: whether latency-critical requests gather while best-effort work that gives way can use the GPU (`DispatcherOptions.gather`), so that
   * they run in larger batches. Default true.
   */
  readonly gather?: boolean
  /**
   * The part of every objective that `demands` already leave free for what nobody measures, 0 to 1: planners need not know, batches are formed by it
   * (`ModelRoute.sparedMs`). Default 0.
   */
  readonly sparedPart?: number
  /** Planner `static`: the glets there are. */
  readonly fixedGlets?: ReadonlyArray<FixedGlet>
  /** Planners `elastic` and `elastic-int`: try every way to cut the GPUs in two first. */
  readonly fullSearch?: boolean
}

/** What `glet plan` plans by. @since 0.1.0 @category planning */
export const defaultPlanOptions: PlanOptions = {
  dutyRule: "cycle",
  latencyHeadroom: 1.1,
  interference: true,
  memoryFraction: 0.9,
  maxGletsPerGpu: 16,
  maxModelsPerGlet: 8,
  whenShort: "fail",
  seed: 1
}

/**
 * Of a server, and of its simulation: the GPUs are given and must do, and a plan now is worth more than one that is a percent better later. Folders have many models that hardly anybody asks
 * for, and a laptop's two cores are two glets at most: they hold all that objectives and memory allow.
 * @since 0.1.0
 * @category planning
 */
export const onlinePlanOptions: PlanOptions = { ...defaultPlanOptions, maxModelsPerGlet: 64, whenShort: "degrade", effort: effortOf.quick }

/** What a planner is asked: models with their rates and SLOs, the GPUs there are, and how long executions take. @since 0.1.0 @category planning */
export interface PlanProblem {
  readonly gpus: ReadonlyArray<Gpu>
  /** One per model. */
  readonly demands: ReadonlyArray<Demand>
  readonly latency: LatencyModel
  readonly options: PlanOptions
}
