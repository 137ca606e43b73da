import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { GletId, ModelName } from "../../src/core/Ids.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { Plan } from "../../src/core/Plan.js"
import { emptyPlan, gletsOf } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import type { PlannerAlgorithm } from "../../src/scheduler/Planner.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { demandsOf, modelsLost, nextNumber, numberAfter, rollOut, succeedPlan } from "../../src/scheduler/PlanSuccession.js"
import { makeModel } from "./harness.js"
import { problems } from "./problems.js"

const modelsOf = (problem: PlanProblem): ReadonlyMap<ModelName, Model> =>
  new Map(problem.demands.map((demand) => [
    demand.model, makeModel(demand.model, { maxBatch: demand.maxBatch, serviceClass: demand.serviceClass, ...(Number.isFinite(demand.sloMs) ? { sloMs: demand.sloMs } : {}) })
  ]))

const ids = (plan: Plan): ReadonlySet<GletId> => new Set(gletsOf(plan).map(({ glet }) => glet.id))

describe("PlanSuccession", () => {
  it("from any plan to its successor: every glet is opened, retargeted or closed, exactly one of them, and no id comes again", () => {
    fc.assert(fc.property(problems({ whenShort: "degrade" }), fc.double({ min: 0.2, max: 3, noNaN: true }), (problem, factor) => {
      const models = modelsOf(problem)
      const first = succeedPlan({ planner: orion, problem, current: emptyPlan, nextGletNumber: 0 })
      if (Either.isLeft(first)) return assert.isNotEmpty(first.left.detail)
      const scaled: PlanProblem = { ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor })) }
      const number = nextNumber(first.right, 0)
      const second = succeedPlan({ planner: orion, problem: scaled, current: first.right, nextGletNumber: number })
      if (Either.isLeft(second)) return
      assert.strictEqual(second.right.generation, first.right.generation + 1)
      const steps = rollOut(first.right, second.right, scaled, models, ids(first.right))
      const opened = steps.open.map(({ id }) => id)
      const kept = steps.retarget.map(({ id }) => id)
      assert.deepStrictEqual(new Set([...opened, ...kept]), ids(second.right))
      assert.deepStrictEqual(new Set([...steps.close, ...kept]), ids(first.right))
      for (const id of opened) assert.isFalse(ids(first.right).has(id))
      for (const id of opened) assert.isAtLeast(numberAfter(id), number + 1)
      // Works are what the plan says, each warmed with the batch it was planned with.
      for (const { id, works } of [...steps.open, ...steps.retarget]) {
        const planned = gletsOf(second.right).find(({ glet }) => glet.id === id)!.glet
        assert.sameMembers(works.map(({ model }) => model.name), [...planned.assignments, ...planned.bestEffort].map(({ model }) => model))
        for (const { model, warm } of works) assert.isTrue(warm.every((batch) => batch >= 1 && batch <= model.maxBatch))
      }
      // The plan in force again: nothing to do.
      const again = rollOut(second.right, { ...second.right, generation: 99 }, scaled, models, ids(second.right))
      assert.isTrue(again.isIdle)
      assert.deepStrictEqual([again.open, again.close], [[], []])
    }), { numRuns: 15 })
  })

  it("a planner that throws, breaks a rule or finds nothing leaves the plan as it is, and says why", () => {
    const [problem] = fc.sample(problems({ whenShort: "fail" }), { numRuns: 1, seed: 3 })
    const ask = (plan: PlannerAlgorithm["plan"]) =>
      succeedPlan({ planner: { name: "p", summary: "", plan }, problem: problem!, current: emptyPlan, nextGletNumber: 0 })
    const thrown = ask(() => {
      throw new Error("boom")
    })
    assert.isTrue(Either.isLeft(thrown) && /planner p threw: .*boom/.test(thrown.left.detail))
    const broken = ask(() => Either.right(emptyPlan))
    assert.isTrue(Either.isLeft(broken) && /planner p broke \d+ rules, first rate-unmet/.test(broken.left.detail), JSON.stringify(broken))
  })

  it("demands come in the order of names, with head-room, and none for best-effort models", () => {
    const demands = demandsOf([makeModel("b", { sloMs: 10 }), makeModel("a", { serviceClass: "best-effort" })], () => 100)
    assert.deepStrictEqual(demands.map(({ model }) => model as string), ["a", "b"])
    assert.deepInclude(demands[0]!, { rateRps: 0, sloMs: Infinity })
    assert.isAbove(demands[1]!.rateRps, 110)
  })

  it("a model is lost that is served, has a place, and no ready glet there", () => {
    const [problem] = fc.sample(problems({ whenShort: "degrade", maxModels: 4 }).filter((each) => each.demands.length === 4), { numRuns: 1, seed: 5 })
    const plan = Either.getOrThrow(succeedPlan({ planner: orion, problem: problem!, current: emptyPlan, nextGletNumber: 0 }))
    const placed = new Set(gletsOf(plan).flatMap(({ glet }) => [...glet.assignments, ...glet.bestEffort].map(({ model }) => model)))
    const names = problem!.demands.map(({ model }) => model)
    assert.deepStrictEqual(modelsLost(plan, names, () => true, () => true), [])
    assert.deepStrictEqual(new Set(modelsLost(plan, names, () => true, () => false)), placed)
    assert.deepStrictEqual(modelsLost(plan, names, () => false, () => false), [])
    assert.strictEqual(numberAfter(unsafeGletId("gpu/7")), 8)
    assert.strictEqual(numberAfter(unsafeGletId("gpu")), 0)
  })
})
