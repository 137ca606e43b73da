import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CliError } from "../CliError.js"
import type { DemoLine, DemoStream } from "../demo/DemoTask.js"
import { DemoTask } from "../demo/DemoTask.js"
import { argmax, Digits, lenetInput } from "../demo/digits.js"
import { lenetProblem } from "../demo/lenetLogits.js"
import { readText } from "../internal/files.js"
import { remoteBodies } from "../internal/remoteBodies.js"
import { out } from "../internal/terminal.js"
import { makeSchedule } from "../../simulator/ArrivalSchedule.js"
import type { InferBody } from "../load/InferRequests.js"
import { makeHttpRequest } from "../load/InferRequests.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import { runLoad } from "../load/LoadGenerator.js"

const say = (line: DemoLine): void => out(JSON.stringify(line))

/** One request per image, as JSON: what a client in any language would send. */
const digitBodies = (digits: Digits): ReadonlyArray<InferBody> =>
  digits.images.map((image) => ({
    bytes: Buffer.from(JSON.stringify({
      inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 28], data: Array.from(lenetInput(image), (value) => Number(value.toPrecision(8))) }]
    })),
    jsonBytes: undefined
  }))

const logitsOf = (body: Buffer): ReadonlyArray<number> => {
  const answer = JSON.parse(body.toString("utf8")) as { readonly outputs?: ReadonlyArray<{ readonly data?: ReadonlyArray<number> }> }
  return answer.outputs?.[0]?.data ?? []
}

/** `glet demo-client`: the demo's load, from a process of its own. */
export const handle = (): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const decode = <A, I>(schema: Schema.Schema<A, I>, text: string, what: string) =>
      Schema.decodeUnknown(Schema.parseJson(schema))(text).pipe(
        Effect.mapError((error) => new CliError({ reason: "input", problem: `${what} is not what it should be: ${error.message}` }))
      )
    const task = yield* decode(DemoTask, yield* readText("-", "the demo's task on"), "the demo's task")
    const digits = yield* decode(Digits, yield* readText(task.digitsFile, "the digits"), task.digitsFile)
    const target = { host: task.host, port: task.port }
    const bodiesOf = (stream: DemoStream) =>
      stream.inputs === "digits"
        ? Effect.succeed(digitBodies(digits))
        : remoteBodies(target, stream.model, { batch: stream.batch, shapes: new Map(), format: "json", seed: task.seed })

    // Images are sent in turn, again and again; the first answer to each counts. Numbers are looked at in all of them: a digit can be right by chance.
    const seen = new Set<number>()
    let right = 0
    let wrongNumbers = 0
    const check = (index: number, body: Buffer): void => {
      const logits = logitsOf(body)
      if (lenetProblem(index, logits) !== undefined) wrongNumbers++
      if (seen.has(index)) return
      seen.add(index)
      if (logits.length === 10 && argmax(logits) === digits.labels[index]) right++
    }
    const streams = yield* Effect.forEach(task.streams, (stream, i) =>
      bodiesOf(stream).pipe(Effect.map((bodies) => ({
        steps: [{ requests: bodies.map((body) => makeHttpRequest(target, stream.model, body)), after: [] }],
        schedule: makeSchedule({ ratesRps: [stream.rateRps], periodMs: Infinity, distribution: "exp", seed: task.seed + i }),
        sloMs: stream.sloMs ?? undefined,
        warmUpMs: task.warmUpMs,
        endMs: task.warmUpMs + task.durationMs,
        maxRequests: Infinity,
        ...(stream.inputs === "digits" ? { onAnswer: check } : {})
      }))))

    const result = yield* Effect.promise((signal) =>
      runLoad({
        target,
        connections: 64,
        timeoutMs: 10_000,
        // It shares the cores with the server; against SLOs of tens of ms a timer is exact enough.
        precise: false,
        windowMs: Infinity,
        signal,
        onTick: (elapsedMs, stats) => {
          const critical = stats.filter((stream) => stream.sloMs !== undefined)
          const sum = (of: (stream: (typeof stats)[number]) => number): number => critical.reduce((total, stream) => total + of(stream), 0)
          say({
            kind: "progress", elapsedMs, right, checked: seen.size,
            requests: sum((stream) => stream.requests),
            answered: sum((stream) => stream.latency.count),
            withinSlo: sum((stream) => stream.withinSlo),
            dropped: sum((stream) => [...stream.dropped.values()].reduce((total, n) => total + n, 0))
          })
        }
      }, streams)
    )
    const latencyCritical = new LatencyHistogram()
    for (const { stats } of result.streams) if (stats.sloMs !== undefined) latencyCritical.merge(stats.latency)
    say({
      kind: "result",
      right,
      checked: seen.size,
      wrongNumbers,
      latencyCritical: latencyCritical.summary(),
      sendLagP99Ms: result.sendLag.summary().p99Ms,
      streams: result.streams.map(({ stats }, i) => ({ model: task.streams[i]!.model, sloMs: task.streams[i]!.sloMs, ...stats.report() }))
    })
  })
