/**
 * Best-effort work beside latency-critical work, simulated.
 *
 * `mixed`: eight models of the zoo on eight H200, two best-effort models with endless work. "Reserved" keeps as few GPUs as keep every SLO for 99 % of
 * requests (found by trying) for the latency-critical models and gives the others to best-effort work; "ours" plans all together. Best-effort
 * throughput is in GPUs' worth: what one GPU does of it alone is 1. "Limit" is what is left when the latency-critical work has had its busy time.
 * `ablation`: one GPU; ResNet50 beside BERT and beside MobileNetV2, two latency-critical models beside BERT, and bursts; gate and interference in
 * plans taken away one at a time.
 *
 * command: node bench/run.mjs types [--only mixed|ablation] [--json] [--check]
 */
import * as Either from "effect/Either"
import type { ModelName } from "../src/core/Ids.js"
import { unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import type { BestEffortGate } from "../src/scheduler/BestEffortGate.js"
import { defaultGate, openGate, plannedGate } from "../src/scheduler/BestEffortGate.js"
import { defaultDispatcherOptions } from "../src/scheduler/Dispatcher.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"
import type { ScheduleOptions } from "../src/simulator/ArrivalSchedule.js"
import { makeSchedule } from "../src/simulator/ArrivalSchedule.js"
import { aliased } from "../src/simulator/Hardware.js"
import { simulate } from "../src/simulator/Simulation.js"
import type { SimulationInput } from "../src/simulator/SimulationInput.js"
import { defaultSimulation } from "../src/simulator/SimulationInput.js"
import { shippedHardware } from "./lib/scenarios.js"

const prefix = "fill-"
/** A best-effort model is measured as the model that its name says after the prefix. */
const hardware = aliased(shippedHardware(10), (model) => unsafeModelName(model.replace(prefix, "")))
const orion = Either.getOrThrow(findPlanner("orion"))
const durationMs = 24_000
const warmUpMs = 4_000
const slos: ReadonlyMap<string, number> = new Map([
  ["bert", 22], ["resnet50", 25], ["vgg16", 35], ["mobilenet_v2", 12], ["mnasnet1_0", 12], ["googlenet", 18], ["densenet161", 80], ["ssd-mobilenetv1", 40]
])

interface Stream {
  readonly model: string
  readonly sloMs: number
  readonly arrivals: Omit<ScheduleOptions, "seed" | "periodMs">
}
interface Run {
  readonly gpus: number
  readonly streams: ReadonlyArray<Stream>
  readonly fill: ReadonlyArray<string>
  readonly gate?: BestEffortGate
  readonly interference?: boolean
}

const common = { version: 1, path: "", signature: { inputs: [], outputs: [], batchSymbol: "n" }, maxBatch: 32, weightBytes: 0 } as const
const play = ({ fill, gate = defaultGate, gpus, interference = true, streams }: Run) => {
  const critical = streams.map(({ arrivals, model, sloMs }): Model => ({
    ...common, name: unsafeModelName(model), serviceClass: "latency-critical", sloMs, expectedRateRps: arrivals.ratesRps[0]!
  }))
  const others = fill.map((model): Model => ({ ...common, name: unsafeModelName(prefix + model), serviceClass: "best-effort", expectedRateRps: 0 }))
  const input: SimulationInput = {
    ...defaultSimulation, gpus: hardware.gpus(gpus), models: [...critical, ...others], latency: hardware.latency, distribution: hardware.distribution,
    slowdown: hardware.latency.slowdown, planner: orion, planOptions: { ...defaultSimulation.planOptions, interference },
    dispatcher: { ...defaultDispatcherOptions, gate }, durationMs, warmUpMs,
    replans: streams.some(({ arrivals }) => arrivals.ratesRps.length > 1),
    costs: { overheadMs: 0.2, openMs: hardware.openMs, loadMs: hardware.loadMs, planningMs: 10 },
    loads: [
      ...streams.map(({ arrivals, model }, i) => ({ target: unsafeModelName(model), kind: "open" as const, arrivals: makeSchedule({ ...arrivals, periodMs: 4000, seed: i + 1 }) })),
      ...others.map(({ name }) => ({ target: name as ModelName, kind: "closed" as const, clients: 64 * gpus, thinkMs: 0 }))
    ]
  }
  const report = simulate(input)
  const kept = report.models.flatMap(({ sloKept, sloMs }) => (sloMs === undefined ? [] : [sloKept]))
  return {
    kept: kept.length === 0 ? 1 : Math.min(...kept),
    p99Ms: report.models[0]!.latency.p99Ms,
    fillRps: others.map(({ name }) => report.models.find((model) => model.name === name)!.answered / ((durationMs - warmUpMs) / 1000)),
    busy: report.gpus.busyGpuSeconds / (report.endMs / 1000)
  }
}

const mixedFill = ["bert", "mobilenet_v2"]
const streamsOf = (arrivals: (i: number) => Stream["arrivals"]): ReadonlyArray<Stream> => [...slos].map(([model, sloMs], i) => ({ model, sloMs, arrivals: arrivals(i) }))
/** A peak of four times the trough, at another time for half of the models. */
const day = [1, 2, 4, 4, 2, 1]
const mixes: ReadonlyArray<readonly [string, (rate: number) => ReadonlyArray<Stream>]> = [
  ["steady, Poisson", (rate) => streamsOf(() => ({ ratesRps: [rate], distribution: "exp" }))],
  ["bursts, gamma CV 2", (rate) => streamsOf(() => ({ ratesRps: [rate], distribution: "gamma", cv: 2 }))],
  ["rates that vary fourfold", (rate) => streamsOf(() => ({ ratesRps: day.map((factor) => (factor * rate) / 2.33), distribution: "exp" }))]
]
/** Requests per second of each model. At the last a reservation for the peak of rates that vary leaves one GPU of eight. */
const rates = [400, 900, 1400, 2400]
const mixed = () => {
  const alone = play({ gpus: 1, streams: [], fill: mixedFill }).fillRps
  const worth = (fillRps: ReadonlyArray<number>): number => fillRps.reduce((sum, rps, i) => sum + rps / alone[i]!, 0) / alone.length
  return mixes.flatMap(([mix, streams]) => {
    let needed = 1
    return rates.map((rate) => {
      // More is asked from rate to rate.
      let reserved = play({ gpus: needed, streams: streams(rate), fill: [] })
      while (reserved.kept < 0.99 && needed < 8) reserved = play({ gpus: ++needed, streams: streams(rate), fill: [] })
      const ours = play({ gpus: 8, streams: streams(rate), fill: mixedFill })
      const before = play({ gpus: 8, streams: streams(rate), fill: mixedFill, gate: plannedGate })
      return {
        mix, "req/s": rate * slos.size, "reserved GPUs": needed, "SLO kept reserved": reserved.kept, "fill reserved": 8 - needed,
        "SLO kept ours": ours.kept, "fill ours": worth(ours.fillRps), limit: 8 - reserved.busy, ratio: worth(ours.fillRps) / (8 - needed),
        "SLO kept, plan's slack only": before.kept, "fill, plan's slack only": worth(before.fillRps)
      }
    })
  })
}

const depths: ReadonlyArray<readonly [string, Pick<Run, "gate" | "interference">]> = [
  ["gate and interference", {}], ["gate alone", { interference: false }], ["interference alone", { gate: openGate }],
  ["plan's slack (before)", { gate: plannedGate }], ["neither", { gate: openGate, interference: false }]
]
const resnet: Stream = { model: "resnet50", sloMs: 10, arrivals: { ratesRps: [800], distribution: "exp" } }
const cases: ReadonlyArray<readonly [string, ReadonlyArray<Stream>, ReadonlyArray<string>]> = [
  ["ResNet50 beside BERT", [resnet], ["bert"]],
  ["ResNet50 beside MobileNetV2", [resnet], ["mobilenet_v2"]],
  ["ResNet50 and GoogLeNet beside BERT", [resnet, { model: "googlenet", sloMs: 10, arrivals: { ratesRps: [800], distribution: "exp" } }], ["bert"]],
  ["ResNet50 in bursts (gamma, CV 2) beside BERT", [{ ...resnet, arrivals: { ratesRps: [800], distribution: "gamma", cv: 2 } }], ["bert"]]
]
const ablation = () => cases.flatMap(([name, streams, fill]) => {
  const alone = play({ gpus: 1, streams, fill: [] })
  const fillAlone = play({ gpus: 1, streams: [], fill }).fillRps
  return depths.map(([depth, options]) => {
    const together = play({ gpus: 1, streams, fill, ...options })
    return {
      case: name, depth, "SLO kept": together.kept, "p99 ms": together.p99Ms, "p99 over alone": together.p99Ms / alone.p99Ms,
      "best-effort kept": together.fillRps.reduce((sum, rps, i) => sum + rps / fillAlone[i]!, 0) / fill.length
    }
  })
})

const only = process.argv[process.argv.indexOf("--only") + 1]
const rounded = <A extends object>(rows: ReadonlyArray<A>): ReadonlyArray<object> =>
  rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === "number" ? Number(value.toFixed(3)) : value as unknown])))
const mixedRows = process.argv.includes("--only") && only !== "mixed" ? [] : mixed()
const ablationRows = process.argv.includes("--only") && only !== "ablation" ? [] : ablation()
const best = mixedRows.reduce((most, row) => (Math.min(row["SLO kept ours"], row["SLO kept reserved"]) >= 0.99 && row["fill reserved"] > 0 ? Math.max(most, row.ratio) : most), 0)
const bars = { "best-effort throughput over reserving GPUs, best mix": { value: Number(best.toFixed(2)), bar: 1.5, ok: best >= 1.5 } }
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "types", mixed: rounded(mixedRows), ablation: rounded(ablationRows), bars }))
else {
  if (mixedRows.length > 0) console.table(rounded(mixedRows))
  if (ablationRows.length > 0) console.table(rounded(ablationRows))
  if (mixedRows.length > 0) console.table(bars)
}
if (process.argv.includes("--check") && mixedRows.length > 0 && best < 1.5) process.exit(1)
