/**
 * The highest load that keeps the SLOs (at most 1 % of the requests of any model or application missed), simulated on four GPUs, by planner: the
 * workloads of the original on the profile that comes along, or on a folder of the original's tables. All planners are served by the same
 * dispatcher; plans are made for the load that is simulated.
 *
 * command: node bench/run.mjs peak [--tables FOLDER --device 2080ti] [--planners a,b,c] [--scenarios a,b] [--replications 3] [--rule cycle|strict] [--without headroom,interference,overhead,spread] [--json] [--check]
 *
 * `--without` leaves out what costs load, to see how much: the plan's head-room on latencies, the slow-down by neighbours (in plans and in
 * truth), the way to the glet and back, the spread of execution times.
 */
import * as Either from "effect/Either"
import type { Execution } from "../src/core/LatencyModel.js"
import type { PlanOptions } from "../src/core/PlanProblem.js"
import { publishedCaseOptions } from "../src/scheduler/original/CasePlans.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"
import { findPeak } from "../src/simulator/PeakLoad.js"
import { scenarioInput } from "../src/simulator/ScenarioInput.js"
import { simulate } from "../src/simulator/Simulation.js"
import { worstViolation } from "../src/simulator/SimulationReport.js"
import { originalScenarios, shippedHardware, shippedScenario, tablesHardware } from "./lib/scenarios.js"

const value = (flag: string): string | undefined => {
  const at = process.argv.indexOf(flag)
  return at < 0 ? undefined : process.argv[at + 1]
}
const tables = value("--tables")
const device = value("--device") ?? "2080ti"
const hardware = tables === undefined ? shippedHardware() : tablesHardware(tables, device)
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
  readonly seconds: number
}

const measure = (name: string, planner: typeof planners[number], startFactor: number): Row => {
  const scenario = shippedScenario(name)
  const startMs = performance.now()
  const at = (loadFactor: number, replication: number) => {
    const input = (durationMs: number) => {
      const made = Either.getOrThrow(scenarioInput(scenario, hardware, {
        planner, seed: 1 + replication, loadFactor, durationMs, warmUpMs, replans: false, plan: planOptions(planner.name),
        ...(without.has("overhead") ? { overheadMs: 0 } : {})
      }))
      return {
        ...made,
        ...(without.has("interference") ? { slowdown: () => 1 } : {}),
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
  const peak = findPeak((factor, replication) => worstViolation(at(factor, replication).streams), { limit: 0.01, replications, precision: 0.01, startFactor })
  const goodputRps = peak.peaks[0]! > 0 ? at(peak.peaks[0]!, 0).total.goodputRps : 0
  return {
    scenario: name, planner: planner.name, factor: peak.factor, lowFactor: peak.lowFactor, highFactor: peak.highFactor, goodputRps,
    seconds: (performance.now() - startMs) / 1000
  }
}

const shown = (number: number): string => String(Number(number.toPrecision(4)))
const rows: Array<Row> = []
for (const name of scenarios) {
  let start = tables === undefined ? 20 : 2
  for (const planner of planners) {
    const row = measure(name, planner, start)
    rows.push(row)
    if (row.factor > 0) start = row.factor
    if (!process.argv.includes("--json")) {
      console.log(`${name.padEnd(8)} ${planner.name.padEnd(12)} ${shown(row.factor).padStart(7)} (${shown(row.lowFactor)} to ${shown(row.highFactor)}), ${row.goodputRps.toFixed(0)} good answers/s, ${row.seconds.toFixed(0)} s`)
    }
  }
}
const of = (name: string, planner: string): number | undefined => rows.find((row) => row.scenario === name && row.planner === planner)?.factor
/** Mean over scenarios of orion's peak over the other's, less 1. */
const gainOver = (planner: string): number =>
  scenarios.reduce((sum, name) => sum + (of(name, "orion") ?? NaN) / (of(name, planner) ?? NaN) - 1, 0) / scenarios.length
const worstAgainst = (planner: string): number => Math.min(...scenarios.map((name) => (of(name, "orion") ?? NaN) / (of(name, planner) ?? NaN)))
const bars = {
  "mean gain over time-share": { value: Number(gainOver("time-share").toFixed(3)), bar: 1.2, ok: gainOver("time-share") >= 1.2 },
  "least ratio to elastic-int": { value: Number(worstAgainst("elastic-int").toFixed(3)), bar: 1, ok: worstAgainst("elastic-int") >= 1 }
}
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "peak", hardware: hardware.gpuType, rule, replications, rows, bars }))
else console.table(bars)
if (process.argv.includes("--check") && Object.values(bars).some(({ ok }) => !ok)) process.exit(1)
