/**
 * What became of the requests of one load stream. Every scheduled request is counted exactly once: answered, dropped, or failed.
 *
 * @since 0.1.0
 */
import type { LatencyCounts, LatencySummary } from "../../core/LatencyHistogram.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"

/** How a request ended, seen from the client. @since 0.1.0 @category stats */
export type Outcome =
  | { readonly kind: "answered"; readonly latencyMs: number }
  | { readonly kind: "dropped"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string }

/** Plain numbers for reports. @since 0.1.0 @category stats */
export interface StatsReport {
  readonly requests: number
  readonly answered: number
  readonly withinSlo: number
  /** Answered within the SLO, as a part of all requests, dropped and failed ones included; null without an SLO or without requests. */
  readonly sloKept: number | null
  readonly dropped: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  readonly latencyMs: LatencySummary
  /** Requests not answered within the SLO, by the second of the run that they were due in, up to the last that missed; absent where none did, and of windows. */
  readonly missedBySecond?: ReadonlyArray<number>
}

// Reasons come from the server: no more of them than this are told apart.
const maxReasons = 32

const count = (counts: Map<string, number>, reason: string, n = 1): void => {
  const key = counts.has(reason) || counts.size < maxReasons ? reason : "other"
  counts.set(key, (counts.get(key) ?? 0) + n)
}

/** Seconds that are told apart; what comes later counts in the last. */
const mostSeconds = 3600

const total = (counts: ReadonlyMap<string, number>): number => {
  let sum = 0
  for (const n of counts.values()) sum += n
  return sum
}

/** What was counted, as it passes between threads. @since 0.1.0 @category stats */
export interface StreamCounts {
  readonly sloMs: number | undefined
  readonly latency: LatencyCounts
  readonly dropped: ReadonlyMap<string, number>
  readonly failed: ReadonlyMap<string, number>
  readonly withinSlo: number
  readonly missedBySecond: ReadonlyArray<number>
}

/** Counters of one stream or one window of it. @since 0.1.0 @category stats */
export class StreamStats implements StreamCounts {
  readonly latency = new LatencyHistogram()
  readonly dropped = new Map<string, number>()
  readonly failed = new Map<string, number>()
  readonly missedBySecond: Array<number> = []
  withinSlo = 0

  constructor(readonly sloMs: number | undefined) {}

  /** `dueMs`: when it was to be sent, from the start of the run; without it the second of a miss is not noted. */
  add(outcome: Outcome, dueMs?: number): void {
    switch (outcome.kind) {
      case "answered":
        this.latency.add(outcome.latencyMs)
        if (this.sloMs === undefined || outcome.latencyMs <= this.sloMs) {
          this.withinSlo++
          return
        }
        break
      case "dropped":
        count(this.dropped, outcome.reason)
        break
      case "failed":
        count(this.failed, outcome.reason)
    }
    if (this.sloMs !== undefined && dueMs !== undefined) this.miss(Math.floor(dueMs / 1000), 1)
  }

  private miss(second: number, n: number): void {
    const at = Math.min(second, mostSeconds - 1)
    while (this.missedBySecond.length <= at) this.missedBySecond.push(0)
    this.missedBySecond[at]! += n
  }

  /** Adds what was counted elsewhere of the same stream. */
  merge({ dropped, failed, latency, missedBySecond, withinSlo }: StreamCounts): void {
    this.latency.merge(latency)
    for (const [reason, n] of dropped) count(this.dropped, reason, n)
    for (const [reason, n] of failed) count(this.failed, reason, n)
    this.withinSlo += withinSlo
    missedBySecond.forEach((n, second) => this.miss(second, n))
  }

  get requests(): number {
    return this.latency.count + total(this.dropped) + total(this.failed)
  }

  report(): StatsReport {
    const requests = this.requests
    return {
      requests,
      answered: this.latency.count,
      withinSlo: this.withinSlo,
      sloKept: this.sloMs === undefined || requests === 0 ? null : this.withinSlo / requests,
      dropped: Object.fromEntries(this.dropped),
      failed: Object.fromEntries(this.failed),
      latencyMs: this.latency.summary(),
      ...(this.missedBySecond.length === 0 ? {} : { missedBySecond: this.missedBySecond })
    }
  }
}
