import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { classOf, makeSegregatedFit } from "../../../src/core/internal/segregatedFit.js"

describe("segregatedFit", () => {
  it("covers any number of units without gaps", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 40 }), (units, count) => {
      const runs = makeSegregatedFit(units)
      const taken = new Set<number>()
      for (let unit = runs.allocate(count); unit >= 0; unit = runs.allocate(count)) for (let i = 0; i < count; i++) taken.add(unit + i)
      assert.strictEqual(taken.size, Math.floor(units / count) * count)
      assert.isTrue([...taken].every((unit) => unit < units))
    }), { numRuns: 50 })
  })

  it("lends no unit twice, whatever comes and goes, and is whole in the end", () => {
    const steps = fc.array(fc.record({ count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1500 })), give: fc.double({ min: 0, max: 0.999, noNaN: true }), gives: fc.boolean() }), { maxLength: 150 })
    fc.assert(fc.property(fc.integer({ min: 1, max: 3000 }), steps, (units, steps) => {
      const runs = makeSegregatedFit(units)
      const owner = new Int32Array(units)
      const live: Array<readonly [unit: number, count: number]> = []
      const give = ([unit, count]: readonly [number, number]): void => {
        owner.fill(0, unit, unit + count)
        runs.free(unit, count)
      }
      for (const [i, { count, give: which, gives }] of steps.entries()) {
        if (gives && live.length > 0) give(live.splice(Math.floor(which * live.length), 1)[0]!)
        const unit = runs.allocate(count)
        if (unit < 0) continue
        for (let at = unit; at < unit + count; at++) {
          assert.strictEqual(owner[at], 0)
          owner[at] = i + 1
        }
        live.push([unit, count])
      }
      live.forEach(give)
      assert.strictEqual(runs.allocate(units), 0)
    }))
  })

  it("rounds lengths to the next class, by a sixteenth at most", () => {
    const runs = makeSegregatedFit(1 << 20)
    fc.assert(fc.property(fc.integer({ min: 1, max: 1 << 20 }), (count) => {
      const rounded = runs.rounded(count)
      assert.isAtLeast(rounded, count)
      assert.isAtMost(rounded, Math.ceil(count * (1 + 1 / 16)))
      assert.strictEqual(runs.rounded(rounded), rounded)
      assert.isTrue(rounded === 1 || classOf(rounded - 1) < classOf(rounded))
    }))
    assert.strictEqual(makeSegregatedFit(1001).rounded(1000), 1001)
  })
})
