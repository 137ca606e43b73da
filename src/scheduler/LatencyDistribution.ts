/**
 * Draws latencies that have the percentiles of a profile. Between percentiles the quantile function is linear; below the median it falls to
 * where the mean is met, above the 99th percentile it goes on with the same slope. The median and the 99th percentile come from the latency
 * model, which interpolates; the shape between them from the measured point nearest in share and batch. What `emulated` glets take in real
 * time, simulated ones take in theirs.
 *
 * @since 0.1.0
 */
import type { Execution, LatencyModel } from "../core/LatencyModel.js"
import type { ModelProfile, ProfilePoint } from "../core/Profile.js"

/** A quantile function, in ms. @since 0.1.0 @category latency */
export interface LatencyDistribution {
  readonly lowestMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
}

/** The value at quantile `u` in [0, 1). @since 0.1.0 @category latency */
export const quantileMs = ({ lowestMs, p50Ms, p90Ms, p99Ms }: LatencyDistribution, u: number): number => {
  if (u < 0.5) return lowestMs + (p50Ms - lowestMs) * (u / 0.5)
  if (u < 0.9) return p50Ms + (p90Ms - p50Ms) * ((u - 0.5) / 0.4)
  return p90Ms + (p99Ms - p90Ms) * ((u - 0.9) / 0.09)
}

const nearest = (points: ReadonlyArray<ProfilePoint>, execution: Execution): ProfilePoint | undefined => {
  let found: ProfilePoint | undefined
  let least = Infinity
  for (const point of points) {
    const distance = Math.abs(Math.log(point.sharePct / execution.sharePct)) * 4 + Math.abs(Math.log(point.batch / execution.batch))
    if (distance < least) {
      least = distance
      found = point
    }
  }
  return found
}

/** The lowest value for which the quantile function has the mean, within half the median and the median. */
const lowestForMean = (meanMs: number, p50Ms: number, p90Ms: number, p99Ms: number): number => {
  const top = p99Ms + (p99Ms - p90Ms) / 9
  const upperHalf = 0.2 * (p50Ms + p90Ms) + 0.05 * (p90Ms + top)
  return Math.min(p50Ms, Math.max(p50Ms / 2, 4 * (meanMs - upperHalf) - p50Ms))
}

/**
 * The distribution of one execution; undefined where its latency is unknown. Without a measured shape what lies between median and 99th
 * percentile is taken as straight.
 * @since 0.1.0
 * @category latency
 */
export const distributionOf = (latency: LatencyModel, profile: ModelProfile | undefined, execution: Execution): LatencyDistribution | undefined => {
  const p50Ms = latency.typicalMs(execution)
  const p99Ms = Math.max(p50Ms, latency.latencyMs(execution))
  if (!Number.isFinite(p99Ms)) return undefined
  const shape = profile === undefined ? undefined : nearest(profile.points, execution)
  if (shape === undefined) return { lowestMs: Math.max(p50Ms / 2, p50Ms - (p99Ms - p50Ms)), p50Ms, p90Ms: p50Ms + 0.8 * (p99Ms - p50Ms), p99Ms }
  const spread = shape.p99Ms - shape.p50Ms
  const bend = spread > 0 ? Math.min(1, Math.max(0, (shape.p90Ms - shape.p50Ms) / spread)) : 0
  const p90Ms = p50Ms + bend * (p99Ms - p50Ms)
  return { lowestMs: lowestForMean((shape.meanMs / shape.p50Ms) * p50Ms, p50Ms, p90Ms, p99Ms), p50Ms, p90Ms, p99Ms }
}
