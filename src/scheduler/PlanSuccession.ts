/**
 * From one plan to its successor: ask the planner, keep the names of glets that stay, check; then what there is to do.
 *
 * The online service and the simulator make their plans here and carry out the same steps; only how long a step takes differs.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { Plan } from "../core/Plan.js"
import { gletsOf } from "../core/Plan.js"
import type { Demand, PlanProblem } from "../core/PlanProblem.js"
import { validatePlan } from "../core/ValidatePlan.js"
import { rateToPlanFor } from "./BurstHeadroom.js"
import type { PlanChange } from "./PlanDiff.js"
import { adoptPlan, diffPlans } from "./PlanDiff.js"
import type { Culprit, PlannerAlgorithm } from "./Planner.js"
import { routesOfPlan, warmBatches } from "./RoutesOfPlan.js"

/** The part of an objective that what batches take besides their execution may have at most: with more, hardly a plan would be left. */
const mostOnTheWay = 1 / 4

/** What plans leave free of objectives. @since 0.1.0 @category planning */
export interface Allowance {
  /** What a batch takes besides its execution, in ms: no part of what plans count. */
  readonly wayMs: (model: Model) => number
  /** At least this part of every objective, for what nobody here measures: a client, a network or a host that is late. */
  readonly part: number
}

/** @since 0.1.0 @category planning */
export const noAllowance: Allowance = { wayMs: () => 0, part: 0 }

const planningSloMs = (sloMs: number, model: Model, { part, wayMs }: Allowance): number =>
  sloMs === Infinity ? Infinity : sloMs - Math.max(part * sloMs, Math.min(wayMs(model), mostOnTheWay * sloMs))

/**
 * What is known of models besides their rates, and what to leave free. `meanPart` and `itemsPerRequest` are `rateToPlanFor`'s, each 1 where it is left out.
 * @since 0.1.0
 * @category planning
 */
export interface DemandOptions {
  readonly meanPart?: (model: Model) => number
  readonly itemsPerRequest?: (model: ModelName) => number
  readonly allowance?: Allowance
}

const one = (): number => 1

/**
 * What a plan is asked for at the given rates (items per second): head-room for bursts included, in the order of names.
 * @since 0.1.0
 * @category planning
 */
export const demandsOf = (
  models: Iterable<Model>, rateOf: (model: ModelName) => number, { allowance = noAllowance, itemsPerRequest = one, meanPart = one }: DemandOptions = {}
): ReadonlyArray<Demand> =>
  [...models].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).map((model) => {
    const { maxBatch, name, serviceClass } = model
    const isBestEffort = serviceClass === "best-effort"
    const sloMs = isBestEffort ? Infinity : model.sloMs ?? Infinity
    const together = itemsPerRequest(name)
    const rateRps = isBestEffort ? 0 : rateToPlanFor(rateOf(name), sloMs, meanPart(model), together)
    return {
      model: name, serviceClass, maxBatch, rateRps, sloMs: planningSloMs(sloMs, model, allowance),
      ...(together > 1 && !isBestEffort ? { itemsPerRequest: together } : {})
    }
  })

/** Why there is no successor: the plan stays as it is. @since 0.1.0 @category planning */
export interface NoSuccessor {
  readonly detail: string
  /** What the planner could not place; empty where the planner itself is at fault. */
  readonly culprits: ReadonlyArray<Culprit>
}

/** What the next plan is to follow. @since 0.1.0 @category planning */
export interface SuccessionOptions {
  /** Who answered. */
  readonly planner: Pick<PlannerAlgorithm, "name">
  readonly problem: PlanProblem
  /** The deployed plan. */
  readonly current: Plan
  /** The deployed plan as far as glets may stay: without those that must be opened anew. */
  readonly stayable?: Plan
  readonly nextGletNumber: number
}

/** Asks the planner on this thread. One that throws is a fault like any other. @since 0.1.0 @category planning */
export const askPlanner = (planner: PlannerAlgorithm, problem: PlanProblem, current: Plan): Either.Either<Plan, NoSuccessor> =>
  Either.try({ try: () => planner.plan(problem, current), catch: (defect): NoSuccessor => ({ detail: `planner ${planner.name} threw: ${String(defect)}`, culprits: [] }) }).pipe(
    Either.flatMap(Either.mapLeft((infeasible): NoSuccessor => ({ detail: infeasible.message, culprits: infeasible.culprits })))
  )

/**
 * What a planner answered, as the plan after `current`: of the next generation, with the names of glets that stay; it passed `validatePlan`.
 * @since 0.1.0
 * @category planning
 */
export const succeed = (answer: Plan, options: SuccessionOptions): Either.Either<Plan, NoSuccessor> => {
  const { current, nextGletNumber, planner, problem } = options
  const adopted = adoptPlan(options.stayable ?? current, answer, nextGletNumber)
  const plan: Plan = { ...adopted.plan, generation: current.generation + 1 }
  const violations = validatePlan(plan, problem)
  if (violations.length === 0) return Either.right(plan)
  const first = violations[0]!
  const where = first.glet ?? first.gpu ?? first.model ?? ""
  return Either.left({
    detail: `planner ${planner.name} broke ${violations.length} rules, first ${first.kind} (${where}): ${first.message}`, culprits: []
  })
}

/** Asks the planner on this thread for the plan after `current`. @since 0.1.0 @category planning */
export const succeedPlan = (options: SuccessionOptions & { readonly planner: PlannerAlgorithm }): Either.Either<Plan, NoSuccessor> =>
  Either.flatMap(askPlanner(options.planner, options.problem, options.current), (answer) => succeed(answer, options))

/** A model that a glet shall have loaded, and the batches to run once before it serves. @since 0.1.0 @category rollout */
export interface GletWork {
  readonly model: Model
  readonly warm: ReadonlyArray<number>
}

/** A glet that the next plan has and the current one has not. @since 0.1.0 @category rollout */
export interface GletToOpen {
  readonly id: GletId
  readonly gpu: GpuId
  readonly sharePct: number
  readonly priority: number
  /** As `GletSpec.givesWay`: it lies over others, on a GPU where batches can. */
  readonly givesWay: boolean
  readonly works: ReadonlyArray<GletWork>
}

/**
 * What leads from the deployed plan to the next, in this order: open the new glets beside the old ones, load what the staying ones shall have,
 * switch all routes in one step, close what is left over, unload what is no longer wanted.
 * @since 0.1.0
 * @category rollout
 */
export interface Rollout {
  readonly changes: ReadonlyArray<PlanChange>
  /** Nothing but the description of the plan changes: routes stay, and so does the generation. */
  readonly isIdle: boolean
  readonly open: ReadonlyArray<GletToOpen>
  readonly retarget: ReadonlyArray<{ readonly id: GletId; readonly works: ReadonlyArray<GletWork> }>
  readonly close: ReadonlyArray<GletId>
}

/**
 * The steps. `isOpen` says which glets there are, whatever state they are in.
 * @since 0.1.0
 * @category rollout
 */
export const rollOut = (
  current: Plan, next: Plan, problem: PlanProblem, models: ReadonlyMap<ModelName, Model>, open: Iterable<GletId>
): Rollout => {
  const changes = diffPlans(current, next)
  const works = new Map(routesOfPlan(next, problem, models).map((glet) => [
    glet.id, glet.models.map((route): GletWork => ({ model: route.model, warm: warmBatches(route.planBatch, route.batchLimit) }))
  ]))
  const there = new Set(open)
  const giving = new Set(problem.gpus.filter(({ preemptMs }) => preemptMs !== undefined).map(({ id }) => id))
  const wanted = gletsOf(next)
  const stays = new Set(wanted.map(({ glet }) => glet.id))
  return {
    changes,
    isIdle: current.generation > 0 && changes.every(({ kind }) => kind === "describe"),
    open: wanted.filter(({ glet }) => !there.has(glet.id)).map(({ glet, gpu }) => ({
      id: glet.id, gpu: gpu.gpu, sharePct: glet.sharePct, priority: glet.priority, givesWay: glet.overlay === true && giving.has(gpu.gpu), works: works.get(glet.id) ?? []
    })),
    retarget: wanted.filter(({ glet }) => there.has(glet.id)).map(({ glet }) => ({ id: glet.id, works: works.get(glet.id) ?? [] })),
    close: [...there].filter((id) => !stays.has(id))
  }
}

/** The number that follows the one at the end of a glet's id. @since 0.1.0 @category rollout */
export const numberAfter = (id: GletId): number => {
  const digits = /\/(\d+)$/.exec(id)?.[1]
  return digits === undefined ? 0 : Number(digits) + 1
}

/** The first number that no glet of the plan has, and none before had. @since 0.1.0 @category rollout */
export const nextNumber = (plan: Plan, before: number): number => Math.max(before, ...gletsOf(plan).map(({ glet }) => numberAfter(glet.id)))

/**
 * Models that are served now and would not be by this plan, since no glet it has for them is ready.
 * @since 0.1.0
 * @category rollout
 */
export const modelsLost = (
  plan: Plan, models: Iterable<ModelName>, isServed: (model: ModelName) => boolean, isReady: (glet: GletId, model: ModelName) => boolean
): ReadonlyArray<ModelName> =>
  [...models].filter((model) => {
    if (!isServed(model)) return false
    const places = gletsOf(plan).filter(({ glet }) => [...glet.assignments, ...glet.bestEffort].some((work) => work.model === model))
    return places.length > 0 && !places.some(({ glet }) => isReady(glet.id, model))
  })
