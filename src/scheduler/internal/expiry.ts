/** Queued requests that nothing can answer in time any more: when to look for them, and their end. */
import type { ModelLane, Ticket } from "./graph.js"
import type { RequestEnds } from "./requestEnds.js"
import { unavailabilityOf } from "./requestEnds.js"

/** How often the gate is asked again while best-effort work waits and nothing else happens, ms. */
const gateRetryMs = 20

export class Expiry {
  constructor(private readonly ends: RequestEnds) {}

  /** Ends the lane's requests that can no longer make their deadlines; all of them where it has no routes. */
  sweep(nowMs: number, lane: ModelLane): void {
    if (lane.queuedRequests === 0) return
    if (lane.routes.length > 0 && lane.earliestEndMs(nowMs, 1) <= lane.earliestDeadlineMs) return
    let earliestMs = Infinity
    for (const ticket of lane.queued()) {
      if (lane.routes.length === 0 || lane.earliestEndMs(nowMs, ticket.items) > ticket.deadlineMs) this.giveUp(nowMs, ticket)
      else if (ticket.deadlineMs < earliestMs) earliestMs = ticket.deadlineMs
    }
    lane.earliestDeadlineMs = earliestMs
  }

  /** When `sweep` may have something to do; Infinity where nothing waits. */
  wakeMs(nowMs: number, lane: ModelLane): number {
    if (lane.queuedRequests === 0) return Infinity
    const latestMs = lane.earliestDeadlineMs - (lane.earliestEndMs(nowMs, 1) - nowMs)
    for (const { victims } of lane.routes) if (victims.length > 0) return Math.min(latestMs, nowMs + gateRetryMs)
    return latestMs
  }

  /** Ends a queued request that nothing can answer in time. */
  giveUp(nowMs: number, ticket: Ticket): void {
    const lane = ticket.lane!
    lane.dequeue(ticket)
    if (lane.hasReadyGlet) this.ends.drop(nowMs, ticket, "expired", lane.earliestEndMs(nowMs, ticket.items) - nowMs)
    else this.ends.refuse(nowMs, ticket, unavailabilityOf(lane))
  }
}
