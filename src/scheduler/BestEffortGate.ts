/**
 * The gate: decides, batch by batch, whether best-effort work may start on a glet.
 *
 * @since 0.1.0
 */
import type { GletId, GpuId, ModelName } from "../core/Ids.js"

/** What the gate sees. The object is reused: read it, do not keep it. @since 0.1.0 @category gate */
export interface GateState {
  nowMs: number
  glet: GletId
  gpu: GpuId
  model: ModelName
  /** Latency-critical items queued for models of this glet. */
  queuedCriticalItems: number
  /** Batches running on the glet. */
  running: number
  /** Predicted duration in ms of the smallest batch that could start. */
  predictedMs: number
  /** How long best-effort work may hold this glet up without any latency-critical model missing its SLO, by the plan; Infinity where none is here. */
  slackMs: number
}

/** @since 0.1.0 @category gate */
export interface BestEffortGate {
  readonly allows: (state: GateState) => boolean
}

/**
 * Nothing latency-critical waits for the glet or runs on it, and the duration fits the slack of the plan.
 * @since 0.1.0
 * @category gate
 */
export const defaultGate: BestEffortGate = {
  allows: (state) => state.slackMs === Infinity || (state.queuedCriticalItems === 0 && state.running === 0 && state.predictedMs <= state.slackMs)
}
