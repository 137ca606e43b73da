/**
 * How long the batches that ran were expected to take: of each one duration, drawn from what the plan lets expect of it. The 99th percentile of batches of
 * many sizes is no batch's own: a tenth of them may be the largest, of which a tenth takes so long.
 */
import type { LatencyDistribution } from "../LatencyDistribution.js"
import { quantileMs } from "../LatencyDistribution.js"
import { LatencyHistogram } from "./latencyHistogram.js"

/** Multiples of it, less their whole part, are spread evenly, however many they are. */
const goldenRatio = (Math.sqrt(5) - 1) / 2
/** Where the 90th percentile lies between median and 99th: about the middle of the zoo's models on an H200 (resource/zoo/h200/mps.json). */
const p90Part = 0.4

export class ExpectedTimes {
  readonly histogram = new LatencyHistogram()
  private drawn = 0

  /** A batch ended whose 99th percentile is `p99Ms` by the plan, and whose median `medianRatio` times that; `extraMs` comes on top of either. */
  record(nowMs: number, p99Ms: number, medianRatio: number, extraMs: number): void {
    this.drawn = (this.drawn + goldenRatio) % 1
    const p50Ms = medianRatio * p99Ms
    const expected: LatencyDistribution = { lowestMs: p50Ms, p50Ms, p90Ms: p50Ms + p90Part * (p99Ms - p50Ms), p99Ms }
    this.histogram.record(nowMs, quantileMs(expected, this.drawn) + extraMs, 1)
  }
}
