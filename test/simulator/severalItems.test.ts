import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import type { Profile } from "../../src/core/Profile.js"
import { profileHardware } from "../../src/simulator/Hardware.js"
import type { Load } from "../../src/simulator/SimulationInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { inputOf, modelOf, open } from "./scenes.js"

const h200 = profileHardware(JSON.parse(fs.readFileSync("resource/zoo/h200/mps.json", "utf8")) as Profile)

/** Two models on one H200, each with 800 items a second, so many at once; neighbours cost `slowdown`, of which the profile knows little. */
const run = (items: number, slowdown: number, overheadMs: number, seed: number) => {
  const models = ["resnet50", "googlenet"].map((id) => modelOf(id, { sloMs: 6.6, maxBatch: 4, expectedRateRps: 800 }))
  const loads = models.map((model, i): Load => ({ ...open(model.name, [800 / items], { seed: 10 * seed + i }), items }))
  const { distribution, gpus, latency, loadMs, openMs } = h200
  return simulate(inputOf(models, loads, {
    gpus: gpus(1), latency, distribution, slowdown: (_, running) => (running.length > 0 ? slowdown : 1),
    costs: { overheadMs, openMs, loadMs, planningMs: 10 }, durationMs: 60_000, warmUpMs: 25_000, seed
  }))
}

describe("requests of several items", () => {
  it("are kept by a plan that knows how many come at once, and by which glets answer them in time", () => {
    for (const seed of [1, 2]) {
      // As the profile says, and where neighbours cost more.
      for (const [slowdown, overheadMs] of [[1.05, 0.2], [1.3, 0.3]] as const) {
        const report = run(4, slowdown, overheadMs, seed)
        for (const model of report.models) assert.isAtLeast(model.sloKept, 0.99, `${model.name}, slowed down by ${slowdown}, seed ${seed}`)
        assert.match(report.plans[1]!.reason, /needs .* items\/s/)
      }
    }
  })

  it("are no reason for another plan where each brings one", () => {
    const report = run(1, 1.05, 0.2, 1)
    assert.strictEqual(report.plans.length, 1, report.plans.map(({ reason }) => reason).join("; "))
    for (const model of report.models) assert.isAtLeast(model.sloKept, 0.99)
  })

  it("count with all their items", () => {
    const report = run(4, 1, 0.2, 3)
    // Two models, 60 s.
    assert.approximately(report.requests / (2 * 60 * 200), 1, 0.05)
  })
})
