/**
 * One inference request on its way through the system, and what can become of it.
 *
 * These are hot objects: plain mutable classes without schemas, created once per request.
 *
 * @since 0.1.0
 */
import type { DirectTensor } from "./ClientMemory.js"
import type { RequestError } from "./RequestError.js"
import type { ModelName } from "./Ids.js"
import type { TensorSlot } from "./TensorArena.js"

/**
 * What a caller hands to `Scheduler.submit`. The slot holds the inputs in the model's `SlotLayout`; the outputs are written into the same slot.
 * The scheduler borrows the slot until the request ends; the caller releases it.
 * @since 0.1.0
 * @category requests
 */
export interface InferRequest {
  readonly model: ModelName
  readonly slot: TensorSlot
  /** Size of the batch dimension; 1 for a model that cannot batch. */
  readonly items: number
  /** Values of the layout's other symbols, in its order. Empty for most models. */
  readonly bindings: ReadonlyArray<number>
  /** The client's own limit in ms after arrival; the model's SLO where absent. */
  readonly timeoutMs?: number
  /** 0 is the model's default, 1 the highest, larger is lower (Triton's schedule_policy). */
  readonly priority?: number
  /**
   * `best-effort`: a request of a latency-critical model that has no objective. It waits apart from the others and runs as best-effort work does: when
   * the gate lets it, never before them; it counts neither in the model's rate nor in its statistics. The model's own class where absent.
   */
  readonly serviceClass?: "best-effort"
  /** Monotonic ms when the whole request was there, where the caller knows it: a slow uplink does not use up the SLO. */
  readonly arrivedAtMs?: number
  /** Tensors in clients' memory, which the slot has room for all the same. Their regions are held until the request ends. */
  readonly direct?: ReadonlyArray<DirectTensor>
  /** Echoed in logs. */
  readonly id?: string
}

/** Monotonic times in ms of one request's stations. @since 0.1.0 @category requests */
export interface RequestTimes {
  arrivedMs: number
  queuedMs: number
  batchClosedMs: number
  startedMs: number
  endedMs: number
}

/** An answered request: the outputs stand in its slot. @since 0.1.0 @category requests */
export interface InferResult {
  /** Version of the model that answered: while a new one comes, requests that were read as its own may still be the old one's. */
  readonly version: number
  readonly times: RequestTimes
  /** Items of the batch it was part of. */
  readonly batchItems: number
  /** Values of the symbols that only the execution knew (data-dependent output shapes), in the layout's order. */
  readonly outputBindings: ReadonlyArray<number>
  /** Outputs that did not fit the slot, by output index; undefined where all stand in the slot. */
  readonly overflow: ReadonlyArray<Uint8Array | undefined> | undefined
  /** Why tensors in its client's memory could not be read, or not written: then there is no answer, and it is the client's doing. */
  readonly directProblem?: string | undefined
}

/** How a request ends. @since 0.1.0 @category requests */
export type RequestEnd =
  | { readonly ok: true; readonly result: InferResult }
  | { readonly ok: false; readonly error: RequestError }
