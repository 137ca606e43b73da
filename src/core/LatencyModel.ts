/**
 * What planners, the validator, admission and the simulator ask of measurements. Implementations: a profile (scheduler/ProfileLatencyModel),
 * the original's tables.
 *
 * @since 0.1.0
 */
import type { ModelName } from "./Ids.js"

/** One batch of one model on a share of a GPU type. @since 0.1.0 @category latency */
export interface Execution {
  readonly gpuType: string
  readonly model: ModelName
  readonly sharePct: number
  readonly batch: number
}

/**
 * Slow-down by pressure on shared resources: 1 + the sum, or the largest, over the neighbouring glets of the largest excess that one of their
 * executions causes; an excess is max(0, base + sum_r sensitivity_r pressure_r) over resources r.
 * @since 0.1.0
 * @category latency
 */
export interface LinearInterference {
  readonly combine: "sum" | "largest"
  /** What several neighbours cost together was never measured on these GPUs: it is assumed, or made of what pairs cost. Default: false. */
  readonly isAssumed?: boolean
  /** Number of resources. */
  readonly resources: number
  /** False where neither pressure nor sensitivity depends on the batch; then they are asked for one batch of many. */
  readonly isPerBatch: boolean
  /** What an execution does to others, by resource. */
  readonly pressure: (execution: Execution) => ReadonlyArray<number>
  /** What it suffers from any neighbour, then by resource. `base` is `Infinity` where nothing is known. */
  readonly sensitivity: (execution: Execution) => { readonly base: number; readonly by: ReadonlyArray<number> }
}

/**
 * Predictions. All are pure and total: what is not known is `Infinity`, never a guess of zero.
 * @since 0.1.0
 * @category latency
 */
export interface LatencyModel {
  /**
   * Planning latency in ms of one execution without neighbours, where batches of its glet follow each other: the 99th percentile, assembling included.
   * `Infinity` where unknown.
   */
  readonly latencyMs: (execution: Execution) => number
  /** `latencyMs` of the batches 1 to `upTo`, by batch (place 0 is unused), where making them together is faster than one by one. */
  readonly latenciesMs?: (gpuType: string, model: ModelName, sharePct: number, upTo: number) => Float64Array
  /** `latencyMs` at the median, for predictions of throughput and of queueing. */
  readonly typicalMs: (execution: Execution) => number
  /**
   * What a batch that comes to an idle glet takes longer than that, in ms: copies that overlap other executions where batches follow each other. It depends
   * on what is copied, not on the share. 0 where nothing is known, and where absent.
   */
  readonly overlapMs?: (gpuType: string, model: ModelName, batch: number) => number
  /**
   * Factor >= 1 by which the other glets of the GPU slow this execution down, in the worst case. `neighbours` has one group per other glet:
   * the executions it may run, of which one runs at a time.
   */
  readonly slowdown: (execution: Execution, neighbours: ReadonlyArray<ReadonlyArray<Execution>>) => number
  /** What `slowdown` is made of, where it is made so: searches tabulate it, which is many times faster than asking. */
  readonly interference?: LinearInterference
  /** Device memory in bytes of one loaded copy. */
  readonly memoryBytes: (gpuType: string, model: ModelName) => number
  /** Device memory in bytes that a glet takes before any model is loaded. */
  readonly gletMemoryBytes: (gpuType: string) => number
}
