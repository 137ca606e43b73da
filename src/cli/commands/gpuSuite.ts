import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { suggest } from "../../core/internal/suggest.js"
import * as ProfileStoreFile from "../../node-cuda/ProfileStoreFile.js"
import { findPlanner } from "../../scheduler/PlannerRegistry.js"
import type { HostPressure } from "../../core/HostStatus.js"
import type { GletStatus } from "../../scheduler/SchedulerStatus.js"
import { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import type { Hardware } from "../../simulator/Hardware.js"
import type { PeakTry } from "../../simulator/PeakLoad.js"
import { findPeak } from "../../simulator/PeakLoad.js"
import type { Scenario } from "../../simulator/Scenario.js"
import { scenarioInput } from "../../simulator/ScenarioInput.js"
import { simulate } from "../../simulator/Simulation.js"
import { worstViolation } from "../../simulator/SimulationReport.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { layerCuda, layerEmulated } from "../compose.js"
import type { SuiteHost, SuiteSystem } from "../gpuSuite/SuiteSystem.js"
import { freeSize, rawLoops } from "../gpuSuite/rawLoops.js"
import { layoutOf, playSteadily } from "../gpuSuite/steadyPlay.js"
import { repositoryOf, startSystem, suiteSystems } from "../gpuSuite/SuiteSystem.js"
import { checkWritable } from "../internal/files.js"
import { requestBodies } from "../internal/requestBodies.js"
import { callServer } from "../internal/serverClient.js"
import { readHardware, readScenario } from "../internal/simulationFiles.js"
import { colourOut, note, out, table } from "../internal/terminal.js"
import { makeHttpRequest } from "../load/InferRequests.js"
import type { Played } from "../load/playScenario.js"
import { usualThreads } from "../load/LoadThreads.js"
import { findPeakInRealTime, playScenario } from "../load/playScenario.js"
import type { bench } from "../specs/bench.js"

type GpuSuiteArgs = ParsedArgs<typeof bench> & { readonly gpuSuite: string }

const scenarios = ["scen1", "scen2", "scen3", "scen4", "scen5", "game", "traffic"]
const defaultDurationS = 10
const connections = 2048
const readyWithinMs = 300_000
const limit = 0.01
/** Before the first load a part of it for so long: code that never ran and connections that nobody made are no part of a peak. */
const firstPart = 0.2
const firstMs = 3000
/** A load that was missed while glets came or went is played again, for the plan that it brought about. */
const playsOfALoad = 2

/** Predicted against measured, of a glet's batches of the minute that ended when a load had been played. */
interface Prediction {
  readonly glet: string
  readonly model: string
  readonly batch: number
  readonly meanBatch: number
  readonly count: number
  readonly predictedMs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Fewer executions have no 99th percentile. */
const leastExecutions = 100

const predictionsOf = (glets: ReadonlyArray<GletStatus>): ReadonlyArray<Prediction> =>
  glets.flatMap(({ assignments, id }) =>
    assignments.filter(({ measured }) => measured.count >= leastExecutions).map(({ batch, meanBatch, measured, model, predictedMs }) => ({
      glet: String(id), model: String(model), batch, meanBatch, count: measured.count, predictedMs, p50Ms: measured.p50Ms, p99Ms: measured.p99Ms
    })))

/** How a load fared. */
interface Play {
  readonly factor: number
  readonly missed: number
  readonly sendLagP99Ms: number
  /** The model or application that missed most. */
  readonly worst: string | undefined
  /** What it missed, by the second; absent where nothing missed. */
  readonly missedBySecond?: ReadonlyArray<number>
  /** How late the host woke the server that it woke latest, in the last ten seconds, and what kept processes from running: misses that no plan is to blame for. */
  readonly host?: { readonly wakeupLagP99Ms: number } & HostPressure
  /** Shares, and planned batches by model, in the end; empty where the load was played again. */
  readonly glets: ReadonlyArray<{ readonly sharePct: number; readonly batches: Readonly<Record<string, number>> }>
}

/** A line of the suite's results. */
interface SuiteResult {
  readonly scenario: string
  readonly system: string
  readonly error?: string
  readonly simulated?: number
  readonly factor?: number
  readonly goodputRps?: number
  readonly trials?: ReadonlyArray<{ readonly factor: number; readonly violation: number }>
  /** Every load as it was played, also those that were played again: while glets came or went, or by a client that was late. */
  readonly plays?: ReadonlyArray<Play>
  readonly best?: Played | undefined
  readonly glets?: number
  readonly predictions?: ReadonlyArray<Prediction>
  /** Beyond the peak: good answers against what the same glets do in bare loops, items/s. */
  readonly saturated?: { readonly loadFactor: number; readonly goodputRps: number; readonly rawRps: number; readonly ratio: number }
}

/** Where served goodput is held against bare loops: what is asked is what is run, one request an item. */
const saturatedScenarios = ["scen2", "scen3"]
/** Times the peak. */
const saturation = 1.3

const chosen = (what: string, given: string | undefined, known: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, CliError> => {
  const names = given === undefined ? known : given.split(",")
  const unknown = names.find((name) => !known.includes(name))
  if (unknown === undefined) return Effect.succeed(names)
  const near = suggest(unknown, known)
  return Effect.fail(usageError(`${what} has no "${unknown}"${near === undefined ? "" : `; did you mean "${near}"?`}`, `known are ${known.join(", ")}`))
}

/** Where the real peak is looked for first: where the simulated one is. */
const simulatedPeak = (scenario: Scenario, hardware: Hardware, system: SuiteSystem): Effect.Effect<number, unknown> =>
  Effect.gen(function*() {
    const planner = yield* findPlanner(system.planner)
    const options = { planner, seed: 1, gpus: 1, durationMs: 3000, warmUpMs: 500, replans: false }
    yield* scenarioInput(scenario, hardware, options)
    return findPeak((loadFactor) => worstViolation(simulate(Either.getOrThrow(scenarioInput(scenario, hardware, { ...options, loadFactor }))).streams), {
      limit, replications: 1, precision: 0.1, startFactor: 4
    }).factor
  })

const playOf = ({ loadFactor, loads, missed, sendLagP99Ms }: Played, after: ReadonlyArray<SchedulerStatus>): Play => {
  const [latest] = after.flatMap(({ host }) => host ?? []).sort((a, b) => b.wakeupLagMs.p99Ms - a.wakeupLagMs.p99Ms)
  const [worst] = [...loads].sort((a, b) => (a.sloKept ?? 1) - (b.sloKept ?? 1))
  return {
    factor: loadFactor, missed, sendLagP99Ms,
    worst: worst?.name,
    ...(worst?.missedBySecond === undefined ? {} : { missedBySecond: worst.missedBySecond }),
    ...(latest === undefined ? {} : { host: { wakeupLagP99Ms: latest.wakeupLagMs.p99Ms, ...latest.pressure } }),
    glets: after.flatMap(({ glets }) => glets).map(({ assignments, sharePct }) => ({ sharePct, batches: Object.fromEntries(assignments.map(({ batch, model }) => [model as string, batch])) }))
  }
}

const goodputOf = (played: Played | undefined): number => played?.loads.reduce((sum, load) => sum + load.goodputRps, 0) ?? 0

const servePart = (args: GpuSuiteArgs, host: SuiteHost, name: string, system: SuiteSystem, hardware: Hardware, scenario: Scenario) =>
  Effect.gen(function*() {
    const simulated = yield* simulatedPeak(scenario, hardware, system)
    const startFactor = simulated > 0 ? simulated * args.loadFactor : args.loadFactor
    const served = yield* startSystem(host, system, scenario, startFactor)
    const requests = new Map(yield* Effect.forEach(scenario.models, ({ name: model }) =>
      Effect.gen(function*() {
        const target = served.targetOf(model)
        const bodies = yield* requestBodies(target, model, { batch: 1, shapes: new Map(), freeSize, format: args.body, seed: args.seed })
        return [model as string, { target, requests: bodies.map((body) => makeHttpRequest(target, model, body)) }] as const
      })))
    const status = Effect.forEach(served.targets, (target) => callServer(target, "glet/v1alpha1/status", SchedulerStatus))
    const layout = Effect.map(status, (all) => layoutOf(all.flatMap(({ glets }) => glets)))
    const playFor = (durationMs: number, { factor, replication }: PeakTry) =>
      playScenario(scenario, {
        target: served.targets[0]!, connections, timeoutMs: 1000 * args.timeout, factor, seed: args.seed + replication,
        warmUpMs: 1000 * args.warmUp, durationMs, threads: args.threads ?? usualThreads(), requests
      })
    const playOnce = (asked: PeakTry) => playFor(1000 * (args.duration ?? defaultDurationS), asked)
    yield* playFor(Math.min(firstMs, 1000 * (args.duration ?? defaultDurationS)), { factor: firstPart * startFactor, replication: 0 })
    const all: Array<Played> = []
    const statusAfter = new Map<Played, ReadonlyArray<SchedulerStatus>>()
    const play = (asked: PeakTry) =>
      playSteadily({ play: playOnce(asked), layout, limit, most: playsOfALoad, settleMs: 30_000, lookMs: 200 }).pipe(
        Effect.zipWith(status, (plays, statuses) => {
          all.push(...plays)
          statusAfter.set(plays.at(-1)!, statuses)
          return plays.at(-1)!
        })
      )
    const { best, peak } = yield* findPeakInRealTime(play, { limit, replications: 1, precision: args.precision / 100, startFactor, firstStep: 1.3 })
    const beyond = system.measuresSaturation === true && saturatedScenarios.includes(name) && peak.factor > 0 ? yield* play({ factor: saturation * peak.factor, replication: 0 }) : undefined
    const statuses = yield* status
    const glets = best === undefined ? [] : statusAfter.get(best)!.flatMap((each) => each.glets)
    return {
      scenario: name, system: system.name, simulated, factor: peak.factor, beyond, plan: statuses[0]!.plan,
      goodputRps: goodputOf(best),
      trials: peak.trials.map(({ factor, violation }) => ({ factor, violation })), best,
      plays: all.map((played) => playOf(played, statusAfter.get(played) ?? [])),
      glets: glets.length,
      predictions: predictionsOf(glets)
    }
  }).pipe(Effect.scoped)

const runOne = (args: GpuSuiteArgs, host: SuiteHost, name: string, system: SuiteSystem, hardware: Hardware): Effect.Effect<SuiteResult, unknown> =>
  Effect.gen(function*() {
    const scenario = yield* readScenario(name)
    const { beyond, plan, ...served } = yield* servePart(args, host, name, system, hardware, scenario)
    if (beyond === undefined) return served
    // The servers are gone by now.
    const backend = args.emulate === undefined ? layerCuda({ isolation: system.isolation ?? "auto", profiles: host.profiles }) : layerEmulated(yield* ProfileStoreFile.readProfile(args.emulate), { gpus: 1 })
    const rawRps = yield* repositoryOf(scenario, host.zoo).pipe(
      Effect.flatMap((repository) => rawLoops(plan, repository, { warmUpMs: 500, durationMs: 1000 * Math.min(4, args.duration ?? defaultDurationS) })),
      Effect.scoped,
      Effect.provide(backend)
    )
    const goodputRps = goodputOf(beyond)
    return { ...served, saturated: { loadFactor: beyond.loadFactor, goodputRps, rawRps, ratio: goodputRps / rawRps } }
  })

/** The last result of each part. */
const read = (file: string): ReadonlyArray<SuiteResult> => {
  if (!fs.existsSync(file)) return []
  const lines = fs.readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as SuiteResult)
  return [...new Map(lines.map((result) => [`${result.scenario} ${result.system}`, result])).values()]
}

const show = (results: ReadonlyArray<SuiteResult>, systems: ReadonlyArray<string>): void => {
  const of = (scenario: string, system: string): SuiteResult | undefined => results.find((result) => result.scenario === scenario && result.system === system)
  const names = [...new Set(results.map(({ scenario }) => scenario))]
  const cell = (result: SuiteResult | undefined): string =>
    result === undefined ? "-" : result.error !== undefined ? "failed" : `${Number(result.factor!.toPrecision(3))} (${Number((result.simulated ?? 0).toPrecision(3))})`
  out("Highest load that keeps its SLOs, times the scenario's; in parentheses as simulated:")
  out(table(["", ...systems], names.map((name) => [name, ...systems.map((system) => cell(of(name, system)))]), { align: `l${"r".repeat(systems.length)}`, colour: colourOut() }))
  const predictions = results.flatMap((result) => (result.system === "orion" ? result.predictions ?? [] : []))
  const near = predictions.filter(({ p99Ms, predictedMs }) => Math.abs(p99Ms / predictedMs - 1) <= 0.1)
  if (predictions.length > 0) out(`${near.length} of ${predictions.length} glets' measured 99th percentiles are within 10 % of what orion's plans predict`)
  for (const { saturated, scenario } of results) {
    if (saturated !== undefined) out(`${scenario} beyond its peak: ${saturated.goodputRps.toFixed(0)} good answers/s, ${saturated.ratio.toFixed(3)} of the ${saturated.rawRps.toFixed(0)} that the same glets do in bare loops`)
  }
  for (const { error, scenario, system } of results) if (error !== undefined) note(`${scenario}, ${system}: ${error}`)
}

/** `glet bench --gpu-suite`: peaks of all systems on this host's GPUs; a file of results is gone on with. */
export const gpuSuite = (args: GpuSuiteArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const names = yield* chosen("--scenarios", args.scenarios, scenarios)
    const known = suiteSystems.map(({ name }) => name)
    const systems = yield* chosen("--systems", args.systems, known)
    if (!fs.existsSync(args.gpuSuite)) return yield* new CliError({ reason: "input", problem: `the folder of models ${args.gpuSuite} does not exist`, hint: "scripts/make-zoo.ts writes it" })
    const output = args.output ?? "gpu-suite.jsonl"
    yield* checkWritable(output, "the results")
    const hardware = yield* readHardware({ profile: args.profile, resourceDir: undefined, gpuType: undefined, grid: undefined })
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-suite-log-"))
    const log = path.join(folder, "servers.log")
    const host: SuiteHost = {
      zoo: args.gpuSuite, profiles: args.profiles ?? path.join(folder, "profiles"), readyWithinMs,
      serve: [
        ...(args.emulate === undefined ? ["--executor", "cuda"] : ["--executor", "emulated", "--emulate", args.emulate]),
        ...(args.sharedMemoryDirect === undefined ? [] : ["--shared-memory-direct", args.sharedMemoryDirect])
      ],
      log: (line) => fs.appendFileSync(log, `${line}\n`)
    }
    note(`the servers' messages go to ${log}`)
    let results = read(output)
    for (const name of names) {
      for (const system of suiteSystems.filter((each) => systems.includes(each.name))) {
        if (results.some((result) => result.scenario === name && result.system === system.name && result.error === undefined)) continue
        note(`${name}, ${system.name}: ${system.summary}`)
        host.log(`== ${name}, ${system.name}`)
        // One that fails is told and does not end the rest.
        const result = yield* runOne(args, host, name, system, hardware).pipe(
          Effect.catchAll((error): Effect.Effect<SuiteResult> => Effect.succeed({ scenario: name, system: system.name, error: error instanceof Error ? error.message : String(error) }))
        )
        results = [...results.filter((other) => other.scenario !== name || other.system !== system.name), result]
        fs.appendFileSync(output, `${JSON.stringify(result)}\n`)
      }
    }
    const wanted = results.filter(({ scenario, system }) => names.includes(scenario) && systems.includes(system))
    if (args.json) out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "GpuSuite", limit, results: wanted }))
    else show(wanted, systems)
    if (wanted.some(({ error }) => error !== undefined)) return yield* new CliError({ reason: "failed", problem: "not all parts of the suite could be measured", hint: "the same command tries them again" })
  })
