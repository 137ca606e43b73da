/**
 * Results of `glet bench`: as JSON, as CSV, as text.
 *
 * @since 0.1.0
 */
import { bold, ms, percent, rps, table } from "../internal/terminal.js"
import type { LatencySummary } from "../../core/LatencyHistogram.js"
import type { LoadResult } from "./LoadGenerator.js"
import type { StatsReport } from "./StreamStats.js"

/** What was asked for. @since 0.1.0 @category reports */
export interface BenchSetup {
  readonly server: string
  readonly model: string
  readonly batch: number
  /** Of gaps; `trace`: times from a file; `closed`: clients that wait for their answers. */
  readonly distribution: string
  readonly clients?: number
  /** None for a trace and for clients. */
  readonly ratesRps: ReadonlyArray<number>
  readonly periodMs: number
  readonly seed: number
  readonly warmUpMs: number
  readonly connections: number
  readonly body: string
  readonly sloMs: number | undefined
}

/** @since 0.1.0 @category reports */
export interface BenchReport extends StatsReport {
  readonly apiVersion: "glet/v1alpha1"
  readonly kind: "BenchReport"
  readonly setup: BenchSetup
  readonly elapsedMs: number
  readonly answeredRps: number
  readonly answeredItemsPerSecond: number
  /** Answered within the SLO, requests per second. */
  readonly goodputRps: number
  /** How late requests left the client; it is part of their latency. */
  readonly sendLagMs: LatencySummary
  /** Requests that waited for a free connection; the wait is part of their latency. */
  readonly waitedForConnection: number
  /** One per period. */
  readonly periods: ReadonlyArray<StatsReport & { readonly startMs: number; readonly rateRps: number | null }>
}

/** @since 0.1.0 @category reports */
export const makeReport = (setup: BenchSetup, result: LoadResult): BenchReport => {
  const stream = result.streams[0]!
  const report = stream.stats.report()
  const seconds = Math.max(result.elapsedMs, 1) / 1000
  return {
    apiVersion: "glet/v1alpha1",
    kind: "BenchReport",
    setup,
    ...report,
    elapsedMs: Math.round(result.elapsedMs),
    answeredRps: report.answered / seconds,
    answeredItemsPerSecond: (report.answered * setup.batch) / seconds,
    goodputRps: report.withinSlo / seconds,
    sendLagMs: result.sendLag.summary(),
    waitedForConnection: result.waited,
    periods: stream.windows.map((window, i) => ({
      startMs: i * setup.periodMs,
      rateRps: setup.ratesRps[i % setup.ratesRps.length] ?? null,
      ...window.report()
    }))
  }
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((total, n) => total + n, 0)

/** One line per period, durations in ms. @since 0.1.0 @category reports */
export const renderCsv = (report: BenchReport): string => {
  const head = "start_s,rate_rps,requests,answered,within_slo,dropped,failed,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,max_ms"
  const lines = report.periods.map((period) => {
    const latency = period.latencyMs
    return [
      period.startMs / 1000, period.rateRps, period.requests, period.answered, period.withinSlo, sum(period.dropped), sum(period.failed),
      latency.meanMs, latency.p50Ms, latency.p90Ms, latency.p95Ms, latency.p99Ms, latency.maxMs
    ].join(",")
  })
  return `${[head, ...lines].join("\n")}\n`
}

const reasons = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([reason, n]) => `${n} ${reason}`).join(", ")

/** @since 0.1.0 @category reports */
export const renderReport = (report: BenchReport, colour: boolean): string => {
  const { latencyMs, setup } = report
  const rate = setup.clients !== undefined ? `${setup.clients} clients` : setup.ratesRps.length === 0 ? "times of a file" : setup.ratesRps.length === 1 ? `${rps(setup.ratesRps[0]!)} requests/s` : `${setup.ratesRps.length} rates, ${setup.periodMs / 1000} s each`
  const slo = setup.sloMs === undefined ? "no SLO" : `SLO ${ms(setup.sloMs)} ms`
  const lines = [
    `${bold(setup.model, colour)} at ${setup.server}: ${rate}, ${setup.distribution}, batch ${setup.batch}, ${setup.body}, ${slo}`,
    "",
    table(["requests", "answered", "dropped", "failed", "req/s", "items/s", "SLO kept"], [[
      String(report.requests), String(report.answered), String(sum(report.dropped)), String(sum(report.failed)), rps(report.answeredRps),
      rps(report.answeredItemsPerSecond), report.sloKept === null ? "-" : percent(report.sloKept)
    ]], { align: "rrrrrrr", colour }),
    "",
    table(["latency ms: mean", "p50", "p90", "p95", "p99", "p99.9", "max"], [[
      ms(latencyMs.meanMs), ms(latencyMs.p50Ms), ms(latencyMs.p90Ms), ms(latencyMs.p95Ms), ms(latencyMs.p99Ms), ms(latencyMs.p999Ms), ms(latencyMs.maxMs)
    ]], { align: "rrrrrrr", colour })
  ]
  if (sum(report.dropped) > 0) lines.push("", `dropped: ${reasons(report.dropped)}`)
  if (sum(report.failed) > 0) lines.push("", `failed: ${reasons(report.failed)}`)
  return lines.join("\n")
}

/** What makes the figures less than they seem; for stderr. @since 0.1.0 @category reports */
export const warnings = (report: BenchReport): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (report.sendLagMs.p99Ms > Math.max(1, report.latencyMs.p50Ms * 0.1)) {
    found.push(`the client itself sent late (99th percentile ${ms(report.sendLagMs.p99Ms)} ms): it had too little processor time, and its lateness is part of the latencies`)
  }
  if (report.waitedForConnection > report.requests * 0.01) {
    found.push(`${report.waitedForConnection} requests waited for a free connection; the wait is part of their latency (more with --connections)`)
  }
  const unconnected = (report.failed["connect-failed"] ?? 0) + (report.failed["connection-lost"] ?? 0)
  if (unconnected > 0) found.push(`${unconnected} requests found no server, or lost it: it was away for a part of the time`)
  if (report.answered > 0 && report.answered < 1000) found.push(`${report.answered} answers are few for a 99th percentile`)
  return found
}
