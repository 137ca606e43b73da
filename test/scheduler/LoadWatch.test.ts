import { assert, describe, it } from "@effect/vitest"
import { emptyPlan } from "../../src/core/Plan.js"
import { rateToPlanFor } from "../../src/scheduler/BurstHeadroom.js"
import type { LoadWatch } from "../../src/scheduler/LoadWatch.js"
import { expectLoad, expectRate, forgetCount, forgetLoad, makeLoadWatch, notePlan, rateToServe, watchedItemsPerRequest, watchedRps, watchLoad } from "../../src/scheduler/LoadWatch.js"
import { defaultReplanOptions } from "../../src/scheduler/ReplanPolicy.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { makeModel } from "./harness.js"

const model = makeModel("m", { sloMs: 50, expectedRateRps: 100 })
const idle = makeModel("idle", { serviceClass: "best-effort" })

/** Looks every 200 ms while `rps` arrive; answers the watch, what arrived, and the reasons given. */
const run = (watch: LoadWatch, arrived: number, fromMs: number, toMs: number, rps: number, options: { readonly askedRps?: number; readonly plannable?: boolean; readonly itemsPerRequest?: number; readonly isServed?: boolean } = {}) => {
  const reasons: Array<string> = []
  const basis = options.askedRps === undefined ? undefined : { asked: new Map([[model.name, options.askedRps]]), meanParts: new Map() }
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 200) {
    arrived += (rps * 200) / 1000
    const seen = watchLoad(watch, {
      nowMs, basis, plan: emptyPlan, options: defaultReplanOptions, isServed: () => options.isServed ?? true,
      models: [{ model, plannable: options.plannable ?? true }, { model: idle, plannable: true }],
      arrived: (name) => (name === model.name ? { items: arrived, together: (options.itemsPerRequest ?? 1) * arrived } : { items: 0, together: 0 })
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

  it("asks for a plan for less in a lull too, and for no less than came before that", () => {
    const asked = rateToPlanFor(160, model.sloMs)
    const steady = run(expectLoad(makeLoadWatch(0), model), 0, 200, 59_000, 100, { askedRps: asked })
    assert.deepStrictEqual(steady.reasons, [])
    const lull = run(steady.watch, steady.arrived, 59_200, 61_000, 0, { askedRps: asked })
    assert.match(lull.reasons[0]!, /^rate down/)
    assert.isBelow(watchedRps(lull.watch, model.name), 85)
    assert.closeTo(rateToServe(lull.watch, model.name), 100, 5)
    // Another plan is for what arrives.
    const noted = notePlan(lull.watch, 61_000)
    assert.strictEqual(rateToServe(noted, model.name), watchedRps(noted, model.name))
  })

  it("has forgotten what was asked before that minute", () => {
    const fallen = run(expectLoad(makeLoadWatch(0), makeModel("m", { sloMs: 50, expectedRateRps: 1000 })), 0, 200, 70_000, 100, { askedRps: rateToPlanFor(1000, model.sloMs) })
    assert.match(fallen.reasons[0]!, /^rate down/)
    assert.closeTo(rateToServe(fallen.watch, model.name), 100, 50)
  })

  it("expects what was announced for as long as a model loads, which nobody can ask yet", () => {
    const loading = run(expectLoad(makeLoadWatch(0), model), 0, 200, 60_000, 0, { isServed: false })
    assert.strictEqual(watchedRps(loading.watch, model.name), 100)
    // Ready, and still not asked; or asked all the same, and seen then.
    assert.isBelow(watchedRps(run(loading.watch, 0, 60_200, 120_000, 0).watch, model.name), 1)
    assert.closeTo(watchedRps(run(loading.watch, 0, 60_200, 120_000, 20, { isServed: false }).watch, model.name), 20, 1)
  })

  it("goes on with what was announced or seen last of a model that is not served, whatever it was registered with", () => {
    // Another rate is announced while it loads.
    const amended = run(expectRate(expectLoad(makeLoadWatch(0), model), model.name, 700), 0, 200, 60_000, 0, { isServed: false })
    assert.strictEqual(watchedRps(amended.watch, model.name), 700)
    // Nobody asks for a minute; then its glet dies, and another one loads.
    const idle = run(expectLoad(makeLoadWatch(0), model), 0, 200, 60_000, 0)
    assert.strictEqual(watchedRps(run(idle.watch, 0, 60_200, 70_000, 0, { isServed: false }).watch, model.name), watchedRps(idle.watch, model.name))
    // It is given up and registered again, and counts from zero.
    const before = run(expectLoad(makeLoadWatch(0), model), 0, 200, 60_000, 300)
    assert.closeTo(watchedRps(run(forgetCount(before.watch, model.name), 0, 60_200, 70_000, 0, { isServed: false }).watch, model.name), 300, 5)
  })

  it("counts that begin again are no negative load", () => {
    const before = run(expectLoad(makeLoadWatch(0), model), 0, 200, 10_000, 100)
    // The model was replaced: its new lane counts from zero.
    const after = run(before.watch, 0, 10_200, 20_000, 100)
    assert.closeTo(watchedRps(after.watch, model.name), 100, 5)
    const forgotten = run(forgetCount(before.watch, model.name), 0, 10_200, 20_000, 100)
    assert.closeTo(watchedRps(forgotten.watch, model.name), 100, 5)
    assert.strictEqual(watchedRps(forgetLoad(before.watch, model.name), model.name), 0)
  })

  it("asks for a plan where requests bring more items than was planned for, though no more arrive, and knows it as long as the model is there", () => {
    const asked = rateToPlanFor(100, model.sloMs)
    const together = run(expectLoad(makeLoadWatch(0), model), 0, 0, 20_000, 100, { askedRps: asked, itemsPerRequest: 8 })
    assert.match(together.reasons[0]!, new RegExp(`planned for ${asked.toFixed(1)}`))
    assert.strictEqual(watchedItemsPerRequest(together.watch, model.name), 8)
    assert.deepStrictEqual(run(together.watch, together.arrived, 20_200, 30_000, 100, { askedRps: rateToPlanFor(100, model.sloMs, 1, 8), itemsPerRequest: 8 }).reasons, [])
    assert.strictEqual(watchedItemsPerRequest(forgetCount(together.watch, model.name), model.name), 8)
    assert.strictEqual(watchedItemsPerRequest(forgetLoad(together.watch, model.name), model.name), 1)
  })

  it("makes no more plans for a steady load of several items a request than one that is blind for that", () => {
    /** Plans of ten minutes; each is asked for what is needed when it is made, and has a tenth of room. */
    const plansMade = (seed: number, requestsPerSecond: number, sizes: ReadonlyArray<number>, isBlind: boolean): number => {
      const random = makeRandom(seed)
      const meanSize = sizes.reduce((sum, size) => sum + size, 0) / sizes.length
      let watch = expectLoad(makeLoadWatch(0), { ...model, expectedRateRps: requestsPerSecond * meanSize })
      let [items, together, plans, nextMs, askedRps] = [0, 0, 0, 0, 0]
      for (let nowMs = 0; nowMs <= 600_000; nowMs += 200) {
        for (; nextMs <= nowMs; nextMs -= (1000 / requestsPerSecond) * Math.log(1 - random())) {
          const size = sizes[Math.floor(random() * sizes.length)]!
          items += size
          together += isBlind ? size : size * size
        }
        const needed = (): number => rateToPlanFor(watchedRps(watch, model.name), model.sloMs, 1, watchedItemsPerRequest(watch, model.name))
        if (nowMs === 0) askedRps = needed()
        const seen = watchLoad(watch, {
          nowMs, plan: emptyPlan, isServed: () => true, options: { ...defaultReplanOptions, upRatio: 0.1 }, models: [{ model, plannable: true }],
          basis: { asked: new Map([[model.name, askedRps]]), meanParts: new Map() }, arrived: () => ({ items, together })
        })
        watch = seen.watch
        if (seen.reason === undefined) continue
        plans += 1
        askedRps = needed()
        watch = notePlan(watch, nowMs)
      }
      return plans
    }
    for (const [requestsPerSecond, sizes] of [[200, [4]], [50, [3]], [20, [1, 2, 8]], [100, [1, 1, 1, 1, 1, 1, 1, 32]]] as const) {
      const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
      const sum = (isBlind: boolean): number => seeds.reduce((total, seed) => total + plansMade(seed, requestsPerSecond, sizes, isBlind), 0)
      // One takes in what requests bring, another what chance brings of them at once: sizes that never differ say little to who is blind for them.
      assert.isAtMost(sum(false), sum(true) + 2 * seeds.length, `${requestsPerSecond}/s of ${sizes.join()}`)
    }
  })
})
