/** Who of the best-effort models is next, by the glet time that each was given over its weight; and whom their batches on the way may delay. */
import type { DispatchedBatch, ModelLane } from "./graph.js"

export class BestEffortTurns {
  /** Turn of the model that was last served: who comes back from having nothing to do begins there. */
  private turnMs = 0

  /** A model that had nothing to do gets its first request. */
  join(lane: ModelLane): void {
    if (lane.model.serviceClass === "best-effort") lane.turnMs = Math.max(lane.turnMs, this.turnMs)
  }

  /** A batch starts: its model has had its turn, as far as can be foreseen. */
  begin(nowMs: number, { glet, predictedMs, route, typicalMs }: DispatchedBatch): void {
    if (!route.spec.bestEffort) return
    for (const { glet: victim, perMs } of route.victims) victim.intrude(perMs * predictedMs)
    glet.bestEffortAtMs = nowMs
    const { lane } = route
    this.turnMs = Math.max(this.turnMs, lane.turnMs)
    lane.turnMs += typicalMs / (lane.model.weight ?? 1)
  }

  /** A batch is over, after the glet was its own for `serviceMs`; undefined where that cannot be told, as its glet died. */
  end(nowMs: number, { glet, predictedMs, route, typicalMs }: DispatchedBatch, serviceMs?: number): void {
    if (!route.spec.bestEffort) return
    for (const { glet: victim, perMs } of route.victims) victim.leave(perMs * predictedMs)
    glet.bestEffortAtMs = nowMs
    if (serviceMs !== undefined) route.lane.turnMs += (serviceMs - typicalMs) / (route.lane.model.weight ?? 1)
  }
}
