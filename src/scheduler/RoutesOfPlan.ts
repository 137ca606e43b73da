/**
 * What the dispatcher needs to know of a plan: for every model on every glet its predictions by batch, and how large a batch may be.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"
import type { Execution } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"
import type { Assignment, BestEffortAssignment, Plan, PlannedGlet, PlannedGpu } from "../core/Plan.js"
import { gletsOf } from "../core/Plan.js"
import type { PlanProblem } from "../core/PlanProblem.js"
import { plannedLatencyMs } from "../core/ValidatePlan.js"
import type { GletRoutes, Intrusion, ModelRoute } from "./GletRoutes.js"

/** Largest table: beyond it an item costs what it costs on average in the largest batch. */
const tableLimit = 4096

/**
 * Planning latencies by batch, interference and head-room as at the planned batch; as far as the profile goes.
 */
const tabulate = (
  problem: PlanProblem, gpu: PlannedGpu, glet: PlannedGlet, work: { readonly model: ModelName; readonly batch: number }, maxBatch: number
): { readonly latencyMs: Float64Array; readonly typicalMs: Float64Array; readonly typicalRatio: number; readonly medianRatio: number; readonly overlapMs?: Float64Array } => {
  const at = (batch: number) => ({ gpuType: gpu.type, model: work.model, sharePct: glet.sharePct, batch })
  const planned = plannedLatencyMs(problem, gpu, glet, work)
  const alone = problem.latency.latencyMs(at(work.batch))
  const factor = Number.isFinite(planned / alone) ? planned / alone : 1
  const latencyMs: Array<number> = [0]
  const typicalMs: Array<number> = [0]
  for (let batch = 1; batch <= Math.min(Math.max(maxBatch, work.batch), tableLimit); batch++) {
    const latency = problem.latency.latencyMs(at(batch)) * factor
    if (!Number.isFinite(latency)) break
    latencyMs.push(Math.max(latency, latencyMs[batch - 1]!))
    typicalMs.push(problem.latency.typicalMs(at(batch)))
  }
  const typical = problem.latency.typicalMs(at(work.batch))
  const typicalRatio = typical / planned
  const medianRatio = typical / (alone * problem.options.latencyHeadroom)
  const overlapMs = latencyMs.map((_, batch) => (batch === 0 ? 0 : problem.latency.overlapMs?.(gpu.type, work.model, batch) ?? 0))
  return {
    latencyMs: Float64Array.from(latencyMs), typicalMs: Float64Array.from(typicalMs),
    typicalRatio: typicalRatio > 0 && typicalRatio <= 1 ? typicalRatio : 1, medianRatio: medianRatio > 0 && medianRatio <= 1 ? medianRatio : 1,
    ...(overlapMs.some((ms) => ms > 0) ? { overlapMs: Float64Array.from(overlapMs) } : {})
  }
}

/** Largest batch of a table that takes at most `limitMs`, at least the planned one. */
const largestWithin = (latencyMs: Float64Array, planBatch: number, limitMs: number): number => {
  let largest = Math.min(planBatch, latencyMs.length - 1)
  while (largest + 1 < latencyMs.length && latencyMs[largest + 1]! <= limitMs) largest += 1
  return largest
}

/** Less throughput than this part of the best is a loss; what is between is noise of the profile. */
const efficientRatio = 0.98

/**
 * The largest batch up to `limit` that carries about as much as the best one does. Where throughput falls again beyond some batch, a larger one
 * serves nobody: those in it wait longer, and fewer are served. Never below the planned batch. By typical durations: of a 99th percentile that few
 * executions were measured for, one that was disturbed would forbid all larger batches.
 */
const largestEfficient = (typicalMs: Float64Array, planBatch: number, limit: number): number => {
  let most = 0
  for (let batch = 1; batch <= limit; batch++) most = Math.max(most, batch / typicalMs[batch]!)
  let largest = limit
  while (largest > planBatch && largest / typicalMs[largest]! < efficientRatio * most) largest -= 1
  return largest
}

const smallest = (values: ReadonlyArray<number>): number => values.reduce((least, value) => Math.min(least, value), Infinity)

/**
 * The routes of one glet. A batch may be larger than planned as far as it is worth it, and the others on the glet can bear it by the slack the
 * plan leaves them.
 * Works whose model is not in `models`, or of whose latency nothing is known, have no route.
 */
const routesOfGlet = (
  problem: PlanProblem, gpu: PlannedGpu, glet: PlannedGlet, models: ReadonlyMap<ModelName, Model>
): ReadonlyArray<ModelRoute> => {
  const { sparedPart = 0 } = problem.options
  const blockingMs = glet.bestEffort.reduce((most, work) => Math.max(most, work.blockingMs), 0)
  const routes: Array<ModelRoute> = []
  const add = (
    work: Assignment | BestEffortAssignment, limitMs: number, route: Pick<ModelRoute, "bestEffort" | "fraction" | "slackMs" | "intrudes" | "preemptMs">
  ): void => {
    const model = models.get(work.model)
    if (model === undefined) return
    const { latencyMs, medianRatio, overlapMs, typicalMs, typicalRatio } = tabulate(problem, gpu, glet, work, model.maxBatch)
    if (latencyMs.length < 2) return
    routes.push({
      model, ...route, latencyMs, typicalRatio, medianRatio, planBatch: work.batch,
      ...(sparedPart > 0 && model.sloMs !== undefined ? { sparedMs: sparedPart * model.sloMs } : {}),
      ...(overlapMs === undefined ? {} : { overlapMs }),
      batchLimit: largestEfficient(typicalMs, work.batch, largestWithin(latencyMs, work.batch, limitMs))
    })
  }
  const slackMs = glet.overlay === true ? overlaySlackMs(gpu, glet) : blockingMs + Math.max(0, smallest(glet.assignments.map((work) => work.slackMs)))
  for (const work of glet.assignments) {
    const othersSlackMs = smallest(glet.assignments.filter((other) => other !== work).map((other) => other.slackMs))
    add(work, work.latencyMs + Math.max(0, othersSlackMs), {
      bestEffort: false, slackMs, fraction: glet.dutyMs > 0 ? Math.min(1, work.latencyMs / glet.dutyMs) : 1,
      intrudes: intrusionsOf(problem, gpu, glet, work)
    })
  }
  // What of it may run at once is for the gate to say, not for the plan's slack alone.
  for (const work of glet.bestEffort) {
    const preemptMs = glet.overlay === true ? problem.gpus.find(({ id }) => id === gpu.gpu)?.preemptMs : undefined
    add(work, Infinity, {
      bestEffort: true, slackMs, fraction: 1, intrudes: intrusionsOf(problem, gpu, glet, work), ...(preemptMs === undefined ? {} : { preemptMs })
    })
  }
  return routes
}

/**
 * How much an overlay of all SMs holds the others up while both compute. Their kernels go first, but blocks that run are not taken away: ResNet50
 * took twice as long beside BERT on all SMs of an H200, 1.5 times beside it on 96 of 132 and 1.2 times on 48, which is half of the time together
 * times the overlay's share.
 */
const overlayPerMs = 0.5
/** Below it an overlay may start while the others compute: it holds them up no more than glets on shares of their own do. */
const harmlessPerMs = 0.2

const perMsOf = ({ sharePct }: PlannedGlet): number => (overlayPerMs * sharePct) / 100

/** How long an overlay's batch may take by the plan. */
const overlaySlackMs = (gpu: PlannedGpu, glet: PlannedGlet): number =>
  Math.max(0, smallest(gpu.glets.flatMap(({ assignments }) => assignments.map(({ slackMs }) => slackMs)))) / perMsOf(glet)

/** Whether an overlay that gives way ever computes beside the other. */
const fitBeside = (overlay: PlannedGlet, other: PlannedGlet): boolean => overlay.sharePct + other.sharePct <= 100

const intrusionsOfOverlay = (problem: PlanProblem, gpu: PlannedGpu, glet: PlannedGlet, here: Execution): ReadonlyArray<Intrusion> => {
  const perMs = perMsOf(glet)
  return gpu.glets.flatMap((other): ReadonlyArray<Intrusion> =>
    other.assignments.length === 0 ? [] : [{
      glet: other.id, perMs, ...(perMs > harmlessPerMs ? { givesWay: true } : {}),
      besidePerMs: problem.options.interference && fitBeside(glet, other) ? besidePerMs(problem, gpu, other, here) : 0
    }])
}

/** By how many ms an execution slows down the latency-critical work of another glet, for each that it takes. */
const besidePerMs = (problem: PlanProblem, gpu: PlannedGpu, other: PlannedGlet, here: Execution): number =>
  Math.min(1, other.assignments.reduce((most, { batch, model }) =>
    Math.max(most, problem.latency.slowdown({ gpuType: gpu.type, model, sharePct: other.sharePct, batch }, [[here]]) - 1), 0))

/** Glets whose latency-critical work a best-effort model slows down, by its predicted slow-down alone. */
const intrusionsOf = (problem: PlanProblem, gpu: PlannedGpu, glet: PlannedGlet, work: { readonly model: ModelName; readonly batch: number }): ReadonlyArray<Intrusion> => {
  const here: Execution = { gpuType: gpu.type, model: work.model, sharePct: glet.sharePct, batch: work.batch }
  if (glet.overlay === true) return intrusionsOfOverlay(problem, gpu, glet, here)
  if (!problem.options.interference) return []
  return gpu.glets.flatMap((other) => {
    if (other === glet) return []
    const perMs = besidePerMs(problem, gpu, other, here)
    return perMs > 0 ? [{ glet: other.id, perMs }] : []
  })
}

/**
 * The routes of a plan. `models` are those to serve, by name.
 * @since 0.1.0
 * @category dispatching
 */
export const routesOfPlan = (plan: Plan, problem: PlanProblem, models: ReadonlyMap<ModelName, Model>): ReadonlyArray<GletRoutes> =>
  gletsOf(plan).map(({ glet, gpu }) => ({ id: glet.id, gpu: gpu.gpu, models: routesOfGlet(problem, gpu, glet, models) }))

/**
 * Batch sizes to run once before a glet serves a model: powers of two, the planned size and the largest, which is where allocators and kernels
 * choose anew.
 * @since 0.1.0
 * @category dispatching
 */
export const warmBatches = (planBatch: number, batchLimit: number): ReadonlyArray<number> => {
  const sizes = new Set([Math.min(planBatch, batchLimit), batchLimit])
  for (let size = 1; size < batchLimit; size *= 2) sizes.add(size)
  return [...sizes].sort((a, b) => a - b)
}
