/** What a batch is made of: which model, which requests, how many. */
import { assert, describe, it } from "@effect/vitest"
import type { InferRequest } from "../../src/core/Request.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import type { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { a, exact, g0, g1, ids, ignore, latency, one, outcome } from "./exactDispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

describe("a batch", () => {
  it("forms the largest batch that keeps the earliest deadline, and never more than the limit", () => {
    const dispatcher = exact([a], one)
    for (let i = 0; i < 12; i++) dispatcher.offer(0, request(a), ignore)
    assert.strictEqual(dispatcher.pull(0, g0)?.items, 8)
    const tight = exact([a], one)
    // 15 ms are left: 10 + 5 items.
    tight.offer(0, request(a, { timeoutMs: 15 }), ignore)
    for (let i = 0; i < 7; i++) tight.offer(0, request(a), ignore)
    assert.strictEqual(tight.pull(0, g0)?.items, 5)
  })

  it("counts the running batch into the end it predicts, and takes only full batches behind it", () => {
    const dispatcher = exact([a], one)
    dispatcher.offer(0, request(a), ignore)
    assert.strictEqual(dispatcher.pull(0, g0)?.items, 1)
    for (let i = 0; i < 3; i++) dispatcher.offer(1, request(a), ignore)
    assert.isUndefined(dispatcher.pull(1, g0))
    dispatcher.offer(1, request(a), ignore)
    assert.strictEqual(dispatcher.pull(1, g0)?.items, 4)
    for (let i = 0; i < 4; i++) dispatcher.offer(1, request(a), ignore)
    assert.isUndefined(dispatcher.pull(1, g0), "depth 2")
  })

  it("batches only requests of equal bindings", () => {
    const dispatcher = exact([a], one)
    const lengths = [128, 64, 128, 64, 128]
    lengths.forEach((length, i) => dispatcher.offer(i, request(a, { bindings: [length], id: String(length) }), ignore))
    const first = dispatcher.pull(5, g0)!
    assert.deepStrictEqual(ids(first), ["128", "128", "128"])
    dispatcher.batchEnded(10, first, done(13))
    assert.deepStrictEqual(ids(dispatcher.pull(10, g0)), ["64", "64"])
  })

  it("orders by priority, deadline, arrival", () => {
    const single = makeModel("a", { sloMs: 1000, maxBatch: 1 })
    const ordered = exact([single], [glet("gpu/0", [route(single, linear(10, 0, 1), { planBatch: 1 })])])
    const offers: ReadonlyArray<Partial<InferRequest>> = [
      { id: "default" }, { id: "second" }, { id: "sooner", timeoutMs: 500 }, { id: "low", priority: 200 }, { id: "high", priority: 1 },
      { id: "zero", priority: 0 }
    ]
    for (const options of offers) ordered.offer(0, request(single, options), ignore)
    const seen: Array<string | undefined> = []
    for (let now = 0; seen.length < offers.length; now += 10) {
      const batch = ordered.pull(now, g0)!
      seen.push(...ids(batch)!)
      ordered.batchEnded(now + 10, batch, done(10))
    }
    assert.deepStrictEqual(seen, ["high", "sooner", "default", "second", "zero", "low"])
  })

  it("serves the model of least laxity, and does not make another's next request miss", () => {
    const b = makeModel("b", { sloMs: 30, maxBatch: 8 })
    const dispatcher = exact([a, b], [glet("gpu/0", [
      route(a, latency, { typicalRatio: 1 }), route(b, linear(5, 1, 8), { typicalRatio: 1 })
    ])])
    for (let i = 0; i < 8; i++) dispatcher.offer(0, request(a, { timeoutMs: 25 }), ignore)
    dispatcher.offer(0, request(b), ignore)
    // a has least laxity; b must begin at 24 at the latest, so all eight of a (18 ms) fit.
    assert.strictEqual(dispatcher.pull(0, g0)?.items, 8)
    const tight = exact([a, b], [glet("gpu/0", [
      route(a, latency, { typicalRatio: 1 }), route(b, linear(5, 1, 8), { typicalRatio: 1 })
    ])])
    tight.offer(0, request(b, { timeoutMs: 21.5 }), ignore)
    for (let i = 0; i < 8; i++) tight.offer(0, request(a, { timeoutMs: 25 }), ignore)
    // Now b must begin at 15.5.
    const batch = tight.pull(0, g0)!
    assert.strictEqual(batch.model.name, "a")
    assert.strictEqual(batch.items, 5)
  })

  it("lets a part of a batch wait for a full one of another model, where it can", () => {
    const short = makeModel("short", { sloMs: 50, maxBatch: 8 })
    const long = makeModel("long", { sloMs: 200, maxBatch: 8 })
    const both = [glet("gpu/0", [short, long].map((model) => route(model, latency, { typicalRatio: 1, planBatch: 8, batchLimit: 8, fraction: 0.5 })))]
    const offered = (longItems: number, shortAgeMs: number) => {
      const dispatcher = exact([short, long], both)
      dispatcher.offer(100 - shortAgeMs, request(short), ignore)
      for (let i = 0; i < longItems; i++) dispatcher.offer(100, request(long), ignore)
      return dispatcher
    }
    const first = (dispatcher: Dispatcher) => {
      const batch = dispatcher.pull(100, g0)!
      return [batch.model.name as string, batch.items] as const
    }
    // 18 ms of a full batch and 11 ms of its own: it can wait while 29 ms are left.
    assert.deepStrictEqual(first(offered(8, 0)), ["long", 8])
    assert.deepStrictEqual(first(offered(8, 20)), ["long", 8])
    assert.deepStrictEqual(first(offered(8, 22)), ["short", 1])
    // A part waits for no other part.
    assert.deepStrictEqual(first(offered(7, 0)), ["short", 1])
    // And makes its deadline behind it.
    const dispatcher = offered(8, 20)
    const full = dispatcher.pull(100, g0)!
    dispatcher.batchEnded(118, full, done(18))
    assert.strictEqual(dispatcher.pull(118, g0)?.model, short)
  })

  it("leaves a request for a faster glet, and drops it only when none can make it", () => {
    const fast = linear(10, 0, 8)
    const slow = linear(50, 0, 8)
    const dispatcher = exact([a], [glet("gpu/0", [route(a, fast, { typicalRatio: 1 })]), glet("gpu/1", [route(a, slow, { typicalRatio: 1 })])])
    const urgent = dispatcher.offer(0, request(a, { timeoutMs: 30 }), ignore)
    const patient = dispatcher.offer(0, request(a), ignore)
    assert.deepStrictEqual(dispatcher.pull(0, g1)?.tickets, [patient])
    assert.deepStrictEqual(dispatcher.pull(0, g0)?.tickets, [urgent])
    const late = dispatcher.offer(0, request(a, { timeoutMs: 30 }), ignore)
    assert.isUndefined(late.end)
    assert.strictEqual(dispatcher.nextWakeMs(0), 20)
    dispatcher.sweep(19)
    assert.isUndefined(late.end)
    dispatcher.sweep(21)
    assert.strictEqual(outcome(late.end), "expired")
  })

  it("gives no request up for a larger batch that a faster glet can still answer", () => {
    const glets = [
      glet("gpu/1", [route(a, linear(10, 10, 8), { typicalRatio: 1 })]),
      glet("gpu/0", [route(a, linear(10, 0, 8), { typicalRatio: 1, planBatch: 1 })])
    ]
    // The urgent one allows the slow glet 2 items, after which the others would be too late for a batch of 4.
    const offered = () => {
      const dispatcher = exact([a], glets)
      const urgent = dispatcher.offer(0, request(a, { timeoutMs: 30 }), ignore)
      for (let i = 0; i < 5; i++) dispatcher.offer(0, request(a, { timeoutMs: 70 }), ignore)
      return { dispatcher, urgent }
    }
    const both = offered()
    assert.strictEqual(both.dispatcher.pull(0, g1)?.items, 5)
    assert.deepStrictEqual(both.dispatcher.pull(0, g0)?.tickets, [both.urgent])
    const alone = offered()
    alone.dispatcher.gletUnready(g0, Infinity)
    assert.strictEqual(alone.dispatcher.pull(0, g1)?.items, 5)
    assert.strictEqual(outcome(alone.urgent.end), "expired")
    // One that is busy for too long is no help either.
    const busy = exact([a], glets)
    for (let i = 0; i < 2; i++) {
      busy.offer(0, request(a), ignore)
      assert.strictEqual(busy.pull(0, g0)?.items, 1)
    }
    const late = busy.offer(0, request(a, { timeoutMs: 29 }), ignore)
    for (let i = 0; i < 5; i++) busy.offer(0, request(a, { timeoutMs: 69 }), ignore)
    assert.strictEqual(busy.pull(0, g1)?.items, 5)
    assert.strictEqual(outcome(late.end), "expired")
  })

  it("corrects its predictions by what it measures, within bounds, and lets itself be corrected back", () => {
    const dispatcher = exact([a], one)
    const batchAt = (now: number): DispatchedBatch => {
      dispatcher.offer(now, request(a), ignore)
      return dispatcher.pull(now, g0)!
    }
    let now = 0
    const profiled = batchAt(now)
    dispatcher.batchEnded(now += 11, profiled, done(11))
    for (let i = 0; i < 100; i++) dispatcher.batchEnded(now += 22, batchAt(now), done(22))
    const slower = batchAt(now)
    assert.closeTo(slower.typicalMs, 22, 1)
    dispatcher.batchEnded(now += 1e4, slower, done(1e6))
    assert.isBelow(batchAt(now).typicalMs, 8 * 11)
  })
})
