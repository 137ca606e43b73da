/** What a simulation that is over tells. */
import type { ModelName } from "../../core/Ids.js"
import type { SimulationInput } from "../SimulationInput.js"
import type { SimulationReport } from "../SimulationReport.js"
import type { TimelineRecorder } from "../Timeline.js"
import type { Planning } from "./planning.js"
import type { RunApplication } from "./requests.js"
import { isModel } from "./requests.js"
import type { StreamStatistics } from "./statistics.js"

/** What was counted. */
interface Outcome {
  readonly endMs: number
  readonly requests: number
  readonly batches: number
  /** By model. */
  readonly statistics: ReadonlyArray<StreamStatistics>
  readonly applications: ReadonlyArray<RunApplication>
  /** Time of whole GPUs. */
  readonly usedGpuMs: number
  readonly busyGpuMs: number
  readonly planning: Planning
  readonly timeline: TimelineRecorder
}

const inSeconds = (ms: number): number => Math.round(ms) / 1000

export const reportOf = (input: SimulationInput, outcome: Outcome): SimulationReport => {
  const { durationMs, gpus, loads, planner, seed, warmUpMs } = input
  const { batches, busyGpuMs, endMs, planning, requests, statistics, timeline, usedGpuMs } = outcome
  const countedMs = Math.max(0, durationMs - warmUpMs)
  const models = input.models.map(({ name }, i) => statistics[i]!.report(name, countedMs))
  const applications = outcome.applications.map(({ application, statistics }) => statistics.report(application.name, countedMs))
  const asked = new Set(loads.flatMap(({ target }) => (isModel(target) ? [target] : [])))
  const streams = [...applications, ...models.filter(({ name }) => asked.has(name as ModelName))]
  const offered = streams.reduce((sum, stream) => sum + stream.offered, 0)
  const good = streams.reduce((sum, stream) => sum + stream.offered * stream.sloKept, 0)
  return {
    planner: planner.name,
    seed, durationMs, warmUpMs, endMs, requests, batches,
    total: { offered, goodputRps: countedMs > 0 ? (1000 * good) / countedMs : 0, sloKept: offered === 0 ? 1 : good / offered },
    streams,
    models, applications,
    gpus: { available: gpus.length, gpuSeconds: inSeconds(usedGpuMs), busyGpuSeconds: inSeconds(busyGpuMs) },
    plans: planning.plans,
    planChanges: planning.changes,
    incidents: planning.incidents,
    timeline: timeline.result()
  }
}
