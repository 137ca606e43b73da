/**
 * What the scheduler says of itself: decoded by `glet status`, served by the admin API.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EdgeStatus } from "../core/EdgeStatus.js"
import { HostStatus } from "../core/HostStatus.js"
import { GletId, GpuId, ModelName } from "../core/Ids.js"
import { ServiceClass } from "../core/Model.js"
import { Plan } from "../core/Plan.js"
import { DropReason } from "../core/RequestError.js"

/** Count and percentiles in ms over the last minute; zeros where nothing was counted. @since 0.1.0 @category status */
export const LatencySummary = Schema.Struct({
  count: Schema.NonNegativeInt,
  p50Ms: Schema.NonNegative,
  p90Ms: Schema.NonNegative,
  p99Ms: Schema.NonNegative
})
/** @since 0.1.0 @category status */
export type LatencySummary = typeof LatencySummary.Type

/** One model on one glet: predicted against measured. @since 0.1.0 @category status */
export const AssignmentStatus = Schema.Struct({
  model: ModelName,
  batch: Schema.Int,
  /** 99th percentile that profile and neighbours let expect of the batches that ran, or of one of the planned size where none did, as plans count it. */
  predictedMs: Schema.NonNegative,
  /** Of whole executions (gather, run, scatter) since the glet was opened or over the last minute. */
  measured: LatencySummary,
  /** Mean items per execution over the same time. */
  meanBatch: Schema.NonNegative
})
/** @since 0.1.0 @category status */
export type AssignmentStatus = typeof AssignmentStatus.Type

/** `crash-loop`: it died repeatedly and is retried only rarely. @since 0.1.0 @category status */
export const GletState = Schema.Literal("opening", "ready", "restarting", "crash-loop", "draining")
/** @since 0.1.0 @category status */
export type GletState = typeof GletState.Type

/** One glet: what it is, has, and does. @since 0.1.0 @category status */
export const GletStatus = Schema.Struct({
  id: GletId,
  gpu: GpuId,
  sharePct: Schema.Int,
  state: GletState,
  /** Last error, where there was one. */
  detail: Schema.String,
  restarts: Schema.NonNegativeInt,
  pid: Schema.optionalWith(Schema.Int, { exact: true }),
  /** Cores or SMs that it really has, where its executor can tell. */
  units: Schema.optionalWith(Schema.Int, { exact: true }),
  /** Part of the time with a batch running, over the last minute. */
  busyRatio: Schema.NonNegative,
  assignments: Schema.Array(AssignmentStatus)
})
/** @since 0.1.0 @category status */
export type GletStatus = typeof GletStatus.Type

/** One model: where it stands, what is asked of it, what became of its requests since it was registered. @since 0.1.0 @category status */
export const ModelStatus = Schema.Struct({
  model: ModelName,
  version: Schema.Int,
  serviceClass: ServiceClass,
  sloMs: Schema.optionalWith(Schema.Number, { exact: true }),
  state: Schema.Literal("ready", "waiting", "failed"),
  detail: Schema.String,
  /** Estimated arrivals, items per second. */
  rateRps: Schema.NonNegative,
  /** How many of them come together with a request, by estimate, where that is more than one. */
  itemsPerRequest: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** What the deployed plan carries, items per second. */
  plannedRps: Schema.NonNegative,
  /** Latency-critical: by how much best-effort work may delay it now, as measured SLOs allow, ms. */
  delayBoundMs: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  queued: Schema.NonNegativeInt,
  inFlight: Schema.NonNegativeInt,
  answered: Schema.NonNegativeInt,
  /** Answered within the SLO. */
  withinSlo: Schema.NonNegativeInt,
  dropped: Schema.Array(Schema.Struct({ reason: DropReason, count: Schema.NonNegativeInt })),
  failed: Schema.NonNegativeInt,
  canceled: Schema.NonNegativeInt,
  /** Arrival to answer, over the last minute. */
  latency: LatencySummary,
  /** Requests of a latency-critical model that were asked for as best-effort work, in none of the numbers above; absent where there were none. */
  bestEffort: Schema.optionalWith(
    Schema.Struct({
      queued: Schema.NonNegativeInt,
      inFlight: Schema.NonNegativeInt,
      answered: Schema.NonNegativeInt,
      dropped: Schema.Array(Schema.Struct({ reason: DropReason, count: Schema.NonNegativeInt })),
      failed: Schema.NonNegativeInt,
      canceled: Schema.NonNegativeInt,
      latency: LatencySummary
    }),
    { exact: true }
  )
})
/** @since 0.1.0 @category status */
export type ModelStatus = typeof ModelStatus.Type

/** All that `glet status --json` prints. @since 0.1.0 @category status */
export const SchedulerStatus = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Status"),
  draining: Schema.Boolean,
  executor: Schema.String,
  plan: Plan,
  glets: Schema.Array(GletStatus),
  models: Schema.Array(ModelStatus),
  /** Of a server where edge nodes may join: it adds what the scheduler does not know. */
  edge: Schema.optionalWith(EdgeStatus, { exact: true }),
  /** Where the server watches its host. */
  host: Schema.optionalWith(HostStatus, { exact: true })
})
/** @since 0.1.0 @category status */
export type SchedulerStatus = typeof SchedulerStatus.Type
