import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { BatchEnd } from "../../src/core/Executor.js"
import { measureShare } from "../../src/core/internal/measureShare.js"
import { tail } from "../../src/core/internal/latencyStatistics.js"

/** A whole number of nanoseconds, whose sums a clock in milliseconds holds exactly. */
const runMs = 1 / 16

const ended = (inferMs: number): BatchEnd => ({ ok: true, outputs: [], inputMs: 0, inferMs, outputMs: 0 }) as never

describe("measureShare", () => {
  it.effect("runs what takes hundredths of a millisecond so often that a pause of the host is no tail", () =>
    Effect.gen(function*() {
      // One run in two hundred is slow, ten in a row: of 500 runs some sizes would have ten of 1 ms and more, which is their 99th percentile.
      let runs = 0
      const samples = yield* measureShare({
        maxBatch: 8, budgetMs: 3000, failed: () => "failed",
        run: () => {
          const ms = runs++ % 2000 < 10 ? 1 : runMs
          return Effect.as(TestClock.adjust(ms), ended(ms))
        }
      })
      assert.deepStrictEqual(samples.map(({ batch }) => batch), [1, 2, 4, 8])
      for (const { batch, durationsMs } of samples) {
        assert.isAtLeast(durationsMs.length, 3000)
        assert.closeTo(tail([...durationsMs].sort((a, b) => a - b)), runMs, 1e-9, `batch ${batch}`)
      }
      assert.isAtMost(yield* Effect.clockWith((clock) => clock.currentTimeMillis), 3010)
    }))
})
