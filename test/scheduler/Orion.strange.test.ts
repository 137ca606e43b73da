/** Sets on which searches trip: `bench/strange.ts` runs hundreds of them. */
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { makeStrangeSet, strangeShapes } from "../../bench/lib/strangeSets.js"
import { gpusUsed } from "../../src/core/Plan.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { fewestGpus } from "../../src/scheduler/FewestGpus.js"
import { planners } from "../../src/scheduler/PlannerRegistry.js"
import { elasticInt } from "../../src/scheduler/planners/Elastic.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { timeShare } from "../../src/scheduler/planners/TimeShare.js"
import { demandOf, gpusOf, latencyOf, problemOf } from "./problems.js"

describe("orion on strange sets", () => {
  it("takes k GPUs for what k GPUs carry to the last bit", () => {
    const model = fc.record({
      fixedMs: fc.double({ min: 0.05, max: 10, noNaN: true }), itemMs: fc.double({ min: 0.01, max: 5, noNaN: true }),
      largestBatch: fc.integer({ min: 1, max: 32 }), gpus: fc.integer({ min: 1, max: 2 })
    })
    fc.assert(fc.property(fc.array(model, { minLength: 1, maxLength: 2 }), fc.double({ min: 1, max: 1.3, noNaN: true }), (models, latencyHeadroom) => {
      const specs = models.map((each, i) => ({ ...each, name: `m${i}`, usefulPct: 100, memoryBytes: 1 }))
      const demands = specs.map(({ fixedMs, gpus, itemMs, largestBatch, name }) => {
        const longestMs = latencyHeadroom * (fixedMs + itemMs * largestBatch)
        return demandOf(name, (gpus * 1000 * largestBatch) / longestMs, 2 * longestMs)
      })
      const wanted = models.reduce((sum, { gpus }) => sum + gpus, 0)
      const problem = problemOf(gpusOf(wanted + 3, { sharesPct: [100], units: 1 }), demands, latencyOf(specs), { latencyHeadroom, maxModelsPerGlet: 1 })
      const plan = Either.getOrThrow(orion.plan(problem))
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      assert.deepStrictEqual(plan.shortfalls, [])
      assert.strictEqual(gpusUsed(plan), wanted)
    }), { numRuns: 12 })
  })

  it("keeps an SLO of just twice the latency", () => {
    // 1.1 times 25 ms is 27.500000000000004 ms.
    const specs = [{ name: "m", fixedMs: 25, itemMs: 0, usefulPct: 100, largestBatch: 8, memoryBytes: 1 }]
    for (const planner of planners.filter(({ name }) => name !== "static")) {
      const problem = problemOf(gpusOf(2), [demandOf("m", 100, 55)], latencyOf(specs))
      const plan = Either.getOrThrow(planner.plan(problem))
      assert.deepStrictEqual(validatePlan(plan, problem), [], planner.name)
      assert.deepStrictEqual(plan.shortfalls, [], planner.name)
    }
  })

  it("opens no glets that nobody needs", () => {
    const specs = [{ name: "m", fixedMs: 1, itemMs: 1, usefulPct: 100, largestBatch: 32, memoryBytes: 1 }]
    const problem = problemOf(gpusOf(4), [demandOf("m", 0.1, 100)], latencyOf(specs))
    const [used, ...others] = Either.getOrThrow(orion.plan(problem)).gpus.filter(({ glets }) => glets.length > 0)
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual(used!.glets.map(({ sharePct }) => sharePct), [100])
  })

  it("needs no more GPUs than gpulet's planners, and not fewer than the bound", () => {
    const shape = fc.constantFrom(...strangeShapes.filter((name) => name !== "steps" && name !== "prices"))
    fc.assert(fc.property(shape, fc.integer({ min: 1, max: 100_000 }), (name, seed) => {
      const problem = makeStrangeSet(name, seed)
      const ours = fewestGpus(orion, problem, "small", 24)
      const theirs = [elasticInt, timeShare].flatMap((planner) => fewestGpus(planner, problem, "small", 24).gpus ?? [])
      assert.isAtMost(ours.lowerBound, ours.gpus ?? Infinity)
      for (const gpus of theirs) {
        assert.isAtMost(ours.gpus ?? Infinity, gpus)
        assert.isAtMost(ours.lowerBound, gpus)
      }
    }), { numRuns: 4 })
  })
})
