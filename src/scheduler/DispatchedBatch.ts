/**
 * A batch on its way: formed by the dispatcher, started by whoever has the glet.
 *
 * @since 0.1.0
 */
import type { Batch } from "../core/Executor.js"
import type { Model } from "../core/Model.js"
import type { InferRequest } from "../core/Request.js"
import type { GletLane } from "./internal/gletLane.js"
import type { Route } from "./internal/route.js"
import type { Ticket } from "./internal/ticket.js"

/** A batch for a glet to start. @since 0.1.0 @category dispatching */
export class DispatchedBatch implements Batch {
  /** When it began to have the glet for itself, monotonic ms; known for the first of a glet's batches. */
  startMs = Infinity
  /** Its glet died and its requests were queued again: its end means nothing. */
  abandoned = false

  constructor(
    readonly id: number,
    readonly model: Model,
    readonly entries: ReadonlyArray<InferRequest>,
    readonly items: number,
    readonly tickets: ReadonlyArray<Ticket>,
    readonly route: Route,
    readonly pulledMs: number,
    /** Predicted duration that few batches exceed, ms. */
    readonly predictedMs: number,
    readonly typicalMs: number,
    /** The earliest deadline of its requests. */
    readonly deadlineMs: number
  ) {}

  get glet(): GletLane {
    return this.route.glet
  }
}
