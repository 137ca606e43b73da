import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import { gletsOf } from "../../core/Plan.js"
import { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import type { Child } from "../demo/childProcess.js"
import { startGlet } from "../demo/childProcess.js"
import { demoStreams, digitsModel, loadSeconds } from "../demo/demoLoad.js"
import type { DemoLine, DemoTask } from "../demo/DemoTask.js"
import { DemoLine as DemoLineSchema } from "../demo/DemoTask.js"
import { renderResult, summaryOf } from "../demo/demoReport.js"
import { commandHere } from "../internal/commandHere.js"
import { resourcePath } from "../internal/packageFiles.js"
import { renderPlan } from "../internal/planTable.js"
import { callServer, targetOf } from "../internal/serverClient.js"
import { bold, colourErr, colourOut, makeProgress, note, out, percent } from "../internal/terminal.js"
import type { demo } from "../specs/demo.js"
import { ReadyLine } from "./readyLine.js"

type Result = Extract<DemoLine, { readonly kind: "result" }>
type Progress = ReturnType<typeof makeProgress>

const startSeconds = 40
const decodeReady = Schema.decodeUnknownOption(Schema.parseJson(ReadyLine))
const decodeLine = Schema.decodeUnknownOption(Schema.parseJson(DemoLineSchema))

const died = (what: string, child: Child, how: number | NodeJS.Signals): CliError =>
  new CliError({ reason: "failed", problem: `the demo's ${what} ended with ${how}: ${child.lastMessages().at(-1) ?? "it said nothing"}`, hint: "glet doctor checks this machine" })

/** Starts the server and completes when it is ready. */
const startServer = (progress: Progress): Effect.Effect<{ readonly url: string; readonly server: Child }, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<typeof ReadyLine.Type>()
    const server = yield* startGlet(["serve", "--models", resourcePath("demo"), "--port", "0", "--profile-budget", "400", "--json"], {
      onLine: (line) => {
        const decoded = decodeReady(line)
        if (decoded._tag === "Some") Deferred.unsafeDone(ready, Effect.succeed(decoded.value))
      },
      // Its log (lines that begin with the time) is for operators.
      onMessage: (line) => {
        if (!/^\d\d:/.test(line)) progress.show(`  ${line}`)
      }
    })
    const ended = server.ended.pipe(Effect.flatMap((how) => died("server", server, how)))
    const { url } = yield* Deferred.await(ready).pipe(
      Effect.raceFirst(ended),
      Effect.timeoutFail({
        duration: `${startSeconds} seconds`,
        onTimeout: () => new CliError({ reason: "failed", problem: `the demo's server was not ready within ${startSeconds} s: ${server.lastMessages().at(-1) ?? ""}`, hint: "glet doctor checks this machine" })
      })
    )
    return { url, server }
  })

const showProgress = (progress: Progress, totalMs: number, line: Extract<DemoLine, { readonly kind: "progress" }>): void => {
  const kept = line.requests === 0 ? 1 : line.withinSlo / line.requests
  const right = line.checked === 0 ? "" : `, digits right ${percent(line.right / line.checked)}`
  progress.show(
    `  ${(line.elapsedMs / 1000).toFixed(0).padStart(2)} of ${(totalMs / 1000).toFixed(0)} s: ${line.requests} requests, SLO kept ${percent(kept)}, dropped ${line.dropped}${right}`
  )
}

/** Sends the load from a process of its own and completes with what that measured. */
const sendLoad = (task: DemoTask, progress: Progress): Effect.Effect<Result, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    let result: Result | undefined
    const client = yield* startGlet(["demo-client"], {
      input: JSON.stringify(task),
      onLine: (text) => {
        const line = decodeLine(text)
        if (line._tag === "None") return
        if (line.value.kind === "result") result = line.value
        else showProgress(progress, task.warmUpMs + task.durationMs, line.value)
      },
      onMessage: () => undefined
    })
    const how = yield* client.ended
    return result ?? (yield* died("client", client, how))
  })

/** `glet demo` */
export const handle = (args: ParsedArgs<typeof demo>): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const say = (text: string): void => (args.json ? note(text) : out(text))
    const colour = args.json ? colourErr() : colourOut()
    const progress = makeProgress(2000)
    say(bold("Starting a server with four models; this machine's CPU is the GPU. Models are measured once and remembered.", colour))
    const { url } = yield* startServer(progress)
    progress.clear()
    const target = yield* targetOf(url)
    const before = yield* callServer(target, "glet/v1alpha1/status", SchedulerStatus)
    say(`\n${bold(`Serving on ${url}. The plan by ${before.plan.planner}:`, colour)}\n${renderPlan(before.plan, colour)}\n`)
    const streams = demoStreams(before)
    const [first, ...others] = streams
    if (first === undefined || !streams.some((stream) => stream.model === digitsModel)) {
      const why = before.models.map((model) => `${model.model} is ${model.state}${model.detail === "" ? "" : ` (${model.detail})`}`).join(", ")
      return yield* new CliError({ reason: "failed", problem: `the model ${digitsModel} is not served: ${why}`, hint: "glet doctor checks this machine" })
    }
    const seconds = loadSeconds(streams, args.duration)
    say(bold(`Poisson load from another process for ${seconds.toFixed(0)} s: ${streams.map((stream) => `${stream.model} ${stream.rateRps.toFixed(0)}/s`).join(", ")}`, colour))
    const result = yield* sendLoad({
      ...target,
      digitsFile: resourcePath("demo", "digits-test.json"),
      seed: args.seed,
      warmUpMs: 1000,
      durationMs: seconds * 1000,
      streams: [first, ...others]
    }, progress)
    progress.clear()
    const after = yield* callServer(target, "glet/v1alpha1/status", SchedulerStatus)
    const summary = summaryOf(result, gletsOf(after.plan).length, after.plan.planner)
    say(`\n${renderResult(result, summary, colour, commandHere(process.env))}`)
    if (args.json) out(JSON.stringify(summary))
    if (result.checked === 0) return yield* new CliError({ reason: "failed", problem: "no digit was answered" })
    if (result.wrongNumbers > 0) return yield* new CliError({ reason: "failed", problem: `${result.wrongNumbers} answers of ${digitsModel} have wrong numbers`, hint: "glet doctor checks this machine" })
    if (summary.accuracy < 0.99) return yield* new CliError({ reason: "failed", problem: `only ${percent(summary.accuracy)} of the digits were read right` })
  }).pipe(Effect.scoped)
