/** Requests of a latency-critical model that are asked for as best-effort work. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { RequestEnd } from "../../src/core/Request.js"
import { makeGate } from "../../src/scheduler/BestEffortGate.js"
import { defaultDelayBoundOptions } from "../../src/scheduler/DelayBound.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, random, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const model = makeModel("both", { sloMs: 100, maxBatch: 16 })
const fraction = 0.1
const ignore = (): void => {}

const dispatcherOf = (served: Model, gate = makeGate({ floor: 0 })): Dispatcher => {
  const dispatcher = new Dispatcher({
    answerMs: 0, overheadMs: 0, maxQueued: 1e6, gate, delayBound: { ...defaultDelayBoundOptions, smallest: fraction, largest: fraction, first: fraction }
  })
  dispatcher.setModel(served)
  dispatcher.setRoutes([glet("gpu/0", [route(served, linear(2, 0.5, 16), { typicalRatio: 1, slackMs: 10 })])])
  dispatcher.gletReady(g0, 1)
  return dispatcher
}
const asked = { serviceClass: "best-effort" } as const

describe("a request that asks to be best-effort work", () => {
  it("waits apart, is never in the way of others by more than the bound, and counts for nobody but itself", () => {
    fc.assert(fc.property(fc.integer(), fc.integer({ min: 1, max: 120 }), (seed, rateRps) => {
      const dispatcher = dispatcherOf(model)
      const draw = random(seed)
      const untilMs = 1500
      const fill = 3000
      let [offered, answered, now] = [0, 0, 0]
      for (let i = 0; i < fill; i++) dispatcher.offer(0, request(model, asked), (end) => end.ok && answered++)
      assert.strictEqual(dispatcher.view.countersOf(model.name)!.arrivedItems, 0, "nor does it count in the rate")
      let running: DispatchedBatch | undefined
      let nextMs = (-Math.log(1 - draw()) * 1000) / rateRps
      const fillMs: Array<readonly [fromMs: number, toMs: number]> = []
      const waits: Array<readonly [fromMs: number, toMs: number]> = []
      while (now < untilMs) {
        running ??= dispatcher.pull(now, g0)
        const endMs = running === undefined ? Infinity : running.pulledMs + running.route.profiledMs(running.items)
        now = Math.min(endMs, nextMs, now + 20)
        if (running !== undefined && now >= endMs) {
          const isFill = running.tickets.map((ticket) => ticket.request.serviceClass === "best-effort")
          assert.strictEqual(new Set(isFill).size, 1, "never in one batch with others")
          assert.strictEqual(running.model, model)
          if (isFill[0] === true) fillMs.push([running.pulledMs, endMs])
          else for (const ticket of running.tickets) waits.push([ticket.times.arrivedMs, running.pulledMs])
          dispatcher.batchEnded(now, running, done(endMs - running.pulledMs))
          running = undefined
        }
        if (now >= nextMs) {
          offered++
          dispatcher.offer(now, request(model), ignore)
          nextMs += (-Math.log(1 - draw()) * 1000) / rateRps
        }
        dispatcher.sweep(now)
        for (const ticket of dispatcher.ended.splice(0)) ticket.onEnd(ticket.end!)
      }
      for (const [fromMs, toMs] of waits) {
        const delayedMs = fillMs.reduce((sum, [start, end]) => sum + Math.max(0, Math.min(toMs, end) - Math.max(fromMs, start)), 0)
        assert.isAtMost(delayedMs, fraction * model.sloMs! + 1e-6)
      }
      const [own, others] = [dispatcher.view.countersOf(model.name)!, dispatcher.view.fillCountersOf(model.name)!]
      assert.strictEqual(own.arrivedItems, offered)
      assert.strictEqual(own.withinSlo, own.answered)
      assert.strictEqual(others.answered, answered)
      assert.strictEqual(others.answered + others.queued + others.inFlight, fill)
      assert.isAbove(answered, 100)
    }), { numRuns: 40 })
  })

  it("is an ordinary one of a best-effort model", () => {
    const other = makeModel("other", { serviceClass: "best-effort" })
    const dispatcher = dispatcherOf(other)
    dispatcher.offer(0, request(other, asked), ignore)
    assert.isUndefined(dispatcher.view.fillCountersOf(other.name))
    assert.strictEqual(dispatcher.view.countersOf(other.name)!.queued, 1)
  })

  it("ends as others do when its model goes, is replaced, becomes best-effort, or its glet dies", () => {
    const ends: Array<RequestEnd> = []
    const flush = (dispatcher: Dispatcher): void => {
      for (const ticket of dispatcher.ended.splice(0)) ticket.onEnd(ticket.end!)
    }
    const offer = (dispatcher: Dispatcher): void => {
      dispatcher.offer(0, request(model, asked), (end) => ends.push(end))
      flush(dispatcher)
    }
    const gone = dispatcherOf(model)
    offer(gone)
    gone.removeModel(1, model.name)
    flush(gone)
    assert.deepInclude((ends.pop() as { readonly error: object }).error, { _tag: "ModelUnavailable", reason: "model-not-ready" })
    assert.strictEqual(gone.view.pending, 0)

    const replaced = dispatcherOf(model)
    offer(replaced)
    const next = { ...model, version: 2 }
    replaced.setModel(next)
    assert.isTrue(replaced.view.isBusy(model))
    assert.isFalse(replaced.view.isBusy(next))
    const old = replaced.pull(1, g0)!
    assert.strictEqual(old.model, model)
    replaced.batchEnded(3, old, done(2))
    flush(replaced)
    assert.isTrue(ends.pop()!.ok)
    assert.isFalse(replaced.view.isBusy(model))

    const amended = dispatcherOf(model)
    offer(amended)
    const { sloMs: _, ...rest } = model
    amended.amendModel({ ...rest, serviceClass: "best-effort" })
    amended.offer(1, request(model, asked), (end) => ends.push(end))
    const batch = amended.pull(1, g0)!
    assert.strictEqual(amended.view.countersOf(model.name)!.queued + amended.view.fillCountersOf(model.name)!.queued + batch.tickets.length, 2)

    const died = dispatcherOf(model)
    offer(died)
    assert.strictEqual(died.pull(1, g0)!.tickets.length, 1)
    died.gletLost(2, g0, 5)
    assert.strictEqual(died.view.fillCountersOf(model.name)!.queued, 1, "and is tried again")
    died.gletReady(g0, 1)
    assert.strictEqual(died.pullModel(6, model.name)!.tickets.length, 1)
  })

  it("has a limit of its own where it brings one", () => {
    const dispatcher = dispatcherOf(model)
    dispatcher.offer(0, request(model, { ...asked, timeoutMs: 1 }), ignore)
    assert.deepInclude((dispatcher.ended[0]!.end as { readonly error: object }).error, { _tag: "RequestDropped", reason: "deadline-unreachable" })
  })

  it("keeps what its glet has learnt when it is the first", () => {
    const dispatcher = dispatcherOf(model)
    for (let i = 0; i < 50; i++) {
      dispatcher.offer(10 * i, request(model), ignore)
      const batch = dispatcher.pull(10 * i, g0)!
      dispatcher.batchEnded(10 * i + 5, batch, done(5))
    }
    dispatcher.offer(1000, request(model), ignore)
    const before = dispatcher.pull(1000, g0)!.typicalMs
    const again = dispatcherOf(model)
    for (let i = 0; i < 50; i++) {
      again.offer(10 * i, request(model), ignore)
      again.batchEnded(10 * i + 5, again.pull(10 * i, g0)!, done(5))
    }
    again.offer(1000, request(model, asked), ignore)
    again.offer(1000, request(model), ignore)
    assert.strictEqual(again.pull(1000, g0)!.typicalMs, before)
  })
})
