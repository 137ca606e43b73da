/**
 * Why a plan is as it is: for every model what bounds the share and the batch of each of its glets, what keeps it from carrying more, and what one
 * more GPU would buy. Asked of the same solver that the planners ask, by changing one thing at a time.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Gpu } from "../core/Gpu.js"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { Assignment, Plan, PlannedGlet } from "../core/Plan.js"
import { gletsOf } from "../core/Plan.js"
import type { PlanOptions, PlanProblem } from "../core/PlanProblem.js"
import { validatePlan } from "../core/ValidatePlan.js"
import type { GletDraft } from "./internal/gletSolver.js"
import { solveGpu } from "./internal/gletSolver.js"
import type { PlanTables } from "./internal/planTables.js"
import { makePlanTables } from "./internal/planTables.js"
import type { PlannerAlgorithm } from "./Planner.js"

/** One latency-critical model on one glet. @since 0.1.0 @category explanations */
export interface PlaceExplanation {
  readonly gpu: GpuId
  readonly glet: GletId
  readonly sharePct: number
  readonly dutyMs: number
  readonly assignment: Assignment
  /** Other models of the glet. */
  readonly with: ReadonlyArray<ModelName>
  /** The next smaller share that is offered. */
  readonly smallerPct: number | undefined
  /**
   * What keeps the glet from that: `slo`, even single items would be late; `rate`, it would not carry its rates in time; `grid`, there is none
   * smaller; `none`, nothing: the share was left over, or the planner's way.
   */
  readonly shareBound: "slo" | "rate" | "grid" | "none"
  /** What a batch of one less would carry in the same duty cycle, in items per second. */
  readonly smallerBatchRps: number
  /** `rate`: that is too little. `one`: there is none smaller. `none`: it would do, a larger batch leaves head-room. */
  readonly batchBound: "rate" | "one" | "none"
  /** The multiple of the glet's rates that it could carry, its neighbours unchanged; up to 64. */
  readonly growth: number
  /** What ends that: `slo`, with more time it would carry more; `rate`, the share's throughput or the largest batch. */
  readonly growthBound: "slo" | "rate"
}

/** Why a model is where the plan has it. @since 0.1.0 @category explanations */
export interface ModelExplanation {
  readonly model: ModelName
  readonly rateRps: number
  /** `Infinity` for best-effort models. */
  readonly sloMs: number
  readonly places: ReadonlyArray<PlaceExplanation>
  /** Glets on which it fills slack. */
  readonly bestEffortOn: ReadonlyArray<GletId>
  /**
   * What keeps another glet of it off the GPUs in use: `share`, none that is offered is left; `slo`, what is left would be too slow; `memory`;
   * `none`, it would fit on `roomOn`.
   */
  readonly bound: "share" | "slo" | "memory" | "none"
  readonly roomOn: GpuId | undefined
  /** GPUs that serve it: with two or more it is served on while the plan is made anew, should one die. */
  readonly gpus: number
}

const mostGrowth = 64
const steps = 10

/** The largest value up to `most` for which `holds`, which does for `from`. */
const largest = (from: number, most: number, holds: (value: number) => boolean): number => {
  let good = from
  let bad = Math.max(1, from)
  while (bad < most && holds(bad)) {
    good = bad
    bad *= 2
  }
  if (bad >= most) {
    if (holds(most)) return most
    bad = most
  }
  for (let step = 0; step < steps; step++) {
    const middle = (good + bad) / 2
    if (holds(middle)) good = middle
    else bad = middle
  }
  return good
}

const withoutSlos = (problem: PlanProblem): PlanProblem => ({
  ...problem,
  demands: problem.demands.map((demand) => ({ ...demand, sloMs: Infinity }))
})

interface Asked {
  readonly tables: PlanTables
  readonly patient: PlanTables
  readonly numbers: ReadonlyMap<string, number>
}

interface Deployed {
  readonly gpu: Gpu
  readonly glets: ReadonlyArray<PlannedGlet>
  readonly drafts: ReadonlyArray<GletDraft>
}

const draftOf = ({ numbers }: Asked, { assignments, bestEffort, sharePct }: PlannedGlet): GletDraft => ({
  sharePct,
  works: assignments.map(({ model, rateRps }) => ({ demand: numbers.get(model)!, rateRps })),
  bestEffort: bestEffort.map(({ batch, model }) => ({ demand: numbers.get(model)!, batch })),
  factor: 1
})

const explainGlet = ({ patient, tables }: Asked, { drafts, glets, gpu }: Deployed, at: number): Omit<PlaceExplanation, "assignment" | "with" | "smallerBatchRps" | "batchBound"> => {
  const glet = glets[at]!
  const holds = (asked: PlanTables, change: Partial<GletDraft>): boolean =>
    solveGpu(asked, gpu, drafts.map((draft, i) => (i === at ? { ...draft, ...change } : draft))) !== undefined
  const smallerPct = gpu.sharesPct.findLast((share) => share < glet.sharePct)
  const shareBound = smallerPct === undefined
    ? "grid"
    : holds(tables, { sharePct: smallerPct }) ? "none" : holds(tables, { sharePct: smallerPct, factor: 0 }) ? "rate" : "slo"
  // A plan may hold by another batch than the solver's, so that the solver would say no at once.
  const growth = Math.max(1, largest(0, mostGrowth, (factor) => holds(tables, { factor })))
  const growthBound = growth < mostGrowth && holds(patient, { factor: growth * 1.05 }) ? "slo" : "rate"
  return { gpu: gpu.id, glet: glet.id, sharePct: glet.sharePct, dutyMs: glet.dutyMs, smallerPct, shareBound, growth, growthBound }
}

const explainRoom = ({ numbers, patient, tables }: Asked, gpus: ReadonlyArray<Deployed>, model: ModelName): Pick<ModelExplanation, "bound" | "roomOn"> => {
  const demand = numbers.get(model)!
  let bound: "share" | "slo" | "memory" = "share"
  for (const { drafts, gpu } of gpus) {
    const leftPct = drafts.reduce((left, { sharePct }) => left - sharePct, 100)
    const sharePct = gpu.sharesPct.findLast((share) => share <= leftPct)
    if (sharePct === undefined || drafts.length >= tables.problem.options.maxGletsPerGpu) continue
    const holds = (asked: PlanTables, memoryBytes: number): boolean =>
      solveGpu(asked, { ...gpu, memoryBytes }, [...drafts, { sharePct, works: [{ demand, rateRps: 0 }], bestEffort: [], factor: 1 }]) !== undefined
    if (holds(tables, gpu.memoryBytes)) return { bound: "none", roomOn: gpu.id }
    if (holds(tables, Infinity)) bound = "memory"
    else if (bound === "share" && holds(patient, Infinity)) bound = "slo"
  }
  return { bound, roomOn: undefined }
}

/** Explains every model of a plan that `validatePlan` accepts for the problem, in the problem's order. @since 0.1.0 @category explanations */
export const explainPlan = (plan: Plan, problem: PlanProblem): ReadonlyArray<ModelExplanation> => {
  const asked: Asked = {
    tables: makePlanTables(problem),
    patient: makePlanTables(withoutSlos(problem)),
    numbers: new Map(problem.demands.map(({ model }, i) => [model as string, i]))
  }
  const known = new Map(problem.gpus.map((gpu) => [gpu.id as string, gpu]))
  // Overlays have no share of their own and keep nobody from one.
  const gpus = plan.gpus.filter(({ glets }) => glets.length > 0).map(({ glets, gpu }): Deployed => {
    const ground = glets.filter(({ overlay }) => overlay !== true)
    return { gpu: known.get(gpu)!, glets: ground, drafts: ground.map((glet) => draftOf(asked, glet)) }
  })
  const places = new Map<string, Array<PlaceExplanation>>()
  const fills = new Map<string, Array<GletId>>()
  const add = <A>(map: Map<string, Array<A>>, model: string, value: A): void => {
    const values = map.get(model)
    if (values === undefined) map.set(model, [value])
    else values.push(value)
  }
  for (const { glet } of gletsOf(plan)) for (const { model } of glet.bestEffort) add(fills, model, glet.id)
  for (const deployed of gpus) {
    deployed.glets.forEach((glet, at) => {
      if (glet.assignments.length === 0) return
      const explained = explainGlet(asked, deployed, at)
      for (const assignment of glet.assignments) {
        const { batch, model, rateRps } = assignment
        const smallerBatchRps = glet.dutyMs > 0 ? (1000 * (batch - 1)) / glet.dutyMs : 0
        add(places, model, {
          ...explained,
          assignment,
          with: glet.assignments.filter((other) => other !== assignment).map((other) => other.model),
          smallerBatchRps,
          batchBound: batch === 1 ? "one" : smallerBatchRps < rateRps ? "rate" : "none"
        })
      }
    })
  }
  const gpusOf = (model: ModelName): number => plan.gpus.filter(({ glets }) => glets.some(({ assignments }) => assignments.some((work) => work.model === model))).length
  return problem.demands.map(({ model, rateRps, sloMs }): ModelExplanation => ({
    model, rateRps, sloMs, gpus: gpusOf(model), places: places.get(model) ?? [], bestEffortOn: fills.get(model) ?? [], ...explainRoom(asked, gpus, model)
  }))
}

/** What one more GPU would buy. @since 0.1.0 @category explanations */
export interface NextGpu {
  readonly gpus: number
  /** The multiple of all rates that the planner finds a plan for on the GPUs in use, up to 64; 0 where it finds none. */
  readonly carries: number
  /** Type of the next one: of those that stand idle, else like the last. */
  readonly type: string
  /** The same with it. */
  readonly thenCarries: number
}

/** The largest multiple of all rates within the capacities of a plan. */
const growthOf = (plan: Plan, problem: PlanProblem): number => {
  const capacityRps = new Map<string, number>()
  for (const { glet } of gletsOf(plan)) {
    for (const work of glet.assignments) capacityRps.set(work.model, (capacityRps.get(work.model) ?? 0) + work.capacityRps)
  }
  return problem.demands.reduce(
    (least, { model, rateRps, serviceClass }) =>
      serviceClass === "best-effort" || !(rateRps > 0) ? least : Math.min(least, (capacityRps.get(model) ?? 0) / rateRps),
    Infinity
  )
}

/** Plans for multiples of all rates on the GPUs in use, and on one more. @since 0.1.0 @category explanations */
export const nextGpu = (planner: PlannerAlgorithm, plan: Plan, problem: PlanProblem): NextGpu | undefined => {
  const used = new Set<string>(plan.gpus.filter(({ glets }) => glets.length > 0).map(({ gpu }) => gpu))
  const inUse = problem.gpus.filter(({ id }) => used.has(id))
  const last = inUse.at(-1)
  if (last === undefined) return undefined
  const taken = new Set<string>(problem.gpus.map(({ id }) => id))
  let number = taken.size
  while (taken.has(`${last.type}:${number}`)) number++
  const next = problem.gpus.find(({ id }) => !used.has(id)) ?? { ...last, id: unsafeGpuId(`${last.type}:${number}`) }
  const asked = (gpus: ReadonlyArray<Gpu>, factor: number, options: Partial<PlanOptions>): PlanProblem => ({
    ...problem,
    gpus,
    demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor })),
    options: { ...problem.options, fullSearch: false, ...options }
  })
  const valid = (question: PlanProblem): Plan | undefined => {
    const made = planner.plan(question)
    return Either.isRight(made) && validatePlan(made.right, question).length === 0 ? made.right : undefined
  }
  const carried = (gpus: ReadonlyArray<Gpu>, from: number): number => {
    // A planner that looks for the head-room itself is asked once; what its plan can carry counts.
    const most = valid(asked(gpus, 1, { objective: "headroom", whenShort: "degrade" }))
    if (most?.objective === "headroom" && most.shortfalls.length === 0) return Math.min(mostGrowth, growthOf(most, problem))
    return largest(from, mostGrowth, (factor) => valid(asked(gpus, factor, { whenShort: "fail" })) !== undefined)
  }
  const carries = carried(inUse, 0)
  return { gpus: inUse.length, carries, type: next.type, thenCarries: Math.max(carries, carried([...inUse, next], carries)) }
}
