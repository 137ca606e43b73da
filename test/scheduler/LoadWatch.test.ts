import { assert, describe, it } from "@effect/vitest"
import { emptyPlan } from "../../src/core/Plan.js"
import { rateToPlanFor } from "../../src/scheduler/BurstHeadroom.js"
import type { LoadWatch } from "../../src/scheduler/LoadWatch.js"
import { expectLoad, forgetCount, forgetRate, makeLoadWatch, notePlan, watchedRps, watchLoad } from "../../src/scheduler/LoadWatch.js"
import { defaultReplanOptions } from "../../src/scheduler/ReplanPolicy.js"
import { makeModel } from "./harness.js"

const model = makeModel("m", { sloMs: 50, expectedRateRps: 100 })
const idle = makeModel("idle", { serviceClass: "best-effort" })

/** Looks every 200 ms while `rps` arrive; answers the watch, what arrived, and the reasons given. */
const run = (watch: LoadWatch, arrived: number, fromMs: number, toMs: number, rps: number, options: { readonly askedRps?: number; readonly plannable?: boolean } = {}) => {
  const reasons: Array<string> = []
  const basis = options.askedRps === undefined ? undefined : { asked: new Map([[model.name, options.askedRps]]), meanParts: new Map() }
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 200) {
    arrived += (rps * 200) / 1000
    const seen = watchLoad(watch, {
      nowMs, basis, plan: emptyPlan, options: defaultReplanOptions,
      models: [{ model, plannable: options.plannable ?? true }, { model: idle, plannable: true }],
      arrivedItems: (name) => (name === model.name ? arrived : 0)
    })
    watch = seen.watch
    if (seen.reason !== undefined) reasons.push(seen.reason)
  }
  return { watch, arrived, reasons }
}

describe("LoadWatch", () => {
  it("begins with what was announced, follows what arrives, and asks for a plan when that no longer fits", () => {
    const asked = rateToPlanFor(100, model.sloMs)
    const steady = run(expectLoad(makeLoadWatch(0), model), 0, 200, 20_000, 100, { askedRps: asked })
    assert.deepStrictEqual(steady.reasons, [])
    assert.closeTo(watchedRps(steady.watch, model.name), 100, 1)
    const up = run(steady.watch, steady.arrived, 20_200, 22_000, 300, { askedRps: asked })
    assert.match(up.reasons[0]!, /model "m"/)
    assert.isAbove(watchedRps(up.watch, model.name), 200)
    // Right after a plan it waits, and what cannot be planned for is no reason.
    const noted = run(notePlan(steady.watch, 20_000), steady.arrived, 20_200, 20_400, 300, { askedRps: asked })
    assert.deepStrictEqual(noted.reasons, [])
    assert.deepStrictEqual(run(steady.watch, steady.arrived, 20_200, 22_000, 300, { askedRps: asked, plannable: false }).reasons, [])
    assert.deepStrictEqual(run(steady.watch, steady.arrived, 20_200, 22_000, 300).reasons, [], "the plan in force was not asked for it")
  })

  it("counts that begin again are no negative load", () => {
    const before = run(expectLoad(makeLoadWatch(0), model), 0, 200, 10_000, 100)
    // The model was replaced: its new lane counts from zero.
    const after = run(before.watch, 0, 10_200, 20_000, 100)
    assert.closeTo(watchedRps(after.watch, model.name), 100, 5)
    const forgotten = run(forgetCount(before.watch, model.name), 0, 10_200, 20_000, 100)
    assert.closeTo(watchedRps(forgotten.watch, model.name), 100, 5)
    assert.strictEqual(watchedRps(forgetRate(before.watch, model.name), model.name), 0)
  })
})
