/**
 * Best-effort work beside latency-critical work, simulated.
 *
 * `mixed`: eight models of the zoo on eight H200, two best-effort models with endless work. "Reserved" keeps as few GPUs as keep every SLO for 99 % of
 * requests (found by trying) for the latency-critical models and gives the others to best-effort work; "ours" plans all together, its best-effort batches
 * giving way to latency-critical ones, which gather meanwhile or start at once, or running to their end. Best-effort throughput is in GPUs' worth: what one GPU
 * does of it alone is 1. "Limit" is what is left when the latency-critical work has had its busy time on the reserved GPUs.
 * `ablation`: one GPU; ResNet50 beside BERT and beside MobileNetV2, two latency-critical models beside BERT, and bursts; gathering, giving
 * way, gate and interference in plans taken away one at a time.
 *
 * Points run in two processes.
 *
 * command: node bench/run.mjs types [--only mixed|ablation] [--json] [--check]
 */
import * as Either from "effect/Either"
import { spawn } from "node:child_process"
import type { ModelName } from "../src/core/Ids.js"
import { unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import type { BestEffortGate } from "../src/scheduler/BestEffortGate.js"
import { defaultGate, openGate, plannedGate } from "../src/scheduler/BestEffortGate.js"
import { defaultDispatcherOptions } from "../src/scheduler/DispatcherOptions.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"
import type { ScheduleOptions } from "../src/simulator/ArrivalSchedule.js"
import { makeSchedule } from "../src/simulator/ArrivalSchedule.js"
import { aliased, withPreemption } from "../src/simulator/Hardware.js"
import { simulate } from "../src/simulator/Simulation.js"
import type { SimulationInput } from "../src/simulator/SimulationInput.js"
import { defaultSimulation } from "../src/simulator/SimulationInput.js"
import { shippedHardware } from "./lib/scenarios.js"

const prefix = "fill-"
/** A best-effort model is measured as the model that its name says after the prefix. */
const hardware = aliased(shippedHardware(10), (model) => unsafeModelName(model.replace(prefix, "")))
/** As measured on an H200. */
const preemptMs = 0.13
const orion = Either.getOrThrow(findPlanner("orion"))
const periodMs = 4000
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
  readonly givesWay?: boolean
  readonly gather?: boolean
  readonly gate?: BestEffortGate
  readonly interference?: boolean
}

const common = { version: 1, path: "", signature: { inputs: [], outputs: [], batchSymbol: "n" }, maxBatch: 32, weightBytes: 0 } as const
const play = ({ fill, gate = defaultGate, gather = true, givesWay = false, gpus, interference = true, streams }: Run) => {
  const changes = streams.some(({ arrivals }) => arrivals.ratesRps.length > 1)
  // A whole day, where there is one.
  const [durationMs, warmUpMs] = changes ? [7 * periodMs, periodMs] : [12_000, 2000]
  const critical = streams.map(({ arrivals, model, sloMs }): Model => ({
    ...common, name: unsafeModelName(model), serviceClass: "latency-critical", sloMs, expectedRateRps: arrivals.ratesRps[0]!
  }))
  const others = fill.map((model): Model => ({ ...common, name: unsafeModelName(prefix + model), serviceClass: "best-effort", expectedRateRps: 0 }))
  const input: SimulationInput = {
    ...defaultSimulation, gpus: withPreemption(hardware, givesWay ? preemptMs : undefined).gpus(gpus), models: [...critical, ...others],
    latency: hardware.latency, distribution: hardware.distribution,
    slowdown: hardware.latency.slowdown, planner: orion, planOptions: { ...defaultSimulation.planOptions, interference, gather },
    dispatcher: { ...defaultDispatcherOptions, gate, gather }, durationMs, warmUpMs, replans: changes,
    costs: { overheadMs: 0.2, openMs: hardware.openMs, loadMs: hardware.loadMs, planningMs: 10 },
    loads: [
      ...streams.map(({ arrivals, model }, i) => ({ target: unsafeModelName(model), kind: "open" as const, arrivals: makeSchedule({ ...arrivals, periodMs, seed: i + 1 }) })),
      ...others.map(({ name }) => ({ target: name as ModelName, kind: "closed" as const, clients: 64 * gpus, thinkMs: 0 }))
    ]
  }
  const report = simulate(input)
  const kept = report.models.flatMap(({ sloKept, sloMs }) => (sloMs === undefined ? [] : [sloKept]))
  return {
    kept: kept.length === 0 ? 1 : Math.min(...kept),
    p99Ms: report.models[0]!.latency.p99Ms,
    p99OverSlo: Math.max(0, ...report.models.flatMap(({ latency, sloMs }) => (sloMs === undefined ? [] : [latency.p99Ms / sloMs]))),
    fillRps: others.map(({ name }) => report.models.find((model) => model.name === name)!.answered / ((durationMs - warmUpMs) / 1000)),
    busy: report.gpus.busyGpuSeconds / (report.endMs / 1000)
  }
}

const mixedFill = ["bert", "mobilenet_v2"]
const streamsOf = (arrivals: Stream["arrivals"], ofSlo = 1): ReadonlyArray<Stream> => [...slos].map(([model, sloMs]) => ({ model, sloMs: ofSlo * sloMs, arrivals }))
/** A peak of four times the trough. */
const day = [1, 2, 4, 4, 2, 1]
const dayMean = day.reduce((sum, factor) => sum + factor, 0) / day.length
const steady = (rate: number): Stream["arrivals"] => ({ ratesRps: [rate], distribution: "exp" })
const bursts = (rate: number): Stream["arrivals"] => ({ ratesRps: [rate], distribution: "gamma", cv: 2 })
const changing = (rate: number): Stream["arrivals"] => ({ ratesRps: day.map((factor) => (factor * rate) / dayMean), distribution: "exp" })
/** Requests per second of each model, and the load they make. At the last a reservation for the peak of rates that change leaves one GPU of eight. */
const mixes: ReadonlyArray<readonly [string, ReadonlyArray<number>, (rate: number) => ReadonlyArray<Stream>]> = [
  ["steady, Poisson", [400, 1400, 2400], (rate) => streamsOf(steady(rate))],
  ["steady, a quarter of the SLOs", [400, 900, 1400], (rate) => streamsOf(steady(rate), 0.25)],
  ["bursts, gamma CV 2", [1400, 2400], (rate) => streamsOf(bursts(rate))],
  ["rates that change fourfold", [1400, 2400], (rate) => streamsOf(changing(rate))]
]

const fillAlone = (fill: ReadonlyArray<string>): ReadonlyArray<number> => play({ gpus: 1, streams: [], fill }).fillRps
const most = 8
const mixedAt = (mix: string, rate: number) => {
  const streams = mixes.find(([name]) => name === mix)![2](rate)
  const alone = fillAlone(mixedFill)
  const worth = (fillRps: ReadonlyArray<number>): number => fillRps.reduce((sum, rps, i) => sum + rps / alone[i]!, 0) / alone.length
  const reservedOn = (gpus: number) => play({ gpus, streams, fill: [] })
  // The fewest that keep the SLOs; more keep them too.
  let tooFew = 0
  let needed = most
  let reserved = reservedOn(most)
  while (needed - tooFew > 1) {
    const gpus = (needed + tooFew) >> 1
    const fewer = reservedOn(gpus)
    if (fewer.kept < 0.99) tooFew = gpus
    else [needed, reserved] = [gpus, fewer]
  }
  const limit = most - reserved.busy
  const ours = play({ gpus: most, streams, fill: mixedFill, givesWay: true })
  const atOnce = play({ gpus: most, streams, fill: mixedFill, givesWay: true, gather: false })
  const toEnd = play({ gpus: most, streams, fill: mixedFill })
  return {
    mix, "req/s": rate * slos.size, "reserved GPUs": needed, "SLO kept reserved": reserved.kept, "fill reserved": most - needed,
    "SLO kept ours": ours.kept, "fill ours": worth(ours.fillRps), limit, ratio: worth(ours.fillRps) / (most - needed),
    "SLO kept, at once": atOnce.kept, "fill, at once": worth(atOnce.fillRps), "p99 over SLO": ours.p99OverSlo, "p99 over SLO, at once": atOnce.p99OverSlo,
    "SLO kept, runs to its end": toEnd.kept, "fill, runs to its end": worth(toEnd.fillRps)
  }
}

const depths: ReadonlyArray<readonly [string, Pick<Run, "gate" | "interference" | "givesWay" | "gather">]> = [
  ["gives way, gathers", { givesWay: true }], ["gives way", { givesWay: true, gather: false }], ["gives way, no gate", { givesWay: true, gather: false, gate: openGate }],
  ["gate and interference", {}], ["gate alone", { interference: false }], ["interference alone", { gate: openGate }],
  ["plan's slack", { gate: plannedGate }], ["neither", { gate: openGate, interference: false }]
]
const resnet: Stream = { model: "resnet50", sloMs: 10, arrivals: steady(800) }
const cases: ReadonlyArray<readonly [string, ReadonlyArray<Stream>, ReadonlyArray<string>]> = [
  ["ResNet50 beside BERT", [resnet], ["bert"]],
  ["ResNet50 beside MobileNetV2", [resnet], ["mobilenet_v2"]],
  ["ResNet50 and GoogLeNet beside BERT", [resnet, { model: "googlenet", sloMs: 10, arrivals: steady(800) }], ["bert"]],
  ["ResNet50 in bursts (gamma, CV 2) beside BERT", [{ ...resnet, arrivals: bursts(800) }], ["bert"]]
]
const ablationOf = (name: string) => {
  const [, streams, fill] = cases.find(([other]) => other === name)!
  const alone = play({ gpus: 1, streams, fill: [] })
  const alones = fillAlone(fill)
  return depths.map(([depth, options]) => {
    const together = play({ gpus: 1, streams, fill, ...options })
    return {
      case: name, depth, "SLO kept": together.kept, "p99 ms": together.p99Ms, "p99 over alone": together.p99Ms / alone.p99Ms,
      "best-effort kept": together.fillRps.reduce((sum, rps, i) => sum + rps / alones[i]!, 0) / fill.length
    }
  })
}

type MixedRow = ReturnType<typeof mixedAt>
type AblationRow = ReturnType<typeof ablationOf>[number]
interface Point {
  readonly mix?: string
  readonly rate?: number
  readonly case?: string
}
const rowsAt = (point: Point): ReadonlyArray<MixedRow | AblationRow> =>
  point.case === undefined ? [mixedAt(point.mix!, point.rate!)] : ablationOf(point.case)

/** The point in a process of its own. */
const inProcess = (point: Point): Promise<ReadonlyArray<MixedRow | AblationRow>> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, "--point", JSON.stringify(point)], { stdio: ["ignore", "pipe", "inherit"] })
    let text = ""
    child.stdout.on("data", (chunk: Buffer) => text += chunk.toString())
    child.on("close", (code) => code === 0 ? resolve(JSON.parse(text) as ReadonlyArray<MixedRow | AblationRow>) : reject(new Error(`${JSON.stringify(point)} ended with ${code}`)))
  })

const rounded = <A extends object>(rows: ReadonlyArray<A>): ReadonlyArray<object> =>
  rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === "number" ? Number(value.toFixed(3)) : value as unknown])))

const main = async (): Promise<void> => {
  const only = process.argv.includes("--only") ? process.argv[process.argv.indexOf("--only") + 1] : undefined
  const points: ReadonlyArray<Point> = [
    ...(only === "ablation" ? [] : mixes.flatMap(([mix, rates]) => rates.map((rate) => ({ mix, rate })))),
    ...(only === "mixed" ? [] : cases.map(([name]) => ({ case: name })))
  ]
  const rows = points.map((): ReadonlyArray<MixedRow | AblationRow> => [])
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < points.length; at = next++) rows[at] = await inProcess(points[at]!)
  }
  await Promise.all([work(), work()])
  const mixedRows = rows.flat().filter((row): row is MixedRow => "mix" in row)
  const ablationRows = rows.flat().filter((row): row is AblationRow => "case" in row)
  const best = mixedRows.reduce((most, row) => (Math.min(row["SLO kept ours"], row["SLO kept reserved"]) >= 0.99 && row["fill reserved"] > 0 ? Math.max(most, row.ratio) : most), 0)
  const least = mixedRows.reduce((most, row) => Math.min(most, row.ratio), Infinity)
  const bars = {
    "the same, worst mix": { value: Number(least.toFixed(2)), bar: 1, ok: least >= 1 },
    "best-effort throughput over reserving GPUs, best mix": { value: Number(best.toFixed(2)), bar: 1.5, ok: best >= 1.5 }
  }
  if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "types", mixed: rounded(mixedRows), ablation: rounded(ablationRows), bars }))
  else {
    if (mixedRows.length > 0) console.table(rounded(mixedRows))
    if (ablationRows.length > 0) console.table(rounded(ablationRows))
    if (mixedRows.length > 0) console.table(bars)
  }
  if (process.argv.includes("--check") && mixedRows.length > 0 && (best < 1.5 || least < 1)) process.exit(1)
}

const at = process.argv.indexOf("--point")
if (at >= 0) console.log(JSON.stringify(rowsAt(JSON.parse(process.argv[at + 1]!) as Point)))
else await main()
