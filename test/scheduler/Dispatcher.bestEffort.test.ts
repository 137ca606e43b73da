/** When best-effort work starts beside latency-critical work on its glet. */
import { assert, describe, it } from "@effect/vitest"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { BestEffortGate } from "../../src/scheduler/BestEffortGate.js"
import { plannedGate } from "../../src/scheduler/BestEffortGate.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const ignore = (): void => {}
const latency = linear(10, 1, 8)
const a = makeModel("a", { sloMs: 100, maxBatch: 8 })

const open = (background: Model, slackMs: number, gate: BestEffortGate): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, gate })
  for (const model of [a, background]) dispatcher.setModel(model)
  dispatcher.setRoutes([glet("gpu/0", [route(a, latency, { typicalRatio: 1 }), route(background, latency, { slackMs, typicalRatio: 1, bestEffort: true })])])
  dispatcher.gletReady(g0, 2)
  return dispatcher
}

describe("best-effort work", () => {
  it("starts only where nothing latency-critical waits or runs, and only what fits the slack", () => {
    const background = makeModel("background", { serviceClass: "best-effort", maxBatch: 8 })
    const dispatcher = open(background, 14, plannedGate)
    for (let i = 0; i < 8; i++) dispatcher.offer(0, request(background), ignore)
    dispatcher.offer(0, request(a), ignore)
    const first = dispatcher.pull(0, g0)!
    assert.strictEqual(first.model.name, "a")
    assert.isUndefined(dispatcher.pull(0, g0), "a latency-critical batch runs")
    dispatcher.batchEnded(11, first, done(11))
    assert.strictEqual(dispatcher.pull(11, g0)?.items, 4, "10 + 4 items fit 14 ms")
    const narrow = open(background, 5, plannedGate)
    narrow.offer(0, request(background), ignore)
    assert.isUndefined(narrow.pull(0, g0))
  })

  it("is tried again after one slow execution, though nothing else says that it is fast", () => {
    const background = makeModel("background", { serviceClass: "best-effort" })
    const dispatcher = open(background, 14, { budgetMs: () => 14 })
    dispatcher.offer(0, request(background), ignore)
    const slow = dispatcher.pull(0, g0)!
    dispatcher.batchEnded(88, slow, done(88))
    dispatcher.offer(88, request(background), ignore)
    let nowMs = 88
    let again: DispatchedBatch | undefined
    while (again === undefined && nowMs < 20_000) again = dispatcher.pull(nowMs += 10, g0)
    assert.strictEqual(again?.model.name, "background")
    assert.isAbove(nowMs, 1000, "it may really be slow")
  })

  it("stays as fast as it was measured while what is allowed is too short for it", () => {
    const background = makeModel("background", { serviceClass: "best-effort" })
    let allowedMs = Infinity
    const dispatcher = open(background, 14, { budgetMs: () => allowedMs })
    for (let nowMs = 0; nowMs < 1000; nowMs += 10) {
      dispatcher.offer(nowMs, request(background), ignore)
      dispatcher.batchEnded(nowMs + 5, dispatcher.pull(nowMs, g0)!, done(5))
    }
    dispatcher.offer(1000, request(background), ignore)
    // The profile says 11 ms for an item, and it takes 5.
    allowedMs = 1
    for (let nowMs = 1000; nowMs < 20_000; nowMs += 10) assert.isUndefined(dispatcher.pull(nowMs, g0))
    allowedMs = 8
    assert.isDefined(dispatcher.pull(20_000, g0))
  })
})
