import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { DelayBoundOptions } from "../../src/scheduler/DelayBound.js"
import { defaultDelayBoundOptions, DelayBound } from "../../src/scheduler/DelayBound.js"
import { random } from "./harness.js"

const options: DelayBoundOptions = { ...defaultDelayBoundOptions, window: 200 }

/**
 * Requests of a model that misses where best-effort work may delay it by more than a threshold, and now and then without, 20 ms apart; answers the
 * fractions after each.
 */
const run = (bound: DelayBound, thresholds: ReadonlyArray<number>, seed: number, fromMs = 0, unavoidable = 0.001): ReadonlyArray<number> => {
  const draw = random(seed)
  return thresholds.map((threshold, i) => {
    const nowMs = fromMs + 20 * i
    const fraction = bound.fraction(nowMs)
    // Beyond the threshold the tail grows with the delay.
    bound.observe(nowMs, draw() >= (fraction <= threshold ? unavoidable : unavoidable + Math.min(0.5, 0.02 * (fraction / threshold))))
    return fraction
  })
}

describe("DelayBound", () => {
  it("stays between its ends, whatever it sees", () => {
    fc.assert(fc.property(fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 20_000 }), kept: fc.boolean(), many: fc.integer({ min: 1, max: 400 }) }), { maxLength: 200 }), (steps) => {
      const bound = new DelayBound(options)
      let nowMs = 0
      for (const { gapMs, kept, many } of steps) {
        nowMs += gapMs
        for (let i = 0; i < many; i++) bound.observe(nowMs, kept)
        const fraction = bound.fraction(nowMs)
        if (fraction !== 0) assert.isAtLeast(fraction, options.smallest)
        assert.isAtMost(fraction, options.largest)
      }
    }))
  })

  it("finds the largest fraction that keeps the tail, and mostly stays there", () => {
    fc.assert(fc.property(fc.double({ min: Math.log(0.004), max: Math.log(0.4), noNaN: true }), fc.integer(), (log, seed) => {
      const threshold = Math.exp(log)
      const fractions = run(new DelayBound(options), new Array<number>(40_000).fill(threshold), seed).slice(10_000)
      const within = fractions.filter((fraction) => fraction <= threshold && fraction >= threshold / 4).length / fractions.length
      const above = fractions.filter((fraction) => fraction > threshold).length / fractions.length
      assert.isAbove(within, 0.6, `threshold ${threshold}`)
      assert.isBelow(above, 0.25, `threshold ${threshold}`)
    }), { numRuns: 30 })
  })

  it("follows a threshold that moves, down within a hundred misses and up again", () => {
    const bound = new DelayBound(options)
    run(bound, new Array<number>(10_000).fill(0.3), 1)
    assert.isAbove(bound.fraction(200_000), 0.1)
    const down = run(bound, new Array<number>(6_000).fill(0.01), 2, 200_000)
    assert.isAtMost(down.at(-1)!, 0.02)
    const up = run(bound, new Array<number>(40_000).fill(0.3), 3, 400_000)
    assert.isAbove(up.at(-1)!, 0.1)
  })

  it("a model that misses without best-effort work too does not close it, and what adds to that is still found", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 0.008, noNaN: true }), fc.integer(), (unavoidable, seed) => {
      const threshold = 0.1
      const fractions = run(new DelayBound(), new Array<number>(60_000).fill(threshold), seed, 0, unavoidable).slice(10_000)
      const part = (holds: (fraction: number) => boolean): number => fractions.filter(holds).length / fractions.length
      assert.isAbove(part((fraction) => fraction <= 2 * threshold && fraction >= threshold / 8), 0.4)
      assert.isBelow(part((fraction) => fraction === 0), 0.2)
      assert.isBelow(part((fraction) => fraction > threshold), 0.3)
    }), { numRuns: 20 })
  })

  it("does not take a model that misses nearly always for one whose objective is tight", () => {
    const bound = new DelayBound(options)
    const fractions = run(bound, new Array<number>(20_000).fill(0.1), 1, 0, 0.4).slice(10_000)
    assert.isAtMost(Math.max(...fractions), 4 * options.smallest)
  })

  it("a model that nobody asks for does not hold best-effort work up for long", () => {
    const bound = new DelayBound(options)
    run(bound, new Array<number>(10_000).fill(0), 1)
    assert.isAtMost(bound.fraction(200_000), 2 * options.smallest)
    let nowMs = 200_000
    for (; nowMs < 240_000; nowMs += 1000) bound.fraction(nowMs)
    assert.strictEqual(bound.fraction(nowMs), options.largest)
  })
})
