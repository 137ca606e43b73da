/**
 * Overlays: a glet of best-effort work over the latency-critical glets of its GPU. It has what they leave, moment by moment, instead of a share that
 * they never get back; the gate says when its batches may start.
 *
 * Where batches give way (`Gpu.preemptMs`) that is what best-effort work gets by default, on a share that is found for each GPU (overlayShare.ts).
 */
import type { Gpu } from "../../core/Gpu.js"
import { unsafeGletId } from "../../core/Ids.js"
import type { Plan, PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import { plannedLatencyMs } from "../../core/ValidatePlan.js"
import { bestEffortDone, busyPartsOf } from "./bestEffortDone.js"
import { bestBatch } from "./bestEffortRates.js"
import { priorityOf } from "./draftToPlan.js"
import { gletsAllowed } from "./gletSolver.js"
import type { BusyParts } from "./overlayShare.js"
import { overlayShare } from "./overlayShare.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { PlanTables } from "./planTables.js"

const memoryOf = (tables: PlanTables, numbers: ReadonlyMap<string, number>, { glets, type }: PlannedGpu): number =>
  glets.reduce((sum, { assignments, bestEffort }) =>
    [...assignments, ...bestEffort].reduce((bytes, { model }) => bytes + tables.memoryBytes(type, numbers.get(model)!), sum + tables.gletMemoryBytes(type)), 0)

/** Whether best-effort work lies over the others: where it is asked for, and by default where it gives way. */
export const usesOverlays = ({ gpus, options }: PlanProblem): boolean =>
  options.overlayPct !== undefined || (gpus.length > 0 && gpus.every(({ preemptMs }) => preemptMs !== undefined))

/** The overlay of a GPU, with those of the demands that memory allows, the first ones first; undefined where none can be. */
const overlayOf = (tables: PlanTables, busyParts: BusyParts, numbers: ReadonlyMap<string, number>, gpu: Gpu, planned: PlannedGpu, demands: ReadonlyArray<number>): PlannedGlet | undefined => {
  const { problem } = tables
  const { overlayPct } = problem.options
  const sharePct = overlayPct === undefined ? overlayShare(tables, busyParts, gpu, planned, demands) : gpu.sharesPct.filter((share) => share <= overlayPct).at(-1)
  if (sharePct === undefined || planned.glets.length >= gletsAllowed(tables, gpu)) return undefined
  let leftBytes = gpu.memoryBytes * problem.options.memoryFraction - memoryOf(tables, numbers, planned) - tables.gletMemoryBytes(gpu.type)
  const works = demands.flatMap((demand) => {
    const batch = bestBatch(tables, gpu.type, demand, sharePct)
    const bytes = tables.memoryBytes(gpu.type, demand)
    if (batch === undefined || bytes > leftBytes) return []
    leftBytes -= bytes
    return [{ model: tables.demands[demand]!.model, batch, blockingMs: 0 }]
  })
  if (works.length === 0) return undefined
  const glet: PlannedGlet = {
    id: unsafeGletId(`${gpu.id}/${planned.glets.length}`), sharePct, priority: priorityOf(problem.options, true), overlay: true, dutyMs: 0, assignments: [], bestEffort: works
  }
  return { ...glet, bestEffort: works.map((work) => ({ ...work, blockingMs: plannedLatencyMs(problem, planned, glet, work) })) }
}

/** By how much more best-effort work must be done beside more glets: these are slower, and what is counted on is a guess, a better one where requests gather. */
const worthSplitting = { gathering: 1.02, atOnce: 1.4 }

/** Of plans with ever fewer glets, with overlays laid over them, the one with the fewest in which about as much best-effort work is done as in any. */
export const bestOverlaid = (tables: PlanTables, plans: ReadonlyArray<Plan>, demands: ReadonlyArray<number>): Plan => {
  const laid = plans.map((plan) => layOverlays(tables, plan, demands))
  if (laid.length === 1) return laid[0]!
  const done = laid.map((plan) => bestEffortDone(tables, plan, demands))
  const enough = Math.max(...done) / (tables.problem.options.gather === false ? worthSplitting.atOnce : worthSplitting.gathering)
  return laid[done.findLastIndex((each) => each >= enough)]!
}

/** Lays an overlay with the best-effort demands over every GPU that has latency-critical work; demands that lie nowhere are added to the shortfalls. */
const layOverlays = (tables: PlanTables, plan: Plan, demands: ReadonlyArray<number>): Plan => {
  const { problem } = tables
  const known = new Map(problem.gpus.map((gpu) => [gpu.id as string, gpu]))
  const numbers = new Map(problem.demands.map(({ model }, i) => [model as string, i]))
  const busyParts = busyPartsOf(tables, plan)
  const gpus = plan.gpus.map((planned) => {
    if (planned.glets.every(({ assignments }) => assignments.length === 0)) return planned
    const overlay = overlayOf(tables, busyParts, numbers, known.get(planned.gpu)!, planned, demands)
    return overlay === undefined ? planned : { ...planned, glets: [...planned.glets, overlay] }
  })
  const placed = new Set<string>(gpus.flatMap(({ glets }) => glets.flatMap(({ bestEffort }) => bestEffort.map(({ model }) => model))))
  const unplaced = demands.map((demand) => problem.demands[demand]!).filter(({ model }) => !placed.has(model))
  return {
    ...plan, gpus,
    shortfalls: [
      ...plan.shortfalls,
      ...unplaced.map(({ model, rateRps }) => ({
        model, askedRps: rateRps >= 0 && rateRps < Infinity ? rateRps : 0, plannedRps: 0,
        reason: `no GPU has memory for it over its latency-critical models, or nothing was measured on a share of ${problem.options.overlayPct ?? 100} % or less`
      }))
    ]
  }
}
