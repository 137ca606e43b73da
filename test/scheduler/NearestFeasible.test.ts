import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { withNearest } from "../../src/scheduler/NearestFeasible.js"
import { elasticInt } from "../../src/scheduler/planners/Elastic.js"
import { greedy } from "../../src/scheduler/planners/Greedy.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { demandOf, gpusOf, latencyOf, problemOf, problems } from "./problems.js"

describe("withNearest", () => {
  it("offers what the planner itself then plans", () => {
    const offers = { rates: 0, slos: 0 }
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 4, maxGpus: 2 }), fc.constantFrom(elasticInt, greedy), (problem, planner) => {
      const answer = planner.plan(problem)
      if (Either.isRight(answer)) return
      const nearer = withNearest(planner, problem, answer.left)
      assert.deepEqual(nearer.culprits.map(({ model }) => model), answer.left.culprits.map(({ model }) => model))
      nearer.culprits.forEach(({ model, nearestRateRps, nearestSloMs }, i) => {
        const before = answer.left.culprits[i]!
        const plans = (change: { readonly rateRps?: number; readonly sloMs?: number }): boolean =>
          Either.isRight(planner.plan({ ...problem, demands: problem.demands.map((other) => (other.model === model ? { ...other, ...change } : other)) }))
        if (nearestRateRps !== undefined && before.nearestRateRps === undefined) {
          offers.rates++
          assert.isTrue(plans({ rateRps: nearestRateRps }))
        }
        if (nearestSloMs !== undefined && before.nearestSloMs === undefined) {
          offers.slos++
          assert.isTrue(plans({ sloMs: nearestSloMs }))
        }
      })
    }), { numRuns: 150 })
    assert.isAbove(offers.rates, 0)
  })

  it("offers a factor on all rates where several models are too much", () => {
    const spec = (name: string) => ({ name, fixedMs: 2, itemMs: 1, usefulPct: 100, largestBatch: 8, memoryBytes: 1e8 })
    const demands = [demandOf("a", 3000, 100), demandOf("b", 3000, 100), demandOf("c", 1500, 100)]
    const problem = problemOf(gpusOf(2, { sharesPct: [50, 100] }), demands, latencyOf(["a", "b", "c"].map(spec)))
    for (const planner of [elasticInt, greedy, orion]) {
      const answer = planner.plan(problem)
      if (Either.isRight(answer)) return assert.fail("there is a plan")
      const nearer = withNearest(planner, problem, answer.left)
      const factor = nearer.nearestFactor ?? NaN
      const plansAt = (factor: number) =>
        Either.isRight(planner.plan({ ...problem, demands: demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor })) }))
      assert.isTrue(plansAt(factor))
      assert.isFalse(plansAt(factor * 1.03))
      // Orion says of each model by itself what would fit.
      if (planner !== orion) assert.match(nearer.message, /items\/s would fit if all rates came down to [\d.]+ %/)
    }
  })
})
