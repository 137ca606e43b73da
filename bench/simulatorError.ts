/**
 * How far the simulator is from what it simulates: the same plan and the same arrivals through the online scheduler in real time, on the
 * `emulated` executor (which replays the same profile) and on the CPU (with a profile measured just before), and through the simulator. p99 and
 * goodput of each model, and the simulator's error.
 *
 * Emulated glets and the client share one process and its cores with whatever else runs here. Where the machine stood still for more than 2 ms, the
 * requests around that time are left out on both sides, and the part that was left out is told; a stall is not the simulator's error. On a busy
 * machine a real-time priority keeps stalls away: `chrt -f 5 node ...`.
 *
 * command: npm run build && node bench/run.mjs simulatorError [--seconds 30] [--only emulated|cpu] [--json] [--check]
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as fs from "node:fs"
import { Executor } from "../src/core/Executor.js"
import type { Gpu } from "../src/core/Gpu.js"
import { GpuInventory } from "../src/core/Gpu.js"
import { unsafeModelName } from "../src/core/Ids.js"
import { LatencyHistogram } from "../src/core/LatencyHistogram.js"
import type { Model } from "../src/core/Model.js"
import type { ModelProfile, Profile } from "../src/core/Profile.js"
import { Profiler } from "../src/core/Profiler.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import * as CpuExecutor from "../src/node-cuda/CpuExecutor.js"
import * as CpuInventory from "../src/node-cuda/CpuInventory.js"
import * as Emulated from "../src/node-cuda/Emulated.js"
import * as ProfilerLive from "../src/core/ProfilerLive.js"
import { distributionOf } from "../src/scheduler/LatencyDistribution.js"
import { Planner } from "../src/scheduler/Planner.js"
import { orion } from "../src/scheduler/planners/Orion.js"
import type { ProfileLatencyOptions } from "../src/scheduler/ProfileLatencyModel.js"
import * as ProfileLatencyModel from "../src/scheduler/ProfileLatencyModel.js"
import { defaultReplanOptions } from "../src/scheduler/ReplanPolicy.js"
import { Scheduler } from "../src/scheduler/Scheduler.js"
import * as SchedulerLive from "../src/scheduler/SchedulerLive.js"
import { makeSchedule } from "../src/simulator/ArrivalSchedule.js"
import { simulate } from "../src/simulator/Simulation.js"
import { defaultSimulation } from "../src/simulator/SimulationInput.js"
import { shippedHardware } from "./lib/scenarios.js"

const value = (flag: string): string | undefined => {
  const at = process.argv.indexOf(flag)
  return at < 0 ? undefined : process.argv[at + 1]
}
const durationMs = 1000 * Number(value("--seconds") ?? 30)
const warmUpMs = 2000

/** One request: when it arrived, how long it took; Infinity where it got no answer. */
interface Outcome {
  readonly arrivedMs: number
  readonly latencyMs: number
}

/** From and to, ms: when the machine stood still. */
type Stall = readonly [number, number]

const stallMs = 2
/** Time around a stall whose requests met it, or the queues it left. */
const beforeStallMs = 200
const afterStallMs = 300

/** What one model's requests came to. */
interface Figures {
  readonly p99Ms: number
  readonly goodputRps: number
  readonly count: number
}

interface Case {
  readonly name: string
  readonly models: ReadonlyArray<Model>
  readonly latency: ProfileLatencyOptions
}

const never = 1e12
const replan = { ...defaultReplanOptions, minIntervalMs: never, riskIntervalMs: never, downAfterMs: never }
const arrivalsOf = (models: ReadonlyArray<Model>) =>
  models.map((model, i) => makeSchedule({ ratesRps: [model.expectedRateRps], periodMs: 1000, distribution: "exp", seed: 17 + i }))

const isQuiet = (stalls: ReadonlyArray<Stall>, atMs: number): boolean =>
  !stalls.some(([from, to]) => atMs > from - beforeStallMs && atMs < to + afterStallMs)

/** Of the requests of the quiet times after the warm-up; goodput is per second of all time. */
const figuresOf = (outcomes: ReadonlyArray<Outcome>, sloMs: number, stalls: ReadonlyArray<Stall>): Figures => {
  const latency = new LatencyHistogram()
  let count = 0
  let good = 0
  for (const { arrivedMs, latencyMs } of outcomes) {
    if (arrivedMs < warmUpMs || !isQuiet(stalls, arrivedMs)) continue
    count += 1
    if (latencyMs === Infinity) continue
    latency.add(latencyMs)
    if (latencyMs <= sloMs) good += 1
  }
  return { p99Ms: latency.quantileMs(0.99), goodputRps: (1000 * good) / (durationMs - warmUpMs), count }
}

/** Sends the arrivals to a running scheduler, on time, and waits for the last answer. */
const drive = (models: ReadonlyArray<Model>) =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const { arena } = yield* Executor
    const arrivals = arrivalsOf(models)
    const sizes = models.map((model) => makeSlotLayout(model.signature).placement(1, []).totalBytes)
    const outcomes = models.map((): Array<Outcome> => [])
    const stalls: Array<Stall> = []
    const nextMs = arrivals.map((next) => next())
    const startMs = scheduler.nowMs() + 100
    let pending = 0
    let lastMs = startMs
    yield* Effect.async<void>((resume) => {
      const turn = (): void => {
        const nowMs = scheduler.nowMs()
        if (nowMs - lastMs > stallMs) stalls.push([lastMs - startMs, nowMs - startMs])
        lastMs = nowMs
        let isOver = true
        models.forEach((model, i) => {
          while (startMs + nextMs[i]! <= nowMs && nextMs[i]! < durationMs) {
            const arrivedMs = nextMs[i]!
            nextMs[i] = arrivals[i]!()
            const slot = arena.allocate(sizes[i]!)
            if (slot === undefined) throw new Error("the arena is full")
            pending += 1
            scheduler.offer({ model: model.name, slot, items: 1, bindings: [], arrivedAtMs: startMs + arrivedMs }, (end) => {
              pending -= 1
              slot.release()
              outcomes[i]!.push({ arrivedMs, latencyMs: end.ok ? scheduler.nowMs() - startMs - arrivedMs : Infinity })
            })
          }
          if (nextMs[i]! < durationMs) isOver = false
        })
        if (isOver && pending === 0) resume(Effect.void)
        else setImmediate(turn)
      }
      turn()
    })
    return { outcomes, stalls }
  })

/** The arrivals through the online scheduler. */
const live = <R>(given: Case, profiles: ReadonlyMap<string, ReadonlyMap<Model["name"], ModelProfile>>, backend: Layer.Layer<Executor | GpuInventory | R>) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(
      SchedulerLive.layer({ replan, latencyModel: (measured) => ProfileLatencyModel.make(measured, given.latency) }).pipe(
        Layer.provide(Layer.succeed(Planner, orion)), Layer.provideMerge(backend), Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    )
    const scheduler = Context.get(services, Scheduler)
    yield* Effect.forEach(given.models, (model) =>
      scheduler.register(model, new Map([...profiles].flatMap(([type, models]) => {
        const profile = models.get(model.name)
        return profile === undefined ? [] : [[type, profile] as const]
      }))), { concurrency: "unbounded" })
    const driven = yield* Effect.provide(drive(given.models), services)
    const { gpus } = Context.get(services, GpuInventory)
    return { ...driven, gpus }
  }).pipe(Effect.scoped)

/** Of executions' times. The live run is one draw of many; so is each of these. Arrivals are the same for all. */
const seeds = [1, 2, 3, 4, 5]
const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** The same through the simulator, by seed. */
const simulated = (given: Case, gpus: ReadonlyArray<Gpu>, profiles: ReadonlyMap<string, ReadonlyMap<Model["name"], ModelProfile>>, overheadMs: number) => seeds.map((seed): ReadonlyArray<ReadonlyArray<Outcome>> => {
  const latency = ProfileLatencyModel.make(profiles, given.latency)
  const arrivals = arrivalsOf(given.models)
  const outcomes = new Map(given.models.map(({ name }) => [name, [] as Array<Outcome>]))
  simulate({
    ...defaultSimulation,
    gpus,
    models: given.models,
    latency,
    distribution: (execution) => distributionOf(latency, profiles.get(execution.gpuType)?.get(execution.model), execution),
    slowdown: latency.slowdown,
    loads: given.models.map((model, i) => ({ target: model.name, kind: "open", arrivals: arrivals[i]! })),
    replans: false,
    seed,
    costs: { overheadMs, openMs: 0, loadMs: () => 0, planningMs: 0 },
    durationMs, warmUpMs,
    planner: orion,
    onRequestEnd: (model, arrivedMs, endedMs, answered) => outcomes.get(model)!.push({ arrivedMs, latencyMs: answered ? endedMs - arrivedMs : Infinity })
  })
  return given.models.map(({ name }) => outcomes.get(name)!)
})

interface Row {
  readonly case: string
  readonly model: string
  readonly liveP99Ms: number
  /** Median over seeds, and their range. */
  readonly simulatedP99Ms: number
  readonly seedsP99Ms: string
  readonly p99Error: number
  readonly liveGoodputRps: number
  readonly simulatedGoodputRps: number
  readonly goodputError: number
  readonly requests: number
  /** Part of the requests that were left out: they arrived around a stall of the machine. */
  readonly leftOut: number
}

const compare = (
  given: Case, real: { readonly outcomes: ReadonlyArray<ReadonlyArray<Outcome>>; readonly stalls: ReadonlyArray<Stall> }, simulations: ReadonlyArray<ReadonlyArray<ReadonlyArray<Outcome>>>
): ReadonlyArray<Row> =>
  given.models.map((model, i) => {
    const was = figuresOf(real.outcomes[i]!, model.sloMs!, real.stalls)
    const each = simulations.map((simulation) => figuresOf(simulation[i]!, model.sloMs!, real.stalls))
    const p99s = each.map(({ p99Ms }) => p99Ms)
    const is = { p99Ms: median(p99s), goodputRps: median(each.map(({ goodputRps }) => goodputRps)) }
    const round = (number: number) => Number(number.toPrecision(4))
    return {
      case: given.name, model: model.name, liveP99Ms: round(was.p99Ms), simulatedP99Ms: round(is.p99Ms),
      seedsP99Ms: `${round(Math.min(...p99s))} to ${round(Math.max(...p99s))}`, p99Error: round(is.p99Ms / was.p99Ms - 1),
      liveGoodputRps: round(was.goodputRps), simulatedGoodputRps: round(is.goodputRps), goodputError: round(is.goodputRps / was.goodputRps - 1),
      requests: was.count, leftOut: round(1 - was.count / figuresOf(real.outcomes[i]!, model.sloMs!, []).count)
    }
  })

const vector: Model["signature"] = {
  inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 16] }], outputs: [{ name: "output", datatype: "FP32", shape: ["batch", 16] }], batchSymbol: "batch"
}
const modelOf = (name: string, sloMs: number, expectedRateRps: number): Model => ({
  name: unsafeModelName(name), version: 1, path: "", signature: vector, maxBatch: 32, serviceClass: "latency-critical", sloMs, expectedRateRps, weightBytes: 0
})

/** One GPU, with room to spare, near its limit, and beyond it. */
const emulatedCases = (gpuType: string): ReadonlyArray<Case> => {
  const latency: ProfileLatencyOptions = { interference: new Map([[gpuType, { memory: 0, compute: 0, presence: 0.31 }]]) }
  const at = (name: string, factor: number): Case => ({
    name, latency,
    models: [modelOf("densenet161", 202, 800 * factor), modelOf("vgg16", 142, 800 * factor), modelOf("resnet50", 108, 400 * factor)]
  })
  return [at("emulated, half", 0.6), at("emulated, near its limit", 1.1), at("emulated, beyond it", 1.5)]
}

/** From a batch given to an emulated glet in this process to its beginning, and from its end to its callback (bench/emulated). */
const emulatedOverheadMs = 0.02

const runEmulated = Effect.gen(function*() {
  const hardware = shippedHardware()
  const [first] = hardware.gpus(1)
  const profile: Profile = { ...(JSON.parse(fs.readFileSync("resource/profiles/h200/mps.json", "utf8")) as Profile), isolation: "emulated" }
  const profiles = new Map([[profile.gpuType, new Map(profile.models.map((model) => [model.model, model]))]])
  const rows: Array<Row> = []
  for (const given of emulatedCases(first!.type)) {
    const backend = Layer.provideMerge(Emulated.layer({ profiles: [profile], latency: given.latency }), Emulated.layerInventory(profile, { count: 1, memoryBytes: 141e9 }))
    const { gpus, ...real } = yield* live(given, profiles, backend)
    rows.push(...compare(given, real, simulated(given, gpus, profiles, emulatedOverheadMs)))
  }
  return rows
})

/** One core runs the model; the other is the agent's and the client's, who share a thread: rates that leave it idle most of the time. */
const cpuRates = [200, 800]

const lenet: Model = {
  name: unsafeModelName("lenet"), version: 1, path: fs.realpathSync("resource/demo/lenet-digits.onnx"), maxBatch: 16, serviceClass: "latency-critical", sloMs: 50,
  expectedRateRps: 0, weightBytes: 0,
  signature: {
    inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }], outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }], batchSymbol: "batch"
  }
}

const runCpu = Effect.gen(function*() {
  const backend = Layer.provideMerge(CpuExecutor.layer({}), CpuInventory.layer({ cores: 1 }))
  const profile = yield* Effect.gen(function*() {
    const { gpus: [gpu] } = yield* GpuInventory
    const profiler = yield* Profiler
    return { gpuType: gpu!.type, measured: yield* profiler.profile({ model: lenet, gpu: gpu!, budgetMs: 4000 }) }
  }).pipe(Effect.provide(ProfilerLive.layer().pipe(Layer.provideMerge(backend))), Effect.scoped)
  const profiles = new Map([[profile.gpuType, new Map([[lenet.name, profile.measured]])]])
  const rows: Array<Row> = []
  for (const expectedRateRps of cpuRates) {
    const given: Case = { name: `CPU, one core, ${expectedRateRps}/s`, latency: {}, models: [{ ...lenet, expectedRateRps }] }
    const { gpus, ...real } = yield* live(given, profiles, backend)
    rows.push(...compare(given, real, simulated(given, gpus, profiles, 0.2)))
  }
  return rows
})

const only = value("--only")
const rows = [
  ...(only === "cpu" ? [] : await Effect.runPromise(runEmulated)),
  ...(only === "emulated" ? [] : await Effect.runPromise(runCpu))
]
const emulated = rows.filter((row) => row.case.startsWith("emulated"))
const worst = (key: "p99Error" | "goodputError"): number => emulated.reduce((most, row) => Math.max(most, Math.abs(row[key])), 0)
const bars = {
  "emulated: p99 error": { value: worst("p99Error"), bar: 0.05, ok: worst("p99Error") <= 0.05 },
  "emulated: goodput error": { value: worst("goodputError"), bar: 0.05, ok: worst("goodputError") <= 0.05 }
}
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "simulatorError", rows, bars }))
else {
  console.table(rows)
  console.table(bars)
}
if (process.argv.includes("--check") && Object.values(bars).some(({ ok }) => !ok)) process.exit(1)
