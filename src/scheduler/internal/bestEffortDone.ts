/**
 * How much best-effort work a plan lets be done, for plans to be compared by: over all of a GPU while none of its latency-critical glets has anything to do,
 * as if these were busy independently of each other; on them between their batches. Of each model as if it alone had all of that time, over what it could do
 * on a GPU of its own, summed over models.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Plan, PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import type { PlanTables } from "./planTables.js"

/** Items per ms, typically. */
const rateOf = ({ demands, problem }: PlanTables, gpuType: string, demand: number, sharePct: number, batch: number): number =>
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
const rateAlone = (tables: PlanTables, { sharesPct, type }: Gpu, demand: number): number => {
  const batch = bestBatch(tables, type, demand, sharesPct.at(-1)!)
  return batch === undefined ? 0 : rateOf(tables, type, demand, sharesPct.at(-1)!, batch)
}

/** Part of its time that a glet is busy by the plan. */
const busyPart = ({ assignments }: PlannedGlet): number =>
  Math.min(1, assignments.reduce((sum, { batch, latencyMs, rateRps }) => sum + (rateRps * latencyMs) / (1000 * batch), 0))

const doneBetween = (tables: PlanTables, gpu: Gpu, { glets }: PlannedGpu, alone: ReadonlyMap<string, number>): number => {
  const numbers = new Map(tables.problem.demands.map(({ model }, i) => [model, i]))
  return glets.reduce((sum, glet) => {
    if (glet.assignments.length === 0) return sum
    const speed = glet.bestEffort.reduce((total, { batch, model }) =>
      total + rateOf(tables, gpu.type, numbers.get(model)!, glet.sharePct, batch) / alone.get(model)!, 0)
    return sum + (1 - busyPart(glet)) * speed
  }, 0)
}

/** What is done on the GPUs of a plan that latency-critical work is on. */
export const bestEffortDone = (tables: PlanTables, { gpus }: Plan, demands: ReadonlyArray<number>): number => {
  const known = new Map(tables.problem.gpus.map((gpu) => [gpu.id, gpu]))
  const byType = new Map<string, ReadonlyMap<string, number>>()
  const aloneOn = (gpu: Gpu): ReadonlyMap<string, number> => {
    const alone = byType.get(gpu.type) ?? new Map(demands.map((demand) => [tables.demands[demand]!.model as string, rateAlone(tables, gpu, demand)]))
    byType.set(gpu.type, alone)
    return alone
  }
  return gpus.reduce((sum, planned) => {
    const gpu = known.get(planned.gpu)!
    const overlay = planned.glets.find((glet) => glet.overlay === true)
    const idle = planned.glets.reduce((part, glet) => part * (1 - busyPart(glet)), 1)
    // The one takes the time of the other.
    return sum + Math.max(idle * (overlay?.bestEffort.length ?? 0), doneBetween(tables, gpu, planned, aloneOn(gpu)))
  }, 0)
}
