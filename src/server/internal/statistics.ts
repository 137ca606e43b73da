/** One line of the statistics extension, in its names; durations in ns. */
import type { Model } from "../../core/Model.js"
import type { ModelSeries } from "./modelSeries.js"

export interface Duration {
  readonly count: number
  readonly ns: number
}

/** What requests of one class add up to. */
export interface ClassStatistics {
  /** Unix time of the last request, ms. */
  readonly last_inference: number
  readonly inference_count: number
  readonly execution_count: number
  readonly inference_stats: {
    readonly success: Duration
    readonly fail: Duration
    readonly queue: Duration
    readonly compute_input: Duration
    readonly compute_infer: Duration
    readonly compute_output: Duration
    readonly cache_hit: Duration
    readonly cache_miss: Duration
  }
  readonly response_stats: Readonly<Record<string, never>>
  readonly batch_stats: ReadonlyArray<{
    readonly batch_size: number
    readonly compute_input: Duration
    readonly compute_infer: Duration
    readonly compute_output: Duration
  }>
}

export interface ModelStatistics extends ClassStatistics {
  readonly name: string
  readonly version: string
  readonly memory_usage: ReadonlyArray<never>
  /** Requests that asked for `service-class: best-effort` of a latency-critical model, in none of the numbers above; absent where there were none. */
  readonly best_effort?: ClassStatistics
}

const duration = (count: number, ms: number): Duration => ({ count, ns: Math.max(0, Math.round(ms * 1e6)) })
const none: Duration = { count: 0, ns: 0 }

export const modelStatistics = (model: Model, series: ModelSeries, asBestEffort: ModelSeries | undefined): ModelStatistics => ({
  name: model.name,
  version: String(model.version),
  ...statisticsOf(series),
  memory_usage: [],
  ...(asBestEffort === undefined ? {} : { best_effort: statisticsOf(asBestEffort) })
})

const statisticsOf = (series: ModelSeries): ClassStatistics => ({
  last_inference: Math.round(series.lastEndedMs),
  inference_count: series.items,
  execution_count: series.executions,
  inference_stats: {
    success: duration(series.successes, series.requestMs),
    fail: duration(series.failures, series.failureMs),
    queue: duration(series.successes, series.queueMs),
    compute_input: duration(series.successes, series.inputMs),
    compute_infer: duration(series.successes, series.inferMs),
    compute_output: duration(series.successes, series.outputMs),
    cache_hit: none,
    cache_miss: none
  },
  response_stats: {},
  batch_stats: [...series.batches].sort(([a], [b]) => a - b).map(([size, batch]) => ({
    batch_size: size,
    compute_input: duration(batch.executions, batch.inputMs),
    compute_infer: duration(batch.executions, batch.inferMs),
    compute_output: duration(batch.executions, batch.outputMs)
  }))
})
