/**
 * When a request would be answered if it were queued now.
 *
 * The glets that serve its model take batches as they become free. What they take is known: each a batch of its steady size every period, which
 * is what it can do under a standing load with its part of the glet's time. The request runs in the first batch that the items before it leave
 * room in. Whole batches are counted, not a fluid: with SLOs of two or three executions the difference is whether a glet can be filled.
 *
 * Of what waits at the other models of a glet the next batch counts. Batch forming looks at all that waits together, and may take more of it first, or part a batch:
 * if nobody else comes, a request ends later than predicted by at most the batches that wait at the others and one of its own. Counting all of them would
 * refuse the requests of a model beside an overloaded one for ever, while the two would have taken turns.
 */
import type { ModelLane, Route } from "./graph.js"
import { laxityOf } from "./laxity.js"
import type { Asked } from "./requestQueue.js"

/** Batches looked ahead one by one where several glets serve a model; further ones are taken as a fluid. */
const batchesAhead = 64

/**
 * When `route` could begin a batch of its model: after what runs, and after the other models' requests that are more urgent. Not after one that can wait for this
 * request, or of a model that the glet owes less time, where that would miss behind it.
 */
const freeForMs = (route: Route, nowMs: number, asked: Asked): number => {
  const glet = route.glet
  const beginMs = glet.freeAtMs(nowMs)
  let freeAt = beginMs
  if (glet.critical.length > 1) {
    const ownMs = route.typicalMs(asked.items)
    const lastMs = route.safeOverheadMs + route.safeMs(asked.items)
    const laxity = laxityOf(beginMs, ownMs, asked.deadlineMs, asked.sloMs)
    for (const other of glet.critical) {
      const { lane } = other
      if (other === route || lane.queuedItems === 0 || laxityOf(beginMs, other.typicalMs(1), lane.earliestDeadlineMs, lane.model.sloMs ?? Infinity) >= laxity) continue
      const otherMs = other.typicalMs(Math.min(lane.queuedItems, other.steadyBatch))
      if (freeAt + otherMs + lastMs > asked.deadlineMs && (freeAt + lastMs + otherMs <= lane.earliestDeadlineMs || route.isOwed(nowMs, other))) continue
      freeAt += otherMs / readyRoutes(lane)
    }
  }
  return freeAt
}

const readyRoutes = (lane: ModelLane): number => {
  let ready = 0
  for (const route of lane.routes) if (route.glet.ready) ready += 1
  return Math.max(1, ready)
}

export class EndPrediction {
  private readonly routes: Array<Route> = []
  private readonly freeAtMs: Array<number> = []
  /** Whether the request that was last asked about would run behind whole batches of its own model, and not in the next one. */
  isBehindBatches = false

  /** Predicted end of a request behind `itemsBefore` items of its lane; Infinity where no glet can make its deadline at all. */
  predictedEndMs(nowMs: number, lane: ModelLane, asked: Asked, itemsBefore: number): number {
    const routes = this.routes
    const freeAtMs = this.freeAtMs
    const { items } = asked
    let count = 0
    let latest = Infinity
    this.isBehindBatches = false
    for (const route of lane.routes) {
      route.glet.refresh(nowMs)
      const free = freeForMs(route, nowMs, asked)
      const end = free + route.safeOverheadMs + route.safeMs(items)
      if (end < latest) latest = end
      // A glet that could not make it even with nothing before it leaves the request to the others.
      if (end > asked.deadlineMs || free === Infinity) continue
      routes[count] = route
      freeAtMs[count] = free
      count += 1
    }
    if (count === 0) return latest
    let before = itemsBefore
    let next = 0
    for (let step = 0; ; step++) {
      next = 0
      for (let i = 1; i < count; i++) if (freeAtMs[i]! < freeAtMs[next]!) next = i
      const route = routes[next]!
      if (before < route.steadyBatch) break
      this.isBehindBatches = true
      if (count === 1) {
        const batches = Math.floor(before / route.steadyBatch)
        freeAtMs[next]! += batches * route.periodMs
        before -= batches * route.steadyBatch
        break
      }
      if (step === batchesAhead) {
        let itemsPerMs = 0
        for (let i = 0; i < count; i++) itemsPerMs += routes[i]!.steadyBatch / routes[i]!.periodMs
        freeAtMs[next]! += before / itemsPerMs
        before = 0
        break
      }
      before -= route.steadyBatch
      freeAtMs[next]! += route.periodMs
    }
    const route = routes[next]!
    return freeAtMs[next]! + route.safeOverheadMs + route.safeMs(Math.max(items, Math.min(route.steadyBatch, before + items)))
  }
}
