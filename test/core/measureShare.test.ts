/** Durations of one share: which sizes are run how often, and what becomes of them. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FC from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import { firstBatches, nextBatch } from "../../src/core/internal/batchSizes.js"
import { pointOf, tail } from "../../src/core/internal/latencyStatistics.js"
import type { Samples } from "../../src/core/internal/measureShare.js"
import { measureShare } from "../../src/core/internal/measureShare.js"

describe("pointOf", () => {
  const durations = FC.array(FC.double({ min: 0, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 300 })

  it.prop("orders its percentiles within what was measured, whatever the order of measuring", { durations }, ({ durations }) => {
    const point = pointOf(50, 4, durations)
    const slowest = Math.max(1e-4, ...durations)
    assert.isAbove(point.p50Ms, 0)
    assert.isAtMost(point.p50Ms, point.p90Ms)
    assert.isAtMost(point.p90Ms, point.p99Ms)
    assert.isAtMost(point.p99Ms, slowest)
    assert.strictEqual(point.count, durations.length)
    assert.deepStrictEqual({ ...pointOf(50, 4, [...durations].reverse()), meanMs: 0 }, { ...point, meanMs: 0 })
  })

  it.prop("never says less than 99 % took, but for one outlier of a few dozen", { durations }, ({ durations }) => {
    const { p99Ms } = pointOf(50, 4, durations)
    const above = durations.filter((ms) => ms > p99Ms).length
    assert.isAtMost(above, durations.length < 20 ? 0 : durations.length < 100 ? 1 : durations.length / 100)
  })

  it("leaves out one preemption, not two", () => {
    const calm = Array.from({ length: 30 }, (_, i) => 1 + i / 100)
    assert.strictEqual(pointOf(50, 1, [...calm, 40]).p99Ms, 1.29)
    assert.strictEqual(pointOf(50, 1, [...calm, 40, 41]).p99Ms, 41)
    assert.strictEqual(pointOf(50, 1, [...calm, 2]).p99Ms, 2)
    assert.strictEqual(pointOf(50, 1, [1, 1, 40]).p99Ms, 40)
  })
})

describe("sizes of a share", () => {
  const measured = (budgetMs: number, useful?: { readonly withinMs: number; readonly forMs: number }) =>
    Effect.map(
      measureShare({
        maxBatch: 32, budgetMs, useful, failed: (end) => end,
        run: (items) => Effect.as(TestClock.adjust(items), { ok: true, inputMs: 0, inferMs: items, outputMs: 0, outputBindings: undefined, overflow: undefined } as const)
      }),
      (samples) => samples.map(({ batch }) => batch).filter((batch) => (batch & (batch - 1)) === 0)
    )

  it.effect("go as far as the time carries, and as far as the objective has use for them beyond that", () =>
    Effect.gen(function*() {
      // An item takes a millisecond, and a size is run four times.
      assert.deepStrictEqual(yield* measured(30), [1, 2, 4])
      assert.deepStrictEqual(yield* measured(0), [1])
      assert.deepStrictEqual(yield* measured(30, { withinMs: 8, forMs: 1000 }), [1, 2, 4, 8])
      assert.deepStrictEqual(yield* measured(30, { withinMs: 1000, forMs: 124 }), [1, 2, 4, 8, 16])
      assert.deepStrictEqual(yield* measured(1000, { withinMs: 1, forMs: 1 }), [1, 2, 4, 8, 16, 32])
    }))

  it.effect("count from the run on that is as all later ones are", () =>
    Effect.gen(function*() {
      const runs = new Map<number, number>()
      const samples = yield* measureShare({
        maxBatch: 4, budgetMs: 60, warmRuns: 5, failed: (end) => end,
        run: (items) => {
          const count = (runs.get(items) ?? 0) + 1
          runs.set(items, count)
          const ms = count <= 5 ? 10 * items : items
          return Effect.as(TestClock.adjust(ms), { ok: true, inputMs: 0, inferMs: ms, outputMs: 0, outputBindings: undefined, overflow: undefined } as const)
        }
      })
      assert.deepStrictEqual(samples[0], { batch: 1, durationsMs: samples[0]!.durationsMs.map(() => 1) })
      assert.isAtLeast(samples[0]!.durationsMs.length, 3)
    }))

  it.effect("are run again where a few runs had one far slower among them", () =>
    Effect.gen(function*() {
      // The third run that counts of size 4 takes five times as long. Beyond the budget there is time for a dozen runs more.
      let runs = 0
      const samples = yield* measureShare({
        maxBatch: 4, budgetMs: 110, failed: (end) => end,
        run: (items) => {
          const ms = items === 4 && ++runs === 4 ? 20 : items
          return Effect.as(TestClock.adjust(ms), { ok: true, inputMs: 0, inferMs: ms, outputMs: 0, outputBindings: undefined, overflow: undefined } as const)
        }
      })
      const [, two, four] = samples
      assert.isBelow(two!.durationsMs.length, 20)
      assert.strictEqual(four!.durationsMs.length, 20)
      assert.strictEqual(pointOf(100, 4, four!.durationsMs).p99Ms, 4)
    }))

  it.effect("are run again where a pause of the host took two of some dozens in a row, not where it comes again and again", () =>
    Effect.gen(function*() {
      const measure = (isSlow: (run: number) => boolean) => {
        let runs = 0
        return measureShare({
          maxBatch: 1, budgetMs: 90, batches: [1], failed: (end) => end,
          run: () => {
            const ms = isSlow(++runs) ? 3 : 0.5
            return Effect.as(TestClock.adjust(Duration.micros(BigInt(1000 * ms))), { ok: true, inputMs: 0, inferMs: ms, outputMs: 0, outputBindings: undefined, overflow: undefined } as const)
          }
        })
      }
      const p99Of = ([one]: Samples): number => pointOf(100, 1, one!.durationsMs).p99Ms
      const paused = yield* measure((run) => run === 40 || run === 41)
      assert.isAtLeast(paused[0]!.durationsMs.length, 200)
      assert.strictEqual(p99Of(paused), 0.5)
      assert.strictEqual(p99Of(yield* measure((run) => run % 30 === 0)), 3)
    }))
})

describe("batch sizes", () => {
  it("double up to the largest", () => {
    assert.deepStrictEqual(firstBatches(1), [1])
    assert.deepStrictEqual(firstBatches(8), [1, 2, 4, 8])
    assert.deepStrictEqual(firstBatches(12), [1, 2, 4, 8, 12])
  })

  const curve = FC.uniqueArray(FC.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 12 }).chain((batches) =>
    FC.array(FC.double({ min: 0.1, max: 100, noNaN: true }), { minLength: batches.length, maxLength: batches.length }).map((ms) =>
      batches.sort((a, b) => a - b).map((batch, i) => ({ batch, ms: ms[i]! }))))

  it.prop("grow by new sizes between the measured ones only", { curve }, ({ curve }) => {
    const next = nextBatch(curve, 0.1)
    if (next === undefined) return
    assert.isFalse(curve.some(({ batch }) => batch === next))
    assert.isAbove(next, curve[0]!.batch)
    assert.isBelow(next, curve.at(-1)!.batch)
  })

  it("find the bend, and are content with a line", () => {
    const line = [1, 2, 4, 8, 16].map((batch) => ({ batch, ms: 1 + batch }))
    assert.isUndefined(nextBatch(line, 0.1))
    const bent = [1, 2, 4, 8, 16, 32].map((batch) => ({ batch, ms: batch <= 8 ? 1 : batch }))
    assert.strictEqual(nextBatch(bent, 0.1), 12)
  })
})

describe("short executions", () => {
  it("are run so often that a pause of the host is no tail", async () => {
    // A test's clock takes milliseconds for each of tens of thousands of steps.
    let nowMs = 0
    const clock: Clock.Clock = Object.assign(Object.create(Clock.make()) as Clock.Clock, { currentTimeNanos: Effect.sync(() => BigInt(Math.round(1e6 * nowMs))) })
    // One run in two hundred is slow, ten in a row: of 500 runs some sizes would have six of 1 ms and more, the slowest of which is their 99th percentile.
    let runs = 0
    const samples = await Effect.runPromise(Effect.withClock(measureShare({
      maxBatch: 8, budgetMs: 3000, failed: (end) => end,
      run: () => Effect.sync(() => {
        const ms = runs++ % 2000 < 10 ? 1 : 0.05
        nowMs += ms
        return { ok: true, inputMs: 0, inferMs: ms, outputMs: 0, outputBindings: undefined, overflow: undefined } as const
      })
    }), clock))
    assert.deepStrictEqual(samples.map(({ batch }) => batch), [1, 2, 4, 8])
    for (const { batch, durationsMs } of samples) {
      assert.isAtLeast(durationsMs.length, 3000)
      assert.strictEqual(tail([...durationsMs].sort((a, b) => a - b)), 0.05, `batch ${batch}`)
    }
    assert.isAtMost(nowMs, 3010)
  })
})
