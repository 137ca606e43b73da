/**
 * The rate to plan for, given the rate that arrives: head-room for the bursts that chance makes.
 *
 * @since 0.1.0
 */

/** The 99th percentile of the standard normal distribution, and what the skew of a Poisson distribution adds to it. */
const z99 = 2.3263
const skew = (z99 * z99 - 1) / 6

/** Above a few hundred items per second Poisson's spread becomes small; what remains is error of the estimate. */
const leastHeadroom = 0.1

/**
 * The rate to plan for in items per second: the 99th percentile of the arrivals of one second if they come by a Poisson process of `rateRps`,
 * and at least a tenth more than the rate.
 *
 * The percentile is Cornish and Fisher's expansion, r + z √r + (z² - 1) / 6: within one item of the exact count everywhere, and unlike it
 * continuous and strictly increasing, so that a small change of the rate is a small change of the plan. It meets the tenth at about
 * 560 items/s, as gpulet's rule does (gpulet §2, R99). A model that gets nothing at all is planned for 0.7 items/s.
 *
 * @example
 * ```ts
 * import { rateToPlanFor } from "glet-orion/scheduler"
 *
 * rateToPlanFor(100) // 124.0
 * rateToPlanFor(10_000) // 11_000
 * ```
 * @since 0.1.0
 * @category rates
 */
export const rateToPlanFor = (rateRps: number): number => {
  const rate = rateRps > 0 ? rateRps : 0
  return rate + Math.max(leastHeadroom * rate, z99 * Math.sqrt(rate) + skew)
}
