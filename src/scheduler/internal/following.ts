/**
 * Which batches may be given to a glet behind one that still runs there. Only full ones: a smaller one would close the door on those who arrive
 * meanwhile; or, where several models share the glet, any behind executions that are hardly longer than the way to the runner and back: else the glet would
 * idle for as long as it computes. Only on the glet of its model that would end it soonest: bound to another it would wait there while that one is free. And only where a
 * request of another model that arrives right after it would still make its SLO, with what the plan leaves free of that.
 *
 * Full is what the plan runs at once. Most often nothing is, which `mayHoldFollower` tells without a look at any request.
 */
import type { GletLane, Queue, Route } from "./graph.js"

const isFull = (route: Route, queue: Queue): boolean => queue.items >= route.fullBatch

/** What runs may take so many times the way there and back for a batch to follow that is not full. */
const waysToFollow = 2

/**
 * Whether what runs on the glet of a latency-critical route ends soon. Of one model alone nobody else waits for the glet, and where best-effort work has the GPU
 * whenever the glet leaves it nothing idles.
 */
const endsSoon = (nowMs: number, { glet, spec }: Route): boolean =>
  !spec.bestEffort && glet.critical.length > 1 && glet.freeAtMs(nowMs) - nowMs < glet.overheadMs + waysToFollow * glet.wayMs && !glet.leavesTime

/** Whether some queue of the route's model holds a batch that may follow. */
export const mayHoldFollower = (nowMs: number, route: Route): boolean => {
  const { fullBatch, lane } = route
  if (lane.queuedItems === 0) return false
  if (endsSoon(nowMs, route)) return true
  if (lane.queuedItems < fullBatch) return false
  for (const queue of lane.queues) if (isFull(route, queue)) return true
  return false
}

/** Whether some route of the glet does. */
export const mayHaveFollower = (nowMs: number, glet: GletLane): boolean => {
  for (const route of glet.critical) if (mayHoldFollower(nowMs, route)) return true
  for (const route of glet.bestEffort) if (mayHoldFollower(nowMs, route)) return true
  return false
}

/** Whether another glet of the model would end so many items sooner, by prediction. */
const isSoonerElsewhere = (nowMs: number, startMs: number, route: Route, items: number): boolean => {
  const endMs = startMs + route.typicalMs(items)
  for (const other of route.lane.routes) {
    if (other !== route && other.glet.ready && other.glet.freeAtMs(nowMs) + other.typicalMs(items) < endMs) return true
  }
  return false
}

/** Whether a batch from this queue may follow what runs on the glet of the route, which will be free for it at `startMs`. */
export const mayFollow = (nowMs: number, startMs: number, route: Route, queue: Queue): boolean => {
  if (!isFull(route, queue) && !endsSoon(nowMs, route)) return false
  const items = Math.min(queue.items, route.batchLimit)
  if (isSoonerElsewhere(nowMs, startMs, route, items)) return false
  const { glet } = route
  if (glet.critical.length < 2) return true
  const endMs = startMs - nowMs + route.safeMs(items)
  for (const other of glet.critical) {
    if (other === route) continue
    if (endMs + other.safeMs(other.spec.planBatch) + 2 * glet.overheadMs + other.sparedFrom(route) > (other.lane.model.sloMs ?? Infinity)) return false
  }
  return true
}
