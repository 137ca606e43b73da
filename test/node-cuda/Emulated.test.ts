import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { Gpu } from "../../src/core/Gpu.js"
import { GpuInventory } from "../../src/core/Gpu.js"
import type { Batch, BatchEnd, GletHandle } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { ModelProfile, Profile } from "../../src/core/Profile.js"
import type { EmulatedOptions } from "../../src/node-cuda/Emulated.js"
import * as Emulated from "../../src/node-cuda/Emulated.js"
import type { ContractModel } from "../contract/Executor.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetModel } from "../contract/lenet.js"
import { prepare } from "../contract/requests.js"

const point = (sharePct: number, batch: number, p50Ms: number) => ({
  sharePct, batch, p50Ms, meanMs: p50Ms * 1.02, p90Ms: p50Ms * 1.1, p99Ms: p50Ms * 1.5, count: 100
})
const modelProfile = (name: string, scale: number): ModelProfile => ({
  model: unsafeModelName(name),
  memoryBytes: 1e9,
  loadMs: 5,
  points: [point(50, 1, scale), point(50, 16, 4 * scale), point(100, 1, 0.6 * scale), point(100, 16, 2.4 * scale)]
})
const profile: Profile = {
  apiVersion: "glet/v1alpha1",
  kind: "Profile",
  gpuType: "tiny",
  isolation: "mps",
  units: 10,
  models: [modelProfile("lenet", 0.5), modelProfile("symbols", 0.5), modelProfile("single", 1)]
}

const zeros = (outputs: ReadonlyArray<Uint8Array>): void => {
  for (const output of outputs) assert.isTrue(output.every((byte) => byte === 0), "outputs are zeros")
}
const symbols: Model = {
  ...lenetModel,
  name: unsafeModelName("symbols"),
  signature: {
    inputs: [{ name: "ids", datatype: "INT64", shape: ["batch", "sequence"] }],
    outputs: [
      { name: "states", datatype: "FP32", shape: ["batch", "sequence", 4] },
      { name: "found", datatype: "INT64", shape: ["batch", "count"] }
    ],
    batchSymbol: "batch"
  }
}
const { batchSymbol: _batch, ...unbatched } = lenetModel.signature
const models: readonly [ContractModel, ...ReadonlyArray<ContractModel>] = [
  { model: lenetModel, fill: lenet.fill!, check: (_, outputs) => zeros(outputs) },
  {
    model: symbols,
    bindings: [7],
    fill: ({ inputs }) => inputs[0]!.fill(1),
    check: ({ items }, outputs, bindings) => {
      assert.strictEqual(outputs[0]!.length, items * 7 * 4 * 4)
      assert.deepStrictEqual(bindings, [0])
      zeros(outputs)
    }
  },
  { model: { ...lenetModel, name: unsafeModelName("single"), signature: unbatched, maxBatch: 1 } }
]
const unknownModel: Model = { ...lenetModel, name: unsafeModelName("nobody") }

const emulated = (options: Partial<EmulatedOptions> = {}, count = 1) =>
  Layer.provideMerge(Emulated.layer({ profiles: [profile], ...options }), Emulated.layerInventory(profile, { count }))
const [gpu] = Emulated.emulatedGpus(profile, { count: 1 }) as [Gpu]

executorContract("emulated", emulated(), {
  gpu,
  models,
  badModel: unknownModel,
  kill: (handle) => Effect.flatMap(Emulated.EmulatedControl, (control) => Effect.asVoid(control.kill(handle.spec.id)))
})

const givingWay = { profiles: [profile], preemptMs: 0.5 }
const [givingGpu] = Emulated.emulatedGpus(profile, { count: 1, ...givingWay }) as [Gpu]
executorContract("emulated, giving way", Layer.provideMerge(Emulated.layer(givingWay), Emulated.layerInventory(profile, { count: 1, preemptMs: 0.5 })), {
  gpu: givingGpu, models, badModel: unknownModel, givesWay: true,
  kill: (handle) => Effect.flatMap(Emulated.EmulatedControl, (control) => Effect.asVoid(control.kill(handle.spec.id)))
})

const open = (id: string, sharePct = 50, on: Gpu = gpu) =>
  Effect.flatMap(Executor, (executor) => executor.open({ id: unsafeGletId(id), gpu: on, sharePct, priority: 0 }))
const batch = (items: number) =>
  Effect.map(Executor, ({ arena }): Batch => {
    const { entry } = prepare(arena, models[0], items, 0)
    return { model: lenetModel, entries: [entry], items }
  })
const durations = (handle: GletHandle, count: number, items = 1) =>
  Effect.gen(function*() {
    const one = yield* batch(items)
    const ends: ReadonlyArray<BatchEnd> = yield* Effect.all(Array.from({ length: count }, () => runBatch(handle, one)), { concurrency: "unbounded" })
    return ends.map((end) => {
      assert(end.ok)
      return end.inputMs + end.inferMs + end.outputMs
    })
  })
const quantile = (values: ReadonlyArray<number>, q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(q * values.length)]!

describe("emulatedGpus", () => {
  it("offers what was measured", () => {
    const gpus = Emulated.emulatedGpus(profile, { count: 3, cost: 2 })
    assert.deepStrictEqual(gpus.map(({ id }) => id as string), ["tiny:0", "tiny:1", "tiny:2"])
    assert.deepStrictEqual([...gpus[0]!.sharesPct], [50, 100])
    assert.strictEqual(gpus[0]!.units, 10)
    assert.strictEqual(gpus[0]!.isolation, "emulated")
  })
  it.effect("are an inventory", () =>
    Effect.gen(function*() {
      const inventory = yield* GpuInventory
      assert.strictEqual(inventory.gpus.length, 2)
      assert.deepStrictEqual(yield* inventory.telemetry, [])
    }).pipe(Effect.provide(Emulated.layerInventory(profile, { count: 2 }))))
})

describe("Emulated", () => {
  it.scopedLive("has the percentiles of the profile", () =>
    Effect.gen(function*() {
      const handle = yield* open("tiny:0/a")
      yield* handle.load(lenetModel, [1])
      const values = yield* durations(handle, 1500)
      // Three standard errors of the median and of the 99th percentile at this count.
      assert.closeTo(quantile(values, 0.5), 0.5, 0.02)
      assert.closeTo(quantile(values, 0.9), 0.55, 0.03)
      assert.closeTo(quantile(values, 0.99), 0.75, 0.07)
      assert.closeTo(values.reduce((sum, ms) => sum + ms, 0) / values.length, 0.51, 0.02)
      const stats = yield* handle.stats
      assert.strictEqual(stats.batches, 1500)
      assert.closeTo(stats.busyMs, values.reduce((sum, ms) => sum + ms, 0), 1e-6)
    }).pipe(Effect.provide(emulated())))

  it.scopedLive("takes as long as it says", () =>
    Effect.gen(function*() {
      const handle = yield* open("tiny:0/a")
      yield* handle.load(lenetModel, [])
      const one = yield* batch(16)
      const started = performance.now()
      const ends = yield* Effect.all(Array.from({ length: 40 }, () => runBatch(handle, one)), { concurrency: "unbounded" })
      const elapsed = performance.now() - started
      const asked = ends.reduce((sum, end) => sum + (end.ok ? end.inferMs + end.outputMs : 0), 0)
      assert.isAbove(asked, 60)
      // Never early; how late is the machine's affair (bench/emulated.ts).
      assert.isAtLeast(elapsed, asked - 1e-6)
    }).pipe(Effect.provide(emulated())))

  it.scopedLive("repeats with its seed", () =>
    Effect.gen(function*() {
      const sequence = (seed: number, id: string) =>
        Effect.gen(function*() {
          const handle = yield* open(id)
          yield* handle.load(lenetModel, [])
          return (yield* durations(handle, 20)).map((ms) => Math.round(ms * 1e6))
        }).pipe(Effect.scoped, Effect.provide(emulated({ seed })))
      const first = yield* sequence(7, "tiny:0/a")
      assert.deepStrictEqual(yield* sequence(7, "tiny:0/a"), first)
      assert.notDeepEqual(yield* sequence(8, "tiny:0/a"), first)
      assert.notDeepEqual(yield* sequence(7, "tiny:0/b"), first)
    }))

  it.scopedLive("is faster with more share and slower with larger batches", () =>
    Effect.gen(function*() {
      const medianOf = (id: string, share: number, items: number) =>
        Effect.gen(function*() {
          const handle = yield* open(id, share)
          yield* handle.load(lenetModel, [])
          return quantile(yield* durations(handle, 41, items), 0.5)
        })
      const half = yield* medianOf("tiny:0/a", 50, 1)
      assert.isBelow(yield* medianOf("tiny:0/b", 100, 1), half)
      assert.isAbove(yield* medianOf("tiny:0/c", 50, 16), 2 * half)
    }).pipe(Effect.provide(emulated())))

  it.scopedLive("is slowed down by neighbours, where that is asked for", () =>
    Effect.gen(function*() {
      const interference = new Map([["tiny", { memory: 0, compute: 0, presence: 2 }]])
      const pair = Effect.gen(function*() {
        const one = yield* open("tiny:0/a")
        const other = yield* open("tiny:0/b")
        yield* one.load(lenetModel, [])
        yield* other.load(lenetModel, [])
        const alone = quantile(yield* durations(one, 31), 0.5)
        const [beside] = yield* Effect.all([durations(one, 31), durations(other, 31)], { concurrency: 2 })
        return quantile(beside, 0.5) / alone
      })
      assert.isBelow(yield* pair.pipe(Effect.scoped, Effect.provide(emulated())), 1.3)
      assert.isAbove(yield* pair.pipe(Effect.scoped, Effect.provide(emulated({ latency: { interference } }))), 1.7)
    }))

  it.scopedLive("fails a batch the profile knows nothing of", () =>
    Effect.gen(function*() {
      const handle = yield* open("tiny:0/a")
      yield* handle.load(lenetModel, [])
      const end = yield* runBatch(handle, yield* batch(17))
      assert(!end.ok && end.error._tag === "BatchFailed")
      assert.include(end.error.detail, "batch 17 at 50 %")
    }).pipe(Effect.provide(emulated())))

  it.scopedLive("refuses glets it cannot have", () =>
    Effect.gen(function*() {
      const reason = (effect: ReturnType<typeof open>) =>
        Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left.reason : "opened")
      assert.strictEqual(yield* reason(open("tiny:0/a", 30)), "share-unsupported")
      assert.strictEqual(yield* reason(open("tiny:0/a", 50, { ...gpu, id: unsafeGpuId("tiny:9") })), "device-missing")
      assert.strictEqual(yield* reason(open("tiny:0/a")), "opened")
      assert.strictEqual(yield* reason(open("tiny:0/a")), "spawn-failed")
    }).pipe(Effect.provide(emulated())))

  it.scopedLive("has no more memory than the GPU, and gets it back", () =>
    Effect.gen(function*() {
      const control = yield* Emulated.EmulatedControl
      const loads = (handle: GletHandle, version: number) =>
        Effect.map(Effect.either(handle.load({ ...lenetModel, version }, [])), (result) =>
          Either.isRight(result) ? "loaded" : result.left._tag === "ModelLoadFailed" ? result.left.reason : "exited")
      const handle = yield* open("tiny:0/a")
      assert.strictEqual(yield* loads(handle, 1), "loaded")
      assert.strictEqual(yield* loads(handle, 2), "loaded")
      assert.strictEqual(yield* loads(handle, 3), "no-memory")
      yield* handle.unload({ ...lenetModel, version: 1 })
      assert.strictEqual(yield* loads(handle, 3), "loaded")
      assert.isTrue(yield* control.kill(handle.spec.id))
      assert.isFalse(yield* control.kill(handle.spec.id))
      const next = yield* open("tiny:0/b")
      assert.strictEqual(yield* loads(next, 1), "loaded")
      assert.strictEqual(yield* loads(next, 2), "loaded")
      assert.strictEqual(yield* loads(next, 3), "no-memory")
    }).pipe(Effect.provide(
      Layer.provideMerge(Emulated.layer({ profiles: [profile] }), Emulated.layerInventory(profile, { count: 1, memoryBytes: 2.5e9 }))
    )))
})
