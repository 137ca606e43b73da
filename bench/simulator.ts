/**
 * How fast the simulator is, and how much memory it takes: simulated requests per second of CPU on one core, for the scenarios that come along
 * at a load near their peak on four H200 (planning is not counted), and the heap that is left after runs of 1, 10 and 40 times the length.
 *
 * command: node bench/run.mjs simulator [--json] [--check] [--quick]
 */
import * as Either from "effect/Either"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { orion } from "../src/scheduler/planners/Orion.js"
import type { PlannerAlgorithm } from "../src/scheduler/Planner.js"
import { scenarioInput } from "../src/simulator/ScenarioInput.js"
import { simulate } from "../src/simulator/Simulation.js"
import { shippedHardware, shippedScenario } from "./lib/scenarios.js"

const hardware = shippedHardware()

/** Garbage is collected before heaps are compared. */
setFlagsFromString("--expose_gc")
const collect = runInNewContext("gc") as () => void

const quick = process.argv.includes("--quick")
const cpuMs = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

/** Plans are made once for each load, before it is timed: planning is the planner's own (bench planning), and the same however long the run. */
const plans = new Map<string, ReturnType<PlannerAlgorithm["plan"]>>()

const input = (name: string, loadFactor: number, durationMs: number) => {
  const key = `${name} ${loadFactor}`
  const planner: PlannerAlgorithm = {
    ...orion,
    plan: (problem) => {
      const plan = plans.get(key) ?? orion.plan(problem)
      plans.set(key, plan)
      return plan
    }
  }
  return Either.getOrThrow(scenarioInput(shippedScenario(name), hardware, { planner, seed: 1, loadFactor, durationMs, warmUpMs: 0, replans: false }))
}

/** Requests of models that a run of about `requests` simulates, per second of CPU, planning not counted. */
const speed = (name: string, loadFactor: number, requests: number) => {
  const count = (report: ReturnType<typeof simulate>): number => report.models.reduce((sum, model) => sum + model.offered, 0)
  const short = simulate(input(name, loadFactor, 1000))
  const durationMs = (1000 * requests) / count(short)
  let best = 0
  let report = short
  for (let repeat = 0; repeat < (quick ? 1 : 2); repeat++) {
    const given = input(name, loadFactor, durationMs)
    const startMs = cpuMs()
    report = simulate(given)
    const takenMs = cpuMs() - startMs
    best = Math.max(best, (1000 * count(report)) / takenMs)
  }
  return { scenario: name, loadFactor, requests: count(report), perBatch: count(report) / report.batches, kept: report.total.sloKept, requestsPerSecond: best }
}

const loads = [["scen1", 40], ["scen2", 45], ["scen3", 60], ["scen4", 45], ["scen5", 40], ["game", 85], ["traffic", 40]] as const
const rows = loads.map(([name, factor]) => speed(name, factor, quick ? 300_000 : 1_000_000))
const median = rows.map((row) => row.requestsPerSecond).sort((a, b) => a - b)[rows.length >> 1]!

const heaps = [1, 10, 40].map((times) => {
  const report = simulate(input("scen1", 40, times * (quick ? 250 : 1000)))
  collect()
  return { requests: report.requests, heapMB: process.memoryUsage().heapUsed / 1e6, report }
}).map(({ heapMB, requests }) => ({ requests, heapMB: Math.round(10 * heapMB) / 10 }))
const growthMB = heaps[2]!.heapMB - heaps[1]!.heapMB

const bars = { "requests/s, median of scenarios": { value: Math.round(median), bar: 500_000, ok: median >= 500_000 }, "heap growth from 10 to 40 times, MB": { value: growthMB, bar: 1, ok: growthMB <= 1 } }
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ bench: "simulator", rows, heaps, bars }))
} else {
  console.table(rows.map((row) => ({ ...row, perBatch: row.perBatch.toFixed(1), kept: row.kept.toFixed(4), requestsPerSecond: Math.round(row.requestsPerSecond) })))
  console.table(heaps)
  console.table(bars)
}
if (process.argv.includes("--check") && Object.values(bars).some(({ ok }) => !ok)) process.exit(1)
