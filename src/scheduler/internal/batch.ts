/** A batch on its way: formed by the dispatcher, started by whoever has the glet. */
import type { Batch } from "../../core/Executor.js"
import type { Model } from "../../core/Model.js"
import type { InferRequest } from "../../core/Request.js"

interface RouteOfBatch {
  readonly glet: unknown
  readonly overlapMs: (items: number) => number
}

export class BatchOf<R extends RouteOfBatch, T> implements Batch {
  /** When it began to have the glet for itself, monotonic ms; known for the first of a glet's batches. */
  startMs = Infinity
  /** Its glet died and its requests were queued again: its end means nothing. */
  abandoned = false

  constructor(
    readonly id: number,
    readonly model: Model,
    readonly entries: ReadonlyArray<InferRequest>,
    readonly items: number,
    readonly tickets: ReadonlyArray<T>,
    readonly route: R,
    readonly pulledMs: number,
    /** Predicted duration that few batches exceed, ms. */
    readonly predictedMs: number,
    readonly typicalMs: number,
    /** The earliest deadline of its requests. */
    readonly deadlineMs: number
  ) {}

  get glet(): R["glet"] {
    return this.route.glet
  }

  /** Of one that ended: whether another ran when it came to the glet. */
  get isFollowing(): boolean {
    return this.startMs > this.pulledMs
  }

  /** Of one that ended: what it took longer, in ms, because it did not follow another. */
  get overlapMs(): number {
    return this.isFollowing ? 0 : this.route.overlapMs(this.items)
  }
}
