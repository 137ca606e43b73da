import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import { argmax, enlarge, lenetInput } from "../../src/dev/DigitImages.js"
import { binCount, binOf, latencyAt, positionOf, SlidingBins } from "../../src/dev/LatencyBins.js"
import * as SlowClock from "../../src/dev/SlowClock.js"
import { Traffic } from "../../src/dev/Traffic.js"
import { lenetInput as commandLineInput } from "../../src/cli/demo/digits.js"

const latency = fc.double({ min: 0, max: 1e6, noNaN: true })

describe("LatencyBins", () => {
  it("puts every latency into one bin, the longer ones no further left", () => {
    fc.assert(fc.property(latency, latency, (a, b) => {
      assert.isTrue(binOf(a) >= 0 && binOf(a) < binCount)
      assert.isTrue(a <= b ? binOf(a) <= binOf(b) : binOf(a) >= binOf(b))
      const within = Math.min(20_000, Math.max(0.2, a))
      assert.closeTo(latencyAt(positionOf(within)), within, within * 1e-9)
    }))
  })

  it("holds what the last spans held, nothing else", () => {
    const step = fc.oneof(fc.record({ add: latency }), fc.constant({ turn: true as const }))
    fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), (slots, steps) => {
      const bins = new SlidingBins(slots)
      const spans: Array<Array<number>> = [[]]
      for (const one of steps) {
        if ("add" in one) {
          bins.add(one.add)
          spans.at(-1)!.push(one.add)
        } else {
          bins.turn()
          spans.push([])
        }
      }
      const expected = new Uint32Array(binCount)
      for (const ms of spans.slice(-slots).flat()) expected[binOf(ms)]! += 1
      assert.deepStrictEqual([...bins.sum], [...expected])
    }))
  })
})

describe("Traffic", () => {
  it("sends at the rates asked for, whatever they were before", () => {
    fc.assert(fc.property(fc.integer(), fc.double({ min: 20, max: 500, noNaN: true }), fc.double({ min: 0, max: 2000, noNaN: true }), (seed, rateRps, before) => {
      const traffic = new Traffic(seed)
      traffic.set(0, "a", before)
      traffic.set(500, "a", rateRps)
      let sent = 0
      let wrong = 0
      let nowMs = 500
      // A minute.
      while (nowMs < 60_500) {
        nowMs += 250
        traffic.due(nowMs, (model, atMs) => {
          if (model !== "a" || atMs > nowMs) wrong += 1
          sent += 1
        })
      }
      assert.strictEqual(wrong, 0)
      const expected = 60 * rateRps
      // Six deviations of a Poisson number.
      assert.isAtMost(Math.abs(sent - expected), 6 * Math.sqrt(expected))
    }))
  })

  it("does not make up for a long pause, and stops at rate 0", () => {
    const traffic = new Traffic(1)
    traffic.set(0, "a", 100)
    let sent = 0
    traffic.due(3_600_000, () => void (sent += 1))
    assert.isAtMost(sent, 512)
    traffic.set(3_600_000, "a", 0)
    assert.strictEqual(traffic.due(7_200_000, () => assert.fail("nothing is sent")), Infinity)
  })
})

describe("SlowClock", () => {
  it.effect("passes a tenth of the time, for sleepers too", () =>
    Effect.gen(function*() {
      const real = yield* Effect.clock
      const slow = SlowClock.make(real, 0.1)
      const begin = slow.unsafeCurrentTimeMillis()
      let woken = false
      yield* Effect.fork(Effect.withClock(Effect.zipRight(Effect.sleep(100), Effect.sync(() => void (woken = true))), slow))
      yield* TestClock.adjust(999)
      assert.isFalse(woken)
      yield* TestClock.adjust(1)
      assert.isTrue(woken)
      assert.closeTo(slow.unsafeCurrentTimeMillis() - begin, 100, 1e-6)
      assert.closeTo(Number(slow.unsafeCurrentTimeNanos()) / 1e6 - begin, 100, 1)
    }))
})

describe("DigitImages", () => {
  it("enlarges as the command line's demo does, and keeps what is even", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 16 }), { minLength: 64, maxLength: 64 }), (image) => {
      const ours = lenetInput(image)
      const theirs = commandLineInput(image)
      assert.isBelow(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!))), 1e-6)
    }))
    assert.isTrue(enlarge(new Float32Array(64).fill(0.5)).every((value) => value === 0.5))
    assert.strictEqual(argmax([1, 5, 2]), 1)
  })
})
