/**
 * The highest load that keeps the SLOs (at most 1 % of the requests of any model or application missed), simulated on four GPUs, by planner: the
 * workloads of the original on the profile that comes along, on that of the GPU suite's models (`--zoo`), or on a folder of the original's tables. All planners are served by the same
 * dispatcher; plans are made for the load that is simulated. Beside each peak stands what part it is of the most that the hardware can do
 * (lib/hardwareBound.ts), whoever plans and dispatches: no gain over another planner can be larger than the bound allows. `--check` fails where `orion` is
 * behind another planner in some scenario, gains less than the bar, or carries more than the hardware can.
 *
 * command: node bench/run.mjs peak [--tables FOLDER --device 2080ti | --zoo] [--gpus N] [--planners a,b,c] [--scenarios a,b] [--replications 3] [--effort 0.1] [--rule cycle|strict] [--without headroom,interference,overhead,spread] [--json] [--check]
 *
 * `--without` leaves out what costs load, to see how much: the plan's head-room on latencies, the slow-down by neighbours (in plans and in
 * truth), the way to the glet and back, the spread of execution times.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Execution } from "../src/core/LatencyModel.js"
import type { PlanOptions } from "../src/core/PlanProblem.js"
import { publishedCaseOptions } from "../src/scheduler/original/CasePlans.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import { findPeak } from "../src/simulator/PeakLoad.js"
import { scenarioInput } from "../src/simulator/ScenarioInput.js"
import { simulate } from "../src/simulator/Simulation.js"
import { worstViolation } from "../src/simulator/SimulationReport.js"
import { hardwareBound } from "./lib/hardwareBound.js"
import { originalScenarios, shippedHardware, shippedScenario, tablesHardware, zooHardware } from "./lib/scenarios.js"

const value = (flag: string): string | undefined => {
  const at = process.argv.indexOf(flag)
  return at < 0 ? undefined : process.argv[at + 1]
}
const tables = value("--tables")
const device = value("--device") ?? "2080ti"
const hardware = tables !== undefined ? tablesHardware(tables, device) : process.argv.includes("--zoo") ? zooHardware() : shippedHardware()
/** Those of the scenario where it is left out. */
const gpus = value("--gpus") === undefined ? {} : { gpus: Number(value("--gpus")) }
const planners = (value("--planners") ?? "time-share,elastic-int,orion").split(",").map((name) => Either.getOrThrow(findPlanner(name)))
const scenarios = value("--scenarios")?.split(",") ?? originalScenarios
const replications = Number(value("--replications") ?? 3)
const without = new Set(value("--without")?.split(",") ?? [])
const rule = value("--rule") === "strict" ? "strict" : "cycle"

/** Simulated requests a run: a percent of the rarest stream's is then known to a tenth of itself or so. */
const requestsPerRun = 60_000
const warmUpMs = 1000

/** The original puts at most three models on a partition; else the same for all. */
const planOptions = (planner: string): Partial<PlanOptions> => ({
  dutyRule: rule,
  ...(value("--effort") === undefined ? {} : { effort: Number(value("--effort")) }),
  ...(without.has("headroom") ? { latencyHeadroom: 1 } : {}),
  ...(without.has("interference") ? { interference: false } : {}),
  ...(planner === "orion" ? {} : { maxModelsPerGlet: publishedCaseOptions.maxModelsPerGlet })
})

interface Row {
  readonly scenario: string
  readonly planner: string
  readonly factor: number
  readonly lowFactor: number
  readonly highFactor: number
  readonly goodputRps: number
  /** The peak over the hardware's bound. */
  readonly ofBound: number
  readonly seconds: number
}

const solver = await Effect.runPromise(HighsSolver.load)
/** The factor on a scenario's load that its GPUs can carry at most. */
const boundOf = (name: string): number =>
  hardwareBound(solver, Either.getOrThrow(scenarioInput(shippedScenario(name), hardware, { planner: planners[0]!, seed: 1, ...gpus })))

const measure = (name: string, planner: typeof planners[number], startFactor: number, bound: number): Row => {
  const scenario = shippedScenario(name)
  const startMs = performance.now()
  const at = (loadFactor: number, replication: number) => {
    const input = (durationMs: number) => {
      const made = Either.getOrThrow(scenarioInput(scenario, hardware, {
        planner, ...gpus, seed: 1 + replication, loadFactor, durationMs, warmUpMs, replans: false, plan: planOptions(planner.name),
        ...(without.has("overhead") ? { overheadMs: 0 } : {})
      }))
      const { interference, ...alone } = made
      return {
        ...alone,
        ...(without.has("interference") ? { slowdown: () => 1 } : interference === undefined ? {} : { interference }),
        ...(without.has("spread")
          ? {
            distribution: (execution: Execution) => {
              const ms = made.latency.typicalMs(execution)
              return Number.isFinite(ms) ? { lowestMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms } : undefined
            }
          }
          : {})
      }
    }
    const perSecond = input(1).models.reduce((sum, model) => sum + model.expectedRateRps, 0)
    return simulate(input(warmUpMs + Math.max(3000, (1000 * requestsPerRun) / perSecond)))
  }
  const peak = findPeak((factor, replication) => worstViolation(at(factor, replication).streams), { limit: 0.01, replications, precision: 0.01, startFactor, lookAhead: 0.15 })
  const goodputRps = peak.peaks[0]! > 0 ? at(peak.peaks[0]!, 0).total.goodputRps : 0
  return {
    scenario: name, planner: planner.name, factor: peak.factor, lowFactor: peak.lowFactor, highFactor: peak.highFactor, goodputRps,
    ofBound: peak.factor / bound,
    seconds: (performance.now() - startMs) / 1000
  }
}

const shown = (number: number): string => String(Number(number.toPrecision(4)))
const rows: Array<Row> = []
/** By scenario. */
const bounds: Array<number> = []
for (const name of scenarios) {
  let start = tables === undefined ? 20 : 2
  const bound = boundOf(name)
  bounds.push(bound)
  for (const planner of planners) {
    const row = measure(name, planner, start, bound)
    rows.push(row)
    if (row.factor > 0) start = row.factor
    if (!process.argv.includes("--json")) {
      console.log(`${name.padEnd(8)} ${planner.name.padEnd(12)} ${shown(row.factor).padStart(7)} (${shown(row.lowFactor)} to ${shown(row.highFactor)}), ${(100 * row.ofBound).toFixed(1)} % of the hardware's ${shown(bound)}, ${row.goodputRps.toFixed(0)} good answers/s, ${row.seconds.toFixed(0)} s`)
    }
  }
}
const of = (name: string, planner: string): number | undefined => rows.find((row) => row.scenario === name && row.planner === planner)?.factor
/** Mean of a peak over the other planner's, less 1, over the scenarios that the other can serve at all. */
const gainOver = (planner: string, peakOf: (name: string, at: number) => number): number => {
  const gains = scenarios.flatMap((name, at) => ((of(name, planner) ?? NaN) === 0 ? [] : [peakOf(name, at) / (of(name, planner) ?? NaN) - 1]))
  return gains.reduce((sum, gain) => sum + gain, 0) / gains.length
}
const orionOf = (name: string): number => of(name, "orion") ?? NaN
const worstAgainst = (planner: string): number => Math.min(...scenarios.map((name) => (of(name, "orion") ?? NaN) / (of(name, planner) ?? NaN)))
/** Of what is simulated more may keep its SLOs than can in the long run, by so much. */
const noise = 0.02
const mostOfBound = rows.reduce((most, { ofBound }) => Math.max(most, ofBound), 0)
const gain = gainOver("time-share", orionOf)
const mostGain = gainOver("time-share", (_, at) => bounds[at]!)
const bars = {
  "mean gain over time-share": { value: Number(gain.toFixed(3)), bar: 1.2, ok: gain >= 1.2 },
  "the same, had the hardware no more to give": { value: Number(mostGain.toFixed(3)), bar: NaN, ok: true },
  ...Object.fromEntries(planners.filter(({ name }) => name !== "orion").map(({ name }) => {
    const value = worstAgainst(name)
    return [`least ratio to ${name}`, { value: Number(value.toFixed(3)), bar: 1, ok: value >= 1 }]
  })),
  "largest part of the bound": { value: Number(mostOfBound.toFixed(3)), bar: 1, ok: mostOfBound <= 1 + noise }
}
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "peak", hardware: hardware.gpuType, rule, replications, bounds, rows, bars }))
else console.table(bars)
if (process.argv.includes("--check") && Object.values(bars).some(({ ok }) => !ok)) process.exit(1)
