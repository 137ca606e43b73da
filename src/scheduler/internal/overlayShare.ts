/**
 * The share of a GPU for best-effort work that gives way: it computes whenever the latency-critical glets leave that much free. All of the GPU where there is one
 * of them; where several are seldom idle at once, less, which is free more often and does less. Reckoned as if they were busy independently of each other.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Execution } from "../../core/LatencyModel.js"
import type { PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import { bestBatch, rateAlone, rateOf } from "./bestEffortRates.js"
import type { PlanTables } from "./planTables.js"

/** Parts of their time that glets are busy; those left out are not. */
export type BusyParts = ReadonlyMap<PlannedGlet, number>

/** What latency-critical glets run, each group one after the other. */
const groupsOf = (gpu: Gpu, glets: ReadonlyArray<PlannedGlet>): ReadonlyArray<ReadonlyArray<Execution>> =>
  glets.flatMap(({ assignments, sharePct }) =>
    assignments.length === 0 ? [] : [assignments.map(({ batch, model }): Execution => ({ gpuType: gpu.type, model, sharePct, batch }))])

/** By whole percent p: how likely glets claim p of the GPU together while an execution runs wherever they leave its share free. */
const claimedBeside = ({ problem }: PlanTables, busyParts: BusyParts, gpu: Gpu, glets: ReadonlyArray<PlannedGlet>, here: Execution): Float64Array => {
  let likely = Float64Array.of(1, ...new Array<number>(100).fill(0))
  for (const glet of glets) {
    const isBeside = problem.options.interference && glet.sharePct + here.sharePct <= 100
    const slowdown = isBeside ? groupsOf(gpu, [glet]).flat().reduce((most, each) => Math.max(most, problem.latency.slowdown(each, [[here]])), 1) : 1
    const busy = Math.min(1, slowdown * (busyParts.get(glet) ?? 0))
    if (busy > 0) likely = likely.map((_, claimed) => (1 - busy) * likely[claimed]! + (claimed >= glet.sharePct ? busy * likely[claimed - glet.sharePct]! : 0))
  }
  return likely
}

/** Of each model as if it alone had the time, over what it could do on a GPU of its own, summed over models. */
export const doneOver = (tables: PlanTables, busyParts: BusyParts, gpu: Gpu, { glets }: Pick<PlannedGpu, "glets">, demands: ReadonlyArray<number>, sharePct: number): number => {
  const { latency, options } = tables.problem
  const groundPct = glets.reduce((sum, glet) => sum + glet.sharePct, 0)
  const groups = groupsOf(gpu, glets)
  return demands.reduce((sum, demand) => {
    const batch = bestBatch(tables, gpu.type, demand, sharePct)
    const alone = rateAlone(tables, gpu, demand)
    if (batch === undefined || alone === 0) return sum
    const here: Execution = { gpuType: gpu.type, model: tables.demands[demand]!.model, sharePct, batch }
    const likely = claimedBeside(tables, busyParts, gpu, glets, here)
    const excess = options.interference ? latency.slowdown(here, groups) - 1 : 0
    let speed = 0
    for (let claimed = 0; claimed <= 100 - sharePct; claimed++) speed += likely[claimed]! / (1 + (excess * claimed) / Math.max(1, groundPct))
    return sum + (speed * rateOf(tables, gpu.type, demand, sharePct, batch)) / alone
  }, 0)
}

/** The share on which most is done; the larger of equals. */
export const overlayShare = (tables: PlanTables, busyParts: BusyParts, gpu: Gpu, planned: PlannedGpu, demands: ReadonlyArray<number>): number | undefined => {
  if (planned.glets.length === 1) return gpu.sharesPct.at(-1)
  let best: number | undefined
  let most = 0
  for (const sharePct of gpu.sharesPct) {
    const done = doneOver(tables, busyParts, gpu, planned, demands, sharePct)
    if (done > 0 && done >= most * (1 - 1e-9)) [best, most] = [sharePct, done]
  }
  return best
}
