/**
 * What a plan is made on: the rates, the profiles and what was learned, as the problem that planners answer. It is kept with the deployed plan, for what
 * is seen later is judged by what was known then.
 *
 * @since 0.1.0
 */
import type { Gpu } from "../core/Gpu.js"
import type { ModelName } from "../core/Ids.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"
import type { Demand, PlanOptions, PlanProblem } from "../core/PlanProblem.js"
import { meanPartOf } from "./BurstHeadroom.js"
import { overlapAllowanceMs } from "./OverlapAllowance.js"
import type { LearnedInterference } from "./LearnedInterference.js"
import type { withLearned } from "./LearnedInterference.js"
import type { DemandOptions } from "./PlanSuccession.js"
import { demandsOf } from "./PlanSuccession.js"

/** @since 0.1.0 @category planning */
export interface PlanBasis {
  readonly problem: PlanProblem
  /** What profiles say, and what the problem takes as learned beyond them. */
  readonly profiled: LatencyModel
  readonly learned: LearnedInterference
  /** Items per second that arrive, by estimate. */
  readonly arriving: ReadonlyMap<ModelName, number>
  /** Items per second asked for, head-room included, and `rateToPlanFor`'s mean part by which that was computed. */
  readonly asked: ReadonlyMap<ModelName, number>
  /** Of that, what would be asked for if items came one by one: without the rest, requests of several may be late when many come at once. */
  readonly needed: ReadonlyMap<ModelName, number>
  readonly meanParts: ReadonlyMap<ModelName, number>
  /** Whole objectives, ms; the problem's demands leave some of them free. */
  readonly objectives: ReadonlyMap<ModelName, number>
}

/** What a plan leaves free of objectives. @since 0.1.0 @category planning */
export interface Leaving {
  /** What a batch takes besides its execution, almost always, ms. */
  readonly wayMs: number
  /** At least this part of every objective. */
  readonly part: number
  /** Whether rates have room for items that come several at once. Default: true. */
  readonly bursts?: boolean
}

/** @since 0.1.0 @category planning */
export interface PlanBasisOptions {
  readonly models: ReadonlyArray<Model>
  readonly gpus: ReadonlyArray<Gpu>
  readonly options: PlanOptions
  /** Estimated arrivals, items per second. */
  readonly rateOf: (model: ModelName) => number
  /** How many of them come at once; one where it is left out. */
  readonly itemsPerRequest?: (model: ModelName) => number
  readonly profiled: LatencyModel
  readonly learned: LearnedInterference
  readonly leaving: Leaving
  /** Whoever plans again and again keeps a `withLearnedOnce`. */
  readonly latencyOf: typeof withLearned
}

/** The basis for the rates now estimated. @since 0.1.0 @category constructors */
export const makePlanBasis = (
  { gpus, itemsPerRequest, latencyOf, learned, leaving: { bursts = true, part, wayMs }, models, options, profiled, rateOf }: PlanBasisOptions
): PlanBasis => {
  const meanParts = new Map(models.map((model) => [model.name, meanPartOf(profiled, gpus, model)]))
  const single: DemandOptions = {
    meanPart: ({ name }) => meanParts.get(name)!,
    allowance: { part, wayMs: (model) => wayMs + overlapAllowanceMs(profiled, gpus, model) }
  }
  const bursting = demandsOf(models, rateOf, itemsPerRequest === undefined ? single : { ...single, itemsPerRequest })
  const singly = demandsOf(models, rateOf, single)
  const demands = bursts ? bursting : bursting.map((demand, i) => ({ ...demand, rateRps: singly[i]!.rateRps }))
  const ratesOf = (asked: ReadonlyArray<Demand>): ReadonlyMap<ModelName, number> => new Map(asked.map(({ model, rateRps }) => [model, rateRps]))
  return {
    problem: { gpus, options: part > 0 ? { ...options, sparedPart: part } : options, latency: latencyOf(profiled, learned), demands },
    profiled, learned, meanParts,
    arriving: new Map(models.map(({ name, serviceClass }) => [name, serviceClass === "best-effort" ? 0 : rateOf(name)])),
    objectives: new Map(models.map(({ name, serviceClass, sloMs }) => [name, serviceClass === "best-effort" ? Infinity : sloMs ?? Infinity])),
    asked: ratesOf(bursting), needed: ratesOf(singly)
  }
}
