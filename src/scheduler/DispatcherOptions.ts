/**
 * What requests are held to, and how the online service dispatches by default.
 *
 * @since 0.1.0
 */
import type { BestEffortGate } from "./BestEffortGate.js"
import { defaultGate } from "./BestEffortGate.js"
import type { DelayBoundOptions } from "./DelayBound.js"
import { defaultDelayBoundOptions } from "./DelayBound.js"

/** What the dispatcher holds requests to. @since 0.1.0 @category dispatching */
export interface DispatcherOptions {
  /** Requests that may wait for one model; more are refused with `queue-full`. */
  readonly maxQueued: number
  /** Executions that may die under a request before it is given up: a request that kills its glet must not kill them all. */
  readonly maxAttempts: number
  /** Kept free before a deadline for the answer's way to the client, in ms; never more than a twentieth of the limit. */
  readonly answerMs: number
  /** First guess of what a batch takes besides its execution, in ms; then it is measured. */
  readonly overheadMs: number
  readonly gate: BestEffortGate
  /**
   * Whether latency-critical requests gather for larger batches, as far as their objectives allow, while best-effort work that gives way can use the
   * GPU; else each starts as soon as a glet is free.
   */
  readonly gather: boolean
  /** How the bound on delays by best-effort work is searched. */
  readonly delayBound: DelayBoundOptions
}

/** What the online service dispatches by. @since 0.1.0 @category dispatching */
export const defaultDispatcherOptions: DispatcherOptions = {
  maxQueued: 4096, maxAttempts: 2, answerMs: 0.5, overheadMs: 0.2, gate: defaultGate, gather: true, delayBound: defaultDelayBoundOptions
}
