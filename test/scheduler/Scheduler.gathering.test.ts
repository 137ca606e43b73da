import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { InferResult } from "../../src/core/Request.js"
import { defaultDelayBoundOptions } from "../../src/scheduler/DelayBound.js"
import { defaultDispatcherOptions } from "../../src/scheduler/DispatcherOptions.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { makeModel, request } from "./harness.js"
import { critical, offer, pass, register, withScheduler } from "./service.js"

const fast = critical("fast", { sloMs: 50, maxBatch: 16 })
const background = makeModel("background", { serviceClass: "best-effort" })
const fixed = { ...defaultDelayBoundOptions, smallest: 0.4, largest: 0.4, first: 0.4, controlEvery: Infinity }

/** How long a request waits for its batch while best-effort work has the GPU, ms, and items of the batch where another comes 5 ms later. */
const waited = (gather: boolean) =>
  withScheduler({ preemptMs: 0.1, executor: { preemptMs: 0.1 }, scheduler: { dispatcher: { ...defaultDispatcherOptions, gather, delayBound: fixed } } }, Effect.gen(function*() {
    const scheduler = yield* Scheduler
    yield* register(fast, background)
    // More than can be done before the end, so that there is always some.
    for (let i = 0; i < 1000; i++) scheduler.offer(request(background), () => {})
    yield* pass(1)
    const first = yield* offer(request(fast))
    yield* pass(5)
    yield* offer(request(fast))
    yield* pass(60)
    // What still runs ends.
    yield* pass(2000)
    assert.isTrue(first.end?.ok)
    const { batchItems, times } = (first.end as { readonly result: InferResult }).result
    return { batchItems, waitedMs: times.batchClosedMs - times.arrivedMs }
  }))

describe("Scheduler, beside best-effort work that gives way", () => {
  it.live("lets requests gather for as long as the bound says, and wakes in time for them", () =>
    Effect.gen(function*() {
      const { batchItems, waitedMs } = yield* waited(true)
      assert.closeTo(waitedMs, 0.4 * 50, 0.01)
      assert.strictEqual(batchItems, 2)
    }))

  it.live("starts each at once where it is told to", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waited(false), { batchItems: 1, waitedMs: 0 })
    }))
})
