/** Placement by type: who stands beside whom on a GPU. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Execution, LatencyModel } from "../../src/core/LatencyModel.js"
import type { Plan } from "../../src/core/Plan.js"
import { gpusUsed } from "../../src/core/Plan.js"
import type { Demand, PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { demandOf, gpusOf, latencyOf, problemOf } from "./problems.js"

const isMemory = (model: string): boolean => model.startsWith("m")

/** Models of one type slow each other down by half where each has half of the GPU; those of different types not at all. */
const typed = (names: ReadonlyArray<string>): LatencyModel => {
  const specs = names.map((name) => ({ name, fixedMs: 2, itemMs: 0.5, usefulPct: 50, largestBatch: 32, memoryBytes: 1 }))
  const pressure = ({ model, sharePct }: Execution): ReadonlyArray<number> => (isMemory(model) ? [sharePct / 100, 0] : [0, sharePct / 100])
  const sensitivity = ({ model }: Execution) => ({ base: 0, by: isMemory(model) ? [1, 0] : [0, 1] })
  return {
    ...latencyOf(specs, { isLinear: false }),
    slowdown: (own, groups) => {
      const { by } = sensitivity(own)
      return groups.reduce((factor, group) => factor + Math.max(...group.map((other) => pressure(other).reduce((sum, each, r) => sum + each * by[r]!, 0))), 1)
    },
    interference: { combine: "sum", resources: 2, isPerBatch: false, pressure, sensitivity }
  }
}

const pairsOf = (plan: Plan): ReadonlyArray<ReadonlyArray<string>> =>
  plan.gpus.map(({ glets }) => [...new Set(glets.flatMap(({ assignments }) => assignments.map(({ model }) => (isMemory(model) ? "memory" : "compute"))))].sort())

const problem = (demands: ReadonlyArray<Demand>, options: Partial<PlanOptions>): PlanProblem =>
  // Halves only, and two models on a glet would be serial, whatever their types.
  problemOf(gpusOf(4, { sharesPct: [50, 100], units: 2 }), demands, typed(demands.map(({ model }) => model)), { latencyHeadroom: 1, maxModelsPerGlet: 1, ...options })

describe("orion's placement", () => {
  it("puts complementary models together where it reckons with interference, and not where that is off", () => {
    let alike = 0
    fc.assert(fc.property(fc.shuffledSubarray(["m1", "m2", "c1", "c2"], { minLength: 4 }), fc.integer({ min: 0, max: 100 }), (names, seed) => {
      // Half of a GPU each carries 16 items in 18 ms: 888/s, and a good third less beside its like.
      const demands = names.map((name) => demandOf(name, 800, 40))
      const reckoned = problem(demands, { seed })
      const plan = Either.getOrThrow(orion.plan(reckoned))
      assert.deepStrictEqual(validatePlan(plan, reckoned), [])
      assert.strictEqual(gpusUsed(plan), 2)
      for (const types of pairsOf(plan)) if (types.length > 0) assert.deepStrictEqual(types, ["compute", "memory"])

      const blind = Either.getOrThrow(orion.plan(problem(demands, { seed, interference: false })))
      assert.strictEqual(gpusUsed(blind), 2)
      if (pairsOf(blind).some((types) => types.length === 1)) {
        alike++
        assert.isAbove(validatePlan({ ...blind }, reckoned).length, 0, "which the GPUs would not bear")
      }
    }), { numRuns: 24 })
    assert.isAbove(alike, 0)
  })
})
