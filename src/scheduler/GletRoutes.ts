/**
 * What the dispatcher is told of a plan.
 *
 * @since 0.1.0
 */
import type { GletId, GpuId } from "../core/Ids.js"
import type { Model } from "../core/Model.js"

/** What a best-effort model does to another glet of the GPU. @since 0.1.0 @category dispatching */
export interface Intrusion {
  readonly glet: GletId
  /** By how many ms a batch slows that glet's latency-critical work down for each ms that it takes. */
  readonly perMs: number
  /** It starts only while that glet has no latency-critical work that runs or waits. */
  readonly givesWay?: true
  /** Of a model whose batches give way: the same instead of `perMs`, for what it takes while that glet computes too; 0 where it never does. */
  readonly besidePerMs?: number
}

/** One model on one glet, as a plan has it. @since 0.1.0 @category dispatching */
export interface ModelRoute {
  readonly model: Model
  readonly bestEffort: boolean
  /** Items of the batch planned for. */
  readonly planBatch: number
  /** Largest batch to form here. */
  readonly batchLimit: number
  /** The part of the glet's time that the plan gives the model, 0 to 1. */
  readonly fraction: number
  /** How long best-effort work may hold the glet up by the plan, in ms. */
  readonly slackMs: number
  /** As best-effort work, which requests of a latency-critical model may be too: other glets of the GPU whose latency-critical work it slows down; none where absent. */
  readonly intrudes?: ReadonlyArray<Intrusion>
  /**
   * As best-effort work: its batches give way to the latency-critical work of other glets within so many ms (`LoadReport.preemptMs`). Absent where they
   * run to their end.
   */
  readonly preemptMs?: number
  /** Predicted 99th percentile of a batch, by its items; [0] is not used. Nondecreasing, finite. */
  readonly latencyMs: Float64Array
  /** What a batch that comes to the idle glet takes longer (`LatencyModel.overlapMs`), by its items; 0 where absent. */
  readonly overlapMs?: Float64Array
  /**
   * So much of the objective the plan leaves free, in ms, for what nobody measures: where batches can be formed so that requests end by so much before their
   * deadlines, they are. Default: 0.
   */
  readonly sparedMs?: number
  /** Median of the planned batch alone over its 99th percentile. */
  readonly typicalRatio: number
  /** Median over 99th percentile of the planned batch, neighbours counted in both. Default: 1. */
  readonly medianRatio?: number
}

/** What a glet runs. @since 0.1.0 @category dispatching */
export interface GletRoutes {
  readonly id: GletId
  readonly gpu: GpuId
  readonly models: ReadonlyArray<ModelRoute>
}
