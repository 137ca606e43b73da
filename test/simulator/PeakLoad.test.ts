import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { makeRandom } from "../../src/core/internal/random.js"
import { findPeak } from "../../src/simulator/PeakLoad.js"

const options = { limit: 0.01, replications: 3, precision: 0.005, startFactor: 1, lookAhead: 0 }

describe("PeakLoad", () => {
  it("finds the threshold of a step, from wherever it begins", () => {
    fc.assert(fc.property(
      fc.double({ min: -4, max: 4, noNaN: true }).map((exponent) => 10 ** exponent),
      fc.double({ min: -3, max: 3, noNaN: true }).map((exponent) => 10 ** exponent),
      (threshold, startFactor) => {
        const peak = findPeak((factor) => (factor <= threshold ? 0 : 0.5), { ...options, startFactor })
        assert.isAtMost(peak.factor, threshold * (1 + 1e-12))
        assert.isAbove(peak.factor, threshold / (1 + options.precision) * (1 - 1e-12))
        assert.isAtMost(peak.highFactor - peak.lowFactor, 2 * threshold * options.precision * 4.303 + 1e-12)
      }
    ))
  })

  it("looks for a load further up that keeps the limit, where loads between do not", () => {
    const missed = (factor: number): number => (factor <= 10 || (factor >= 11 && factor <= 14) ? 0 : 1)
    // Brackets 5.1 to 10.2, whatever lies above.
    const at = (lookAhead: number) => findPeak(missed, { ...options, precision: 0.001, replications: 1, startFactor: 5.1, lookAhead }).factor
    assert.closeTo(at(0), 10, 0.01)
    assert.closeTo(at(0.09), 10, 0.01)
    assert.isAtMost(at(0.15), 14)
    assert.isAbove(at(0.15), 14 / 1.025)
  })

  it("the interval covers the true mean about as often as it says", () => {
    let covered = 0
    const runs = 300
    for (let run = 0; run < runs; run++) {
      const random = makeRandom(run)
      // Each replication has a threshold of its own, normal around 10.
      const thresholds = Array.from({ length: 5 }, () => 10 + Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()))
      const peak = findPeak((factor, replication) => (factor <= thresholds[replication]! ? 0 : 1), { ...options, precision: 0.001, replications: 5 })
      if (peak.lowFactor <= 10 && 10 <= peak.highFactor) covered += 1
    }
    assert.closeTo(covered / runs, 0.95, 0.04)
  })

  it("says 0 where no load keeps the limit, and ends where every load does", () => {
    assert.strictEqual(findPeak(() => 1, options).factor, 0)
    assert.isAbove(findPeak(() => 0, options).factor, 1e8)
  })
})
