/**
 * Counts what happens, for Prometheus and for the statistics extension. An observer of the scheduler: plain additions on the hot path, text
 * only when somebody asks.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { GpuTelemetry } from "../core/Gpu.js"
import type { Model } from "../core/Model.js"
import type { DropReason, RequestError } from "../core/RequestError.js"
import type { TensorArena } from "../core/TensorArena.js"
import { Scheduler, type SchedulerObserver } from "../scheduler/Scheduler.js"
import type { SchedulerStatus } from "../scheduler/SchedulerStatus.js"
import { MetricsState } from "./internal/metricsState.js"
import { renderMetrics } from "./internal/metricsText.js"
import type { FailureReason } from "./internal/modelSeries.js"
import { modelStatistics, type ModelStatistics } from "./internal/statistics.js"

const failureReason = (error: RequestError): FailureReason => {
  switch (error._tag) {
    case "RequestDropped": return "REJECTED"
    case "RequestCanceled": return "CANCELED"
    case "ExecutionFailed": return "BACKEND"
    case "ModelUnavailable": return error.reason === "glet-exited" ? "BACKEND" : "REJECTED"
    default: return "OTHER"
  }
}

const makeObserver = (state: MetricsState, unixMs: () => number): Required<SchedulerObserver> => ({
  requestEnded: ({ end, model, serviceClass, sloMs, times }) => {
    const series = state.servedAs(model, serviceClass)
    const totalMs = times.endedMs - times.arrivedMs
    series.lastEndedMs = unixMs()
    if (end.ok) {
      const queueMs = times.startedMs - times.arrivedMs
      series.successes++
      series.requestMs += totalMs
      series.queueMs += queueMs
      series.duration.observe(totalMs / 1000)
      series.queue.observe(queueMs / 1000)
      if (totalMs > sloMs) series.sloViolations++
      return
    }
    series.failed(failureReason(end.error))
    if (totalMs > 0) series.failureMs += totalMs
    if (end.error._tag === "RequestDropped") series.dropped(end.error.reason)
  },
  batchEnded: ({ glet, inferMs, inputMs, items, model, ok, outputMs, predictedMs, requests, serviceClass }) => {
    if (!ok) return
    const series = state.servedAs(model, serviceClass)
    series.executions++
    series.items += items
    series.inputMs += inputMs * requests
    series.inferMs += inferMs * requests
    series.outputMs += outputMs * requests
    series.predictedMs += predictedMs
    series.batchSize.observe(items)
    series.executionOf(glet).observe((inputMs + inferMs + outputMs) / 1000)
    const batch = series.batchOf(items)
    batch.executions++
    batch.inputMs += inputMs
    batch.inferMs += inferMs
    batch.outputMs += outputMs
  },
  planDeployed: ({ actions, planningMs }) => {
    state.planning.observe(planningMs / 1000)
    for (const { kind, ok } of actions) {
      const result = ok ? "ok" : "failed"
      const key = `${kind} ${result}`
      const known = state.actions.get(key)
      if (known === undefined) state.actions.set(key, { kind, result, count: 1 })
      else known.count++
    }
  },
  loadFailed: ({ error, model }) => {
    const series = state.of(model)
    series.loadFailures.set(error.reason, (series.loadFailures.get(error.reason) ?? 0) + 1)
  },
  gletExited: ({ gpu }) => {
    state.exits.set(gpu, (state.exits.get(gpu) ?? 0) + 1)
  }
})

/**
 * The counters of a server.
 * @since 0.1.0
 * @category services
 */
export class Metrics extends Context.Tag("glet/server/Metrics")<Metrics, {
  /** A request dropped before the scheduler saw it. */
  readonly droppedAtFront: (model: Model, reason: DropReason) => void
  /** An HTTP response was sent, or several of one status. */
  readonly responded: (status: number, count?: number) => void
  /** Prometheus' text. Models that were never asked anything stand in it with zeros. */
  readonly render: (now: {
    readonly models: ReadonlyArray<Model>
    readonly status: SchedulerStatus
    readonly telemetry: ReadonlyArray<GpuTelemetry>
    readonly arena: TensorArena
  }) => string
  /** One line of the statistics extension; zeros for a model without requests. */
  readonly statistics: (model: Model) => ModelStatistics
}>() {}

/** Counters that observe the scheduler until the scope closes. @since 0.1.0 @category constructors */
export const make = Effect.gen(function*() {
  const scheduler = yield* Scheduler
  const clock = yield* Effect.clock
  const state = new MetricsState()
  yield* scheduler.observe(makeObserver(state, () => clock.unsafeCurrentTimeMillis()))
  return Metrics.of({
    droppedAtFront: (model, reason) => {
      const series = state.of(model)
      series.failed("REJECTED")
      series.dropped(reason)
    },
    responded: (status, count = 1) => {
      state.responses.set(status, (state.responses.get(status) ?? 0) + count)
    },
    render: (now) => {
      for (const model of now.models) state.of(model)
      return renderMetrics(state, now)
    },
    statistics: (model) => modelStatistics(model, state.of(model), state.findAs(model, "best-effort"))
  })
})

/** Counts what a scheduler and a server do, for Prometheus. @since 0.1.0 @category layers */
export const layer: Layer.Layer<Metrics, never, Scheduler> = Layer.scoped(Metrics, make)
