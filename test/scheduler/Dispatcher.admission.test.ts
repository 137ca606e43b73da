/** Which requests may queue, and what is said to the others. */
import { assert, describe, it } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import { a, exact, g0, ignore, latency, one, outcome } from "./exactDispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

describe("what is admitted", () => {
  it("refuses what it does not know, what is too large, and what nothing serves", () => {
    const b = makeModel("b")
    const dispatcher = exact([a, b], one)
    assert.strictEqual(outcome(dispatcher.offer(0, request(makeModel("x")), ignore).end), "ModelNotFound")
    for (const items of [0, -1, 1.5, NaN, 9]) {
      assert.strictEqual(outcome(dispatcher.offer(0, request(a, { items }), ignore).end), "InvalidRequest")
    }
    assert.strictEqual(outcome(dispatcher.offer(0, request(b), ignore).end), "no-glet")
    dispatcher.setUnavailable(b.name, "model-not-ready", "broken")
    const refused = dispatcher.offer(0, request(b), ignore).end
    assert.isTrue(refused !== undefined && !refused.ok && refused.error.message.includes("broken"))
    assert.strictEqual(dispatcher.ended.length, 8)
  })

  it("refuses what would come too late, with the time after which it would not", () => {
    const dispatcher = exact([a], one)
    const tickets = Array.from({ length: 100 }, () => dispatcher.offer(0, request(a), ignore))
    const accepted = tickets.filter((ticket) => ticket.end === undefined)
    // 100 ms hold five batches of 8 in 18 ms.
    assert.isAtLeast(accepted.length, 32)
    assert.isAtMost(accepted.length, 40)
    const refused = tickets[99]!.end!
    assert.strictEqual(outcome(refused), "deadline-unreachable")
    assert.isTrue(!refused.ok && refused.error._tag === "RequestDropped" && refused.error.retryAfterMs >= 1)
    let now = 0
    for (let batch = dispatcher.pull(now, g0); batch !== undefined; batch = dispatcher.pull(now, g0)) {
      now += latency[batch.items]!
      dispatcher.batchEnded(now, batch, done(latency[batch.items]!))
    }
    assert.isTrue(accepted.every((ticket) => ticket.end?.ok === true && ticket.times.endedMs <= 100))
  })

  it("bounds the queue", () => {
    const background = makeModel("background", { serviceClass: "best-effort" })
    const dispatcher = exact([background], [glet("gpu/0", [route(background, latency)])], { maxQueued: 5 })
    const tickets = Array.from({ length: 7 }, () => dispatcher.offer(0, request(background), ignore))
    assert.deepStrictEqual(tickets.map((ticket) => outcome(ticket.end)), [...Array.from({ length: 5 }, () => "pending"), "queue-full", "queue-full"])
  })

  it("never closes an idle glet for good because of what it once measured", () => {
    const b = makeModel("b", { sloMs: 30, maxBatch: 1 })
    const dispatcher = exact([b], [glet("gpu/0", [route(b, linear(10, 0, 1), { planBatch: 1 })])])
    let now = 0
    const attempt = (tookMs: number): boolean => {
      const ticket = dispatcher.offer(now, request(b), ignore)
      const batch = dispatcher.pull(now, g0)
      now += tookMs
      if (batch === undefined) return false
      dispatcher.batchEnded(now, batch, done(tookMs))
      return ticket.end?.ok === true
    }
    // The machine stalls for a while, then is itself again.
    for (let i = 0; i < 200; i++) attempt(80)
    let answered = 0
    for (let i = 0; i < 300; i++) if (attempt(9)) answered += 1
    assert.isAbove(answered, 200)
  })

  it("keeps a margin where whole batches go before a request, and none where the next one has room for it", () => {
    const dispatcher = exact([a], one)
    const withinMs = (limitMs: number) => request(a, { timeoutMs: limitMs })
    // All of them late by something that no prediction knows: a third of each limit is the margin then.
    for (let i = 0; i < 100; i++) {
      dispatcher.offer(1000 * i, withinMs(11), ignore)
      dispatcher.batchEnded(1000 * i + 11.5, dispatcher.pull(1000 * i, g0)!, done(11))
    }
    const nowMs = 1e6
    dispatcher.offer(nowMs, withinMs(100), ignore)
    dispatcher.pull(nowMs, g0)
    // Behind the batch that runs it ends after 22 ms.
    assert.strictEqual(outcome(dispatcher.offer(nowMs, withinMs(30), ignore).end), "pending")
    for (let i = 0; i < 7; i++) assert.strictEqual(outcome(dispatcher.offer(nowMs, withinMs(40), ignore).end), "pending")
    // Behind those eight too after 40.
    assert.strictEqual(outcome(dispatcher.offer(nowMs, withinMs(59), ignore).end), "deadline-unreachable")
    assert.strictEqual(outcome(dispatcher.offer(nowMs, withinMs(75), ignore).end), "pending")
  })

  it("has every name as a plain key", () => {
    const dispatcher = exact([makeModel("__proto__", { sloMs: 100 })], [])
    assert.strictEqual(outcome(dispatcher.offer(0, request(makeModel("constructor")), ignore).end), "ModelNotFound")
    assert.strictEqual(outcome(dispatcher.offer(0, { ...request(a), model: unsafeModelName("__proto__") }, ignore).end), "no-glet")
  })
})
