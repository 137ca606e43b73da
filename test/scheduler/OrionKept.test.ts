import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Plan } from "../../src/core/Plan.js"
import { decodePlan, encodePlan, gpusUsed } from "../../src/core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { boundFewest } from "../../src/scheduler/bounds/internal/boundFewest.js"
import { boundHeadroom } from "../../src/scheduler/bounds/internal/boundHeadroom.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { makeTaskSet } from "../../bench/lib/taskSets.js"

const patience = 60_000

const planOf = (problem: PlanProblem, current?: Plan): Plan => {
  const plan = Either.getOrThrow(orion.plan(problem, current))
  assert.deepStrictEqual(validatePlan(plan, problem), [])
  return plan
}
const setOf = (seed: number, options: Partial<PlanOptions>, types: 1 | 2 = 1): PlanProblem =>
  makeTaskSet({ seed, models: 24, loadGpus: 12, gpus: 20, types, options: { effort: 0.05, ...options } })
const withRates = (problem: PlanProblem, factors: ReadonlyArray<number>): PlanProblem => ({
  ...problem, demands: problem.demands.map((demand, i) => ({ ...demand, rateRps: demand.rateRps * (factors[i] ?? 1) }))
})
const costOf = (problem: PlanProblem, plan: Plan): number =>
  plan.gpus.reduce((sum, { glets }, at) => sum + (glets.length > 0 ? problem.gpus[at]!.cost ?? 1 : 0), 0)
const changes = fc.array(fc.double({ min: 0.8, max: 1.25, noNaN: true }), { minLength: 24, maxLength: 24 })
const types = fc.constantFrom<1 | 2>(1, 2)

describe("a kept plan", () => {
  it("has a certified bound of its own: what no plan for the new rates goes below, and nearly as good as one from nothing", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), types, changes, (seed, kinds, factors) => {
      const before = setOf(seed, {}, kinds)
      const current = planOf(before)
      const now = withRates(before, factors)
      const kept = planOf(now, current)
      const fresh = planOf(now)
      assert.isAtMost(kept.lowerBound!, Math.min(costOf(now, kept), costOf(now, fresh)) * (1 + 1e-9))
      // An alarm: prices of rates within a quarter prove nearly the same.
      assert.isAtLeast(kept.lowerBound!, 0.9 * fresh.lowerBound! - 1)
    }), { numRuns: 3 })
  }, patience)

  it("has the same of its head-room", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), types, changes, (seed, kinds, factors) => {
      const before = setOf(seed, { whenShort: "degrade" }, kinds)
      const current = planOf(before)
      const now = withRates(before, factors)
      const kept = planOf(now, current)
      const fresh = planOf(now)
      assert.isAtLeast(kept.headroomBound! * (1 + 1e-9), Math.max(kept.headroom!, fresh.headroom!))
      assert.isAtMost(kept.headroomBound!, 1.15 * fresh.headroomBound!)
    }), { numRuns: 3 })
  }, patience)

  it("has it also after it was written and read", async () => {
    const before = setOf(3, {})
    const current = planOf(before)
    const read = await Effect.runPromise(decodePlan(encodePlan(current)))
    const now = withRates(before, [1.2])
    assert.deepStrictEqual(planOf(now, read), planOf(now, current))
    // Without prices, or with those of other GPUs, there is a bound as well.
    const { boundPrices, ...bare } = current
    assert.isAbove(boundPrices!.length, 0)
    for (const other of [bare, { ...bare, boundPrices: boundPrices!.slice(1) }]) assert.isAbove(planOf(now, other).lowerBound!, 0)
  })

  it("grows onto empty GPUs where a model asks for more than there is room for, and leaves the others alone", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), (seed) => {
      const before = setOf(seed, {})
      const current = planOf(before)
      // The model with the most GPUs' worth of glets asks for half as much again.
      const shares = before.demands.map(({ model }) =>
        current.gpus.reduce((sum, { glets }) => sum + glets.reduce((of, glet) => of + (glet.assignments.some((each) => each.model === model) ? glet.sharePct : 0), 0), 0))
      const largest = shares.indexOf(Math.max(...shares))
      const kept = planOf(withRates(before, shares.map((_, i) => (i === largest ? 1.5 : 1))), current)
      const works = (plan: Plan, at: number) => plan.gpus[at]!.glets.map(({ assignments, sharePct }) => [sharePct, assignments.map(({ batch, model }) => [model, batch])])
      const same = current.gpus.filter(({ glets }, at) => glets.length > 0 && JSON.stringify(works(kept, at)) === JSON.stringify(works(current, at))).length
      assert.isAtLeast(same, gpusUsed(current) - 9)
      assert.isAtLeast(gpusUsed(kept), gpusUsed(current))
    }), { numRuns: 3 })
  }, patience)
})

describe("bounds by given prices", () => {
  it("hold whatever the prices are, and are the best known, or nearly, where they are those of the best", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), types, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 82, maxLength: 82 }), (seed, kinds, any) => {
      const problem = setOf(seed, {}, kinds)
      const best = boundFewest(problem, {}, undefined)
      const cost = costOf(problem, planOf(problem))
      const prices = any.slice(0, best.prices!.length)
      const looked = boundFewest(problem, { prices }, undefined)
      assert.isAtMost(looked.cost, cost * (1 + 1e-9))
      assert.isAtLeast(looked.cost, 0)
      // Of two types each number of GPUs is ruled out by prices of its own, which are not among those that are kept; what they add is some GPU at most (an alarm).
      assert.isAtLeast(boundFewest(problem, { prices: best.prices }, undefined).cost, kinds === 1 ? best.cost * (1 - 1e-9) : 0.9 * best.cost - 1)

      const most = boundHeadroom(problem, {}, undefined)
      const { headroom } = planOf({ ...problem, options: { ...problem.options, whenShort: "degrade" } })
      for (const each of [prices, most.prices!]) {
        const { factor } = boundHeadroom(problem, { known: { prices: each, factor: most.factor } }, undefined)
        assert.isAtLeast(factor * (1 + 1e-9), headroom!)
        if (each === most.prices) assert.isAtMost(factor, most.factor * 1.03)
      }
    }), { numRuns: 3 })
  }, patience)
})
