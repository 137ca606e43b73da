import { assert, describe, it } from "@effect/vitest"
import { ExpectedTimes } from "../../src/scheduler/internal/expectedTimes.js"

const p99Of = (batches: ReadonlyArray<readonly [p99Ms: number, times: number]>, medianRatio = 0.5, extraMs = 0): number => {
  const times = new ExpectedTimes()
  // In turn, as sizes of batches come.
  const most = Math.max(...batches.map(([, n]) => n))
  for (let round = 0; round < most; round++) for (const [p99Ms, n] of batches) if (round < n) times.record(0, p99Ms, medianRatio, extraMs)
  return times.histogram.summary(0).p99Ms
}

describe("what batches that ran were expected to take", () => {
  it("is their own 99th percentile where all are of one size", () => {
    assert.closeTo(p99Of([[10, 2000]]), 10, 0.3)
    assert.closeTo(p99Of([[10, 2000]], 1), 10, 0.2)
    assert.closeTo(p99Of([[10, 2000]], 0.5, 3), 13, 0.3)
  })

  it("is less than that of the largest where few of them are so large", () => {
    // Of a fiftieth that is large, half take longer than the median of those.
    assert.closeTo(p99Of([[1, 9900], [10, 200]]), 5, 0.3)
    assert.closeTo(p99Of([[1, 5000], [10, 5000]]), 10, 0.6)
  })
})
