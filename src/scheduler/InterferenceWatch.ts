/**
 * From what executions really took to what is learned of interference, and to the wish for a new plan: what the online service does every few seconds, and
 * the simulator every few simulated ones. A pure state, moved by `watchInterference`. A plan that keeps the objectives stays, whatever is learned.
 *
 * Every look compares each latency-critical model's executions with what they take alone. What is more than the profile explains by what ran beside them,
 * each neighbour by the part of the time that it was busy, is put down to the neighbours' presence: a line through all looks by least squares, of which
 * old ones count less and less, and which begins at "the profile is right".
 *
 * @since 0.1.0
 */
import type { Isolation } from "../core/Gpu.js"
import type { GletId, ModelName } from "../core/Ids.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { Plan, PlannedGpu } from "../core/Plan.js"
import { gletsOf } from "../core/Plan.js"
import type { PlanProblem } from "../core/PlanProblem.js"
import { validatePlan } from "../core/ValidatePlan.js"
import type { LearnedInterference } from "./LearnedInterference.js"
import { learnedOffset, nothingLearned, withLearned } from "./LearnedInterference.js"
import type { PlanBasis } from "./PlanBasis.js"

/** @since 0.1.0 @category learning */
export interface InterferenceWatchOptions {
  /** Between two looks, ms. */
  readonly lookMs: number
  /** After this time a look counts half, ms. */
  readonly halfLifeMs: number
  /** What is left of the looks at a plan when another takes its place: it has other batches, other shares, other neighbours. */
  readonly carried: number
  /** How much "the profile is right" counts, in looks beside neighbours on all the rest of the GPU that never pause. */
  readonly prior: number
  /** Fewer executions between two looks say nothing. */
  readonly leastExecutions: number
  /** Part of a model's requests that may miss their objective before a plan is made anew for what was learned. */
  readonly missed: number
  /** After this time a request counts half for that, ms. */
  readonly missedHalfLifeMs: number
  /** Part of an execution's time that is noise of the profile. */
  readonly noise: number
  /**
   * What an execution takes longer by the host's doing, ms. Beside the tenths of a millisecond of a LeNet that was taken for 130 % by neighbours: batches that
   * follow each other without a gap, as profiles have them, are spared it.
   */
  readonly noiseMs: number
  /** Bounds of an offset. */
  readonly least: number
  readonly largest: number
  /** Offsets are multiples of this, so that a plan's question does not change with every look. */
  readonly step: number
  /** Least time from any plan to one for what was learned since, ms. */
  readonly minIntervalMs: number
}

/** @since 0.1.0 @category learning */
export const defaultInterferenceWatch: InterferenceWatchOptions = {
  lookMs: 2000, halfLifeMs: 300_000, carried: 0.2, prior: 0.1, leastExecutions: 5, missed: 0.01, missedHalfLifeMs: 10_000, noise: 0.05, noiseMs: 0.05, least: -0.5, largest: 4, step: 0.1,
  minIntervalMs: 10_000
}

/** What ran on one glet since the last look. @since 0.1.0 @category learning */
export interface MeasuredGlet {
  readonly glet: GletId
  readonly works: ReadonlyArray<{
    readonly model: ModelName
    readonly bestEffort: boolean
    readonly executions: number
    /** Geometric mean over the executions of what each took over what the profile says that it takes alone. */
    readonly ratio: number
    /** Time it had the glet, ms. */
    readonly busyMs: number
  }>
}

/** Sums of the least squares through the origin: offset = products / squares. */
interface Sums {
  readonly products: number
  readonly squares: number
}

/** Requests of a model that ended since it was made known, and those of them that were answered within their objective. @since 0.1.0 @category learning */
export interface Outcomes {
  readonly ended: number
  readonly kept: number
}

interface Kept {
  /** At the last look. */
  readonly seen: Outcomes
  /** Recent ones; old ones count less. */
  readonly ended: number
  readonly missed: number
}

/** @since 0.1.0 @category learning */
export interface InterferenceWatch {
  readonly lookedMs: number
  /** Of the plan looked at. */
  readonly generation: number
  readonly sums: ReadonlyMap<string, ReadonlyMap<ModelName, Sums>>
  readonly kept: ReadonlyMap<ModelName, Kept>
  readonly learned: LearnedInterference
}

/** A watch that has learned nothing. @since 0.1.0 @category constructors */
export const makeInterferenceWatch = (nowMs: number): InterferenceWatch => ({ lookedMs: nowMs, generation: 0, sums: new Map(), kept: new Map(), learned: nothingLearned })

/** Glets that compute at once and share what shares do not divide. Under `threads` a profile was measured beside others, under `duty` there are none. */
const sharing: ReadonlySet<Isolation> = new Set<Isolation>(["mps", "green", "stream"])

/** What the watch looks at. @since 0.1.0 @category learning */
export interface InterferenceView {
  readonly nowMs: number
  /** Called when it is time to look, and only then. */
  readonly measured: () => ReadonlyArray<MeasuredGlet>
  readonly outcomes: (model: ModelName) => Outcomes
  /** Models of which more arrives than the plan carries, and how many times as much. What they and their neighbours miss for that is not interference: the plan never promised it. */
  readonly overasked: ReadonlyMap<ModelName, number>
  /** The deployed plan, what it was made on, and when. */
  readonly plan: Plan
  readonly basis: Pick<PlanBasis, "learned" | "profiled"> & { readonly problem: Pick<PlanProblem, "gpus"> }
  readonly plannedMs: number
  /** Whether the deployed plan keeps its promises if this is so: `holdsWith`. Called only where it matters. */
  readonly holds: (learned: LearnedInterference) => boolean
  readonly options: InterferenceWatchOptions
}

/** Whether a plan for this problem keeps its promises with what was learned. @since 0.1.0 @category learning */
export const holdsWith = (plan: Plan, problem: PlanProblem, profiled: LatencyModel) => (learned: LearnedInterference): boolean =>
  validatePlan(plan, { ...problem, latency: withLearned(profiled, learned) }).length === 0

/**
 * Takes in what was measured, and says why to plan now, if at all: the deployed plan would not keep its promises by what is learned since it was made.
 * @since 0.1.0
 * @category learning
 */
export const watchInterference = (
  watch: InterferenceWatch, view: InterferenceView
): { readonly watch: InterferenceWatch; readonly reason: string | undefined } => {
  const { nowMs, options } = view
  const sinceMs = nowMs - watch.lookedMs
  if (sinceMs < options.lookMs) return { watch, reason: undefined }
  const left = 2 ** (-sinceMs / options.halfLifeMs) * (view.plan.generation === watch.generation ? 1 : options.carried)
  const sums = new Map<string, Map<ModelName, Sums>>()
  for (const [gpuType, models] of watch.sums) {
    sums.set(gpuType, new Map([...models].map(([model, { products, squares }]) => [model, { products: left * products, squares: left * squares }])))
  }
  const measured = new Map(view.measured().map((one) => [one.glet, one.works]))
  const sharingGpus = new Set(view.basis.problem.gpus.filter(({ isolation }) => sharing.has(isolation)).map(({ id }) => id))
  const givingWay = new Set(view.basis.problem.gpus.filter(({ preemptMs }) => preemptMs !== undefined).map(({ id }) => id))
  for (const gpu of view.plan.gpus) {
    // An overlay's presence is the gate's to bound, and no neighbour's. One that gives way is as good as absent.
    const isOverlaid = gpu.glets.some(({ overlay }) => overlay === true)
    if (!sharingGpus.has(gpu.gpu) || (isOverlaid && !givingWay.has(gpu.gpu))) continue
    const ground = isOverlaid ? { ...gpu, glets: gpu.glets.filter(({ overlay }) => overlay !== true) } : gpu
    for (const { gpuType, model, presence, residual } of residualsOf(ground, measured, sinceMs, view)) {
      const models = sums.get(gpuType) ?? new Map<ModelName, Sums>()
      sums.set(gpuType, models)
      const before = models.get(model) ?? { products: 0, squares: 0 }
      models.set(model, { products: before.products + presence * residual, squares: before.squares + presence * presence })
    }
  }
  const learned = new Map([...sums].map(([gpuType, models]) => [
    gpuType, new Map([...models].flatMap(([model, { products, squares }]) => {
      const offset = Math.min(Math.max(products / (squares + options.prior), options.least), options.largest)
      const rounded = Math.round(offset / options.step)
      return rounded === 0 ? [] : [[model, rounded * options.step] as const]
    }))
  ]))
  const kept = keptSince(watch, view, sinceMs)
  return { watch: { lookedMs: nowMs, generation: view.plan.generation, sums, kept, learned }, reason: reasonFor(learned, kept, view) }
}

/** So many times what is too much is missed at most where a GPU is asked for more than the plan carries: not all lose alike. */
const unevenness = 1.5

/** The part of their requests that models miss, at most, because their GPUs are asked for more than the plan carries there. */
const explainedParts = ({ overasked, plan }: InterferenceView): ReadonlyMap<ModelName, number> => {
  const parts = new Map<ModelName, number>()
  for (const { glets } of plan.gpus) {
    const models = glets.flatMap(({ assignments }) => assignments.map(({ model }) => model))
    const most = models.reduce((worst, model) => Math.max(worst, overasked.get(model) ?? 1), 1)
    for (const model of models) parts.set(model, Math.max(parts.get(model) ?? 0, Math.min(1, unevenness * (1 - 1 / most))))
  }
  return parts
}

const keptSince = ({ generation, kept: before }: InterferenceWatch, view: InterferenceView, sinceMs: number): ReadonlyMap<ModelName, Kept> => {
  const { options, outcomes, plan } = view
  const left = 2 ** (-sinceMs / options.missedHalfLifeMs)
  const explained = explainedParts(view)
  const after = new Map<ModelName, Kept>()
  for (const { glet } of gletsOf(plan)) {
    for (const { model } of glet.assignments) {
      if (after.has(model)) continue
      const seen = outcomes(model)
      const old = before.get(model)
      // What another plan missed is not held against this one.
      const counted = plan.generation === generation ? old : undefined
      // A replaced model counts from zero again; a new one begins.
      const last = old === undefined ? seen : seen.ended < old.seen.ended ? { ended: 0, kept: 0 } : old.seen
      const ended = seen.ended - last.ended
      const missed = Math.max(0, ended - (seen.kept - last.kept) - (explained.get(model) ?? 0) * ended)
      after.set(model, { seen, ended: left * (counted?.ended ?? 0) + ended, missed: left * (counted?.missed ?? 0) + missed })
    }
  }
  return after
}

/** Whether a model misses its objective: more of its requests than is borne, and more than one, which says nothing of the others. */
const misses = ({ ended, missed }: Kept, options: InterferenceWatchOptions): boolean => missed > Math.max(1, options.missed * ended)

/**
 * The least part of its requests that a model kept lately which misses its objective, as far as the plan promised it; 1 where none does.
 * @since 0.1.0
 * @category learning
 */
export const leastKept = ({ kept }: InterferenceWatch, options: InterferenceWatchOptions = defaultInterferenceWatch): number => {
  let least = 1
  for (const one of kept.values()) if (misses(one, options)) least = Math.min(least, 1 - one.missed / one.ended)
  return least
}

interface Residual {
  readonly gpuType: string
  readonly model: ModelName
  /** Parts of the GPU that neighbours had, each by the part of the time that it computed. */
  readonly presence: number
  /** What executions took beyond what the profile explains, as a part of their time alone. */
  readonly residual: number
}

const residualsOf = (
  gpu: PlannedGpu, measured: ReadonlyMap<GletId, MeasuredGlet["works"]>, sinceMs: number, { basis: { profiled }, options }: InterferenceView
): ReadonlyArray<Residual> =>
  gpu.glets.flatMap((glet) =>
    (measured.get(glet.id) ?? []).flatMap((work): ReadonlyArray<Residual> => {
      const assignment = glet.assignments.find(({ model }) => model === work.model)
      if (assignment === undefined || work.bestEffort || work.executions < options.leastExecutions) return []
      const own = { gpuType: gpu.type, model: work.model, sharePct: glet.sharePct, batch: assignment.batch }
      let presence = 0
      let explained = 0
      for (const other of gpu.glets) {
        if (other === glet) continue
        const busy = measured.get(other.id) ?? []
        const allMs = busy.reduce((sum, { busyMs }) => sum + busyMs, 0)
        // Batches that follow each other without a gap may be counted a little twice.
        const scale = 1 / Math.max(sinceMs, allMs)
        presence += (other.sharePct / 100) * allMs * scale
        for (const { busyMs, model } of busy) {
          const planned = [...other.assignments, ...other.bestEffort].find((one) => one.model === model)
          if (planned === undefined) continue
          const beside = { gpuType: gpu.type, model, sharePct: other.sharePct, batch: planned.batch }
          explained += busyMs * scale * (profiled.slowdown(own, [[beside]]) - 1)
        }
      }
      const excess = work.ratio - 1 - explained
      const noise = options.noise + options.noiseMs / profiled.typicalMs(own)
      const residual = Math.sign(excess) * Math.max(0, Math.abs(excess) - noise)
      return presence > 0 && Number.isFinite(residual) ? [{ gpuType: gpu.type, model: work.model, presence, residual }] : []
    }))

const reasonFor = (learned: LearnedInterference, kept: ReadonlyMap<ModelName, Kept>, { basis, holds, nowMs, options, plannedMs }: InterferenceView): string | undefined => {
  if (nowMs - plannedMs < options.minIntervalMs) return undefined
  if (![...kept.values()].some((one) => misses(one, options))) return undefined
  let worst: { readonly model: ModelName; readonly gpuType: string; readonly by: number } | undefined
  for (const [gpuType, models] of learned) {
    for (const [model, offset] of models) {
      const by = offset - learnedOffset(basis.learned, gpuType, model)
      // Less than a step could be rounding.
      if (by > 1.5 * options.step && by > (worst?.by ?? 0)) worst = { model, gpuType, by }
    }
  }
  if (worst === undefined || holds(learned)) return undefined
  return `interference: beside neighbours model "${worst.model}" loses ${Math.round(100 * worst.by)} % of its time more than planned for`
}
