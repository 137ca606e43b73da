import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { setImmediate } from "node:timers/promises"
import { counted } from "../../core/internal/counted.js"
import { effortOf } from "../../core/PlanEffort.js"
import type { Hardware } from "../../simulator/Hardware.js"
import { withPreemption } from "../../simulator/Hardware.js"
import type { Peak } from "../../simulator/PeakLoad.js"
import { defaultPeakOptions, findPeak } from "../../simulator/PeakLoad.js"
import type { Scenario } from "../../simulator/Scenario.js"
import type { ScenarioOptions } from "../../simulator/ScenarioInput.js"
import { scenarioInput } from "../../simulator/ScenarioInput.js"
import { simulate } from "../../simulator/Simulation.js"
import type { SimulationReport, StreamReport } from "../../simulator/SimulationReport.js"
import { worstViolation } from "../../simulator/SimulationReport.js"
import { timelinePicture } from "../../simulator/TimelinePicture.js"
import { findPlanner } from "../../scheduler/PlannerRegistry.js"
import type { CliError } from "../CliError.js"
import { usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { gateOf, preemptMsOf } from "../internal/bestEffort.js"
import { checkWritable, writeText } from "../internal/files.js"
import { readHardware, readScenario } from "../internal/simulationFiles.js"
import { bold, colourOut, ms, note, out, percent, rps, table } from "../internal/terminal.js"
import type { simulate as spec } from "../specs/simulate.js"

type Args = ParsedArgs<typeof spec>

/** Batches shown where nothing else is asked: enough for a picture, ms. */
const windowMs = 200

const windowOf = (args: Args, durationMs: number): Either.Either<{ readonly fromMs: number; readonly toMs: number }, CliError> => {
  if (args.window === undefined) {
    const fromMs = durationMs / 2
    return Either.right({ fromMs, toMs: Math.min(durationMs, fromMs + windowMs) })
  }
  const [from, to, ...rest] = args.window.split("-").map(Number)
  return from !== undefined && to !== undefined && rest.length === 0 && from >= 0 && to > from && Number.isFinite(to)
    ? Either.right({ fromMs: from, toMs: to })
    : Either.left(usageError(`--window "${args.window}" is not of the form FROM-TO`, "two times in ms, e.g. 10000-10200"))
}

/** The hardware as it is described, or giving way as `--preempt` says. */
const hardwareOf = (args: Args): Effect.Effect<Hardware, unknown> =>
  Effect.gen(function*() {
    const { gpuType, grid, preempt, profile, resourceDir } = args
    const preemptMs = yield* preemptMsOf(preempt)
    const hardware = yield* readHardware({ profile, resourceDir, gpuType, grid })
    return preempt === undefined ? hardware : withPreemption(hardware, preemptMs)
  })

const reasons = (stream: StreamReport): string => Object.entries(stream.notAnswered).map(([reason, count]) => `${reason} ${count}`).join(", ")

const streamTable = (streams: ReadonlyArray<StreamReport>, colour: boolean): string =>
  table(["", "SLO ms", "asked/s", "good/s", "kept", "p50 ms", "p99 ms", "late", "not answered"], streams.map((stream) => [
    stream.name, stream.sloMs === undefined ? "-" : ms(stream.sloMs), rps(stream.offeredRps), rps(stream.goodputRps), stream.sloMs === undefined ? "-" : percent(stream.sloKept),
    ms(stream.latency.p50Ms), ms(stream.latency.p99Ms), String(stream.late), reasons(stream)
  ]), { align: "lrrrrrrrl", colour })

const show = (report: SimulationReport): void => {
  const colour = colourOut()
  const { gpus, incidents, planChanges, plans, total } = report
  const parts = [
    bold(`${report.planner}: ${percent(total.sloKept)} of ${total.offered} requests within their SLO, ${rps(total.goodputRps)} good answers/s`, colour),
    streamTable(report.models, colour),
    ...(report.applications.length > 0 ? [streamTable(report.applications, colour)] : []),
    `${gpus.gpuSeconds.toFixed(1)} GPU-seconds used of ${((gpus.available * report.endMs) / 1000).toFixed(1)}, busy ${gpus.busyGpuSeconds.toFixed(1)}; ${report.batches} batches`,
    `${counted(planChanges, "plan")} deployed${plans.length < planChanges ? `, the first ${plans.length}` : ""}:`,
    ...plans.slice(0, 12).map((plan) => `  ${ms(plan.atMs / 1000)} s: ${plan.reason}; ${counted(plan.glets, "glet")} on ${counted(plan.gpus, "GPU")}, ${plan.opened} opened, ${plan.closed} closed`),
    ...(plans.length > 12 ? [`  and ${plans.length - 12} more`] : []),
    ...incidents.slice(0, 12).map(({ atMs, detail, kind }) => `  ${ms(atMs / 1000)} s: ${kind}: ${detail}`)
  ]
  out(parts.join("\n"))
}

const optionsOf = (args: Args): Effect.Effect<ScenarioOptions, unknown> =>
  Effect.gen(function*() {
    return {
      planner: yield* findPlanner(args.planner),
      seed: args.seed,
      gpus: args.gpus,
      durationMs: args.duration === undefined ? undefined : 1000 * args.duration,
      warmUpMs: args.warmUp === undefined ? undefined : 1000 * args.warmUp,
      loadFactor: args.loadFactor,
      replans: !args.fixedPlan,
      overheadMs: args.overhead,
      plan: {
        interference: args.interference === "on",
        gather: args.gather === "on",
        effort: effortOf[args.planEffort],
        ...(args.dutyRule === undefined ? {} : { dutyRule: args.dutyRule === "strict" ? "strict" as const : "cycle" as const })
      },
      dispatcher: { gate: yield* gateOf(args), gather: args.gather === "on" }
    }
  })

const showPeak = (peak: Peak, scenario: Scenario, at: SimulationReport | undefined, planner: string): void => {
  const colour = colourOut()
  out([
    bold(`${planner}: peak at ${Number(peak.factor.toPrecision(4))} times the scenario's load`, colour) +
      ` (95 % confidence ${Number(peak.lowFactor.toPrecision(4))} to ${Number(peak.highFactor.toPrecision(4))}, ${peak.peaks.length} replications, ${peak.trials.length} runs on ${scenario.gpus} GPUs)`,
    ...(at === undefined ? [] : [streamTable(at.streams, colour)])
  ].join("\n"))
}

const runPeak = (args: Args, scenario: Scenario, hardware: Hardware, options: ScenarioOptions): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    // It is said once, before the search; later inputs differ in numbers only.
    yield* scenarioInput(scenario, hardware, options)
    const reportAt = (loadFactor: number, replication: number): SimulationReport =>
      simulate(Either.getOrThrow(scenarioInput(scenario, hardware, { ...options, loadFactor, seed: args.seed + replication })))
    const peak = findPeak((factor, replication) => {
      const violation = worstViolation(reportAt(factor, replication).streams)
      note(`replication ${replication + 1}: ${Number(factor.toPrecision(4))} times the load: ${percent(violation)} missed`)
      return violation
    }, { ...defaultPeakOptions, limit: args.limit / 100, replications: args.replications, precision: args.precision / 100, startFactor: args.loadFactor })
    const at = peak.factor > 0 ? reportAt(peak.factor, 0) : undefined
    const goodputRps = at?.total.goodputRps ?? 0
    if (args.json) out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Peak", planner: options.planner.name, limit: args.limit / 100, goodputRps, ...peak }))
    else showPeak(peak, { ...scenario, gpus: args.gpus ?? scenario.gpus }, at, options.planner.name)
  })

/** `glet simulate` */
export const handle = (args: Args): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const toStdout = [...(args.json ? ["--json"] : []), ...(args.svg === "-" ? ["--svg -"] : []), ...(args.timeline === "-" ? ["--timeline -"] : [])]
    if (toStdout.length > 1) return yield* usageError(`${toStdout.join(" and ")} both write to stdout`, "give one of them a file")
    if (args.findPeak && (args.svg ?? args.timeline ?? args.window) !== undefined) return yield* usageError("--find-peak draws nothing", "leave out --svg, --timeline and --window")
    for (const [file, what] of [[args.svg, "the picture"], [args.timeline, "the timeline"]] as const) {
      if (file !== undefined) yield* checkWritable(file, what)
    }
    const options = yield* optionsOf(args)
    const scenario = yield* readScenario(args.positional)
    const hardware = yield* hardwareOf(args)
    if (args.findPeak) return yield* runPeak(args, scenario, hardware, options)
    const window = yield* windowOf(args, options.durationMs ?? scenario.durationMs)
    const input = yield* scenarioInput(scenario, hardware, { ...options, window })
    // An interruption that came meanwhile goes first: a simulation holds the thread.
    yield* Effect.promise(() => setImmediate())
    const report = simulate(input)
    if (args.svg !== undefined) yield* writeText(args.svg, timelinePicture(report), "the picture")
    const { timeline, ...rest } = report
    if (args.timeline !== undefined) yield* writeText(args.timeline, `${JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Timeline", ...timeline })}\n`, "the timeline")
    if (args.json) out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "SimulationReport", ...rest }, null, 2))
    else if (toStdout.length === 0) show(report)
  })
