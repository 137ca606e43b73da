/** Requests of batches that ended without an answer: they run again where that may help, their client still waits, and their deadline allows it. */
import type { RequestError } from "../../core/RequestError.js"
import { ExecutionFailed } from "../../core/RequestError.js"
import type { DispatchedBatch, Ticket } from "./graph.js"
import type { RequestEnds } from "./requestEnds.js"

export class Retries {
  /** `maxAttempts`: executions that may die under a request. */
  constructor(private readonly maxAttempts: number, private readonly ends: RequestEnds) {}

  /** The batch ran and failed: its requests run again one by one, so that only the culprit fails. */
  batchFailed(nowMs: number, batch: DispatchedBatch, detail: string): void {
    const isShared = batch.tickets.length > 1
    for (const ticket of batch.tickets) {
      if (isShared && !ticket.canceled) ticket.alone = true
      this.again(nowMs, ticket, isShared, () => new ExecutionFailed({ model: batch.model.name, detail }))
    }
  }

  /**
   * The batch's glet died: another, or its successor, may answer. Glets of one process die together, so that of those that follow each other only
   * the ones that a request may have killed count against it: `hadStarted`.
   */
  batchDied(nowMs: number, batch: DispatchedBatch, hadStarted: boolean): void {
    batch.abandoned = true
    for (const ticket of batch.tickets) {
      ticket.displaced = true
      if (hadStarted) ticket.attempts += 1
      this.again(nowMs, ticket, ticket.attempts < this.maxAttempts, () =>
        ticket.lane!.refusals.unavailable("glet-exited", `glet ${batch.glet.id}`))
    }
  }

  private again(nowMs: number, ticket: Ticket, allowed: boolean, error: () => RequestError): void {
    const lane = ticket.lane!
    lane.inFlightRequests -= 1
    if (ticket.canceled) {
      this.ends.cancel(nowMs, ticket)
    } else if (allowed && lane.earliestEndMs(nowMs, ticket.items) <= ticket.deadlineMs) {
      ticket.batch = undefined
      lane.enqueue(ticket)
    } else {
      this.ends.refuse(nowMs, ticket, error())
    }
  }
}
