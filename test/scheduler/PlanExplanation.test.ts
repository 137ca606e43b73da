import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Plan } from "../../src/core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { explainPlan, nextGpu } from "../../src/scheduler/PlanExplanation.js"
import { elasticInt } from "../../src/scheduler/planners/Elastic.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { staticPartition } from "../../src/scheduler/planners/Static.js"
import { latencyOf, mb, problems } from "./problems.js"

const a = unsafeModelName("a")

/** One model: 1 ms and 1 ms an item on a whole GPU. */
const problemOf = (
  demand: { readonly rateRps: number; readonly sloMs: number; readonly maxBatch?: number },
  { memoryBytes = 1000 * mb, options = {} }: { readonly memoryBytes?: number; readonly options?: Partial<PlanOptions> } = {}
): PlanProblem => ({
  gpus: [{ id: unsafeGpuId("g:0"), type: "g", isolation: "mps", units: 100, memoryBytes, sharesPct: [20, 50, 100] }],
  demands: [{ model: a, serviceClass: "latency-critical", maxBatch: 32, ...demand }],
  latency: latencyOf([{ name: "a", fixedMs: 1, itemMs: 1, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb }], { gletMemoryBytes: 0 }),
  options: { ...defaultPlanOptions, latencyHeadroom: 1, interference: false, memoryFraction: 1, ...options }
})

/** The plan of one given glet. */
const planOf = (problem: PlanProblem, sharePct: number, batch: number, dutyMs: number): Plan => {
  const fixedGlets = [{ gpu: 0, sharePct, dutyMs, works: [{ model: a, batch }] }]
  return Either.getOrThrow(staticPartition.plan({ ...problem, options: { ...problem.options, fixedGlets } }))
}
const explainOne = (problem: PlanProblem, plan: Plan) => {
  const [model] = explainPlan(plan, problem)
  return { model: model!, place: model!.places[0]! }
}

describe("explainPlan", () => {
  it("tells what bounds a share", () => {
    // At 20 % one item takes 6 ms: too slow twice for an SLO of 10 ms, whatever the rate.
    const tight = problemOf({ rateRps: 1, sloMs: 10 })
    assert.deepInclude(explainOne(tight, planOf(tight, 50, 1, 3)).place, { shareBound: "slo", smallerPct: 20 })
    // With 1000 ms it could, but an item takes 5 ms there, so never 250 items/s.
    const busy = problemOf({ rateRps: 250, sloMs: 1000 })
    assert.strictEqual(explainOne(busy, planOf(busy, 50, 32, 100)).place.shareBound, "rate")
    const idle = problemOf({ rateRps: 10, sloMs: 1000 })
    assert.strictEqual(explainOne(idle, planOf(idle, 50, 1, 50)).place.shareBound, "none")
    assert.deepInclude(explainOne(idle, planOf(idle, 20, 1, 50)).place, { shareBound: "grid", smallerPct: undefined })
  })

  it("tells what bounds a batch", () => {
    const problem = problemOf({ rateRps: 100, sloMs: 1000 })
    assert.strictEqual(explainOne(problem, planOf(problem, 100, 1, 10)).place.batchBound, "one")
    assert.deepInclude(explainOne(problem, planOf(problem, 100, 4, 40)).place, { batchBound: "rate", smallerBatchRps: 75 })
    assert.strictEqual(explainOne(problem, planOf(problem, 100, 4, 20)).place.batchBound, "none")
  })

  it("tells how much more a glet carries, and what ends it", () => {
    // 2 L <= 20 ms: batches up to 9, 9 items in 10 ms.
    const slow = problemOf({ rateRps: 100, sloMs: 20 })
    const bySlo = explainOne(slow, planOf(slow, 100, 1, 10)).place
    assert.closeTo(bySlo.growth, 9, 0.1)
    assert.strictEqual(bySlo.growthBound, "slo")
    // Batches of at most 4: 4 items in 5 ms, however much time there is.
    const small = problemOf({ rateRps: 100, sloMs: 1000, maxBatch: 4 })
    const byRate = explainOne(small, planOf(small, 100, 1, 10)).place
    assert.closeTo(byRate.growth, 8, 0.1)
    assert.strictEqual(byRate.growthBound, "rate")
  })

  it("tells what keeps another glet away", () => {
    const roomy = problemOf({ rateRps: 10, sloMs: 1000 })
    assert.deepInclude(explainOne(roomy, planOf(roomy, 50, 1, 50)).model, { bound: "none", roomOn: unsafeGpuId("g:0") })
    assert.deepInclude(explainOne(roomy, planOf(roomy, 100, 1, 50)).model, { bound: "share", roomOn: undefined })
    const full = problemOf({ rateRps: 10, sloMs: 1000 }, { memoryBytes: 150 * mb })
    assert.strictEqual(explainOne(full, planOf(full, 50, 1, 50)).model.bound, "memory")
    // 50 % are left where 2 L = 6 ms is too slow.
    const tight = problemOf({ rateRps: 10, sloMs: 5 })
    const half = { ...tight, gpus: tight.gpus.map((gpu) => ({ ...gpu, sharesPct: [20, 80] as const })) }
    assert.strictEqual(explainOne(half, planOf(half, 80, 1, 2.25)).model.bound, "slo")
    const other = problemOf({ rateRps: 10, sloMs: 1000 }, { options: { maxGletsPerGpu: 1 } })
    assert.strictEqual(explainOne(other, planOf(other, 20, 1, 50)).model.bound, "share")
  })

  it("explains every model and every assignment of any plan, and is right about growth", () => {
    let grown = 0
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 4, maxGpus: 3 }), fc.constantFrom(orion, elasticInt), (problem, planner) => {
      const made = planner.plan(problem)
      if (Either.isLeft(made)) return
      const models = explainPlan(made.right, problem)
      assert.deepStrictEqual(models.map(({ model }) => model), problem.demands.map(({ model }) => model))
      const assigned = made.right.gpus.flatMap(({ glets }) => glets.flatMap(({ assignments }) => assignments.map(({ model }) => model)))
      assert.deepStrictEqual(models.flatMap(({ model, places }) => places.map(() => model)).sort(), assigned.sort())
      for (const { gpus, places } of models) assert.strictEqual(gpus, new Set(places.map(({ gpu }) => gpu)).size)
      for (const place of models.flatMap(({ places }) => places)) {
        assert.isAtLeast(place.growth, 1)
        if (place.growth > 1) grown++
      }
    }), { numRuns: 60 })
    assert.isAbove(grown, 0)
  })
})

describe("nextGpu", () => {
  it("finds the multiple that is carried now, and with one more", () => {
    const problem = problemOf({ rateRps: 400, sloMs: 100 })
    const made = Either.getOrThrow(orion.plan(problem))
    const next = nextGpu(orion, made, problem)!
    // A batch of 32 takes 33 ms on a whole GPU, and 2 L <= SLO.
    assert.closeTo(next.carries, 32 / 33 / 0.4, 0.05)
    assert.closeTo(next.thenCarries / next.carries, 2, 0.05)
    assert.deepInclude(next, { gpus: 1, type: "g" })
    assert.isUndefined(nextGpu(orion, { ...made, gpus: [] }, problem))
  })

  it("is what the planner itself then plans", () => {
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 3, maxGpus: 2 }), (problem) => {
      const made = orion.plan(problem)
      if (Either.isLeft(made)) return
      const next = nextGpu(orion, made.right, problem)
      if (next === undefined) return
      assert.isAtLeast(next.thenCarries, next.carries)
      const used = new Set<string>(made.right.gpus.filter(({ glets }) => glets.length > 0).map(({ gpu }) => gpu))
      const scaled = {
        ...problem,
        gpus: problem.gpus.filter(({ id }) => used.has(id)),
        demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * next.carries }))
      }
      const again = orion.plan(scaled)
      assert.isTrue(Either.isRight(again) && validatePlan(again.right, scaled).length === 0)
    }), { numRuns: 25 })
  })
})
