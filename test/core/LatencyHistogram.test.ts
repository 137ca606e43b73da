import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { LatencyHistogram } from "../../src/core/LatencyHistogram.js"

describe("LatencyHistogram", () => {
  it("quantiles are within 0.5 % of the exact ones", () => {
    fc.assert(fc.property(
      fc.array(fc.double({ min: 0.002, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, ratio) => {
        const histogram = new LatencyHistogram()
        for (const value of values) histogram.add(value)
        const sorted = [...values].sort((a, b) => a - b)
        const exact = sorted[Math.max(1, Math.ceil(ratio * sorted.length)) - 1]!
        assert.closeTo(histogram.quantileMs(ratio) / exact, 1, 0.005)
      }
    ))
  })

  it("count, mean and maximum are exact; merging adds", () => {
    const one = new LatencyHistogram()
    const other = new LatencyHistogram()
    for (const value of [1, 2, 3]) one.add(value)
    other.add(10)
    one.merge(other)
    const summary = one.summary()
    assert.strictEqual(summary.count, 4)
    assert.strictEqual(summary.meanMs, 4)
    assert.strictEqual(summary.maxMs, 10)
  })

  it("zero, negative and enormous values are counted", () => {
    const histogram = new LatencyHistogram()
    for (const value of [0, -5, 1e12]) histogram.add(value)
    assert.strictEqual(histogram.summary().count, 3)
    assert.strictEqual(new LatencyHistogram().summary().p99Ms, 0)
  })
})
