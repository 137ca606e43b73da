/** Loads between which nobody asks for a while: what the plan is made for when it is one for less. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import type { Profile } from "../../src/core/Profile.js"
import { timeShare } from "../../src/scheduler/planners/TimeShare.js"
import { profileHardware } from "../../src/simulator/Hardware.js"
import type { Scenario } from "../../src/simulator/Scenario.js"
import { scenarioInput } from "../../src/simulator/ScenarioInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import type { SimulationReport } from "../../src/simulator/SimulationReport.js"
import { zooScenario } from "./scenes.js"

const h200 = profileHardware(JSON.parse(fs.readFileSync("resource/zoo/h200/mps.json", "utf8")) as Profile, {
  apiVersion: "glet/v1alpha1", kind: "Hardware", gpuType: "h200", isolation: "mps", memoryBytes: 141e9, gletMemoryBytes: 0, openMs: 500
})

/** Seconds of load, and of none before it. */
const loadS = 9
const lullS = 3

/** The plans that follow the first, of scen5 on a glet of a whole GPU: ten seconds of more, then the same load again and again. */
const plansOf = (seed: number): SimulationReport["plans"] => {
  const factors = [...new Array<number>(10).fill(7.3), ...new Array<number>(9 * (loadS + lullS)).fill(5).map((factor, second) => (second % (loadS + lullS) < lullS ? 0.001 : factor))]
  const scenario = zooScenario("scen5")
  const [one, ...more] = scenario.loads.map((load) => ({
    ...load, arrivals: { process: "poisson" as const, ratesRps: factors.map((factor) => 100 * factor) as [number, ...Array<number>], periodMs: 1_000 }
  }))
  const played: Scenario = { ...scenario, loads: [one!, ...more] }
  const input = Either.getOrThrow(scenarioInput(played, h200, { planner: timeShare, gpus: 1, seed, durationMs: 1000 * factors.length, warmUpMs: 0, overheadMs: 0.3 }))
  return simulate(input).plans.slice(1)
}

describe("a load that comes again and again", () => {
  it("is what a plan for less is made for, also when nobody asks at that moment", () => {
    for (const seed of [1, 2, 3]) {
      const plans = plansOf(seed)
      const said = plans.map(({ atMs, reason }) => `${atMs} ms: ${reason}`).join("\n")
      const less = plans.find(({ reason }) => reason.startsWith("rate down"))!
      assert.isDefined(less, said)
      // Made for the estimate of that moment it lasted for a second or two of load.
      assert.deepStrictEqual(plans.filter(({ atMs }) => atMs > less.atMs && atMs < less.atMs + 1000 * (lullS + loadS) / 2), [], said)
    }
  })
})
