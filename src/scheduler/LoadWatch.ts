/**
 * From counts of arrivals to the wish for a new plan: what the online service does at every control interval, and the simulator at every
 * simulated one. A pure state, moved by `watchLoad`.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { Plan } from "../core/Plan.js"
import { gletsOf } from "../core/Plan.js"
import { rateToPlanFor } from "./BurstHeadroom.js"
import { carriedRps } from "./internal/carried.js"
import type { RecentMost } from "./internal/recentMost.js"
import { forgetMost, makeRecentMost, mostOf, observeMost } from "./internal/recentMost.js"
import type { PlanBasis } from "./PlanBasis.js"
import * as RateEstimator from "./RateEstimator.js"
import type { ModelLoad, ReplanOptions, ReplanState } from "./ReplanPolicy.js"
import { decideReplan, plannedAt } from "./ReplanPolicy.js"
import type { ArrivedItems, RequestSize } from "./RequestSize.js"
import { itemsPerRequest, observeSize, unseenSize } from "./RequestSize.js"

/** What is remembered of arrivals and plans, to say when to plan again. @since 0.1.0 @category replanning */
export interface LoadWatch {
  readonly estimator: RateEstimator.RateEstimator
  readonly replan: ReplanState
  readonly sizes: ReadonlyMap<ModelName, RequestSize>
  /** What had arrived at the last look. */
  readonly counted: ReadonlyMap<ModelName, ArrivedItems>
  readonly recentMost: RecentMost
  /** The plan that is due is one for less than the deployed one was made for. */
  readonly isForLess: boolean
}

/** A watch that knows no model. @since 0.1.0 @category constructors */
export const makeLoadWatch = (nowMs: number): LoadWatch => ({
  estimator: RateEstimator.makeRateEstimator(), replan: plannedAt(nowMs), sizes: new Map(), counted: new Map(), recentMost: makeRecentMost(nowMs), isForLess: false
})

/** Estimated arrivals in items per second. @since 0.1.0 @category replanning */
export const watchedRps = (watch: LoadWatch, model: ModelName): number => RateEstimator.estimateRps(watch.estimator, model, watchedItemsPerRequest(watch, model))

/**
 * What a plan made now is for, in items per second: what arrives by estimate. A plan for less is due whenever its minute is over, in a lull too, and is to last for what
 * comes after that: it is for the most of the last quarter to half minute. One that was made between two loads of 500 requests a second was for the 450 that estimates had fallen to, and was made
 * anew twice in the four seconds after the second had begun.
 * @since 0.1.0
 * @category replanning
 */
export const rateToServe = (watch: LoadWatch, model: ModelName): number => {
  const rateRps = watchedRps(watch, model)
  return watch.isForLess ? Math.max(rateRps, mostOf(watch.recentMost, model)) : rateRps
}

/** How many items of a model come at once, by estimate: 1 before any was seen. @since 0.1.0 @category replanning */
export const watchedItemsPerRequest = (watch: LoadWatch, model: ModelName): number => itemsPerRequest(watch.sizes.get(model) ?? unseenSize)

/** A model is new: until it was seen, its rate is what was announced. @since 0.1.0 @category replanning */
export const expectLoad = (watch: LoadWatch, model: Model): LoadWatch => expectRate(watch, model.name, model.expectedRateRps)

/** From now on this rate is announced, items per second, until arrivals say otherwise. @since 0.1.0 @category replanning */
export const expectRate = (watch: LoadWatch, model: ModelName, rateRps: number): LoadWatch => ({
  ...watch, estimator: RateEstimator.expectRate(watch.estimator, model, rateRps)
})

/** Counts of this model begin again; its estimates stay. @since 0.1.0 @category replanning */
export const forgetCount = (watch: LoadWatch, model: ModelName): LoadWatch => {
  const counted = new Map(watch.counted)
  counted.delete(model)
  return { ...watch, counted }
}

/** Forgets the load of a model that is gone. @since 0.1.0 @category replanning */
export const forgetLoad = (watch: LoadWatch, model: ModelName): LoadWatch => {
  const sizes = new Map(watch.sizes)
  sizes.delete(model)
  return { ...watch, sizes, recentMost: forgetMost(watch.recentMost, model), estimator: RateEstimator.forgetRate(watch.estimator, model) }
}

/** A plan was made, whatever came of it. @since 0.1.0 @category replanning */
export const notePlan = (watch: LoadWatch, nowMs: number): LoadWatch => ({ ...watch, replan: plannedAt(nowMs), isForLess: false })

/** What the watch looks at. @since 0.1.0 @category replanning */
export interface LoadView {
  readonly nowMs: number
  /** `plannable`: false for what no plan can take in, e.g. a model that cannot be loaded. */
  readonly models: Iterable<{ readonly model: Model; readonly plannable: boolean }>
  /** What arrived since the model was registered. */
  readonly arrived: (model: ModelName) => ArrivedItems
  /** Whether some glet has it ready: clients wait for that. */
  readonly isServed: (model: ModelName) => boolean
  /** The deployed plan, and what it was asked for; undefined before the first. */
  readonly plan: Plan
  readonly basis: Pick<PlanBasis, "asked" | "meanParts"> | undefined
  readonly options: ReplanOptions
}

/** What a look at arrivals says. @since 0.1.0 @category replanning */
export interface LoadSeen {
  readonly watch: LoadWatch
  /** Why to plan now, if at all. */
  readonly reason: string | undefined
  /** Latency-critical models of which more arrives than the deployed plan carries: how many times as much. */
  readonly overasked: ReadonlyMap<ModelName, number>
}

/**
 * Takes in what arrived, and says why to plan now, if at all.
 * @since 0.1.0
 * @category replanning
 */
export const watchLoad = (watch: LoadWatch, view: LoadView): LoadSeen => {
  const models = [...view.models]
  const counts = new Map<ModelName, number>()
  const counted = new Map(watch.counted)
  const sizes = new Map(watch.sizes)
  const elapsedMs = view.nowMs - (watch.estimator.atMs ?? view.nowMs)
  for (const { model: { name } } of models) {
    const arrived = view.arrived(name)
    const before = counted.get(name)
    // A replaced model counts from zero again.
    const since = before !== undefined && arrived.items >= before.items
      ? { items: arrived.items - before.items, together: arrived.together - before.together }
      : arrived
    counts.set(name, since.items)
    counted.set(name, arrived)
    sizes.set(name, observeSize(sizes.get(name) ?? unseenSize, elapsedMs, since))
  }
  let estimator = RateEstimator.observe(watch.estimator, view.nowMs, counts, (name) => itemsPerRequest(sizes.get(name) ?? unseenSize))
  for (const { model: { name } } of models) {
    // Models load for a minute, and that nobody asks meanwhile says nothing of those who will: what was announced stays, or what was seen of it before.
    if (counted.get(name)!.items === 0 && !view.isServed(name)) estimator = RateEstimator.keepRate(estimator, name, watch.estimator)
  }
  const capacityRps = carriedRps(view.plan)
  const reserved = new Map<ModelName, number>()
  for (const { glet } of gletsOf(view.plan)) {
    for (const { latencyMs, model } of glet.assignments) {
      reserved.set(model, (reserved.get(model) ?? 0) + (glet.sharePct / 100) * (glet.dutyMs > 0 ? Math.min(1, latencyMs / glet.dutyMs) : 1))
    }
  }
  const loads: Array<ModelLoad> = []
  for (const { model: { name, serviceClass, sloMs }, plannable } of models) {
    const askedRps = view.basis?.asked.get(name)
    if (serviceClass === "best-effort" || !plannable || askedRps === undefined) continue
    const together = itemsPerRequest(sizes.get(name)!)
    const rateRps = RateEstimator.estimateRps(estimator, name, together)
    // By the mean part that what was asked was computed with.
    const neededRps = rateToPlanFor(rateRps, sloMs, view.basis?.meanParts.get(name), together)
    loads.push({ model: name, rateRps, neededRps, askedRps, capacityRps: capacityRps.get(name) ?? 0, reserved: reserved.get(name) ?? 0 })
  }
  const recentMost = observeMost(watch.recentMost, view.nowMs, new Map(loads.map(({ model, rateRps }) => [model, rateRps])))
  const { isForLess, reason, state } = decideReplan(watch.replan, view.nowMs, loads, view.options)
  const overasked = new Map(loads.filter(({ capacityRps, rateRps }) => rateRps > capacityRps).map(({ capacityRps, model, rateRps }) => [model, rateRps / capacityRps] as const))
  return { watch: { estimator, replan: state, sizes, counted, recentMost, isForLess: watch.isForLess || isForLess }, reason, overasked }
}
