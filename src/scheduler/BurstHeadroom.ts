/**
 * The rate to plan for, given the rate that arrives: head-room for the bursts that chance makes, and for the error of the estimate.
 *
 * @since 0.1.0
 */
import type { Gpu } from "../core/Gpu.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"

/** The 99th percentile of the standard normal distribution, and what the skew of a Poisson distribution adds to it. */
const z99 = 2.3263
const skew = (z99 * z99 - 1) / 6

/** Rates are estimates. */
const leastHeadroom = 0.1

/** The part of requests that may wait too long because of bursts. */
const lateOfBursts = 0.01

/**
 * The least service rate, items per second, with which a queue of Poisson arrivals of k items each holds up only `lateOfBursts` of them for longer than
 * half the SLO: their effective bandwidth. The other half is for the execution, which under the duty rules may take as long. A queue served at a rate m has
 * a tail exp(-t w), w the wait and t the root of r / k (exp(t k / m) - 1) = t (Lundberg's exponent). With t = 2 ln(1 / p) / SLO that is
 * m = k t / ln(1 + k t / r): about r + k t / 2 where many requests come within an SLO, many times r where few do.
 */
const effectiveBandwidth = (rateRps: number, sloMs: number, itemsPerRequest: number): number => {
  const exponent = (2000 * itemsPerRequest * Math.log(1 / lateOfBursts)) / sloMs
  return exponent > 0 && rateRps > 0 ? exponent / Math.log1p(exponent / rateRps) : rateRps
}

/**
 * The rate to plan for in items per second, the larger of two:
 *
 * - the 99th percentile of the arrivals of one second if requests come by a Poisson process, `rateRps` items in all and `itemsPerRequest` = k with each. By
 *   Cornish and Fisher's expansion, r + z √(r k) + k (z² - 1) / 6: within one request of the exact count everywhere, and unlike it continuous and strictly
 *   increasing, so that a small change of the rate is a small change of the plan (gpulet §2, R99). A model that gets nothing at all is planned for 0.7
 *   requests/s;
 * - of a tenth more than the rate, for it is an estimate, what keeps all but one in a hundred from waiting longer than half of `sloMs` for those before
 *   them: a short SLO leaves no time to work a burst off. Plans count executions at their 99th percentile, and queues see their mean: `meanPart` is the
 *   mean over the 99th percentile (see `meanPartOf`).
 *
 * Requests of different sizes burst as much as such of one size, E[k²] / E[k]: the mean size by item. The variance of a second's arrivals is the same, and
 * for the waits it is near (`RequestSize` estimates it).
 *
 * @example
 * ```ts
 * import { rateToPlanFor } from "glet-orion/scheduler"
 *
 * rateToPlanFor(100) // 124.0
 * rateToPlanFor(10_000) // 11_000
 * rateToPlanFor(1000, 5) // 1872.9: five requests come within the SLO on average, and often nine
 * rateToPlanFor(1000, 5, 1, 4) // 3610.1: as many items, of which four come at once
 * ```
 * @since 0.1.0
 * @category rates
 */
export const rateToPlanFor = (rateRps: number, sloMs = Infinity, meanPart = 1, itemsPerRequest = 1): number => {
  const rate = rateRps > 0 ? rateRps : 0
  const items = itemsPerRequest > 1 ? itemsPerRequest : 1
  return Math.max(rate + z99 * Math.sqrt(rate * items) + skew * items, meanPart * effectiveBandwidth((1 + leastHeadroom) * rate, sloMs, items))
}

/**
 * What an execution takes on average over its 99th percentile, 0 to 1: of the largest batch known, on the whole GPU, of the type where it is largest. 1
 * where nothing is known. The median stands for the mean, which profiles need not know for all batches.
 * @since 0.1.0
 * @category rates
 */
export const meanPartOf = (latency: LatencyModel, gpus: Iterable<Gpu>, { maxBatch, name }: Pick<Model, "name" | "maxBatch">): number => {
  const seen = new Set<string>()
  let part = 0
  for (const { sharesPct, type } of gpus) {
    if (seen.has(type)) continue
    seen.add(type)
    for (let batch = maxBatch; batch >= 1; batch = Math.floor(batch / 2)) {
      const execution = { gpuType: type, model: name, sharePct: Math.max(...sharesPct), batch }
      const highMs = latency.latencyMs(execution)
      if (!Number.isFinite(highMs)) continue
      part = Math.max(part, latency.typicalMs(execution) / highMs)
      break
    }
  }
  return part > 0 && part <= 1 ? part : 1
}
