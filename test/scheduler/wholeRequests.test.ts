import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { unsafeModelName } from "../../src/core/Ids.js"
import { gletsOf } from "../../src/core/Plan.js"
import type { Demand, PlanProblem } from "../../src/core/PlanProblem.js"
import { onlinePlanOptions } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { withWholeRequests } from "../../src/scheduler/internal/wholeRequests.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { gpusOf, latencyOf, mb } from "./problems.js"

const model = unsafeModelName("m")
const other = unsafeModelName("other")
/** On a whole GPU 1 ms and 0.5 ms an item; less of a GPU is slower in proportion. */
const latency = latencyOf([model, other].map((name) => ({ name, fixedMs: 1, itemMs: 0.5, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb })))
const problemOf = (demand: Partial<Demand>, others: ReadonlyArray<Demand> = []): PlanProblem => ({
  gpus: gpusOf(1, { sharesPct: [20, 50, 100] }), latency, options: onlinePlanOptions,
  demands: [{ model, serviceClass: "latency-critical", rateRps: 400, sloMs: 12, maxBatch: 8, ...demand }, ...others]
})
const at = (problem: PlanProblem, batch: number, name = model) => problem.latency.latencyMs({ gpuType: problem.gpus[0]!.type, model: name, sharePct: 50, batch })

describe("whole requests", () => {
  it("make executions of fewer items as long as theirs, of that model alone", () => {
    const single = problemOf({})
    assert.strictEqual(withWholeRequests(single), single)
    const whole = withWholeRequests(problemOf({ itemsPerRequest: 4 }, [{ model: other, serviceClass: "latency-critical", rateRps: 1, sloMs: 100, maxBatch: 8 }]))
    for (const batch of [1, 2, 3, 4]) assert.strictEqual(at(whole, batch), at(single, 4))
    for (const batch of [5, 8]) assert.strictEqual(at(whole, batch), at(single, batch))
    assert.strictEqual(at(whole, 1, other), at(single, 1, other))
    // Tables made of it serve the next plan.
    assert.strictEqual(withWholeRequests(problemOf({ itemsPerRequest: 4, rateRps: 500 })).latency, withWholeRequests(problemOf({ itemsPerRequest: 4 })).latency)
    const rows = withWholeRequests({ ...problemOf({ itemsPerRequest: 4 }), latency: { ...latency, latenciesMs: (_, __, ___, upTo) => Float64Array.from({ length: upTo + 1 }, (_, batch) => batch) } })
    assert.deepStrictEqual([...rows.latency.latenciesMs!(rows.gpus[0]!.type, model, 50, 6)], [0, 4, 4, 4, 4, 5, 6])
    assert.deepStrictEqual([...rows.latency.latenciesMs!(rows.gpus[0]!.type, model, 50, 2)], [0, 2, 2])
  })

  it("count as far as a whole GPU can keep the objective with them", () => {
    const problem = problemOf({ itemsPerRequest: 8, sloMs: 7 })
    // 1.1 (1 + 0.5 b) <= 3.5: four items, not eight.
    assert.strictEqual(at(withWholeRequests(problem), 1), at(problem, 4))
  })

  it("get no glet that is fast enough only for less", () => {
    const sharesOf = (itemsPerRequest: number): ReadonlyArray<number> => {
      const beside: Demand = { model: other, serviceClass: "latency-critical", rateRps: 400, sloMs: 14, maxBatch: 8, itemsPerRequest }
      const problem = problemOf({ itemsPerRequest, sloMs: 14 }, [beside])
      const plan = Either.getOrThrow(orion.plan(problem, undefined))
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      return gletsOf(plan).map(({ glet }) => glet.sharePct)
    }
    // Half of the GPU takes 1.1 (1 + 6) ms for six items, and that twice is more than 14; both on all of it take 2 x 1.1 (1 + 3), and one of them again.
    assert.deepStrictEqual(sharesOf(6), [100])
    assert.deepStrictEqual(sharesOf(1), [50, 50])
  })
})
