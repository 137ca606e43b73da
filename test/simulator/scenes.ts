/** Small simulations for tests: latencies from a formula. */
import * as Either from "effect/Either"
import * as fs from "node:fs"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { LatencyModel } from "../../src/core/LatencyModel.js"
import type { Model } from "../../src/core/Model.js"
import { distributionOf } from "../../src/scheduler/LatencyDistribution.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { makeSchedule } from "../../src/simulator/ArrivalSchedule.js"
import type { Scenario } from "../../src/simulator/Scenario.js"
import { parseScenario } from "../../src/simulator/ScenarioFile.js"
import type { Load, SimulationInput } from "../../src/simulator/SimulationInput.js"
import { defaultSimulation } from "../../src/simulator/SimulationInput.js"
import { makeModel } from "../scheduler/harness.js"
import { gpusOf, latencyOf, mb } from "../scheduler/problems.js"

/** A scenario that comes along, its LeNets those of the profiles of the zoo. */
export const zooScenario = (file: string): Scenario => {
  const scenario = Either.getOrThrow(parseScenario({ file, text: fs.readFileSync(`resource/scenarios/${file}.json`, "utf8") }, () => {
    throw new Error("it names no file")
  }))
  const [first, ...others] = scenario.models.map((model) => (model.name.startsWith("lenet") ? { ...model, profile: unsafeModelName("lenet-digits") } : model))
  return { ...scenario, models: [first!, ...others] }
}

export const modelOf = (name: string, options: Partial<Model> = {}): Model => makeModel(name, { sloMs: 100, expectedRateRps: 100, ...options })

/** 2 ms and 0.5 ms an item on a whole GPU; median four fifths of the 99th percentile. */
export const latencyFor = (models: ReadonlyArray<Model>, slowdownPerNeighbour = 0): LatencyModel =>
  latencyOf(models.map(({ name }) => ({ name, fixedMs: 2, itemMs: 0.5, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb })), { slowdownPerNeighbour })

export const open = (target: Load["target"], ratesRps: ReadonlyArray<number>, options: {
  readonly distribution?: "uniform" | "exp" | "gamma"
  readonly cv?: number
  readonly periodMs?: number
  readonly seed?: number
} = {}): Load => ({
  target, kind: "open",
  arrivals: makeSchedule({ ratesRps, periodMs: 1000, distribution: "exp", seed: 1, ...options })
})

export const name = unsafeModelName

export const inputOf = (
  models: ReadonlyArray<Model>, loads: ReadonlyArray<Load>, options: Partial<SimulationInput> & { readonly gpuCount?: number; readonly gpu?: Partial<Gpu> } = {}
): SimulationInput => {
  const { gpu, gpuCount = 1, ...rest } = options
  const latency = rest.latency ?? latencyFor(models)
  return {
    ...defaultSimulation,
    gpus: gpusOf(gpuCount, gpu),
    models, loads, latency,
    distribution: (execution) => distributionOf(latency, undefined, execution),
    slowdown: latency.slowdown,
    planner: orion,
    costs: { overheadMs: 0.1, openMs: 100, loadMs: () => 50, planningMs: 10 },
    durationMs: 5_000, warmUpMs: 0,
    ...rest
  }
}
