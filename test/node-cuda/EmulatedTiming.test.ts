import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FC from "effect/FastCheck"
import type { Execution } from "../../src/core/LatencyModel.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import { makeDeviceMemory } from "../../src/node-cuda/internal/deviceMemory.js"
import { distributionOf, quantileMs } from "../../src/scheduler/LatencyDistribution.js"
import { makePreciseTimer } from "../../src/node-cuda/internal/preciseTimer.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"

describe("preciseTimer", () => {
  it.live("fires everything once, never early, in order of due time", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      const nowMs = performance.now()
      // Multiplying by 37 modulo 101 shuffles.
      const dues = Array.from({ length: 100 }, (_, i) => nowMs + (((i + 1) * 37) % 101) / 4)
      const fired: Array<number> = []
      yield* Effect.async<void>((resume) => {
        for (const due of dues) {
          timer.at(due, () => {
            assert.isAtLeast(performance.now(), due)
            fired.push(due)
            if (fired.length === dues.length) resume(Effect.void)
          })
        }
        assert.strictEqual(fired.length, 0)
      })
      assert.deepStrictEqual(fired, [...dues].sort((a, b) => a - b))
    }))

  it.live("keeps the order of equal due times, and takes what is due already", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      const due = performance.now() - 1
      const fired: Array<number> = []
      yield* Effect.async<void>((resume) => {
        for (let i = 0; i < 9; i++) timer.at(due, () => fired.push(i))
        timer.at(due + 5, () => resume(Effect.void))
      })
      assert.deepStrictEqual(fired, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    }))

  it.live("wakes earlier for what is added later", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      const nowMs = performance.now()
      const fired: Array<string> = []
      yield* Effect.async<void>((resume) => {
        timer.at(nowMs + 40, () => {
          fired.push("late")
          resume(Effect.void)
        })
        timer.at(nowMs + 4, () => fired.push("early"))
      })
      assert.deepStrictEqual(fired, ["early", "late"])
    }))

  it.live("forgets what is taken back", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      const due = timer.nowMs() + 2
      const fired: Array<number> = []
      const cancels = Array.from({ length: 6 }, (_, i) => timer.at(due + i / 10, () => fired.push(i)))
      for (const i of [0, 3, 5]) cancels[i]!()
      yield* Effect.async<void>((resume) => {
        timer.at(due + 1, () => resume(Effect.void))
      })
      assert.deepStrictEqual(fired, [1, 2, 4])
      cancels[1]!()
    }))

  it.live("forgets all when closed", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      let fired = 0
      for (const inMs of [0, 1, 5]) timer.at(performance.now() + inMs, () => fired++)
      timer.close()
      yield* Effect.sleep(30)
      assert.strictEqual(fired, 0)
    }))

  it.live("goes on where a callback throws", () =>
    Effect.gen(function*() {
      const timer = makePreciseTimer()
      const thrown = new Promise<unknown>((resolve) => {
        const others = process.listeners("uncaughtException")
        process.removeAllListeners("uncaughtException")
        process.once("uncaughtException", (error) => {
          for (const other of others) process.on("uncaughtException", other)
          resolve(error)
        })
      })
      const due = performance.now() + 1
      timer.at(due, () => {
        throw new Error("a bug")
      })
      yield* Effect.async<void>((resume) => {
        timer.at(due, () => resume(Effect.void))
      })
      assert.match(String(yield* Effect.promise(() => thrown)), /a bug/)
    }))
})

describe("LatencyDistribution", () => {
  const execution: Execution = { gpuType: "g", model: unsafeModelName("m"), sharePct: 50, batch: 1 }
  const profileOf = (meanMs: number, p50Ms: number, p90Ms: number, p99Ms: number): ModelProfile => ({
    model: execution.model, memoryBytes: 0, loadMs: 0, points: [{ sharePct: 50, batch: 1, meanMs, p50Ms, p90Ms, p99Ms, count: 9 }]
  })
  const of = (profile: ModelProfile, at: Execution = execution) =>
    distributionOf(ProfileLatencyModel.make(new Map([["g", new Map([[profile.model, profile]])]])), profile, at)
  const percentiles = FC.tuple(
    FC.double({ min: 0.01, max: 100, noNaN: true }),
    FC.double({ min: 1, max: 3, noNaN: true }),
    FC.double({ min: 1, max: 3, noNaN: true })
  ).map(([p50, up90, up99]) => [p50, p50 * up90, p50 * up90 * up99] as const)

  it.prop("has the point's percentiles and grows with the quantile", { percentiles }, ({ percentiles: [p50, p90, p99] }) => {
    const distribution = of(profileOf(p50 * 1.05, p50, p90, p99))!
    for (const [u, ms] of [[0.5, p50], [0.9, p90], [0.99, p99]] as const) assert.closeTo(quantileMs(distribution, u), ms, 1e-9 * p99)
    let before = 0
    for (let u = 0; u < 1; u += 0.01) {
      const ms = quantileMs(distribution, u)
      assert.isAbove(ms, 0)
      assert.isAtLeast(ms, before * (1 - 1e-12))
      before = ms
    }
  })

  it("has the mean, where the percentiles allow it", () => {
    const distribution = of(profileOf(1.03, 1, 1.2, 1.5))!
    const steps = 100_000
    const mean = Array.from({ length: steps }, (_, i) => quantileMs(distribution, (i + 0.5) / steps)).reduce((sum, ms) => sum + ms, 0) / steps
    assert.closeTo(mean, 1.03, 1e-3)
  })

  it("knows nothing of what was not measured", () => {
    assert.isUndefined(of(profileOf(1, 1, 1, 1), { ...execution, batch: 2 }))
    assert.isUndefined(of(profileOf(1, 1, 1, 1), { ...execution, sharePct: 10 }))
  })
})

describe("deviceMemory", () => {
  it("is never held beyond its size, and comes back", () => {
    const holder = makeDeviceMemory(10)
    const [one, other] = [holder(), holder()]
    assert.isTrue(one.hold("a", 6))
    assert.isFalse(other.hold("a", 5))
    assert.isTrue(other.hold("b", 4))
    one.drop("nothing")
    one.drop("a")
    one.drop("a")
    assert.isFalse(other.hold("c", 7))
    assert.isTrue(other.hold("c", 6))
    other.dropAll()
    assert.isTrue(one.hold("a", 10))
  })
})
