/**
 * How much best-effort work a plan lets be done, for plans to be compared by, in GPUs' worth of it: all of what idle GPUs can do; over the others while their
 * latency-critical glets leave enough of the GPU free; between the batches of these, where it lies on them. What is done beside them is not counted: it
 * depends on what they can bear. Of each model as if it alone had all of that time, summed over models and divided by their number.
 */
import type { Plan, PlannedGlet } from "../../core/Plan.js"
import { rateAlone, rateOf } from "./bestEffortRates.js"
import { busyParts } from "./formedBatches.js"
import type { BusyParts } from "./overlayShare.js"
import { doneOver } from "./overlayShare.js"
import type { PlanTables } from "./planTables.js"

/** Whether latency-critical requests gather on the GPUs of a plan. */
const gathersOn = ({ problem }: PlanTables): (id: string) => boolean => {
  const yielding = new Set<string>(problem.gpus.flatMap(({ id, preemptMs }) => (preemptMs === undefined ? [] : [id])))
  return (id) => problem.options.gather !== false && yielding.has(id)
}

/** Parts of their time that a plan's latency-critical glets are busy, best-effort work having the rest. */
export const busyPartsOf = (tables: PlanTables, plan: Pick<Plan, "gpus">): BusyParts => {
  const gathers = gathersOn(tables)
  return busyParts(tables, plan, ({ gpu }) => gathers(gpu))
}

export const bestEffortDone = (tables: PlanTables, plan: Pick<Plan, "gpus">, demands: ReadonlyArray<number>): number => {
  const busy = busyPartsOf(tables, plan)
  const gathers = gathersOn(tables)
  const known = new Map(tables.problem.gpus.map((gpu) => [gpu.id, gpu]))
  let done = 0
  for (const { glets, gpu: id } of plan.gpus) {
    const gpu = known.get(id)!
    const ground = glets.filter(({ assignments }) => assignments.length > 0)
    const lies = (glet: PlannedGlet, demand: number) => glet.bestEffort.find(({ model }) => model === tables.demands[demand]!.model)
    for (const demand of demands) {
      const alone = rateAlone(tables, gpu, demand)
      if (alone === 0) continue
      let over = 0
      let between = 0
      for (const glet of glets) {
        const work = lies(glet, demand)
        if (work === undefined) continue
        if (glet.overlay === true) over = Math.max(over, doneOver(tables, busy, gpu, { glets: ground }, [demand], glet.sharePct))
        // A glet on which requests gather has some nearly always.
        else if (ground.length === 0 || !gathers(id)) between += ((1 - (busy.get(glet) ?? 0)) * rateOf(tables, gpu.type, demand, glet.sharePct, work.batch)) / alone
      }
      // The one takes the time of the other, and more than all of it is of no use to the other models.
      done += Math.min(1, Math.max(over, between))
    }
  }
  return done / Math.max(1, demands.length)
}
