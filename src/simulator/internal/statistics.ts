/** Counts of requests: fixed memory, whatever the length of the run. */
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import type { DropReason, RequestError, UnavailableReason } from "../../core/RequestError.js"
import type { StreamReport } from "../SimulationReport.js"

/** Why a request got no answer. */
export type EndReason = DropReason | UnavailableReason | "failed" | "step-failed" | "unfinished"

export const reasonOf = (error: RequestError): EndReason =>
  error._tag === "RequestDropped" || error._tag === "ModelUnavailable" ? error.reason : "failed"

/** One model's requests, or one application's. */
export class StreamStatistics {
  offered = 0
  withinSlo = 0
  late = 0
  readonly refused = new Map<EndReason, number>()
  readonly latency = new LatencyHistogram()

  constructor(readonly sloMs: number) {}

  answered(latencyMs: number): boolean {
    this.latency.add(latencyMs)
    // The judgement of the online service's own counters.
    const isGood = latencyMs <= this.sloMs
    if (isGood) this.withinSlo += 1
    else this.late += 1
    return isGood
  }

  notAnswered(reason: EndReason): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }

  report(name: string, countedMs: number): StreamReport {
    const { late, latency, offered, refused, withinSlo } = this
    const perSecond = (count: number): number => (countedMs > 0 ? (1000 * count) / countedMs : 0)
    return {
      name,
      ...(Number.isFinite(this.sloMs) ? { sloMs: this.sloMs } : {}),
      offered,
      offeredRps: perSecond(offered),
      goodputRps: perSecond(withinSlo),
      sloKept: offered === 0 ? 1 : withinSlo / offered,
      answered: withinSlo + late,
      late,
      notAnswered: Object.fromEntries([...refused].sort(([a], [b]) => (a < b ? -1 : 1))),
      latency: latency.summary()
    }
  }
}
