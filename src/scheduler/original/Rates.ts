/**
 * What the original derives from latencies: the rate to plan for, the largest batch, the preferred part.
 *
 * @since 0.1.0
 */
import { largestBatch } from "./Models.js"

/** Above it the original takes a tenth more. */
const poissonLimit = 550

/**
 * The rate the original plans for, given the rate that arrives: the smallest k with P(1 <= X <= k) >= 0.99 for X of the Poisson distribution, plus
 * one. The sum leaves out the chance of no arrival, so that rates below about 4.7 would never, or hardly, reach .99; for them it is counted in. A rate
 * of 0 is 0.
 * @since 0.1.0
 * @category rates
 */
export const rate99Rps = (rateRps: number): number => {
  if (!(rateRps > 0)) return 0
  if (rateRps > poissonLimit) return Math.trunc(1.1 * rateRps)
  let chance = Math.exp(-rateRps)
  let sum = chance <= 0.009 ? 0 : chance
  let k = 0
  while (sum < 0.99) {
    k++
    chance *= rateRps / k
    sum += chance
  }
  return k + 1
}

/** Planning latency in ms of a batch on some part. @since 0.1.0 @category rates */
export type BatchLatency = (batch: number) => number

/**
 * The largest batch of a partition that always has work, as the original finds it: 2 L <= SLO, below its largest batch of 32, and 1 even where
 * that misses the SLO. Planners here go by what an SLO allows instead, batch 32 included.
 * @since 0.1.0
 * @category rates
 */
export const saturatedBatch = (latencyMs: BatchLatency, sloMs: number): number => {
  let batch = largestBatch - 1
  while (batch > 1 && !(2 * latencyMs(batch) <= sloMs)) batch--
  return batch
}

/** The largest batch at a given rate: L + 1000 b / q <= SLO, and the cycle of 1000 b / q has room for L. 0 where there is none. @since 0.1.0 @category rates */
export const residualBatch = (latencyMs: BatchLatency, sloMs: number, rateRps: number): number => {
  const holds = (batch: number): boolean => {
    const dutyMs = (1000 * batch) / rateRps
    const ms = latencyMs(batch)
    return ms <= dutyMs && ms + dutyMs <= sloMs
  }
  let batch = largestBatch
  while (batch > 0 && !holds(batch)) batch--
  return batch
}

/** Throughput in items per second of a partition that always has work, as the original finds it. @since 0.1.0 @category rates */
export const saturatedRps = (latencyMs: BatchLatency, sloMs: number): number => {
  const batch = saturatedBatch(latencyMs, sloMs)
  return (1000 * batch) / latencyMs(batch)
}

/** Less than this more throughput is not worth a larger part. */
const leastGain = 0.05

/**
 * The preferred part: of neighbouring parts the upper one of the pair that gains most throughput per percent; the smallest where no pair gains
 * enough. `sharesPct` ascend; `throughputRps` is that of the saturated part.
 * @since 0.1.0
 * @category rates
 */
export const preferredPart = (sharesPct: ReadonlyArray<number>, throughputRps: (sharePct: number) => number): number => {
  let best = sharesPct[0] ?? 0
  let bestGain = 0
  for (let i = 1; i < sharesPct.length; i++) {
    const below = throughputRps(sharesPct[i - 1]!)
    const more = throughputRps(sharesPct[i]!) - below
    const gain = more / (sharesPct[i]! - sharesPct[i - 1]!)
    if (more <= 0 || more < leastGain * below || gain <= bestGain) continue
    best = sharesPct[i]!
    bestGain = gain
  }
  return best
}
