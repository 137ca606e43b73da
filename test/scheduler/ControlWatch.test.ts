import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Plan } from "../../src/core/Plan.js"
import { emptyPlan } from "../../src/core/Plan.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { rateToPlanFor } from "../../src/scheduler/BurstHeadroom.js"
import type { ControlView, ControlWatch } from "../../src/scheduler/ControlWatch.js"
import { watchControl } from "../../src/scheduler/ControlWatch.js"
import { defaultInterferenceWatch, makeInterferenceWatch } from "../../src/scheduler/InterferenceWatch.js"
import { learnedOffset, nothingLearned, withLearned } from "../../src/scheduler/LearnedInterference.js"
import { expectLoad, makeLoadWatch } from "../../src/scheduler/LoadWatch.js"
import { makePlanBasis } from "../../src/scheduler/PlanBasis.js"
import { defaultReplanOptions } from "../../src/scheduler/ReplanPolicy.js"
import { makeModel } from "./harness.js"
import { gpuOf, latencyOf, mb } from "./problems.js"

const [a, b] = [makeModel("a", { sloMs: 50 }), makeModel("b", { sloMs: 50 })]
const gpu = gpuOf(0, { isolation: "green" })
const profiled = latencyOf([a, b].map(({ name }) => ({ name, fixedMs: 2, itemMs: 0.5, usefulPct: 100, largestBatch: 16, memoryBytes: mb })))
const basis = makePlanBasis({
  models: [b, a], gpus: [gpu], options: defaultPlanOptions, rateOf: () => 100, profiled, learned: nothingLearned, leaving: { wayMs: 0, part: 0 }, latencyOf: withLearned
})
const plan: Plan = {
  ...emptyPlan, generation: 1,
  gpus: [{
    gpu: gpu.id, type: gpu.type,
    glets: [a, b].map(({ name: model }) => ({
      id: unsafeGletId(`${gpu.id}/${model}`), sharePct: 50, priority: 0, dutyMs: 10, bestEffort: [],
      assignments: [{ model, batch: 8, latencyMs: 5, capacityRps: 200, slackMs: 1 } as never]
    })) as never
  }]
}

const options: ControlView["options"] = { replan: defaultReplanOptions, learning: defaultInterferenceWatch }

/** Both models get `rps`, miss their objectives, and take three times what their profiles say: what the watch says every 200 ms until `toMs`. */
const run = (rps: number, toMs: number, view: Partial<ControlView> = {}) => {
  let nowMs = 0
  let taken = 0
  const dispatcher: ControlView["dispatcher"] = {
    countersOf: () => ({ arrivedItems: (rps * nowMs) / 1000, arrivedTogether: (rps * nowMs) / 1000 }) as never,
    isServed: () => true,
    outcomesOf: () => ({ ended: rps * nowMs, kept: 0 }),
    takeMeasured: () => {
      taken++
      return [a, b].map(({ name: model }) => ({
        glet: unsafeGletId(`${gpu.id}/${model}`), works: [{ model, bestEffort: false, executions: 50, ratio: 3, busyMs: 2000 }]
      }))
    }
  }
  const load = [a, b].reduce((load, model) => expectLoad(load, { ...model, expectedRateRps: 100 }), makeLoadWatch(0))
  let watch: ControlWatch = { load, interference: makeInterferenceWatch(0) }
  let reason = Option.none<string>()
  for (nowMs = 200; nowMs <= toMs && Option.isNone(reason); nowMs += 200) {
    const seen = watchControl(watch, {
      nowMs, dispatcher, plan, basis, options,
      models: [a, b].map((model) => ({ model, plannable: true })), ...view
    })
    watch = seen
    reason = Option.fromNullable(seen.reason)
  }
  return { watch, taken, reason: Option.getOrUndefined(reason), atMs: nowMs - 200 }
}

describe("watchControl", () => {
  it("asks for a plan where what executions take breaks the one that is deployed, though rates are as they were", () => {
    const { atMs, reason, taken, watch } = run(100, 60_000)
    assert.match(reason ?? "nothing", /^interference: beside neighbours model "[ab]" loses/)
    assert.isAtLeast(atMs, defaultInterferenceWatch.minIntervalMs)
    assert.strictEqual(taken, Math.floor(atMs / defaultInterferenceWatch.lookMs))
    assert.isAbove(learnedOffset(watch.interference.learned, gpu.type, a.name), 1)
  })

  it("asks for one where rates outgrow it, before anything is learned", () => {
    const { atMs, reason, taken } = run(400, 60_000)
    assert.match(reason ?? "nothing", /^SLO at risk: model "[ab]" needs/)
    assert.isBelow(atMs, defaultInterferenceWatch.minIntervalMs)
    assert.isAtMost(taken, Math.floor(atMs / defaultInterferenceWatch.lookMs))
  })

  it("leaves what was measured where it is without a plan, or where nothing is to be learned", () => {
    for (const view of [{ basis: undefined }, { options: { ...options, learning: undefined } }]) {
      const { reason, taken } = run(100, 30_000, view)
      assert.deepStrictEqual({ reason, taken }, { reason: undefined, taken: 0 })
    }
  })
})

describe("makePlanBasis", () => {
  it("asks for what `rateToPlanFor` says of each model, by what executions take on average", () => {
    assert.deepStrictEqual(basis.problem.demands.map(({ model }) => model), [a.name, b.name])
    for (const { model, rateRps, sloMs } of basis.problem.demands) {
      assert.strictEqual(basis.meanParts.get(model), 0.8)
      assert.strictEqual(rateRps, rateToPlanFor(100, sloMs, 0.8))
      assert.strictEqual(basis.needed.get(model), rateRps)
      const together = makePlanBasis({
        models: [b, a], gpus: [gpu], options: defaultPlanOptions, rateOf: () => 100, itemsPerRequest: () => 4, profiled, learned: nothingLearned, leaving: { wayMs: 0, part: 0 }, latencyOf: withLearned
      })
      assert.strictEqual(together.asked.get(model), rateToPlanFor(100, sloMs, 0.8, 4))
      assert.strictEqual(together.needed.get(model), rateRps)
      assert.strictEqual(together.problem.demands.find((demand) => demand.model === model)!.itemsPerRequest, 4)
      assert.strictEqual(basis.asked.get(model), rateRps)
    }
  })
})
