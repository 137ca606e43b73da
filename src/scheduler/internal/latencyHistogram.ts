/** Latencies of the last minute in buckets of equal ratio: bounded memory, percentiles within 0.6 %. */
import type { LatencySummary } from "../SchedulerStatus.js"

const perOctave = 64
const smallestMs = 0.01
const octaves = 24
const buckets = perOctave * octaves
const slots = 6
const slotMs = 10_000

/** Of what time the histogram tells. */
export const windowMs = slots * slotMs

export class LatencyHistogram {
  /** Only of times in which something was recorded: most of many models are idle. */
  private readonly counts: Array<Uint32Array | undefined> = new Array<undefined>(slots).fill(undefined)
  private readonly sums = new Float64Array(slots)
  private readonly weights = new Float64Array(slots)
  private epoch = -Infinity

  /** `weight` is summed beside it, e.g. the items of an execution. */
  record(nowMs: number, latencyMs: number, weight: number): void {
    this.advance(nowMs)
    const slot = this.epoch % slots
    const counts = (this.counts[slot] ??= new Uint32Array(buckets))
    const bucket = Math.min(Math.max(Math.floor(Math.log2(latencyMs / smallestMs) * perOctave), 0), buckets - 1)
    counts[bucket] = counts[bucket]! + 1
    this.sums[slot] = this.sums[slot]! + latencyMs
    this.weights[slot] = this.weights[slot]! + weight
  }

  summary(nowMs: number): LatencySummary {
    this.advance(nowMs)
    const merged = new Uint32Array(buckets)
    let count = 0
    for (const counts of this.counts) {
      if (counts === undefined) continue
      for (let i = 0; i < buckets; i++) {
        merged[i] = merged[i]! + counts[i]!
        count += counts[i]!
      }
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
      this.counts[slot] = undefined
      this.sums[slot] = 0
      this.weights[slot] = 0
    }
    this.epoch = epoch
  }
}
