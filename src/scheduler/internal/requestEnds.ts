/**
 * How requests end: each end is left for the caller, who tells the client, is counted, and teaches admission and the bound on delays by best-effort
 * work what their predictions were worth.
 */
import type { RequestEnd } from "../../core/Request.js"
import type { DropReason, ModelUnavailable, RequestError } from "../../core/RequestError.js"
import type { ModelLane, Ticket } from "./graph.js"

/** What to say of a model that no ready glet serves. */
export const unavailabilityOf = (lane: ModelLane): ModelUnavailable => {
  const { detail, reason } = (lane.base ?? lane).unavailable
  return lane.routes.length === 0
    ? lane.refusals.unavailable(reason, detail)
    : lane.refusals.unavailable("glet-exited")
}

export class RequestEnds {
  /** Requests that ended, in order, with `end` set; the caller empties it. */
  readonly ended: Array<Ticket> = []

  finish(nowMs: number, ticket: Ticket, end: RequestEnd): void {
    ticket.end = end
    ticket.times.endedMs = nowMs
    this.ended.push(ticket)
    const { lane } = ticket
    if (lane === undefined) return
    // A death says nothing of how well queueing is predicted.
    const died = ticket.displaced || (!end.ok && end.error._tag === "ModelUnavailable")
    if (ticket.admitted && !ticket.canceled && !died) lane.learnMargin(end.ok && nowMs <= ticket.deadlineMs)
    // A client's own shorter limit is not what the bound is to keep.
    if (!died && ticket.sloMs >= (lane.model.sloMs ?? Infinity)) {
      if (end.ok) lane.bound.observe(nowMs, nowMs - ticket.times.arrivedMs <= ticket.sloMs)
      else if (end.error._tag === "RequestDropped") lane.bound.observe(nowMs, false)
    }
    const { counters } = lane
    if (end.ok) {
      counters.answered += 1
      if (nowMs - ticket.times.arrivedMs <= ticket.sloMs) counters.withinSlo += 1
    } else if (end.error._tag === "RequestDropped") {
      lane.countDrop(nowMs, end.error.reason)
    } else if (end.error._tag === "RequestCanceled") {
      counters.canceled += 1
    } else {
      counters.failed += 1
    }
  }

  refuse(nowMs: number, ticket: Ticket, error: RequestError): Ticket {
    this.finish(nowMs, ticket, { ok: false, error })
    return ticket
  }

  drop(nowMs: number, ticket: Ticket, reason: DropReason, retryAfterMs: number): void {
    this.refuse(nowMs, ticket, ticket.lane!.refusals.dropped(reason, retryAfterMs))
  }

  /** Of a request whose client went away. */
  cancel(nowMs: number, ticket: Ticket): void {
    this.refuse(nowMs, ticket, ticket.lane!.refusals.canceled)
  }
}
