/** What plans are compared by where best-effort work lies over them, against what simulations do. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Gpu } from "../../src/core/Gpu.js"
import type { Model } from "../../src/core/Model.js"
import { gletsOf } from "../../src/core/Plan.js"
import type { Plan } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { bestEffortDone, busyPartsOf } from "../../src/scheduler/internal/bestEffortDone.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import type { PlannerAlgorithm } from "../../src/scheduler/Planner.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { defaultSimulation } from "../../src/simulator/SimulationInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { inputOf, latencyFor, modelOf, name, open } from "../simulator/scenes.js"

const fill = (maxBatch: number): Model => {
  const { sloMs: _, ...rest } = modelOf("fill", { expectedRateRps: 0, maxBatch })
  return { ...rest, serviceClass: "best-effort" }
}

const doneBy = (problem: PlanProblem, plan: Plan): number =>
  bestEffortDone(makePlanTables(problem), plan, [problem.demands.findIndex(({ serviceClass }) => serviceClass === "best-effort")])

/** Latency-critical models of some rates beside endless best-effort work on GPUs cut so. */
const play = (rates: ReadonlyArray<number>, sharesPct: Gpu["sharesPct"], sloMs = 60) => {
  const models = rates.map((rate, i) => modelOf(`m${i}`, { maxBatch: 32, sloMs, expectedRateRps: rate }))
  const all = [...models, fill(16)]
  let seen: { readonly problem: PlanProblem; readonly plan: Plan } | undefined
  const planner: PlannerAlgorithm = {
    ...orion,
    plan: (problem, current) => Either.map(orion.plan(problem, current), (plan) => {
      seen = { problem, plan }
      return plan
    })
  }
  const report = simulate(inputOf(all, [
    ...models.map((model, i) => open(model.name, [rates[i]!], { seed: i + 1 })), { target: name("fill"), kind: "closed", clients: 64, thinkMs: 0 }
  ], {
    planner, gpu: { sharesPct, units: 100, preemptMs: 0.1 }, gpuCount: 2, latency: latencyFor(all), replans: false, durationMs: 3000, warmUpMs: 1000
  }))
  const { plan, problem } = seen!
  // A batch of 16 takes 0.8 times 2 and 0.5 ms an item on all of a GPU.
  return { report, plan, problem, filled: (report.models.at(-1)!.answered / 2) * (0.8 * (2 + 0.5 * 16) / 16 / 1000), done: doneBy(problem, plan) }
}

describe("the best-effort work that a plan is thought to let be done", () => {
  it("is what a simulation does, where requests gather", () => {
    let before = Infinity
    for (const rates of [[100, 200], [300, 500], [600, 900]]) {
      const { done, filled, report } = play(rates, [100])
      assert.isTrue(report.models.slice(0, -1).every(({ sloKept }) => sloKept > 0.99))
      assert.closeTo(done / filled, 1, 0.12, `${rates.join(", ")} items/s`)
      assert.isBelow(done, before, "higher rates leave less")
      before = done
    }
  })

  it("counts every latency-critical glet busy for a part of its time", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 800 }), { minLength: 1, maxLength: 3 }), fc.boolean(), (rates, gather) => {
      const models = rates.map((rateRps, i) => ({ model: name(`m${i}`), serviceClass: "latency-critical" as const, rateRps, sloMs: 60, maxBatch: 32 }))
      const all = [...rates.map((_, i) => modelOf(`m${i}`)), fill(16)]
      const { gpus } = inputOf(all, [], { gpu: { sharesPct: [20, 50, 100], units: 100, preemptMs: 0.1 }, gpuCount: 2 })
      const problem: PlanProblem = {
        gpus, latency: latencyFor(all), options: { ...defaultSimulation.planOptions, gather },
        demands: [...models, { model: name("fill"), serviceClass: "best-effort", rateRps: 0, sloMs: Infinity, maxBatch: 16 }]
      }
      const plan = Either.getOrThrow(orion.plan(problem))
      const busy = busyPartsOf(makePlanTables(problem), plan)
      for (const { glet } of gletsOf(plan)) {
        const part = busy.get(glet)
        assert.strictEqual(part !== undefined, glet.assignments.length > 0)
        if (part !== undefined) assert.isTrue(part > 0 && part <= 1)
      }
    }), { numRuns: 6 })
  })
})
