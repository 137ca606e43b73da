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
import type { PlanOptions, PlanProblem } from "../core/PlanProblem.js"
import { meanPartOf } from "./BurstHeadroom.js"
import type { LearnedInterference } from "./LearnedInterference.js"
import type { withLearned } from "./LearnedInterference.js"
import { demandsOf } from "./PlanSuccession.js"

/** @since 0.1.0 @category planning */
export interface PlanBasis {
  readonly problem: PlanProblem
  /** What profiles say, and what the problem takes as learned beyond them. */
  readonly profiled: LatencyModel
  readonly learned: LearnedInterference
  /** Items per second asked for, head-room included, and `rateToPlanFor`'s mean part by which that was computed. */
  readonly asked: ReadonlyMap<ModelName, number>
  readonly meanParts: ReadonlyMap<ModelName, number>
}

/** @since 0.1.0 @category planning */
export interface PlanBasisOptions {
  readonly models: ReadonlyArray<Model>
  readonly gpus: ReadonlyArray<Gpu>
  readonly options: PlanOptions
  /** Estimated arrivals, items per second. */
  readonly rateOf: (model: ModelName) => number
  readonly profiled: LatencyModel
  readonly learned: LearnedInterference
  /** Whoever plans again and again keeps a `withLearnedOnce`. */
  readonly latencyOf: typeof withLearned
}

/** The basis for the rates now estimated. @since 0.1.0 @category constructors */
export const makePlanBasis = ({ gpus, latencyOf, learned, models, options, profiled, rateOf }: PlanBasisOptions): PlanBasis => {
  const meanParts = new Map(models.map((model) => [model.name, meanPartOf(profiled, gpus, model)]))
  const demands = demandsOf(models, rateOf, ({ name }) => meanParts.get(name)!)
  return {
    problem: { gpus, options, latency: latencyOf(profiled, learned), demands },
    profiled, learned, meanParts, asked: new Map(demands.map(({ model, rateRps }) => [model, rateRps]))
  }
}
