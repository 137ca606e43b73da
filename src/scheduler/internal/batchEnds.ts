/** What the end of a batch means: its requests are answered or run again, and what it took is learned; all batches of a glet that died end so too. */
import type { BatchEnd } from "../../core/Executor.js"
import type { BestEffortTurns } from "./bestEffortTurns.js"
import type { DispatchedBatch, GletLane } from "./graph.js"
import type { Lanes } from "./lanes.js"
import type { RequestEnds } from "./requestEnds.js"
import type { Retries } from "./retries.js"

const noBindings: ReadonlyArray<number> = []

interface BatchEndsParts {
  readonly lanes: Lanes
  readonly ends: RequestEnds
  readonly retries: Retries
  readonly turns: BestEffortTurns
}

export class BatchEnds {
  constructor(private readonly parts: BatchEndsParts) {}

  ended(nowMs: number, batch: DispatchedBatch, end: BatchEnd): void {
    if (batch.abandoned) return
    const { lanes, retries, turns } = this.parts
    const { glet, route } = batch
    const serviceMs = glet.finish(nowMs, batch)
    turns.end(nowMs, batch, serviceMs)
    lanes.forgetGlet(glet)
    if (end.ok) {
      const executionMs = end.inputMs + end.inferMs + end.outputMs
      // Predictions are of batches that follow others: what copies add to one that does not says nothing of how right they are.
      route.observe(nowMs, batch.items, executionMs - Math.min(batch.overlapMs, executionMs / 2), serviceMs)
      glet.observeOverhead(Math.max(0, serviceMs - executionMs), batch.isFollowing)
      this.answer(nowMs, batch, end)
    } else if (end.error._tag === "BatchFailed") {
      retries.batchFailed(nowMs, batch, end.error.detail)
    } else {
      // Nothing more for it; `gletLost` tells when it will be back.
      glet.ready = false
      glet.backAtMs = nowMs
      retries.batchDied(nowMs, batch, end.unstarted !== true)
    }
    lanes.forget(route.lane)
  }

  /** The glet died, and all that ran there at once. */
  allDied(nowMs: number, glet: GletLane): void {
    const { lanes, retries, turns } = this.parts
    for (const batch of glet.running.splice(0)) {
      turns.end(nowMs, batch)
      retries.batchDied(nowMs, batch, true)
    }
    lanes.forgetGlet(glet)
  }

  private answer(nowMs: number, { items, model, startMs, tickets }: DispatchedBatch, end: BatchEnd & { readonly ok: true }): void {
    const { ends } = this.parts
    for (let i = 0; i < tickets.length; i++) {
      const ticket = tickets[i]!
      ticket.lane!.inFlightRequests -= 1
      ticket.times.startedMs = startMs
      ticket.times.endedMs = nowMs
      if (ticket.canceled) {
        ends.cancel(nowMs, ticket)
        continue
      }
      ends.finish(nowMs, ticket, {
        ok: true,
        result: {
          version: model.version,
          times: ticket.times,
          batchItems: items,
          outputBindings: end.outputBindings?.[i] ?? noBindings,
          overflow: end.overflow?.[i],
          directProblem: end.directProblems?.get(i)
        }
      })
    }
  }
}
