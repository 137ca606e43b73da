/**
 * The gate: decides, batch by batch, how long best-effort work may run now.
 *
 * A batch of d ms delays latency-critical work by at most w d: w = 1 on the glet that it shares with it, where executions are serial; on another
 * glet of the GPU w is the predicted slow-down less 1, which is near nothing where the types are complementary. So one rule serves both: the sum of
 * w d over all best-effort batches on their way stays within a bound, a fraction of the tightest SLO (`DelayBound` searches it). This is Orion's
 * rule (section 4 of the policy: outstanding best-effort time, complementary types) at the level of batches and shares.
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
  /** Latency-critical work runs on the glet, or waits for it. */
  wanted: boolean
  /** Longest batch, ms, after which no latency-critical model of the GPU can be delayed by more than its bound. */
  withinBoundMs: number
  /** Longest batch, ms, beside which all that runs on other glets of the GPU still makes its deadlines. */
  withinSlackMs: number
  /** How long best-effort work may hold the glet up by the plan, without any latency-critical model missing its SLO. */
  plannedMs: number
  /** How long best-effort work has waited for the glet, ms. */
  waitedMs: number
}

/** Decides, batch by batch, how long best-effort work may hold a GPU. @since 0.1.0 @category gate */
export interface BestEffortGate {
  /** Longest batch, ms, that may start on the glet now; what takes longer must not. */
  readonly budgetMs: (state: GateState) => number
}

/** How patient the default gate is. @since 0.1.0 @category gate */
export interface GateOptions {
  /**
   * The part of a glet's time that best-effort work gets even where latency-critical work always waits, 0 to 1: after a wait of d/floor a batch of d
   * may start before it, as far as the plan allows. 0: it may starve.
   */
  readonly floor: number
}

/** What the default gate is made with. @since 0.1.0 @category gate */
export const defaultGateOptions: GateOptions = { floor: 0.01 }

/**
 * The gate of the online service.
 * @since 0.1.0
 * @category gate
 */
export const makeGate = ({ floor }: GateOptions = defaultGateOptions): BestEffortGate => ({
  budgetMs: ({ plannedMs, waitedMs, wanted, withinBoundMs, withinSlackMs }) =>
    Math.max(wanted ? 0 : Math.min(withinBoundMs, withinSlackMs), Math.min(plannedMs, floor * waitedMs))
})

/** The gate of the online service and the simulator. @since 0.1.0 @category gate */
export const defaultGate: BestEffortGate = makeGate()

/**
 * The gate before bounds were searched: nothing latency-critical waits or runs, and the plan's slack is all there is. For comparison.
 * @since 0.1.0
 * @category gate
 */
export const plannedGate: BestEffortGate = { budgetMs: ({ plannedMs, wanted }) => (wanted ? 0 : plannedMs) }

/** No gate: best-effort work starts whenever its glet is free. For comparison. @since 0.1.0 @category gate */
export const openGate: BestEffortGate = { budgetMs: ({ wanted }) => (wanted ? 0 : Infinity) }

/** @since 0.1.0 @category gate */
export type GateName = "gate" | "slack" | "open"

/** The gate of a name: ours, and those it is compared with. @since 0.1.0 @category gate */
export const gateNamed = (name: GateName, options: GateOptions = defaultGateOptions): BestEffortGate =>
  name === "gate" ? makeGate(options) : name === "slack" ? plannedGate : openGate
