import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Assignment, Plan, PlannedGlet } from "../../src/core/Plan.js"
import { emptyPlan, encodePlan, gletsOf } from "../../src/core/Plan.js"
import { adoptPlan, applyChanges, canonicalPlan, diffPlans } from "../../src/scheduler/PlanDiff.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { problems } from "./problems.js"

const assignment = (model: string, batch: number): Assignment => ({
  model: unsafeModelName(model), batch, rateRps: batch, latencyMs: 1, worstMs: 2, slackMs: 3, capacityRps: 10 * batch
})
const glet = (id: string, sharePct: number, models: ReadonlyArray<string>, bestEffort: ReadonlyArray<string> = [], batch = 1): PlannedGlet => ({
  id: unsafeGletId(id),
  sharePct,
  priority: 0,
  dutyMs: models.length,
  assignments: models.map((model) => assignment(model, batch)),
  bestEffort: bestEffort.map((model) => ({ model: unsafeModelName(model), batch, blockingMs: 1 }))
})
const planOf = (gpus: Readonly<Record<string, ReadonlyArray<PlannedGlet>>>): Plan => ({
  ...emptyPlan, planner: "test", gpus: Object.entries(gpus).map(([gpu, glets]) => ({ gpu: unsafeGpuId(gpu), type: "t", glets }))
})

const names = ["a", "b", "c", "d", "e"]
const plans: fc.Arbitrary<Plan> = fc.record({
  generation: fc.nat(5),
  gpus: fc.uniqueArray(
    fc.record({
      gpu: fc.constantFrom("gpu-0", "gpu-1", "gpu-2").map(unsafeGpuId),
      type: fc.constantFrom("t", "u"),
      glets: fc.array(
        fc.record({
          sharePct: fc.constantFrom(20, 50),
          priority: fc.constantFrom(0, -1),
          isOverlay: fc.boolean(),
          dutyMs: fc.nat(3),
          models: fc.uniqueArray(
            fc.record({ model: fc.constantFrom(...names), batch: fc.integer({ min: 1, max: 3 }), isBestEffort: fc.boolean() }),
            { selector: ({ model }) => model, maxLength: 4 }
          )
        }),
        { maxLength: 4 }
      )
    }),
    { selector: ({ gpu }) => gpu, maxLength: 3 }
  ),
  ids: fc.array(fc.nat(15), { minLength: 12, maxLength: 12 }),
  shortfalls: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
  lowerBound: fc.option(fc.nat(3), { nil: undefined })
}).map(({ generation, gpus, ids, lowerBound, shortfalls }) => {
  // Ids overlap between plans but not within one.
  const free = [...new Set([...ids, ...Array.from({ length: 30 }, (_, i) => i)])]
  return {
    ...planOf({}),
    generation,
    gpus: gpus.map((gpu) => ({
      ...gpu,
      glets: gpu.glets.map(({ dutyMs, isOverlay, models, priority, sharePct }) => ({
        ...glet(`x/${free.shift()}`, sharePct, []),
        priority,
        ...(isOverlay ? { overlay: true as const } : {}),
        dutyMs,
        assignments: models.filter((one) => !one.isBestEffort).map((one) => assignment(one.model, one.batch)),
        bestEffort: models.filter((one) => one.isBestEffort)
          .map((one) => ({ model: unsafeModelName(one.model), batch: one.batch, blockingMs: 1 }))
      }))
    })),
    shortfalls: shortfalls.map((model) => ({ model: unsafeModelName(model), askedRps: 2, plannedRps: 1, reason: "test" })),
    ...(lowerBound === undefined ? {} : { lowerBound })
  }
})

describe("diffPlans", () => {
  it("finds nothing between a plan and itself, in whatever order it stands", () => {
    fc.assert(fc.property(plans, (plan) => {
      assert.deepStrictEqual(diffPlans(plan, plan), [])
      const turned = { ...plan, gpus: [...plan.gpus].reverse().map((gpu) => ({ ...gpu, glets: [...gpu.glets].reverse() })) }
      assert.deepStrictEqual(diffPlans(plan, turned), [])
    }))
  })

  it("leads from any plan to any other", () => {
    fc.assert(fc.property(plans, plans, (a, b) => {
      assert.strictEqual(encodePlan(applyChanges(diffPlans(a, b), a)), encodePlan(canonicalPlan(b)))
    }), { numRuns: 500 })
  })

  it("takes nothing away before what replaces it is there", () => {
    const from = planOf({ g: [glet("g/0", 50, ["a", "b"]), glet("g/1", 50, ["c"])] })
    const to = planOf({ g: [glet("g/0", 50, ["a", "c"]), glet("g/2", 20, ["b"])] })
    assert.deepStrictEqual(diffPlans(from, to).map((change) => change.kind), ["open-glet", "load-model", "load-model", "retune-glet", "unload-model", "close-glet"])
  })

  it("retunes what stays, and loads nothing for it", () => {
    const from = planOf({ g: [glet("g/0", 50, ["a"])] })
    const kinds = (to: Plan) => diffPlans(from, to).map((change) => change.kind)
    assert.deepStrictEqual(kinds(planOf({ g: [glet("g/0", 50, ["a"], [], 4)] })), ["retune-model"])
    assert.deepStrictEqual(kinds(planOf({ g: [{ ...glet("g/0", 50, [], ["a"]), dutyMs: 1 }] })), ["retune-model"])
  })
})

describe("adoptPlan", () => {
  it("keeps glets that can stay and numbers the others freshly", () => {
    const current = planOf({ g: [glet("g/3", 50, ["a", "b"]), glet("g/7", 50, ["c"])] })
    const next = planOf({ g: [glet("g/0", 50, ["c", "d"]), glet("g/1", 20, ["a"]), glet("g/2", 20, ["b"])] })
    const { nextGletNumber, plan } = adoptPlan(current, next, 8)
    const shown = plan.gpus[0]!.glets.map(({ assignments, id }) => [id as string, ...assignments.map(({ model }) => model as string)])
    assert.deepStrictEqual(shown, [["g/7", "c", "d"], ["g/8", "a"], ["g/9", "b"]])
    assert.strictEqual(nextGletNumber, 10)
    assert.strictEqual(plan.generation, 1)
  })

  it("gives the glet to whom has most models in common, latency-critical ones first", () => {
    const current = planOf({ g: [glet("g/1", 50, ["a"], ["x"]), glet("g/2", 50, ["b"], ["y"])] })
    const next = planOf({ g: [glet("g/0", 50, ["b"], ["x"])] })
    assert.strictEqual(adoptPlan(current, next, 3).plan.gpus[0]!.glets[0]!.id, "g/2")
  })

  it("changes nothing for what is deployed", () => {
    fc.assert(fc.property(plans, (plan) => {
      const adopted = adoptPlan(emptyPlan, plan, 100)
      const again = adoptPlan(adopted.plan, plan, adopted.nextGletNumber)
      assert.deepStrictEqual(diffPlans(adopted.plan, { ...again.plan, generation: adopted.plan.generation }), [])
      assert.strictEqual(again.nextGletNumber, adopted.nextGletNumber)
    }))
  })

  it("never gives an id twice, and always a plan that changes lead to exactly", () => {
    fc.assert(fc.property(fc.array(plans, { minLength: 1, maxLength: 5 }), (sequence) => {
      let current: Plan = emptyPlan
      let number = 0
      const closed = new Set<string>()
      for (const next of sequence) {
        const adopted = adoptPlan(current, next, number)
        const ids = gletsOf(adopted.plan).map((placed) => placed.glet.id as string)
        assert.strictEqual(new Set(ids).size, ids.length)
        for (const id of ids) assert.isFalse(closed.has(id))
        assert.strictEqual(encodePlan(applyChanges(diffPlans(current, adopted.plan), current)), encodePlan(adopted.plan))
        for (const { glet } of gletsOf(current)) if (!ids.includes(glet.id)) closed.add(glet.id)
        current = adopted.plan
        number = adopted.nextGletNumber
      }
    }))
  })

  it("holds for what the planner makes", () => {
    fc.assert(fc.property(problems({ whenShort: "degrade" }), problems({ whenShort: "degrade" }), (one, two) => {
      const first = adoptPlan(emptyPlan, Either.getOrThrow(orion.plan(one)), 0)
      const second = adoptPlan(first.plan, Either.getOrThrow(orion.plan({ ...one, demands: one.demands.slice(1), gpus: two.gpus }, first.plan)), first.nextGletNumber)
      assert.strictEqual(encodePlan(applyChanges(diffPlans(first.plan, second.plan), first.plan)), encodePlan(second.plan))
    }), { numRuns: 50 })
  })
})
