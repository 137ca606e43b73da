/**
 * How much best-effort work a plan lets be done, for plans to be compared by: on overlays whenever the others leave their share of the GPU free, as if these
 * were busy independently of each other; on latency-critical glets between their batches. Of each model as if it alone had all of that time, over what it
 * could do on a GPU of its own, summed over models.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Execution } from "../../core/LatencyModel.js"
import type { Plan, PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import type { PlanTables } from "./planTables.js"

/** Items per ms, typically. */
const rateOf = ({ problem, demands }: PlanTables, gpuType: string, demand: number, sharePct: number, batch: number): number =>
  batch / problem.latency.typicalMs({ gpuType, model: demands[demand]!.model, sharePct, batch })

const bestBatches = new WeakMap<PlanTables, Map<string, number | undefined>>()

/** The batch of most throughput; undefined where nothing is known of the model on this share. */
export const bestBatch = (tables: PlanTables, gpuType: string, demand: number, sharePct: number): number | undefined => {
  const known = bestBatches.get(tables) ?? new Map<string, number | undefined>()
  bestBatches.set(tables, known)
  const key = `${demand} ${sharePct} ${gpuType}`
  if (known.has(key)) return known.get(key)
  let best: number | undefined
  let most = 0
  for (let batch = 1; batch <= tables.largestBatch(demand); batch++) {
    const rate = rateOf(tables, gpuType, demand, sharePct, batch)
    if (rate > most) [best, most] = [batch, rate]
  }
  known.set(key, best)
  return best
}

/** On the share where it is largest. */
const largestRate = (tables: PlanTables, { sharesPct, type }: Gpu, demand: number): number =>
  sharesPct.reduce((most, sharePct) => {
    const batch = bestBatch(tables, type, demand, sharePct)
    return batch === undefined ? most : Math.max(most, rateOf(tables, type, demand, sharePct, batch))
  }, 0)

/** What latency-critical glets run, each group one after the other. */
const groupsOf = (gpu: Gpu, glets: ReadonlyArray<PlannedGlet>): ReadonlyArray<ReadonlyArray<Execution>> =>
  glets.flatMap(({ assignments, sharePct }) =>
    assignments.length === 0 ? [] : [assignments.map(({ batch, model }): Execution => ({ gpuType: gpu.type, model, sharePct, batch }))])

/** Part of its time that a glet is busy by the plan, where its batches take so many times as long. */
const busyPart = ({ assignments }: PlannedGlet, slowdown = 1): number =>
  Math.min(1, assignments.reduce((sum, { batch, latencyMs, rateRps }) => sum + (slowdown * rateRps * latencyMs) / (1000 * batch), 0))

/** By whole percent p: how likely glets claim p of the GPU together while an execution runs wherever they leave its share free. */
const claimedBeside = ({ problem }: PlanTables, gpu: Gpu, glets: ReadonlyArray<PlannedGlet>, here: Execution): Float64Array => {
  let likely = Float64Array.of(1, ...new Array<number>(100).fill(0))
  for (const glet of glets) {
    const isBeside = problem.options.interference && glet.sharePct + here.sharePct <= 100
    const slowdown = isBeside ? groupsOf(gpu, [glet]).flat().reduce((most, each) => Math.max(most, problem.latency.slowdown(each, [[here]])), 1) : 1
    const busy = busyPart(glet, slowdown)
    if (busy > 0) likely = likely.map((_, claimed) => (1 - busy) * likely[claimed]! + (claimed >= glet.sharePct ? busy * likely[claimed - glet.sharePct]! : 0))
  }
  return likely
}

const doneOn = (tables: PlanTables, gpu: Gpu, { glets }: PlannedGpu, demands: ReadonlyArray<number>, sharePct: number): number => {
  const { latency, options } = tables.problem
  const ground = glets.filter(({ overlay }) => overlay !== true)
  const groundPct = ground.reduce((sum, glet) => sum + glet.sharePct, 0)
  const groups = groupsOf(gpu, ground)
  return demands.reduce((sum, demand) => {
    const batch = bestBatch(tables, gpu.type, demand, sharePct)
    if (batch === undefined) return sum
    const here: Execution = { gpuType: gpu.type, model: tables.demands[demand]!.model, sharePct, batch }
    const likely = claimedBeside(tables, gpu, ground, here)
    const excess = options.interference ? latency.slowdown(here, groups) - 1 : 0
    let speed = 0
    for (let claimed = 0; claimed <= 100 - sharePct; claimed++) speed += likely[claimed]! / (1 + (excess * claimed) / Math.max(1, groundPct))
    return sum + (speed * rateOf(tables, gpu.type, demand, sharePct, batch)) / largestRate(tables, gpu, demand)
  }, 0)
}

/** The share of an overlay on which most is done; the larger of equals. */
export const bestShare = (tables: PlanTables, gpu: Gpu, planned: PlannedGpu, demands: ReadonlyArray<number>): number | undefined => {
  let best: number | undefined
  let most = 0
  for (const sharePct of gpu.sharesPct) {
    const done = doneOn(tables, gpu, planned, demands, sharePct)
    if (done > 0 && done >= most * (1 - 1e-9)) [best, most] = [sharePct, done]
  }
  return best
}

const doneBetween = (tables: PlanTables, gpu: Gpu, { glets }: PlannedGpu): number => {
  const numbers = new Map(tables.problem.demands.map(({ model }, i) => [model, i]))
  return glets.reduce((sum, glet) => {
    if (glet.assignments.length === 0) return sum
    const speed = glet.bestEffort.reduce((total, { batch, model }) => {
      const demand = numbers.get(model)!
      return total + rateOf(tables, gpu.type, demand, glet.sharePct, batch) / largestRate(tables, gpu, demand)
    }, 0)
    return sum + (1 - busyPart(glet)) * speed
  }, 0)
}

/** What is done on the GPUs of a plan that latency-critical work is on. */
export const bestEffortDone = (tables: PlanTables, { gpus }: Plan, demands: ReadonlyArray<number>): number => {
  const known = new Map(tables.problem.gpus.map((gpu) => [gpu.id, gpu]))
  return gpus.reduce((sum, planned) => {
    const overlay = planned.glets.find((glet) => glet.overlay === true)
    const gpu = known.get(planned.gpu)!
    // The one takes the time of the other.
    return sum + Math.max(overlay === undefined ? 0 : doneOn(tables, gpu, planned, demands, overlay.sharePct), doneBetween(tables, gpu, planned))
  }, 0)
}
