/** One request's state from its offer to its end. */
import type { InferRequest, RequestEnd, RequestTimes } from "../../core/Request.js"
import type { Queueable } from "./requestQueue.js"

/** Where requests without a priority stand: 1 to 99 go before them, 101 and more after. */
export const defaultPriority = 100

/** `Lane` is its model's, `Batch` the one that it runs in. */
export class TicketOf<Lane, Batch> implements Queueable {
  readonly items: number
  heapIndex = -1
  /** Executions that died under it. */
  attempts = 0
  /** A glet's death took it from there, whether or not it ran. */
  displaced = false
  /** It shared a batch that failed: it runs by itself, so that the culprit is found and the others are answered. */
  alone = false
  admitted = false
  canceled = false
  batch: Batch | undefined = undefined
  end: RequestEnd | undefined = undefined

  constructor(
    readonly request: InferRequest,
    readonly onEnd: (end: RequestEnd) => void,
    /** Undefined for a name that no model has. */
    readonly lane: Lane | undefined,
    /** Order of arrival. */
    readonly seq: number,
    readonly priority: number,
    /** Monotonic ms when the execution must have ended. */
    readonly deadlineMs: number,
    /** The limit it is held to, in ms after arrival. */
    readonly sloMs: number,
    readonly times: RequestTimes
  ) {
    this.items = request.items
  }
}
