/** Glets that several models share, asked for more than they can do: what one loses the others lose too, as the plan divides the glet. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import type { Profile } from "../../src/core/Profile.js"
import { withLearned } from "../../src/scheduler/LearnedInterference.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { timeShare } from "../../src/scheduler/planners/TimeShare.js"
import type { Hardware } from "../../src/simulator/Hardware.js"
import { profileHardware } from "../../src/simulator/Hardware.js"
import { scenarioInput } from "../../src/simulator/ScenarioInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { random } from "../scheduler/harness.js"
import { zooScenario } from "./scenes.js"

const profile = JSON.parse(fs.readFileSync("resource/zoo/h200/mps.json", "utf8")) as Profile
const h200 = profileHardware(profile, { apiVersion: "glet/v1alpha1", kind: "Hardware", gpuType: "h200", isolation: "mps", memoryBytes: 141e9, gletMemoryBytes: 0, openMs: 500 })

/**
 * What each model of scen5 loses under the plan for this load, where neighbours cost more than anybody knows, and no other plan is made. `sharesPct`: those that glets may
 * have; few of them for plans that are worse than the usual.
 */
const lost = (loadFactor: number, sharesPct?: readonly [number, ...ReadonlyArray<number>]): ReadonlyMap<string, number> => {
  const hardware: Hardware = { ...h200, gpus: (count) => h200.gpus(count).map((gpu) => ({ ...gpu, sharesPct: sharesPct ?? gpu.sharesPct })) }
  const input = Either.getOrThrow(scenarioInput(zooScenario("scen5"), hardware, {
    planner: orion, gpus: 1, seed: 1, loadFactor, durationMs: 8_000, warmUpMs: 2_000, overheadMs: 0.3
  }))
  const losses = new Map(input.models.map(({ name }) => [name, name.startsWith("mnasnet") ? 1 : 0.3]))
  const real = withLearned(input.latency, new Map([["h200", losses]]))
  const { models } = simulate({ ...input, replans: false, slowdown: real.slowdown, interference: real.interference! })
  return new Map(models.map(({ name, sloKept }) => [name as string, 1 - sloKept]))
}

describe("a glet that models share, where executions take longer than planned", () => {
  it("keeps a short objective that the plan leaves half free", () => {
    for (const loadFactor of [17.4, 20, 23]) {
      const parts = lost(loadFactor, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
      assert.isAtMost(Math.max(...parts.values()), 0.001, `${loadFactor}: ${JSON.stringify([...parts])}`)
    }
  })

  it("asked for too much leaves a model of a short objective what the plan gives it", () => {
    for (const loadFactor of [20, 22, 24]) {
      const parts = lost(loadFactor, [30, 60])
      // By laxity alone LeNet, which takes a twentieth of the time of the glet that SSD has for the rest, lost 45 to 50 % beside 19 to 33.
      assert.isAbove(parts.get("ssd-mobilenetv1")!, 0.2, "otherwise nothing is asked too much")
      assert.isAtMost(parts.get("lenet1")!, parts.get("ssd-mobilenetv1")! + 0.03)
    }
  })

  it("forms smaller batches of one model where another's objective is too short for those that were planned", () => {
    // LeNet lost 5 %, with time to spare.
    const parts = lost(20, [30, 70])
    assert.isAtMost(Math.max(...parts.values()), 0.01, JSON.stringify([...parts]))
  })
})

describe("a glet of a whole GPU, where the way of batches differs from one to the next", () => {
  /** What each model of scen5 loses under the plan for this load. */
  const lostOnOneGlet = (loadFactor: number): ReadonlyMap<string, number> => {
    const input = Either.getOrThrow(scenarioInput(zooScenario("scen5"), h200, { planner: timeShare, gpus: 1, seed: 1, loadFactor, durationMs: 6_000, warmUpMs: 1_000 }))
    const draw = random(1)
    const costs = {
      ...input.costs,
      get overheadMs() {
        return 0.2 - 0.1 * Math.log(1 - draw())
      }
    }
    const { models } = simulate({ ...input, costs, replans: false })
    return new Map(models.map(({ name, sloKept }) => [name as string, 1 - sloKept]))
  }

  it("is not closed to a short objective because some of it was late", () => {
    for (const loadFactor of [20, 30]) {
      const parts = lostOnOneGlet(loadFactor)
      // LeNet, which takes a twentieth of the glet's time, lost 87 % where the others lost none: a margin for what was late by chance refused all but what came to the idle glet.
      assert.isAtMost(parts.get("lenet1")!, Math.max(...["mnasnet1_0", "ssd-mobilenetv1", "vgg16"].map((name) => parts.get(name)!)) + 0.1, JSON.stringify([...parts]))
    }
  })
})
