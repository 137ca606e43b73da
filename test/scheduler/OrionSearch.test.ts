import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { makeRandom } from "../../src/core/internal/random.js"
import type { Plan } from "../../src/core/Plan.js"
import { gpusUsed } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { climb } from "../../src/scheduler/internal/search/climb.js"
import { directionOf } from "../../src/scheduler/internal/search/direction.js"
import { makeGpuSolver } from "../../src/scheduler/internal/search/gpuState.js"
import { makeSearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import { regroup } from "../../src/scheduler/internal/search/regroup.js"
import { orion, orionWith } from "../../src/scheduler/planners/Orion.js"
import { makeTaskSet } from "../../bench/lib/taskSets.js"
import { demandOf, gpusOf, latencyOf, mb, problemOf, problems } from "./problems.js"

const patience = 120_000

const planOf = (problem: PlanProblem, current?: Plan): Plan => {
  const plan = Either.getOrThrow(orion.plan(problem, current))
  assert.deepStrictEqual(validatePlan(plan, problem), [])
  return plan
}
const scaledBy = (problem: PlanProblem, factor: number): PlanProblem => ({
  ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor }))
})

describe("more load", () => {
  it("never needs fewer GPUs: random sets, all rates scaled", () => {
    fc.assert(fc.property(
      problems({ whenShort: "fail", maxModels: 5 }), fc.array(fc.double({ min: 0.2, max: 8, noNaN: true }), { minLength: 3, maxLength: 3 }),
      (problem, factors) => {
        const [gpu] = problem.gpus
        const roomy = { ...problem, gpus: gpusOf(16, { sharesPct: gpu!.sharesPct, units: gpu!.units }) }
        const used = [...factors].sort((a, b) => a - b).map((factor) => {
          const answer = orion.plan(scaledBy(roomy, factor))
          return Either.isRight(answer) ? gpusUsed(answer.right) : Infinity
        })
        assert.deepStrictEqual(used, [...used].sort((a, b) => a - b))
      }
    ), { numRuns: 12 })
  }, patience)

  it("reaches every length below the one that a whole climb reaches", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0.1, max: 1, noNaN: true }), (seed, part) => {
      const problem = makeTaskSet({ seed, models: 6, loadGpus: 2, gpus: 3, types: 1 })
      const { unit } = directionOf(problem.demands.map(({ rateRps }) => rateRps), problem.demands.map((_, model) => model))
      const space = makeSearchSpace(makePlanTables(problem))
      const climbTo = (enough: number) =>
        climb(space, makeGpuSolver(space), {
          kinds: [0, 0, 0], unit, enough, random: makeRandom(1), attempts: 10, steps: 500, smallestRaise: 0.01, patience: 2
        }).length
      const whole = climbTo(Infinity)
      assert.isAtLeast(climbTo(part * whole), part * whole)
    }), { numRuns: 10 })
  }, patience)

  it("is seen alike whatever the scale: the direction does not know it", () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0.1, max: 10_000, noNaN: true }), { minLength: 1, maxLength: 9 }), fc.double({ min: 0.01, max: 100, noNaN: true }), (rates, factor) => {
      const models = rates.map((_, model) => model)
      const direction = directionOf(rates, models)
      directionOf(rates.map((rate) => rate * factor), models).unit.forEach((part, model) => {
        assert.approximately(part, direction.unit[model]!, 2 ** -28 * part)
      })
      rates.forEach((rate, model) => assert.isAtLeast(direction.unit[model]! * direction.length, rate))
    }))
  })
})

describe("large sets", () => {
  for (const types of [1, 2] as const) {
    it(`are planned validly, above their bound: ${types} type(s) of GPU`, () => {
      for (const [models, loadGpus] of [[9, 40], [40, 10], [80, 40]] as const) {
        const problem = makeTaskSet({ seed: 5, models, loadGpus, gpus: 2 * loadGpus, types, options: { effort: 0.3 } })
        const plan = planOf(problem)
        const cost = plan.gpus.reduce((sum, { glets }, at) => sum + (glets.length > 0 ? problem.gpus[at]!.cost ?? 1 : 0), 0)
        assert.isAtLeast(cost * (1 + 1e-9), plan.lowerBound!)
        // Not a bar: an alarm.
        assert.isAtMost(cost, 1.4 * plan.lowerBound! + 1)
      }
    }, patience)
  }

  it("come to no more with more effort", () => {
    const thorough = orionWith(regroup)
    const costWith = (effort: number): number => {
      const problem = makeTaskSet({ seed: 2, models: 50, loadGpus: 10, gpus: 20, types: 2, options: { effort } })
      const { gpus } = Either.getOrThrow(thorough.plan(problem))
      return gpus.reduce((sum, { glets }, at) => sum + (glets.length > 0 ? problem.gpus[at]!.cost ?? 1 : 0), 0)
    }
    // What it begins with ends at 12.4 there.
    assert.isAtMost(costWith(3), costWith(1))
  }, patience)

  it("keep nearly all glets where they are when one rate changes", () => {
    const problem = makeTaskSet({ seed: 3, models: 60, loadGpus: 40, gpus: 60, types: 1, options: { effort: 0.3 } })
    const before = planOf(problem)
    const changed = { ...problem, demands: problem.demands.map((demand, i) => (i === 20 ? { ...demand, rateRps: demand.rateRps * 1.3 } : demand)) }
    const after = planOf(changed, before)
    const shape = (plan: Plan) => plan.gpus.map(({ glets }) => JSON.stringify(glets.map((glet) => [glet.sharePct, glet.assignments.map(({ model }) => model)])))
    const [old, now] = [shape(before), shape(after)]
    const moved = old.filter((glets, at) => glets !== now[at]).length
    assert.isAtMost(moved, 20)
    assert.isAtMost(gpusUsed(after), gpusUsed(before) + 2)
  }, patience)
})

describe("less load", () => {
  const problem = makeTaskSet({ seed: 3, models: 8, loadGpus: 6, gpus: 12, types: 1, options: { effort: 0.3 } })

  it("gives GPUs back, unless that saves less than its moves cost", () => {
    const before = planOf(problem)
    const less = planOf(scaledBy(problem, 0.4), before)
    assert.isBelow(gpusUsed(less), gpusUsed(before))
    const dear = { ...scaledBy(problem, 0.4), options: { ...problem.options, moveCost: 100 } }
    const models = (plan: Plan) => plan.gpus.map(({ glets }) => new Set(glets.flatMap(({ assignments }) => assignments.map(({ model }) => model as string))))
    const [old, now] = [models(before), models(planOf(dear, before))]
    now.forEach((of, at) => of.forEach((model) => assert.isTrue(old[at]!.has(model))))
  })
})

describe("what is looked for", () => {
  const latency = latencyOf([{ name: "a", fixedMs: 1, itemMs: 1, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb }])

  it("cost: the cheaper of two like types", () => {
    const gpus = [...gpusOf(2, { cost: 3 }), ...gpusOf(4).slice(2).map((gpu) => ({ ...gpu, cost: 1 }))]
    const plan = planOf(problemOf(gpus, [demandOf("a", 500, 50)], latency))
    assert.deepStrictEqual(plan.gpus.map(({ glets }) => glets.length > 0), [false, false, true, false])
    assert.isAtMost(plan.lowerBound!, 1)
  })

  it("head-room on given GPUs, below its bound; or the fewest of them", () => {
    const problem = problemOf(gpusOf(3), [demandOf("a", 500, 50)], latency, { whenShort: "degrade" })
    const most = planOf(problem)
    assert.strictEqual(most.objective, "headroom")
    assert.isAtLeast(most.headroom!, 1)
    assert.isAtMost(most.headroom!, most.headroomBound!)
    const few = planOf({ ...problem, options: { ...problem.options, objective: "fewest" } })
    assert.strictEqual(few.objective, "fewest")
    assert.strictEqual(gpusUsed(few), 1)
  })
})
