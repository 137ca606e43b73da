/**
 * How much best-effort work a plan lets be done, for plans to be compared by: over a GPU while none of its latency-critical glets has anything to do, as if these
 * were busy independently of each other; on them between their batches. What is done beside them is not counted: it depends on what they can bear. Of each
 * model as if it alone had all of that time, over what it could do on a GPU of its own, summed over models.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Plan, PlannedGlet } from "../../core/Plan.js"
import type { PlanTables } from "./planTables.js"

/** Items per ms, typically. */
export const rateOf = ({ demands, problem }: PlanTables, gpuType: string, demand: number, sharePct: number, batch: number): number =>
  batch / problem.latency.typicalMs({ gpuType, model: demands[demand]!.model, sharePct, batch })

/** The batch of most throughput; undefined where nothing is known of the model on this share. */
export const bestBatch = (tables: PlanTables, gpuType: string, demand: number, sharePct: number): number | undefined => {
  let best: number | undefined
  let most = 0
  for (let batch = 1; batch <= tables.largestBatch(demand); batch++) {
    const rate = rateOf(tables, gpuType, demand, sharePct, batch)
    if (rate > most) [best, most] = [batch, rate]
  }
  return best
}

/** Items per ms on all of a GPU; 0 where nothing is known. */
export const rateAlone = (tables: PlanTables, { sharesPct, type }: Gpu, demand: number): number => {
  const batch = bestBatch(tables, type, demand, sharesPct.at(-1)!)
  return batch === undefined ? 0 : rateOf(tables, type, demand, sharesPct.at(-1)!, batch)
}

/** Part of its time that a glet is busy by the plan. */
export const busyPart = ({ assignments }: PlannedGlet): number =>
  Math.min(1, assignments.reduce((sum, { batch, latencyMs, rateRps }) => sum + (rateRps * latencyMs) / (1000 * batch), 0))

/** What is done on the GPUs of a plan that latency-critical work is on. */
export const bestEffortDone = (tables: PlanTables, { gpus }: Plan, demands: ReadonlyArray<number>): number => {
  const known = new Map(tables.problem.gpus.map((gpu) => [gpu.id, gpu]))
  return gpus.reduce((sum, { glets, gpu: id }) => {
    const gpu = known.get(id)!
    const ground = glets.filter(({ assignments }) => assignments.length > 0)
    const idle = ground.reduce((part, glet) => part * (1 - busyPart(glet)), 1)
    const isOver = (model: string): boolean => glets.some(({ bestEffort, overlay }) => overlay === true && bestEffort.some((work) => work.model === model))
    return demands.reduce((done, demand) => {
      const { model } = tables.demands[demand]!
      const between = ground.reduce((speed, glet) => {
        const work = glet.bestEffort.find((each) => each.model === model)
        return work === undefined ? speed : speed + ((1 - busyPart(glet)) * rateOf(tables, gpu.type, demand, glet.sharePct, work.batch)) / rateAlone(tables, gpu, demand)
      }, 0)
      // The one takes the time of the other, and more than all of it is of no use to the other models.
      return done + Math.min(1, Math.max(isOver(model) ? idle : 0, between))
    }, sum)
  }, 0)
}
