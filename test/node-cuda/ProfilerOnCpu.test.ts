import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor } from "../../src/core/Executor.js"
import { Profiler } from "../../src/core/Profiler.js"
import * as ProfilerLive from "../../src/core/ProfilerLive.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import { lenetModel } from "../contract/lenet.js"

describe("Profiler, on the CPU", () => {
  it.live("measures a real model on every share, and closes what it opened", () =>
    Effect.gen(function*() {
      const profiler = yield* Profiler
      const { arena } = yield* Executor
      const gpu = cpuGpu({ cores: 2 })
      const found = yield* profiler.profile({ model: { ...lenetModel, maxBatch: 4 }, gpu, budgetMs: 1000 })
      for (const sharePct of [50, 100]) {
        assert.includeMembers(found.points.filter((point) => point.sharePct === sharePct).map((point) => point.batch), [1, 2, 4])
      }
      assert.isTrue(found.points.every((point) => point.count >= 3 && point.p50Ms > 0 && point.p50Ms <= point.p99Ms))
      assert.isAtLeast(found.memoryBytes, lenetModel.weightBytes)
      assert.isAbove(found.loadMs, 0)
      assert.strictEqual(arena.usedBytes(), 0)
    }).pipe(Effect.provide(ProfilerLive.layer().pipe(Layer.provideMerge(CpuExecutor.layer())))))
})
