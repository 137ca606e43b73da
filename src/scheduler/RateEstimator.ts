/**
 * Estimates each model's arrival rate from counts. A pure state: observations in, estimates out; the caller has the clock.
 *
 * Three exponential averages per model. The slow one (10 s) is steady and forgets slowly, so a lull does not take capacity away at once. The fast
 * one (0.5 s) sees a step within a second; it counts only where it exceeds the slow one by more than the scatter of Poisson arrivals explains,
 * so that noise at low rates is not taken for load. The quick one (0.05 s) is of hardly more than the last look. Where it or the fast one exceeds the slow one
 * by far, the rate has stepped up and the fast one is still on its way: then the quick one says how high the step is, so that the plan that is made for it is
 * not for half of it.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"

/** How fast estimates follow arrivals. @since 0.1.0 @category rates */
export interface RateEstimatorOptions {
  /** Time constant of the average that sees steps, ms. */
  readonly fastMs: number
  /** Time constant of the average that tells how high a step is while it is seen, ms. */
  readonly quickMs: number
  /** Time constant of the average that decays, ms. */
  readonly slowMs: number
}

/** What the online service estimates by. @since 0.1.0 @category rates */
export const defaultRateEstimatorOptions: RateEstimatorOptions = { fastMs: 500, quickMs: 50, slowMs: 10_000 }

interface ModelRate {
  readonly fastRps: number
  readonly quickRps: number
  readonly slowRps: number
}

/**
 * What is known of the rates at `atMs`.
 * @since 0.1.0
 * @category rates
 */
export interface RateEstimator {
  readonly options: RateEstimatorOptions
  /** Time of the last observation; undefined before the first. */
  readonly atMs: number | undefined
  readonly rates: ReadonlyMap<ModelName, ModelRate>
}

/** A fast or quick average so many times the slow one, even less so many scatters, is of a step. */
const stepRatio = 1.2
const stepScatters = 3

/** An average of this time constant T over Poisson arrivals, k items each, scatters as the count of a window of 2 T. */
const scatterRps = (rps: number, timeConstantMs: number, itemsPerRequest: number): number => Math.sqrt((rps * itemsPerRequest) / ((2 * timeConstantMs) / 1000))

/** Below this many items per second a decaying average is zero. */
const negligibleRps = 1e-3

/** An estimator that knows no model. @since 0.1.0 @category constructors */
export const makeRateEstimator = (options: Partial<RateEstimatorOptions> = {}): RateEstimator => ({
  options: { ...defaultRateEstimatorOptions, ...options },
  atMs: undefined,
  rates: new Map()
})

/** Adds a model, or sets it anew, as if it had arrived at `expectedRps` all the time. @since 0.1.0 @category rates */
export const expectRate = (estimator: RateEstimator, model: ModelName, expectedRps: number): RateEstimator => {
  const rps = expectedRps > 0 && Number.isFinite(expectedRps) ? expectedRps : 0
  return { ...estimator, rates: new Map(estimator.rates).set(model, { fastRps: rps, quickRps: rps, slowRps: rps }) }
}

/** Forgets a model that is gone. @since 0.1.0 @category rates */
export const forgetRate = (estimator: RateEstimator, model: ModelName): RateEstimator => {
  const rates = new Map(estimator.rates)
  rates.delete(model)
  return { ...estimator, rates }
}

const settle = (rps: number): number => (rps < negligibleRps ? 0 : rps)

/**
 * Takes in the items that arrived per model since the last observation; a known model that is not named had none, an unknown one starts at
 * zero. The first observation only starts the time. Where the clock stood still since the last one, the items count as a pulse.
 * @since 0.1.0
 * @category rates
 */
export const observe = (estimator: RateEstimator, nowMs: number, counts: ReadonlyMap<ModelName, number>): RateEstimator => {
  const elapsedMs = estimator.atMs === undefined ? 0 : nowMs - estimator.atMs
  const { fastMs, quickMs, slowMs } = estimator.options
  const rates = new Map<ModelName, ModelRate>()
  const models = new Set([...estimator.rates.keys(), ...counts.keys()])
  const fastKept = elapsedMs > 0 ? Math.exp(-elapsedMs / fastMs) : 1
  const quickKept = elapsedMs > 0 ? Math.exp(-elapsedMs / quickMs) : 1
  const slowKept = elapsedMs > 0 ? Math.exp(-elapsedMs / slowMs) : 1
  for (const model of models) {
    const { fastRps, quickRps, slowRps } = estimator.rates.get(model) ?? { fastRps: 0, quickRps: 0, slowRps: 0 }
    const count = counts.get(model) ?? 0
    // An exponential average gains count / timeConstant from a pulse; spread over the interval it gains a little less.
    const gain = (keptRatio: number, timeConstantMs: number): number =>
      elapsedMs > 0 ? (1000 * count * (1 - keptRatio)) / elapsedMs : estimator.atMs === undefined ? 0 : (1000 * count) / timeConstantMs
    rates.set(model, {
      fastRps: settle(fastRps * fastKept + gain(fastKept, fastMs)),
      quickRps: settle(quickRps * quickKept + gain(quickKept, quickMs)),
      slowRps: settle(slowRps * slowKept + gain(slowKept, slowMs))
    })
  }
  return { ...estimator, atMs: estimator.atMs === undefined ? nowMs : Math.max(estimator.atMs, nowMs), rates }
}

/**
 * Estimated arrivals of a model in items per second; 0 for one that is not known. `itemsPerRequest` is `rateToPlanFor`'s: items that come together scatter
 * more.
 * @since 0.1.0
 * @category rates
 */
export const estimateRps = (estimator: RateEstimator, model: ModelName, itemsPerRequest = 1): number => {
  const rate = estimator.rates.get(model)
  if (rate === undefined) return 0
  const { fastRps, quickRps, slowRps } = rate
  const { fastMs, quickMs } = estimator.options
  const certainRps = Math.max(slowRps, fastRps - scatterRps(fastRps, fastMs, itemsPerRequest))
  const isStep = (rps: number, timeConstantMs: number): boolean => rps - stepScatters * scatterRps(rps, timeConstantMs, itemsPerRequest) >= stepRatio * slowRps
  // As it is: that it is a little low soon after the step, and may be high by chance, is about the same.
  return isStep(fastRps, fastMs) || isStep(quickRps, quickMs) ? Math.max(certainRps, quickRps) : certainRps
}
