/**
 * Latencies of any number of requests in bounded memory, to 0.25 %.
 *
 * @since 0.1.0
 */

// Buckets grow by 0.5 %, so that a bucket's middle is at most 0.25 % off; from 1 µs to 1 000 s.
const growth = Math.log(1.005)
const lowestMs = 1e-3
const bucketCount = Math.ceil(Math.log(1e6 / lowestMs) / growth) + 1

/** @since 0.1.0 @category histogram */
export interface LatencySummary {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

/** What a histogram holds, as it passes between threads. @since 0.1.0 @category histogram */
export interface LatencyCounts {
  readonly buckets: Uint32Array
  readonly count: number
  readonly sumMs: number
  readonly maxMs: number
}

/** A histogram with logarithmic buckets; count, mean and extremes are exact. @since 0.1.0 @category histogram */
export class LatencyHistogram implements LatencyCounts {
  readonly buckets = new Uint32Array(bucketCount)
  sumMs = 0
  maxMs = 0
  count = 0

  /** Counts one latency in ms; negative ones count as 0. */
  add(latencyMs: number): void {
    const value = Math.max(0, latencyMs)
    const at = value <= lowestMs ? 0 : Math.min(bucketCount - 1, Math.floor(Math.log(value / lowestMs) / growth) + 1)
    this.buckets[at]!++
    this.count++
    this.sumMs += value
    if (value > this.maxMs) this.maxMs = value
  }

  /** The smallest latency that at least `ratio` of all do not exceed; 0 where nothing was counted. */
  quantileMs(ratio: number): number {
    const rank = Math.max(1, Math.ceil(ratio * this.count))
    let seen = 0
    for (let i = 0; i < bucketCount && this.count > 0; i++) {
      seen += this.buckets[i]!
      if (seen >= rank) return Math.min(this.maxMs, i === 0 ? lowestMs : lowestMs * Math.exp((i - 0.5) * growth))
    }
    return 0
  }

  /** Adds what another histogram counted. */
  merge(other: LatencyCounts): void {
    for (let i = 0; i < bucketCount; i++) this.buckets[i]! += other.buckets[i]!
    this.count += other.count
    this.sumMs += other.sumMs
    this.maxMs = Math.max(this.maxMs, other.maxMs)
  }

  /** In ms, rounded to microseconds. */
  summary(): LatencySummary {
    const round = (ms: number): number => Math.round(ms * 1000) / 1000
    return {
      count: this.count,
      meanMs: round(this.count === 0 ? 0 : this.sumMs / this.count),
      p50Ms: round(this.quantileMs(0.5)),
      p90Ms: round(this.quantileMs(0.9)),
      p95Ms: round(this.quantileMs(0.95)),
      p99Ms: round(this.quantileMs(0.99)),
      p999Ms: round(this.quantileMs(0.999)),
      maxMs: round(this.maxMs)
    }
  }
}
