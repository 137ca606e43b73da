/** Whether a request may queue: its model must be served, its queue have room, and its deadline be reachable behind those that go before it. */
import type { ModelUnavailable, RequestDropped } from "../../core/RequestError.js"
import { EndPrediction } from "./endPrediction.js"
import type { ModelLane } from "./graph.js"
import { unavailabilityOf } from "./requestEnds.js"
import type { Asked } from "./requestQueue.js"
import { defaultPriority } from "./ticket.js"

/**
 * Which requests of a model `wouldRefuse` refuses, as far as it can be said once for all of them.
 * @since 0.1.0
 * @category dispatching
 */
export interface AdmissionEdge {
  /**
   * Monotonic ms: the least request that arrived before is refused: with `queue-full` where this is Infinity, else with `deadline-unreachable`, to be
   * tried again after what it is too early by. -Infinity where nothing can be said: ask for each.
   */
  readonly arrivedMs: number
  /** When to try again where the queue is full, in ms from now. */
  readonly retryAfterMs: number
}

const noEdge: AdmissionEdge = { arrivedMs: -Infinity, retryAfterMs: 0 }
/** Steps in search of an edge; more are hardly ever needed, and without one requests are only asked about one by one. */
const edgeSteps = 4
/** What counts as just before, in ms: more than a time since 1970 is rounded by. */
const justBeforeMs = 0.001

export class Admission {
  private readonly prediction = new EndPrediction()
  /** The least request of a model: one item, no priority and no limit of its own. */
  private readonly least: { -readonly [K in keyof Asked]: Asked[K] } = {
    priority: defaultPriority, deadlineMs: 0, sloMs: 0, seq: 0, items: 1
  }

  /** `maxQueued`: requests of a model; `answerMs`: kept free before a deadline, but never more than a twentieth of the limit. */
  constructor(private readonly maxQueued: number, private readonly answerMs: number) {}

  /** When the execution of a request must have ended for its answer to be there within `limitMs` after it arrived. */
  deadlineMs(arrivedMs: number, limitMs: number): number {
    return arrivedMs + limitMs - Math.min(this.answerMs, limitMs / 20)
  }

  /** Why a request cannot be queued now; undefined where it can. */
  refusal(nowMs: number, lane: ModelLane, asked: Asked): RequestDropped | ModelUnavailable | undefined {
    if (lane.routes.length === 0) return unavailabilityOf(lane)
    if (lane.queuedRequests >= this.maxQueued) {
      return lane.refusals.dropped("queue-full", this.prediction.predictedEndMs(nowMs, lane, asked, lane.queuedItems) - nowMs)
    }
    if (asked.deadlineMs === Infinity) return lane.earliestEndMs(nowMs, asked.items) === Infinity ? unavailabilityOf(lane) : undefined
    const readyMs = this.readyMs(nowMs, lane, asked)
    if (readyMs <= asked.deadlineMs) return undefined
    return lane.hasReadyGlet ? lane.refusals.dropped("deadline-unreachable", readyMs - asked.deadlineMs) : unavailabilityOf(lane)
  }

  /**
   * How the least request, numbered `seq`, would be dropped now if its last byte came at `arrivedAtMs`. What an idle glet could make by its profile is
   * always offered to it: what it measured may be wrong, and only trying tells.
   */
  wouldDrop(nowMs: number, lane: ModelLane, seq: number, arrivedAtMs: number): RequestDropped | undefined {
    const least = this.leastOf(lane, seq)
    least.deadlineMs = this.deadlineMs(Math.min(arrivedAtMs, nowMs), least.sloMs)
    if (lane.isIdle && lane.mayDoubt(nowMs, least)) return undefined
    const error = this.refusal(nowMs, lane, least)
    return error?._tag === "RequestDropped" ? error : undefined
  }

  /** The edge of what `wouldDrop` drops; undefined: no lane to ask. */
  edge(nowMs: number, lane: ModelLane | undefined, seq: number): AdmissionEdge {
    if (lane === undefined || lane.routes.length === 0) return noEdge
    const least = this.leastOf(lane, seq)
    const limitMs = this.deadlineMs(0, least.sloMs)
    least.deadlineMs = nowMs + limitMs
    if (lane.queuedRequests >= this.maxQueued) {
      return { arrivedMs: Infinity, retryAfterMs: this.prediction.predictedEndMs(nowMs, lane, least, lane.queuedItems) - nowMs }
    }
    if (limitMs === Infinity || !lane.hasReadyGlet) return noEdge
    const nowEdgeMs = this.readyMs(nowMs, lane, least) - limitMs
    if (nowEdgeMs > nowMs) return this.edgeAt(nowMs, lane, limitMs, nowEdgeMs)
    // One that arrives now is taken: the edge lies before. The more urgent a request, the fewer go before it, so its end falls in steps: down
    // from end to end, until a request just before is refused.
    for (let step = 0, edgeMs = nowEdgeMs; step < edgeSteps; step++) {
      least.deadlineMs = edgeMs - justBeforeMs + limitMs
      const readyMs = this.readyMs(nowMs, lane, least)
      if (readyMs > least.deadlineMs) return this.edgeAt(nowMs, lane, limitMs, edgeMs)
      edgeMs = readyMs - limitMs
    }
    return noEdge
  }

  /**
   * When a request would be answered if it were queued now, and how far that can be trusted.
   *
   * The margin is for queues of its model: how fast whole batches go before it. What the next batch has room for costs its glet hardly anything, and is late by what
   * no margin foresees: a pause of the host, another model's batch. Refused for that it is lost for certain, and only the few that are taken could unlearn the
   * margin. Simulated, LeNet, of 5 ms on an H200 that it shares with three slower models, lost 87 % where those lost none, a twentieth of the GPU as it takes: with a third
   * of its limit for a margin it was refused whenever anything ran.
   */
  private readyMs(nowMs: number, lane: ModelLane, asked: Asked): number {
    const endMs = this.prediction.predictedEndMs(nowMs, lane, asked, lane.itemsBefore(asked))
    return this.prediction.isBehindBatches ? endMs + lane.marginMs(asked.sloMs) : endMs
  }

  private leastOf(lane: ModelLane, seq: number) {
    this.least.seq = seq
    this.least.sloMs = lane.model.sloMs ?? Infinity
    return this.least
  }

  /** What an idle glet could make by its profile is never refused unasked. */
  private edgeAt(nowMs: number, lane: ModelLane, limitMs: number, edgeMs: number): AdmissionEdge {
    const arrivedMs = lane.isIdle ? Math.min(edgeMs, lane.profiledEndMs(nowMs, 1) - limitMs) : edgeMs
    return Number.isFinite(arrivedMs) ? { arrivedMs, retryAfterMs: 0 } : noEdge
  }
}
