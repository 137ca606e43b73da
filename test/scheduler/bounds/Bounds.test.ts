/** Bounds hold for every plan that the judge accepts, whoever made it. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { makeTaskSet } from "../../../bench/lib/taskSets.js"
import type { Plan } from "../../../src/core/Plan.js"
import { gpusUsed } from "../../../src/core/Plan.js"
import type { PlanProblem } from "../../../src/core/PlanProblem.js"
import { validatePlan } from "../../../src/core/ValidatePlan.js"
import { fewestBound } from "../../../src/scheduler/bounds/FewestBound.js"
import { headroomBound } from "../../../src/scheduler/bounds/HeadroomBound.js"
import { planners } from "../../../src/scheduler/PlannerRegistry.js"
import * as HighsSolver from "../../../src/scheduler/solver/HighsSolver.js"
import { demandOf, gpuOf, gpusOf, latencyOf, problemOf, problems } from "../problems.js"

const plansOf = (problem: PlanProblem): ReadonlyArray<Plan> =>
  planners.flatMap((planner) => {
    const answer = planner.plan({ ...problem, options: { ...problem.options, whenShort: "fail" } })
    return Either.isRight(answer) && answer.right.shortfalls.length === 0 && validatePlan(answer.right, problem).length === 0 ? [answer.right] : []
  })
const scaled = (problem: PlanProblem, factor: number): PlanProblem => ({
  ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor }))
})
const costOf = (plan: Plan, problem: PlanProblem): number =>
  plan.gpus.reduce((sum, { glets, gpu }) => (glets.length === 0 ? sum : sum + (problem.gpus.find(({ id }) => id === gpu)!.cost ?? 1)), 0)

/** 1 ms and 1 ms an item on the whole GPU, twice that on half of it. */
const even = { name: "m", fixedMs: 0, itemMs: 1, usefulPct: 100, largestBatch: 32, memoryBytes: 1e9 }

describe("fewestBound", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("is at most what any planner needs", () => {
    fc.assert(fc.property(problems({ maxModels: 6 }), fc.constantFrom("quick" as const, "thorough" as const), (problem, effort) => {
      const bound = fewestBound(problem, { effort })
      for (const plan of plansOf(problem)) {
        assert.isAtMost(bound.gpus, gpusUsed(plan))
        assert.isAtMost(bound.cost, gpusUsed(plan))
      }
    }), { numRuns: 25 })
  })

  it("holds for the cost where types have prices", () => {
    const types = fc.tuple(fc.double({ min: 0.5, max: 4, noNaN: true }), fc.double({ min: 0.5, max: 4, noNaN: true }), fc.integer({ min: 1, max: 3 }))
    fc.assert(fc.property(problems({ maxModels: 3 }), types, fc.boolean(), (problem, [first, second, small], proved) => {
      const mixed: PlanProblem = {
        ...problem,
        gpus: [
          ...problem.gpus.map((gpu) => ({ ...gpu, cost: first })),
          ...Array.from({ length: small }, (_, i) => gpuOf(90 + i, { cost: second, memoryBytes: 5e9, sharesPct: [50, 100] }))
        ]
      }
      const bound = fewestBound(mixed, proved ? { effort: "proof", solver } : {})
      for (const plan of plansOf(mixed)) {
        assert.isAtMost(bound.gpus, gpusUsed(plan))
        assert.isAtMost(bound.cost, costOf(plan, mixed) * (1 + 1e-9))
      }
    }), { numRuns: 20 })
  })

  it("counts GPUs by share, by memory and by places for models", () => {
    const latency = latencyOf([even])
    const at = (rateRps: number) => fewestBound(problemOf(gpusOf(64), [demandOf("m", rateRps, 1000)], latency, { latencyHeadroom: 1 })).gpus
    // A GPU carries 1,000 items/s, however it is cut.
    assert.deepStrictEqual([0, 1, 999, 1001, 10_500].map(at), [0, 1, 1, 2, 11])
    // Nine of ten models fill a GPU's memory; each must stand somewhere.
    const many = Array.from({ length: 10 }, (_, i) => ({ ...even, name: `m${i}`, memoryBytes: 1.6e9 }))
    const rates = many.map(({ name }) => demandOf(name, 1, 1000))
    assert.strictEqual(fewestBound(problemOf(gpusOf(8), rates, latencyOf(many))).gpus, 2)
    // Four glets of two models each hold eight.
    const tight = { maxModelsPerGlet: 2 }
    const small = many.map((spec) => ({ ...spec, memoryBytes: 1e6 }))
    assert.strictEqual(fewestBound(problemOf(gpusOf(8, { sharesPct: [25, 50, 100] }), rates, latencyOf(small), tight)).gpus, 2)
    assert.strictEqual(fewestBound(problemOf(gpusOf(8), rates, latencyOf(small), tight)).gpus, 1)
  })

  it("proves that there is no plan", () => {
    const latency = latencyOf([even])
    assert.strictEqual(fewestBound(problemOf(gpusOf(2), [demandOf("m", 2500, 1000)], latency)).gpus, Infinity)
    assert.strictEqual(fewestBound(problemOf(gpusOf(2), [demandOf("m", 1, 1.5)], latency)).gpus, Infinity)
    assert.strictEqual(fewestBound(problemOf(gpusOf(2), [demandOf("unknown", 1, 100)], latency)).gpus, Infinity)
    assert.strictEqual(fewestBound(problemOf([], [demandOf("m", 1, 100)], latency)).gpus, Infinity)
  })

  it("buys the cheaper type first, as far as there is any", () => {
    const latency = latencyOf([even])
    const gpus = [...gpusOf(4, { cost: 3 }), ...Array.from({ length: 2 }, (_, i) => gpuOf(50 + i, { cost: 1, sharesPct: [100] }))]
    const bound = fewestBound(problemOf(gpus, [demandOf("m", 2900, 1000)], latency, { latencyHeadroom: 1 }), { effort: "thorough" })
    // Two carry 2,000 for 2, and .9 of another 900 for 2.7.
    assert.strictEqual(bound.gpus, 3)
    // Which is 4.7 in parts, and 5 in whole GPUs.
    assert.strictEqual(bound.cost, 5)
  })
})

describe("fewestBound of many models on two types", () => {
  it("rules out numbers of GPUs one by one, for less than their costs as parts say", () => {
    // Prices of the cheapest cost prove 9.93, and leave ten of the small GPUs; those of ten small GPUs rule these out.
    const { cost } = fewestBound(makeTaskSet({ seed: 3, models: 50, loadGpus: 10, types: 2, gpus: 20 }))
    assert.isAbove(cost, 10.1)
    assert.isAtMost(cost, 11.4)
  })
})

describe("fewestBound with a solver", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("is at most what any planner needs, and at least what prices prove", () => {
    fc.assert(fc.property(problems({ maxModels: 4, maxGpus: 3 }), (problem) => {
      const bound = fewestBound(problem, { effort: "proof", solver })
      assert.isAtLeast(bound.gpus, fewestBound(problem, { effort: "thorough" }).gpus)
      for (const plan of plansOf(problem)) assert.isAtMost(bound.gpus, gpusUsed(plan))
    }), { numRuns: 25 })
  })

  it("sees that models of unlike SLOs hold each other up", () => {
    // Each is content with half of a glet alone, but one cannot wait for the other's batch.
    const specs = [{ ...even, name: "slow", fixedMs: 20, itemMs: 0.1 }, { ...even, name: "fast", fixedMs: 1, itemMs: 0.1 }]
    const problem = problemOf(gpusOf(4, { sharesPct: [100] }), [demandOf("slow", 10, 200), demandOf("fast", 10, 10)], latencyOf(specs))
    assert.strictEqual(fewestBound(problem).gpus, 1)
    assert.strictEqual(fewestBound(problem, { effort: "proof", solver }).gpus, 2)
  })
})

describe("fewestBound of glets that many models share", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("sees that models of one glet share its cycle", () => {
    // Prices alone prove 12 and 10.5; plans take 13 and 11.5.
    const ofOneType = makeTaskSet({ seed: 2, models: 50, loadGpus: 10, types: 1, gpus: 20 })
    assert.deepInclude(fewestBound(ofOneType, { effort: "thorough", solver }), { gpus: 12 })
    assert.deepInclude(fewestBound(ofOneType, { effort: "proof", solver }), { gpus: 13, how: "contents of glets" })
    const ofTwo = makeTaskSet({ seed: 2, models: 50, loadGpus: 10, types: 2, gpus: 20 })
    assert.isBelow(fewestBound(ofTwo, { effort: "thorough", solver }).cost, 10.6)
    const ofCost = fewestBound(ofTwo, { effort: "proof", solver })
    assert.isAbove(ofCost.cost, 11.3)
    assert.strictEqual(ofCost.how, "contents of glets")
  }, 120_000)
})

describe("headroomBound", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("is at least every factor with a plan when combinations are looked at too, and no more than prices prove", () => {
    fc.assert(fc.property(problems({ maxModels: 3, maxGpus: 2 }), fc.double({ min: -1, max: 1.5, noNaN: true }), (problem, exponent) => {
      const factor = 10 ** exponent
      const proved = headroomBound(problem, { effort: "proof", solver }).factor
      assert.isAtMost(proved, headroomBound(problem, { effort: "thorough" }).factor)
      if (plansOf(scaled(problem, factor)).length > 0) assert.isAtLeast(proved, factor)
    }), { numRuns: 20 })
  }, 180_000)

  it("is at least every factor for which a planner finds a plan", () => {
    fc.assert(fc.property(problems({ maxModels: 5, maxGpus: 3 }), fc.double({ min: -2, max: 2, noNaN: true }), (problem, exponent) => {
      const factor = 10 ** exponent
      if (plansOf(scaled(problem, factor)).length > 0) assert.isAtLeast(headroomBound(problem).factor, factor)
    }), { numRuns: 40 })
  })

  it("is close where only throughput limits", () => {
    const problem = problemOf(gpusOf(4), [demandOf("m", 100, 1000)], latencyOf([even]), { latencyHeadroom: 1 })
    assert.approximately(headroomBound(problem).factor, 40, 0.5)
    assert.strictEqual(headroomBound(scaled(problem, 0)).factor, Infinity)
    assert.isBelow(headroomBound(problemOf(gpusOf(4), [demandOf("m", 1, 1.5)], latencyOf([even]))).factor, 1e-5)
  })
})
