/** The metrics page: Triton's names where Triton has one, `glet_*` in base units for the rest. */
import type { EdgeStatus } from "../../core/EdgeStatus.js"
import { EdgeLoss } from "../../core/EdgeStatus.js"
import type { HostStatus } from "../../core/HostStatus.js"
import type { GpuTelemetry } from "../../core/Gpu.js"
import type { TensorArena } from "../../core/TensorArena.js"
import type { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import { version } from "../Version.js"
import { Exposition, type Labels } from "./exposition.js"
import type { MetricsState } from "./metricsState.js"
import type { ModelSeries } from "./modelSeries.js"

/** Requests of a latency-critical model that were asked for as best-effort work have a label that says so. */
const labelsOf = ({ askedAs, name, version }: ModelSeries): Labels =>
  [["model", name], ["version", String(version)], ...(askedAs === undefined ? [] : [["service_class", askedAs] as const])]

const tritonCounters: ReadonlyArray<readonly [name: string, help: string, value: (series: ModelSeries) => number]> = [
  ["nv_inference_request_success", "Number of successful inference requests, all batch sizes", (s) => s.successes],
  ["nv_inference_count", "Number of inferences performed (does not include cached requests)", (s) => s.items],
  ["nv_inference_exec_count", "Number of model executions performed (does not include cached requests)", (s) => s.executions],
  ["nv_inference_request_duration_us", "Cumulative inference request duration in microseconds", (s) => s.requestMs * 1000],
  ["nv_inference_queue_duration_us", "Cumulative inference queuing duration in microseconds", (s) => s.queueMs * 1000],
  ["nv_inference_compute_input_duration_us", "Cumulative compute input duration in microseconds", (s) => s.inputMs * 1000],
  ["nv_inference_compute_infer_duration_us", "Cumulative compute inference duration in microseconds", (s) => s.inferMs * 1000],
  ["nv_inference_compute_output_duration_us", "Cumulative inference compute output duration in microseconds", (s) => s.outputMs * 1000]
]

const writeTriton = (page: Exposition, all: ReadonlyArray<ModelSeries>, status: SchedulerStatus): void => {
  for (const [name, help, value] of tritonCounters) {
    page.family(name, "counter", help)
    for (const series of all) page.sample(labelsOf(series), Math.round(value(series)))
  }
  page.family("nv_inference_request_failure", "counter", "Number of failed inference requests, all batch sizes")
  for (const series of all) {
    for (const [reason, count] of series.failuresByReason) page.sample([...labelsOf(series), ["reason", reason]], count)
  }
  page.family("nv_inference_pending_request_count", "gauge", "Instantaneous number of pending requests awaiting execution per-model")
  for (const model of status.models) page.sample([["model", model.model], ["version", String(model.version)]], model.queued)
}

const writeGpus = (page: Exposition, telemetry: ReadonlyArray<GpuTelemetry>): void => {
  const gauges: ReadonlyArray<readonly [name: string, help: string, value: (gpu: GpuTelemetry) => number | undefined]> = [
    ["nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)", (gpu) => gpu.utilizationRatio],
    ["nv_gpu_memory_total_bytes", "GPU total memory, in bytes", (gpu) => gpu.memoryTotalBytes],
    ["nv_gpu_memory_used_bytes", "GPU used memory, in bytes", (gpu) => gpu.memoryUsedBytes],
    ["nv_gpu_power_usage", "GPU power usage in watts", (gpu) => gpu.powerWatts]
  ]
  for (const [name, help, value] of gauges) {
    page.family(name, "gauge", help)
    for (const gpu of telemetry) {
      const reading = value(gpu)
      if (reading !== undefined) page.sample([["gpu_uuid", gpu.gpu]], reading)
    }
  }
}

const writeModels = (page: Exposition, all: ReadonlyArray<ModelSeries>): void => {
  page.family("glet_request_duration_seconds", "histogram", "Arrival to answer of answered requests")
  for (const series of all) page.histogram([...labelsOf(series), ["workload_class", series.serviceClass]], series.duration)
  page.family("glet_queue_duration_seconds", "histogram", "Arrival to start of the batch of answered requests")
  for (const series of all) page.histogram(labelsOf(series), series.queue)
  page.family("glet_batch_size", "histogram", "Items per execution")
  for (const series of all) page.histogram(labelsOf(series), series.batchSize)
  page.family("glet_execution_duration_seconds", "histogram", "Gathering, running and scattering one batch")
  for (const series of all) {
    for (const [glet, histogram] of series.executionByGlet) page.histogram([...labelsOf(series), ["glet", glet]], histogram)
  }
  page.family("glet_predicted_execution_seconds_total", "counter", "Sum of predicted durations of the executions that ended")
  for (const series of all) page.sample(labelsOf(series), series.predictedMs / 1000)
  page.family("glet_load_failures_total", "counter", "Loads of a model on a glet that failed, by reason")
  for (const series of all) {
    for (const [reason, count] of series.loadFailures) page.sample([...labelsOf(series), ["reason", reason]], count)
  }
  page.family("glet_slo_violations_total", "counter", "Requests answered later than their latency objective")
  for (const series of all) page.sample(labelsOf(series), series.sloViolations)
  page.family("glet_requests_dropped_total", "counter", "Requests dropped, by reason")
  for (const series of all) {
    for (const [reason, count] of series.drops) page.sample([...labelsOf(series), ["reason", reason]], count)
  }
}

const writePlan = (page: Exposition, state: MetricsState, status: SchedulerStatus): void => {
  const gletLabels = (glet: SchedulerStatus["glets"][number]): Labels => [["gpu", glet.gpu], ["glet", glet.id]]
  page.family("glet_share_ratio", "gauge", "Share of its GPU that a glet has")
  for (const glet of status.glets) page.sample(gletLabels(glet), glet.sharePct / 100)
  page.family("glet_busy_ratio", "gauge", "Part of the last minute with a batch running")
  for (const glet of status.glets) page.sample(gletLabels(glet), glet.busyRatio)
  page.family("glet_rate_estimate_rps", "gauge", "Estimated arrivals, items per second")
  for (const model of status.models) page.sample([["model", model.model], ["version", String(model.version)]], model.rateRps)
  page.family("glet_best_effort_delay_bound_seconds", "gauge", "By how much best-effort work may delay a latency-critical model now")
  for (const { delayBoundMs, model, version } of status.models) {
    if (delayBoundMs !== undefined) page.sample([["model", model], ["version", String(version)]], delayBoundMs / 1000)
  }
  page.family("glet_plan_generation", "gauge", "Generation of the deployed plan").sample([], status.plan.generation)
  page.family("glet_plan_duration_seconds", "histogram", "Time to make a plan").histogram([], state.planning)
  page.family("glet_reconcile_actions_total", "counter", "Actions that brought plans into effect")
  for (const { count, kind, result } of state.actions.values()) page.sample([["kind", kind], ["result", result]], count)
  page.family("glet_process_restarts_total", "counter", "Glets whose process died")
  for (const [gpu, count] of state.exits) page.sample([["gpu", gpu]], count)
}

const writeHost = (page: Exposition, { busyRatio, pressure: { stolenRatio, throttledRatio, waitingRatio }, wakeupLagMs }: HostStatus): void => {
  page.family("glet_host_wakeup_lag_seconds", "gauge", "How late this process was woken, over the last window of ten seconds")
  page.sample([["quantile", "0.5"]], wakeupLagMs.p50Ms / 1000)
  page.sample([["quantile", "0.99"]], wakeupLagMs.p99Ms / 1000)
  page.family("glet_thread_busy_ratio", "gauge", "Part of that window in which the server's thread was at work")
  page.sample([], busyRatio)
  page.family("glet_host_pressure_ratio", "gauge", "What kept processes from running in that window: part of the CPU limit's periods in which it stopped them, of the time in which some waited for a core, of the cores' time that other machines had")
  for (const [cause, ratio] of [["cpu_limit", throttledRatio], ["waiting", waitingRatio], ["stolen", stolenRatio]] as const) {
    if (ratio !== undefined) page.sample([["cause", cause]], ratio)
  }
}

const writeEdge = (page: Exposition, edge: EdgeStatus): void => {
  page.family("glet_edge_nodes", "gauge", "Edge nodes that are connected").sample([], edge.nodes.length)
  page.family("glet_edge_joins_total", "counter", "Edge nodes that joined").sample([], edge.joined)
  page.family("glet_edge_losses_total", "counter", "Edge nodes that are gone, by reason")
  for (const reason of EdgeLoss.literals) page.sample([["reason", reason]], edge.losses.find((loss) => loss.reason === reason)?.count ?? 0)
  const directions = [["sent", edge.sent], ["received", edge.received]] as const
  page.family("glet_edge_frames_total", "counter", "Frames to and from edge nodes")
  for (const [direction, { frames }] of directions) page.sample([["direction", direction]], frames)
  page.family("glet_edge_bytes_total", "counter", "Bytes of frames to and from edge nodes")
  for (const [direction, { bytes }] of directions) page.sample([["direction", direction]], bytes)
  page.family("glet_edge_batches_in_flight", "gauge", "Batches that an edge node has not answered yet")
  for (const { inFlight, name } of edge.nodes) page.sample([["node", name]], inFlight)
}

export const renderMetrics = (
  state: MetricsState,
  now: { readonly status: SchedulerStatus; readonly telemetry: ReadonlyArray<GpuTelemetry>; readonly arena: TensorArena }
): string => {
  const all = [...state.series.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version))
  const page = new Exposition()
  writeTriton(page, all, now.status)
  writeGpus(page, now.telemetry)
  writeModels(page, all)
  writePlan(page, state, now.status)
  if (now.status.edge !== undefined) writeEdge(page, now.status.edge)
  if (now.status.host !== undefined) writeHost(page, now.status.host)
  page.family("glet_tensor_memory_used_bytes", "gauge", "Memory that tensors of requests hold").sample([], now.arena.usedBytes())
  page.family("glet_tensor_memory_capacity_bytes", "gauge", "Memory that tensors of requests may hold").sample([], now.arena.capacityBytes)
  page.family("glet_http_responses_total", "counter", "HTTP responses by status")
  for (const [status, count] of [...state.responses].sort(([a], [b]) => a - b)) page.sample([["status", String(status)]], count)
  page.family("glet_build_info", "gauge", "Version of the server").sample([["version", version]], 1)
  return page.toString()
}
