/** Latencies of the last minute in buckets of equal ratio: bounded memory, percentiles within 2.5 %. */
import type { LatencySummary } from "../SchedulerStatus.js"

const perOctave = 16
const smallestMs = 0.01
const octaves = 24
const buckets = perOctave * octaves
const slots = 6
const slotMs = 10_000

/** Of what time the histogram tells. */
export const windowMs = slots * slotMs

export class LatencyHistogram {
  private readonly counts = new Uint32Array(buckets * slots)
  private readonly sums = new Float64Array(slots)
  private readonly weights = new Float64Array(slots)
  private epoch = -Infinity

  /** `weight` is summed beside it, e.g. the items of an execution. */
  record(nowMs: number, latencyMs: number, weight: number): void {
    this.advance(nowMs)
    const slot = this.epoch % slots
    const bucket = Math.min(Math.max(Math.floor(Math.log2(latencyMs / smallestMs) * perOctave), 0), buckets - 1)
    const at = slot * buckets + bucket
    this.counts[at] = this.counts[at]! + 1
    this.sums[slot] = this.sums[slot]! + latencyMs
    this.weights[slot] = this.weights[slot]! + weight
  }

  summary(nowMs: number): LatencySummary {
    this.advance(nowMs)
    const merged = new Uint32Array(buckets)
    let count = 0
    for (let i = 0; i < this.counts.length; i++) {
      merged[i % buckets] = merged[i % buckets]! + this.counts[i]!
      count += this.counts[i]!
    }
    const percentile = (part: number): number => {
      let seen = 0
      for (let bucket = 0; bucket < buckets; bucket++) {
        seen += merged[bucket]!
        if (seen > 0 && seen >= part * count) return smallestMs * 2 ** ((bucket + 0.5) / perOctave)
      }
      return 0
    }
    return { count, p50Ms: percentile(0.5), p90Ms: percentile(0.9), p99Ms: percentile(0.99) }
  }

  /** Sum of the latencies, ms. */
  sumMs(nowMs: number): number {
    this.advance(nowMs)
    return this.sums.reduce((total, sum) => total + sum, 0)
  }

  weight(nowMs: number): number {
    this.advance(nowMs)
    return this.weights.reduce((total, weight) => total + weight, 0)
  }

  /** Empties the slots whose time has come again. */
  private advance(nowMs: number): void {
    const epoch = Math.floor(nowMs / slotMs)
    if (epoch <= this.epoch) return
    for (let next = Math.max(this.epoch + 1, epoch - slots + 1); next <= epoch; next++) {
      const slot = next % slots
      this.counts.fill(0, slot * buckets, (slot + 1) * buckets)
      this.sums[slot] = 0
      this.weights[slot] = 0
    }
    this.epoch = epoch
  }
}
