/**
 * The demo's result: a table for people, one line for programs.
 *
 * @since 0.1.0
 */
import { bold, ms, percent, table } from "../internal/terminal.js"
import type { DemoLine, StreamResult } from "./DemoTask.js"

type Result = Extract<DemoLine, { readonly kind: "result" }>

/** What `--json` ends with. Counts and latencies are those of the latency-critical requests. @since 0.1.0 @category demo */
export interface DemoSummary {
  /** Digits read right, as a part of those answered. */
  readonly accuracy: number
  readonly requests: number
  /** Answered within their SLO, as a part of all. */
  readonly sloKept: number
  readonly dropped: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly glets: number
  readonly planner: string
}

const total = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((sum, n) => sum + n, 0)

/** @since 0.1.0 @category demo */
export const summaryOf = (result: Result, glets: number, planner: string): DemoSummary => {
  const critical = result.streams.filter((stream) => stream.sloMs !== null)
  const sum = (of: (stream: StreamResult) => number): number => critical.reduce((all, stream) => all + of(stream), 0)
  const requests = sum((stream) => stream.requests)
  return {
    accuracy: result.checked === 0 ? 0 : result.right / result.checked,
    requests,
    sloKept: requests === 0 ? 0 : sum((stream) => stream.withinSlo) / requests,
    dropped: sum((stream) => total(stream.dropped)),
    p50Ms: result.latencyCritical.p50Ms,
    p99Ms: result.latencyCritical.p99Ms,
    glets,
    planner
  }
}

const reasons = (stream: StreamResult): string =>
  Object.entries({ ...stream.dropped, ...stream.failed }).map(([reason, n]) => `${n} ${reason}`).join(", ") || "-"

const next = [
  ["serve --models DIR", "serve your own .onnx files (--help says how)"],
  ["bench MODEL --rate 100", "send them load"],
  ["status", "predicted against measured, per glet"]
] as const

/** `command`: what to begin a command line with. @since 0.1.0 @category demo */
export const renderResult = (result: Result, summary: DemoSummary, colour: boolean, command: string): string => {
  const rows = result.streams.map((stream) => [
    stream.model,
    stream.sloMs === null ? "best effort" : ms(stream.sloMs),
    String(stream.requests),
    stream.sloMs === null || stream.requests === 0 ? "-" : percent(stream.withinSlo / stream.requests),
    ms(stream.latencyMs.p50Ms), ms(stream.latencyMs.p90Ms), ms(stream.latencyMs.p99Ms),
    reasons(stream)
  ])
  return [
    table(["model", "SLO ms", "requests", "SLO kept", "p50 ms", "p90 ms", "p99 ms", "dropped or failed"], rows, { align: "lrrrrrrl", colour }),
    "",
    `${bold("Digits read right", colour)}: ${result.right} of ${result.checked} (${percent(summary.accuracy)})${result.wrongNumbers === 0 ? "" : `; ${result.wrongNumbers} answers with wrong numbers`}`,
    `${bold("SLO kept", colour)}: ${percent(summary.sloKept)} of ${summary.requests} latency-critical requests, ${summary.dropped} dropped`,
    "",
    "Next:",
    ...next.map(([rest, does]) => `  ${command} ${rest.padEnd(26)}  ${does}`)
  ].join("\n")
}
