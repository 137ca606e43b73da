/** What best-effort work can do on shares of a GPU. */
import type { Gpu } from "../../core/Gpu.js"
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
