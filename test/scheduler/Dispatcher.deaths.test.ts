import { assert, describe, it } from "@effect/vitest"
import { GletExited } from "../../src/core/ExecutorError.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const ignore = (): void => {}
const a = makeModel("a", { sloMs: 5000, maxBatch: 8 })

const dispatcherOf = (): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0 })
  dispatcher.setModel(a)
  dispatcher.setRoutes([glet("gpu/0", [route(a, linear(10, 1, 8), { typicalRatio: 1 })])])
  dispatcher.gletReady(g0, 2)
  return dispatcher
}

/** Whether a request far more urgent than the SLO asks is taken behind a batch that runs and one that is full: it would end after 47 of its 60 ms. */
const takesUrgent = (dispatcher: Dispatcher, nowMs: number): boolean => {
  dispatcher.offer(nowMs, request(a), ignore)
  const running = dispatcher.pull(nowMs, g0)!
  for (let i = 0; i < a.maxBatch; i++) assert.isUndefined(dispatcher.offer(nowMs, request(a, { timeoutMs: 60 }), ignore).end)
  const urgent = dispatcher.offer(nowMs, request(a, { timeoutMs: 60 }), ignore)
  const isTaken = urgent.end === undefined
  dispatcher.batchEnded(nowMs + 11, running, done(11))
  return isTaken
}

describe("Dispatcher's margin", () => {
  it("learns nothing from requests that a death took", () => {
    const dispatcher = dispatcherOf()
    for (let i = 0; i < 100; i++) {
      const now = 1000 * i
      dispatcher.offer(now, request(a, { timeoutMs: 60 }), ignore)
      const batch = dispatcher.pull(now, g0)!
      dispatcher.gletLost(now + 5, g0, now + 500)
      dispatcher.batchEnded(now + 5, batch, { ok: false, error: new GletExited({ glet: g0, signal: "SIGKILL", detail: "" }) })
      dispatcher.gletReady(g0, 2)
    }
    assert.strictEqual(dispatcher.view.countersOf(a.name)!.failed, 100)
    assert.isTrue(takesUrgent(dispatcher, 200_000))
  })

  it("is in proportion to a request's own limit", () => {
    const dispatcher = dispatcherOf()
    // Too late though it was taken: ten percent of any limit are kept free then.
    for (let i = 0; i < 10; i++) {
      const now = 1000 * i
      dispatcher.offer(now, request(a, { timeoutMs: 11 }), ignore)
      dispatcher.batchEnded(now + 11.5, dispatcher.pull(now, g0)!, done(11))
    }
    assert.isTrue(takesUrgent(dispatcher, 200_000))
  })
})
