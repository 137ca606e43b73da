import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { gletsOf } from "../../src/core/Plan.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { equalShares } from "../../src/scheduler/planners/EqualShares.js"
import { demandOf, gpusOf, latencyOf, problemOf, problems } from "./problems.js"

describe("equal-shares", () => {
  it("answers a plan that the judge accepts, or the models at fault", () => {
    fc.assert(fc.property(problems(), (problem) => {
      const answer = equalShares.plan(problem)
      if (Either.isRight(answer)) return assert.deepStrictEqual(validatePlan(answer.right, problem), [])
      assert.strictEqual(problem.options.whenShort, "fail")
      for (const { model } of answer.left.culprits) assert.isTrue(problem.demands.some((demand) => demand.model === model))
    }), { numRuns: 200 })
  })

  it("gives every model the same share of every GPU, and as large a batch as that carries", () => {
    const names = ["a", "b", "c"]
    const problem = problemOf(
      gpusOf(2), names.map((name) => demandOf(name, 40, 200)),
      latencyOf(names.map((name) => ({ name, fixedMs: 1, itemMs: 0.5, usefulPct: 100, largestBatch: 32, memoryBytes: 1 })))
    )
    const plan = Either.getOrThrow(equalShares.plan(problem))
    const glets = gletsOf(plan).map(({ glet }) => glet)
    assert.deepStrictEqual(glets.map(({ sharePct }) => sharePct), [30, 30, 30, 30, 30, 30])
    for (const { assignments } of glets) {
      assert.strictEqual(assignments[0]!.rateRps, 20)
      assert.isAtLeast(assignments[0]!.capacityRps, 200)
    }
  })
})
