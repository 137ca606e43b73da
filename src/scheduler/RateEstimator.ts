/**
 * Estimates each model's arrival rate from counts. A pure state: observations in, estimates out; the caller has the clock.
 *
 * Three exponential averages per model. The slow one (10 s) is steady and forgets slowly, so a lull does not take capacity away at once. The fast
 * one (0.5 s) sees a step within a second; it counts only where it exceeds the slow one by more than the scatter of Poisson arrivals explains,
 * so that noise at low rates is not taken for load. The quick one (0.05 s) is of hardly more than the last look. Where it or the fast one exceeds the slow one
 * by far, the rate has stepped up and the fast one is still on its way: then the slow one begins again with the next look, so that the plan that is made for
 * the step is not for half of it, and from there is a mean of all since, until that is longer than it remembers. The look that saw the step is left out: the
 * step came during it, who knows when, and what a client, a network or a host had held back comes at once, as the load that begins does on cold connections: a
 * tenth of a second held back is a look of twice the rate. A step of which the look after it shows nothing was a pause, and all is as it was. And the later
 * looks are the more they count, for what was held back can take some of them to come. One look alone would do for the first plan, but looks scatter: while
 * the slow one was still on its way, for ten seconds and more, every look that chance made the highest so far called for another plan.
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
  /** What the slow one is the mean of at most, ms: the time since the last step; 0 right after the look that saw one. */
  readonly steadyMs: number
  /** What that would be without the step, where only the last look saw that one: the next may show that there was none. */
  readonly doubtedMs?: number
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
/** What a pause of the host held back comes at once too: the look after one that saw a step is so many times the slow one at least, or there was no step. */
const confirmedRatio = 1.1

/** An average of this time constant T over Poisson arrivals, k items each, scatters as the count of a window of 2 T. */
const scatterRps = (rps: number, timeConstantMs: number, itemsPerRequest: number): number => Math.sqrt((rps * itemsPerRequest) / ((2 * timeConstantMs) / 1000))

const isStep = ({ slowRps }: Pick<ModelRate, "slowRps">, rps: number, timeConstantMs: number, itemsPerRequest: number): boolean =>
  rps - stepScatters * scatterRps(rps, timeConstantMs, itemsPerRequest) >= stepRatio * slowRps && rps > slowRps

/**
 * Loads of several models often step together, and one more step is less of a wonder where one was just seen: an average that the last look exceeds by so many
 * scatters then goes by what comes next. Else the plan for the step would be for half of it: of models whose step chance hid, for the rate before. Where that
 * one step was a pause, theirs was it too.
 */
const companionScatters = 1

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
  return { ...estimator, rates: new Map(estimator.rates).set(model, { fastRps: rps, quickRps: rps, slowRps: rps, steadyMs: Infinity }) }
}

/** Forgets a model that is gone. @since 0.1.0 @category rates */
export const forgetRate = (estimator: RateEstimator, model: ModelName): RateEstimator => {
  const rates = new Map(estimator.rates)
  rates.delete(model)
  return { ...estimator, rates }
}

/** Of this model nothing is taken in: what was known before an observation stays. @since 0.1.0 @category rates */
export const keepRate = (estimator: RateEstimator, model: ModelName, before: RateEstimator): RateEstimator => {
  const rate = before.rates.get(model)
  return rate === undefined ? forgetRate(estimator, model) : { ...estimator, rates: new Map(estimator.rates).set(model, rate) }
}

const settle = (rps: number): number => (rps < negligibleRps ? 0 : rps)

const unknown: ModelRate = { fastRps: 0, quickRps: 0, slowRps: 0, steadyMs: Infinity }

const one = (): number => 1

/** What arrived since the last observation. */
interface Look {
  readonly options: RateEstimatorOptions
  readonly elapsedMs: number
  readonly isFirst: boolean
  readonly countOf: (model: ModelName) => number
  readonly rpsOf: (model: ModelName) => number
  readonly itemsPerRequest: (model: ModelName) => number
}

/** Whether the step that the last look saw was a pause: that holds back what comes of all models. A look of no time tells nothing of it. */
const isPause = ({ elapsedMs, rpsOf }: Look, before: RateEstimator["rates"]): boolean => {
  if (elapsedMs === 0) return false
  let [seen, known] = [0, 0]
  for (const [model, { doubtedMs, slowRps }] of before) {
    if (doubtedMs === undefined) continue
    seen += rpsOf(model)
    known += slowRps
  }
  return seen < confirmedRatio * known
}

/** The averages after the look, `sinceMs` after the last step. */
const averaged = ({ countOf, elapsedMs, isFirst, options: { fastMs, quickMs, slowMs }, rpsOf }: Look, model: ModelName, before: ModelRate, sinceMs: number): ModelRate => {
  const lookRps = rpsOf(model)
  const keptAfter = (timeConstantMs: number): number => Math.exp(-elapsedMs / timeConstantMs)
  // An exponential average gains count / timeConstant from a pulse; spread over the interval it gains a little less.
  const moved = (rps: number, timeConstantMs: number, kept = keptAfter(timeConstantMs)): number =>
    settle(elapsedMs > 0 ? rps * kept + lookRps * (1 - kept) : rps + (isFirst ? 0 : (1000 * countOf(model)) / timeConstantMs))
  const steadyMs = sinceMs + elapsedMs
  return {
    fastRps: moved(before.fastRps, fastMs),
    quickRps: moved(before.quickRps, quickMs),
    // What one look saw after a step, and chance made less than the rate was before, is no reason to forget that.
    slowRps: sinceMs === 0 && elapsedMs > 0
      ? Math.max(before.slowRps, lookRps)
      : moved(before.slowRps, slowMs, Math.min(keptAfter(slowMs), sinceMs === Infinity ? 1 : (sinceMs / steadyMs) ** 2)),
    steadyMs,
    ...(elapsedMs > 0 || before.doubtedMs === undefined ? {} : { doubtedMs: before.doubtedMs })
  }
}

/** The rate from the step on that the look saw; undefined where it saw none. */
const steppedUp = ({ elapsedMs, itemsPerRequest, options: { fastMs, quickMs }, rpsOf }: Look, model: ModelName, rate: ModelRate): ModelRate | undefined => {
  const together = itemsPerRequest(model)
  const isLasting = isStep(rate, rate.fastRps, fastMs, together)
  if (elapsedMs === 0 || !(isLasting || isStep(rate, rate.quickRps, quickMs, together))) return undefined
  // In a long look what was held back before is little.
  if (elapsedMs > fastMs) return { ...rate, slowRps: Math.max(rate.slowRps, rpsOf(model)), steadyMs: elapsedMs / 2 }
  return { ...rate, steadyMs: 0, ...(isLasting ? {} : { doubtedMs: rate.steadyMs }) }
}

/** The rate of a model beside which others were seen to step. */
const accompanied = ({ elapsedMs, itemsPerRequest, options: { quickMs } }: Look, model: ModelName, rate: ModelRate, isDoubted: boolean): ModelRate => {
  const exceeds = rate.quickRps - companionScatters * scatterRps(rate.quickRps, quickMs, itemsPerRequest(model)) > rate.slowRps
  return exceeds && rate.steadyMs > elapsedMs / 2 ? { ...rate, steadyMs: elapsedMs / 2, ...(isDoubted ? { doubtedMs: rate.steadyMs } : {}) } : rate
}

/**
 * Takes in the items that arrived per model since the last observation; a known model that is not named had none, an unknown one starts at
 * zero. The first observation only starts the time. Where the clock stood still since the last one, the items count as a pulse. `itemsPerRequest` is
 * `rateToPlanFor`'s: items that come together scatter more.
 * @since 0.1.0
 * @category rates
 */
export const observe = (
  { atMs, options, rates: before }: RateEstimator, nowMs: number, counts: ReadonlyMap<ModelName, number>, itemsPerRequest: (model: ModelName) => number = one
): RateEstimator => {
  const elapsedMs = atMs === undefined ? 0 : Math.max(0, nowMs - atMs)
  const countOf = (model: ModelName): number => counts.get(model) ?? 0
  const look: Look = { options, elapsedMs, isFirst: atMs === undefined, countOf, rpsOf: (model) => (1000 * countOf(model)) / elapsedMs, itemsPerRequest }
  const wasPause = isPause(look, before)
  const rates = new Map<ModelName, ModelRate>()
  const steps: Array<ModelRate> = []
  for (const model of new Set([...before.keys(), ...counts.keys()])) {
    const known = before.get(model) ?? unknown
    const rate = averaged(look, model, known, wasPause && known.doubtedMs !== undefined ? known.doubtedMs : known.steadyMs)
    const step = steppedUp(look, model, rate)
    if (step !== undefined) steps.push(step)
    rates.set(model, step ?? rate)
  }
  if (steps.length > 0) {
    const isDoubted = steps.every(({ doubtedMs }) => doubtedMs !== undefined)
    for (const [model, rate] of rates) rates.set(model, accompanied(look, model, rate, isDoubted))
  }
  return { options, atMs: atMs === undefined ? nowMs : Math.max(atMs, nowMs), rates }
}

/**
 * Estimated arrivals of a model in items per second; 0 for one that is not known. `itemsPerRequest` as for `observe`.
 * @since 0.1.0
 * @category rates
 */
export const estimateRps = (estimator: RateEstimator, model: ModelName, itemsPerRequest = 1): number => {
  const rate = estimator.rates.get(model)
  if (rate === undefined) return 0
  const { fastRps, slowRps, steadyMs } = rate
  // How high the step is that was just seen, the next look tells.
  if (steadyMs === 0) return slowRps
  return Math.max(slowRps, fastRps - scatterRps(fastRps, estimator.options.fastMs, itemsPerRequest))
}
