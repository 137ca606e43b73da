/**
 * What a simulation found: a value for JSON and for tables. Counts are of requests that arrived after the warm-up.
 *
 * @since 0.1.0
 */
import type { LatencySummary } from "../core/LatencyHistogram.js"
import type { Timeline } from "./Timeline.js"

/** Requests of one model, or of one application from end to end. @since 0.1.0 @category report */
export interface StreamReport {
  readonly name: string
  /** Absent for best-effort models. */
  readonly sloMs?: number
  readonly offered: number
  readonly offeredRps: number
  /** Answered within the SLO, per second. */
  readonly goodputRps: number
  /** Answered within the SLO, of all offered: drops and failures count against it. 1 where none was offered. */
  readonly sloKept: number
  readonly answered: number
  readonly late: number
  /** By reason; the reasons of `RequestDropped` and `ModelUnavailable`, `failed`, `step-failed` (of an application) and `unfinished`. */
  readonly notAnswered: Readonly<Record<string, number>>
  /** Arrival to answer of what was answered; percentiles to 0.25 %. */
  readonly latency: LatencySummary
}

/** @since 0.1.0 @category report */
export interface PlanEvent {
  readonly atMs: number
  readonly generation: number
  readonly reason: string
  readonly planner: string
  readonly gpus: number
  readonly glets: number
  /** Glets opened and closed for it, and all steps from the plan before. */
  readonly opened: number
  readonly closed: number
  readonly steps: number
}

/** Something that was not asked for. @since 0.1.0 @category report */
export interface Incident {
  readonly atMs: number
  readonly kind: "failure" | "no-plan" | "plan-dropped"
  readonly detail: string
}

/** @since 0.1.0 @category report */
export interface SimulationReport {
  readonly planner: string
  readonly seed: number
  readonly durationMs: number
  readonly warmUpMs: number
  /** Simulated time when the last request ended, ms. */
  readonly endMs: number
  readonly requests: number
  readonly batches: number
  /** Over `streams`. */
  readonly total: { readonly offered: number; readonly goodputRps: number; readonly sloKept: number }
  /** What clients ask for: applications, and models that are asked for themselves. */
  readonly streams: ReadonlyArray<StreamReport>
  readonly models: ReadonlyArray<StreamReport>
  readonly applications: ReadonlyArray<StreamReport>
  readonly gpus: {
    readonly available: number
    /** Time of GPUs that had a glet, s. */
    readonly gpuSeconds: number
    /** Time by the shares that ran something, in s of whole GPUs. */
    readonly busyGpuSeconds: number
  }
  /** The first entries; `planChanges` counts all. The plan at the start is the first. */
  readonly plans: ReadonlyArray<PlanEvent>
  readonly planChanges: number
  readonly incidents: ReadonlyArray<Incident>
  readonly timeline: Timeline
}

/**
 * The part of requests that were not answered within their SLO, of the stream (an application, or a model that is asked for itself) that fares
 * worst; best-effort models do not count.
 * @since 0.1.0
 * @category report
 */
export const worstViolation = (streams: ReadonlyArray<StreamReport>): number =>
  streams.reduce((worst, { offered, sloKept, sloMs }) => (sloMs === undefined || offered === 0 ? worst : Math.max(worst, 1 - sloKept)), 0)
