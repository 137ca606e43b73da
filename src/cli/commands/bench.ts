import * as Effect from "effect/Effect"
import { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { checkWritable, parseJson, readText, writeText } from "../internal/files.js"
import { requestBodies } from "../internal/requestBodies.js"
import { callServer, targetOf, urlOf } from "../internal/serverClient.js"
import { colourOut, makeProgress, note, out } from "../internal/terminal.js"
import type { ArrivalSchedule } from "../../simulator/ArrivalSchedule.js"
import { makeSchedule, makeTrace, parseRates, parseTrace } from "../../simulator/ArrivalSchedule.js"
import { makeReport, renderCsv, renderReport, warnings } from "../load/BenchReport.js"
import type { InferBody } from "../load/InferRequests.js"
import { makeHttpRequest } from "../load/InferRequests.js"
import { runLoad } from "../load/LoadGenerator.js"
import { untilSignal } from "../load/untilSignal.js"
import { checkServers } from "../load/silence.js"
import type { Target } from "../load/HttpConnection.js"
import type { bench } from "../specs/bench.js"

type BenchArgs = ParsedArgs<typeof bench>
const defaultConnections = 64

type ModelBenchArgs = BenchArgs & { readonly positional: string }

const parseShapes = (texts: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, ReadonlyArray<number>>, CliError> => {
  const shapes = new Map<string, ReadonlyArray<number>>()
  for (const text of texts) {
    const match = /^([^=]+)=(\d+(?:,\d+)*)$/.exec(text)
    if (match === null) return Effect.fail(usageError(`--shape "${text}" is not of the form INPUT=1,2,3`))
    shapes.set(match[1]!, match[2]!.split(",").map(Number))
  }
  return Effect.succeed(shapes)
}

const bodiesFromFile = (file: string): Effect.Effect<ReadonlyArray<InferBody>, CliError> =>
  readText(file, "the input file").pipe(
    Effect.flatMap((text) => parseJson(text, file)),
    Effect.flatMap((value) => {
      const list: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
      return list.length > 0 && list.every((body) => typeof body === "object" && body !== null && "inputs" in body)
        ? Effect.succeed(list.map((body) => ({ bytes: Buffer.from(JSON.stringify(body)), jsonBytes: undefined })))
        : Effect.fail(new CliError({ reason: "input", problem: `${file} is neither a v2 request ({"inputs": [...]}) nor a list of them` }))
    })
  )

const randomBodies = (target: Target, args: ModelBenchArgs) =>
  parseShapes(args.shape).pipe(
    Effect.flatMap((shapes) => requestBodies(target, args.positional, { batch: args.batch, shapes, format: args.body, seed: args.seed, deadlineMs: args.deadline }))
  )

/** Arrival times from a file, from the first again after as long as the file is. */
const traceOf = (file: string): Effect.Effect<ArrivalSchedule, CliError> =>
  readText(file, "the trace").pipe(Effect.flatMap((text) => {
    const parsed = parseTrace(text)
    if ("line" in parsed) return Effect.fail(new CliError({ reason: "input", problem: `${file}:${parsed.line}: ${parsed.problem}` }))
    const { timesMs } = parsed
    const lastMs = timesMs[timesMs.length - 1]!
    return Effect.succeed(makeTrace(timesMs, { repeatMs: lastMs + lastMs / timesMs.length }))
  }))

/** Exactly one way to say when requests come. */
const checkArrivals = (args: BenchArgs): Effect.Effect<void, CliError> => {
  const given = [["--rate", args.rate], ["--rate-file", args.rateFile], ["--trace", args.trace], ["--clients", args.clients]].filter(([, value]) => value !== undefined)
  return given.length > 1 ? Effect.fail(usageError(`${given.map(([flag]) => String(flag)).join(" and ")} exclude each other`)) : Effect.void
}

const ratesOf = (args: BenchArgs): Effect.Effect<ReadonlyArray<number>, CliError> => {
  if (args.rateFile === undefined) return Effect.succeed([args.rate ?? 10])
  const file = args.rateFile
  return readText(file, "the rate file").pipe(Effect.flatMap((text) => {
    const parsed = parseRates(text)
    return "rates" in parsed
      ? Effect.succeed(parsed.rates)
      : Effect.fail(new CliError({ reason: "input", problem: `${file}:${parsed.line}: ${parsed.problem}` }))
  }))
}

/** The model's own objective; none where the server does not tell. */
const sloOf = (target: Target, args: ModelBenchArgs): Effect.Effect<number | undefined> =>
  args.slo !== undefined ? Effect.succeed(args.slo) : callServer(target, "glet/v1alpha1/status", SchedulerStatus).pipe(
    Effect.map((status) => status.models.find((model) => model.model === args.positional)?.sloMs),
    Effect.orElseSucceed(() => undefined)
  )

const benchModel = (args: ModelBenchArgs): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const target = yield* targetOf(args.server)
    yield* checkArrivals(args)
    if (args.deadline !== undefined && args.input !== undefined) return yield* usageError("--deadline and --input exclude each other", "the requests of a file bring their own `timeout`")
    const ratesRps = yield* ratesOf(args)
    const trace = args.trace === undefined ? undefined : yield* traceOf(args.trace)
    if (args.csv !== undefined) yield* checkWritable(args.csv, "the CSV file")
    if (args.csv === "-" && args.json) return yield* usageError("--json and --csv - both want stdout")
    const bodies = yield* args.input === undefined ? randomBodies(target, args) : bodiesFromFile(args.input)
    const sloMs = yield* sloOf(target, args)
    const warmUpMs = args.warmUp * 1000
    const { clients } = args
    const connections = args.connections ?? Math.max(defaultConnections, clients ?? 0)
    const periodMs = args.period * 1000
    const endMs = args.duration !== undefined
      ? warmUpMs + args.duration * 1000
      : args.n !== undefined ? Infinity : args.rateFile !== undefined ? Math.max(ratesRps.length * periodMs, warmUpMs) : warmUpMs + 10_000
    const progress = makeProgress(5000)
    const result = yield* untilSignal((signal) => runLoad({
      target,
      connections,
      timeoutMs: args.timeout * 1000,
      precise: true,
      signal,
      windowMs: ratesRps.length === 1 ? Infinity : periodMs,
      onTick: (elapsedMs, [stats]) =>
        progress.show(`${(elapsedMs / 1000).toFixed(0)} s: ${elapsedMs < warmUpMs ? "warming up" : `${stats!.requests} requests, ${stats!.latency.count} answered`}`)
    }, [{
      steps: [{ requests: bodies.map((body) => makeHttpRequest(target, args.positional, body)), after: [] }],
      schedule: trace ?? makeSchedule({ ratesRps, periodMs, distribution: args.distribution, seed: args.seed }),
      ...(clients === undefined ? {} : { clients }),
      sloMs,
      warmUpMs,
      endMs,
      maxRequests: args.n ?? Infinity
    }]))
    progress.clear()
    const report = makeReport({
      server: urlOf(target), model: args.positional, batch: args.batch,
      distribution: clients !== undefined ? "closed" : trace !== undefined ? "trace" : args.distribution,
      ...(clients === undefined ? {} : { clients }), ratesRps: clients === undefined && trace === undefined ? ratesRps : [], periodMs, seed: args.seed,
      warmUpMs, connections, body: args.input === undefined ? args.body : "json", sloMs
    }, result)
    for (const warning of warnings(report)) note(`note: ${warning}`)
    if (args.csv !== undefined) yield* writeText(args.csv, renderCsv(report), "the CSV file")
    if (args.json) out(JSON.stringify(report))
    else if (args.csv !== "-") out(renderReport(report, colourOut()))
    yield* checkServers(result.silent)
    if (report.requests > 0 && report.answered === 0) {
      const [reason] = Object.keys({ ...report.failed, ...report.dropped })
      return yield* new CliError({ reason: "failed", problem: `no request was answered (${reason ?? "none was sent"})` })
    }
  }).pipe(Effect.scoped)

/** `glet bench` */
export const handle = (args: BenchArgs): Effect.Effect<void, unknown> => {
  const { gpuSuite: suite, positional, scenario } = args
  if (suite !== undefined) {
    return positional === undefined && scenario === undefined ? Effect.flatMap(Effect.promise(() => import("./gpuSuite.js")), ({ gpuSuite }) => gpuSuite({ ...args, gpuSuite: suite })) : usageError("--gpu-suite asks its own scenarios: leave out MODEL and --scenario")
  }
  if (scenario !== undefined) {
    return positional === undefined ? Effect.flatMap(Effect.promise(() => import("./benchScenario.js")), ({ benchScenario }) => benchScenario({ ...args, scenario })) : usageError(`"${positional}" and --scenario exclude each other: a scenario says which models it asks`)
  }
  if (positional === undefined) return usageError("MODEL is missing", "name a model, or a --scenario")
  return args.findPeak ? usageError("--find-peak goes with --scenario") : benchModel({ ...args, positional })
}
