import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { Gpu } from "../../src/core/Gpu.js"
import { Executor } from "../../src/core/Executor.js"
import { GletOpenFailed, ModelLoadFailed } from "../../src/core/ExecutorError.js"
import { unsafeGletId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { ModelProfile, Profile } from "../../src/core/Profile.js"
import type { MeasuredCoRun } from "../../src/core/Profiler.js"
import { Profiler } from "../../src/core/Profiler.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import { makeHeapArena } from "../../src/core/TensorArena.js"
import * as Emulated from "../../src/node-cuda/Emulated.js"
import { makeSampleRequests } from "../../src/core/internal/sampleInputs.js"
import type { ProfilerOptions } from "../../src/core/ProfilerLive.js"
import * as ProfilerLive from "../../src/core/ProfilerLive.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { lenetModel } from "../contract/lenet.js"

/** A model whose every execution of a size takes the same time, so that measured and true latency can be compared. */
const steady = (name: string, latencies: ReadonlyArray<readonly [sharePct: number, batch: number, ms: number]>): ModelProfile => ({
  model: unsafeModelName(name),
  memoryBytes: 5e8,
  loadMs: 2,
  points: latencies.map(([sharePct, batch, ms]) => ({ sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms, count: 10 })) as never
})
const replayed = (...models: ReadonlyArray<ModelProfile>): Profile => ({
  apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "tiny", isolation: "mps", units: 10, models
})
const layerOf = (profile: Profile, options: ProfilerOptions = {}, emulated: Partial<Emulated.EmulatedOptions> = {}, shares: Gpu["sharesPct"] = [50, 100]) =>
  ProfilerLive.layer(options).pipe(
    Layer.provideMerge(Emulated.layer({ profiles: [profile], ...emulated })),
    Layer.provideMerge(Emulated.layerInventory(profile, { count: 1, sharesPct: shares as never }))
  )
const gpuOf = (profile: Profile, shares: Gpu["sharesPct"] = [50, 100]): Gpu =>
  Emulated.emulatedGpus(profile, { count: 1, sharesPct: shares as never })[0]!
const named = (name: string, maxBatch: number): Model => ({ ...lenetModel, name: unsafeModelName(name), maxBatch })
const measure = (profile: Profile, model: Model, budgetMs: number, more: { readonly sharesPct?: ReadonlyArray<number>; readonly sha256?: string } = {}) =>
  Effect.flatMap(Profiler, (profiler) => profiler.profile({ model, gpu: gpuOf(profile), budgetMs, ...more }))
const sizes = (profile: ModelProfile, sharePct: number) => profile.points.filter((point) => point.sharePct === sharePct).map((point) => point.batch)

describe("Profiler", () => {
  const linear = replayed(steady("linear", [[50, 1, 0.4], [50, 8, 1.1], [100, 1, 0.3], [100, 8, 0.65]]))

  it.live("finds the latencies, of every share and doubled batch", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [number, number]> = []
      const found = yield* Effect.flatMap(Profiler, (profiler) => profiler.profile({
        model: named("linear", 8), gpu: gpuOf(linear), budgetMs: 600, sha256: "abc",
        onProgress: (done, total) => seen.push([done, total])
      }))
      assert.strictEqual(found.model as string, "linear")
      assert.strictEqual(found.sha256, "abc")
      assert.strictEqual(found.maxBatch, 8)
      assert.strictEqual(found.memoryBytes, 5e8)
      assert.strictEqual(found.loadMs, 2)
      assert.isUndefined(found.workloadType)
      for (const sharePct of [50, 100]) {
        assert.deepStrictEqual(sizes(found, sharePct), [1, 2, 4, 8])
        for (const point of found.points.filter((point) => point.sharePct === sharePct)) {
          const expected = sharePct === 50 ? 0.3 + 0.1 * point.batch : 0.25 + 0.05 * point.batch
          for (const ms of [point.meanMs, point.p50Ms, point.p90Ms, point.p99Ms]) assert.closeTo(ms, expected, 1e-6)
          assert.isAtLeast(point.count, 3)
        }
      }
      assert.deepStrictEqual(seen.map(([done]) => done), found.points.map((_, i) => i + 1))
      assert.deepStrictEqual(seen.at(-1), [8, 8])
    }).pipe(Effect.provide(layerOf(linear))))

  it.live("tells on the largest share what batches take that follow each other, where copies have engines of their own", () => {
    const copying: ModelProfile = {
      ...steady("copying", [[50, 1, 1], [50, 4, 2], [100, 1, 0.6], [100, 4, 1.2]]),
      points: [[50, 1, 1, 0.1], [50, 4, 2, 0.4], [100, 1, 0.6, 0.1], [100, 4, 1.2, 0.4]].map(([sharePct, batch, ms, copyMs]) =>
        ({ sharePct: sharePct!, batch: batch!, meanMs: ms!, p50Ms: ms!, p90Ms: ms!, p99Ms: ms!, count: 10, followedMs: ms! - copyMs! })) as never
    }
    const profile = replayed(copying)
    const found = (isolation: Gpu["isolation"]) =>
      Effect.flatMap(Profiler, (profiler) => profiler.profile({ model: named("copying", 4), gpu: { ...gpuOf(profile), isolation }, budgetMs: 200 }))
    return Effect.gen(function*() {
      const { points } = yield* found("mps")
      for (const { batch, followedMs, p50Ms, sharePct } of points) {
        const at = copying.points.find((point) => point.batch === batch && point.sharePct === sharePct)
        if (at !== undefined) assert.closeTo(p50Ms, at.p50Ms, 1e-6)
        if (sharePct === 50) assert.isUndefined(followedMs)
        else if (at !== undefined) assert.closeTo(followedMs!, at.followedMs!, 0.02)
      }
      assert.isTrue((yield* found("threads")).points.every(({ followedMs }) => followedMs === undefined))
    }).pipe(Effect.provide(layerOf(profile)))
  })

  it.live("measures the whole of a device that is shared by turns, and divides for the other shares", () => {
    const layer = ProfilerLive.layer().pipe(Layer.provide(Layer.map(
      Layer.provide(Emulated.layer({ profiles: [linear] }), Emulated.layerInventory(linear, { count: 1, sharesPct: [50, 100] })),
      (context) => Context.make(Executor, { ...Context.get(context, Executor), open: (spec) => Effect.tap(Context.get(context, Executor).open(spec), () => Effect.sync(() => opened.push(spec.sharePct))) })
    )))
    const opened: Array<number> = []
    const gpu: Gpu = { ...gpuOf(linear), isolation: "duty", sharesPct: [25, 50, 100] }
    return Effect.gen(function*() {
      const profiler = yield* Profiler
      const found = yield* profiler.profile({ model: named("linear", 4), gpu, budgetMs: 200 })
      assert.deepStrictEqual(opened, [100])
      for (const sharePct of [25, 50, 100]) {
        assert.deepStrictEqual(sizes(found, sharePct), [1, 2, 4])
        for (const { batch, meanMs, p99Ms } of found.points.filter((point) => point.sharePct === sharePct)) {
          for (const ms of [meanMs, p99Ms]) assert.closeTo(ms, (0.25 + 0.05 * batch) * 100 / sharePct, 1e-6)
        }
      }
      yield* profiler.profile({ model: named("linear", 4), gpu, budgetMs: 50, sharesPct: [50] })
      assert.deepStrictEqual(opened, [100, 50], "what is asked for is measured")
    }).pipe(Effect.provide(layer))
  })

  const counted = (profile: Profile, failsBeside: boolean) => {
    /** `running`: glets that run something. */
    const state = { open: 0, mostOpen: 0, running: 0, mostRunning: 0, loads: 0 }
    const batches = new Map<string, number>()
    // Of a device of ten gigabytes, each load takes one; what a load sees go is what all take that load beside it.
    const gigabyte = 2 ** 30
    const layer = ProfilerLive.layer().pipe(Layer.provide(Layer.map(
      Layer.provide(Emulated.layer({ profiles: [profile] }), Emulated.layerInventory(profile, { count: 1, sharesPct: [25, 50, 100] })),
      (context) => {
        const executor = Context.get(context, Executor)
        const open: typeof executor.open = (spec) =>
          Effect.acquireRelease(Effect.sync(() => {
            state.open += 1
            state.mostOpen = Math.max(state.mostOpen, state.open)
          }), () => Effect.sync(() => { state.open -= 1 })).pipe(
            Effect.zipRight(executor.open(spec)),
            Effect.map((handle) => ({
              ...handle,
              load: (model, warm) =>
                Effect.suspend(() => {
                  state.loads += 1
                  assert.strictEqual(state.running, 0, "loads while another share is measured")
                  return failsBeside && state.open > 1
                    ? Effect.fail(new ModelLoadFailed({ model: model.name, glet: spec.id, reason: "no-memory", detail: "no room beside others" }))
                    : Effect.map(Effect.zipLeft(handle.load(model, warm), Effect.yieldNow()), (report) => ({ ...report, memoryBytes: state.loads * gigabyte }))
                }),
              stats: Effect.map(handle.stats, (stats) => ({ ...stats, freeDeviceBytes: (10 - state.loads) * gigabyte })),
              start: (batch, onEnd) => {
                const change = (by: number) => {
                  batches.set(spec.id, (batches.get(spec.id) ?? 0) + by)
                  state.running = [...batches.values()].filter((count) => count > 0).length
                  state.mostRunning = Math.max(state.mostRunning, state.running)
                }
                change(1)
                handle.start(batch, (end) => {
                  change(-1)
                  onEnd(end)
                })
              }
            }))
          )
        return Context.make(Executor, { ...executor, open })
      }
    )))
    return { layer, state }
  }
  const three = replayed(steady("three", [[25, 1, 0.6], [25, 4, 1.2], [50, 1, 0.4], [50, 4, 0.8], [100, 1, 0.3], [100, 4, 0.5]]))

  const underCaps = Effect.flatMap(Profiler, (profiler) => profiler.profile({
    model: named("three", 4), gpu: { ...gpuOf(three), isolation: "mps" }, budgetMs: 150, sharesPct: [25, 50, 100]
  }))

  it.live("loads all shares at once where caps allow it, and measures one after the other", () => {
    const { layer, state } = counted(three, false)
    return Effect.gen(function*() {
      const found = yield* underCaps
      assert.deepStrictEqual([25, 50, 100].map((sharePct) => sizes(found, sharePct)), [[1, 2, 4], [1, 2, 4], [1, 2, 4]])
      assert.deepStrictEqual(state, { open: 0, mostOpen: 3, running: 0, mostRunning: 1, loads: 3 })
      assert.strictEqual(found.memoryBytes, 2 ** 30)
    }).pipe(Effect.provide(layer))
  })

  it.live("loads one share after the other where there is no room for all, or they are not caps", () => {
    const cramped = counted(three, true)
    const cores = counted(three, false)
    return Effect.gen(function*() {
      const found = yield* Effect.provide(underCaps, cramped.layer)
      assert.deepStrictEqual([25, 50, 100].map((sharePct) => sizes(found, sharePct)), [[1, 2, 4], [1, 2, 4], [1, 2, 4]])
      assert.strictEqual(cramped.state.open, 0)
      assert.strictEqual(cramped.state.mostRunning, 1)
      yield* Effect.flatMap(Profiler, (profiler) => profiler.profile({
        model: named("three", 4), gpu: { ...gpuOf(three), isolation: "threads" }, budgetMs: 60, sharesPct: [25, 50, 100], beside: "nothing"
      })).pipe(Effect.provide(cores.layer))
      assert.strictEqual(cores.state.mostOpen, 1)
    })
  })

  it.live("measures the batches asked for, beside another model that runs in batches of its own", () =>
    Effect.gen(function*() {
      const both = replayed(steady("one", [[50, 1, 0.4], [50, 8, 1.1]]), steady("two", [[50, 1, 0.5], [50, 4, 0.9]]))
      const ran: Array<string> = []
      const measured = yield* Effect.flatMap(Profiler, (profiler) => profiler.profile({
        model: named("one", 8), gpu: gpuOf(both), budgetMs: 200, sharesPct: [50], batches: [8], beside: { model: named("two", 4), batch: 4 }
      })).pipe(
        Effect.provide(ProfilerLive.layer().pipe(Layer.provide(Layer.map(
          Layer.provide(Emulated.layer({ profiles: [both] }), Emulated.layerInventory(both, { count: 1, sharesPct: [50, 100] })),
          (context) => {
            const executor = Context.get(context, Executor)
            return Context.make(Executor, {
              ...executor,
              open: (spec) => Effect.map(executor.open(spec), (handle) => ({
                ...handle,
                start: (batch, onEnd) => {
                  ran.push(`${batch.model.name} ${batch.items}`)
                  handle.start(batch, onEnd)
                }
              }))
            })
          }
        ))))
      )
      assert.deepStrictEqual(sizes(measured, 50), [8])
      assert.deepStrictEqual([...new Set(ran)].sort(), ["one 8", "two 4"])
      // A batch of it takes less than one of the other: where it runs all the time, it runs as often.
      const count = (what: string) => ran.filter((one) => one === what).length
      assert.isAtLeast(count("two 4"), count("one 8") / 2, "all the time")
    }))

  it.live("looks closer where the curve bends", () => {
    const bent = replayed(steady("bent", [[50, 1, 0.3], [50, 16, 0.3], [50, 17, 1.5], [50, 64, 2], [100, 1, 0.3]]))
    return Effect.gen(function*() {
      const found = sizes(yield* measure(bent, named("bent", 64), 800, { sharesPct: [50] }), 50)
      assert.includeMembers(found, [1, 2, 4, 8, 16, 32, 64])
      assert.isAbove(found.filter((batch) => batch > 16 && batch < 32).length, 0, `no size between 16 and 32 among ${found.join(", ")}`)
      assert.isAtMost(found.length, 10)
    }).pipe(Effect.provide(layerOf(bent)))
  })

  it.live("stops where the time runs out, but measures the smallest batch", () => {
    const slow = replayed(steady("slow", [[50, 1, 12], [50, 16, 190], [100, 1, 12], [100, 16, 190]]))
    return Effect.gen(function*() {
      const found = yield* measure(slow, named("slow", 16), 20)
      assert.deepStrictEqual(sizes(found, 50), [1])
      assert.deepStrictEqual(sizes(found, 100), [1])
    }).pipe(Effect.provide(layerOf(slow)))
  })

  it.live("keeps what it has where a larger batch cannot be run", () => {
    const small = replayed(steady("small", [[50, 1, 0.3], [50, 4, 0.5], [100, 1, 0.2], [100, 4, 0.3]]))
    return Effect.gen(function*() {
      assert.deepStrictEqual(sizes(yield* measure(small, named("small", 32), 300, { sharesPct: [100] }), 100), [1, 2, 4])
    }).pipe(Effect.provide(layerOf(small)))
  })

  it.live("fails where not even the smallest batch runs, or the model does not load", () => {
    const whole = replayed(steady("whole", [[100, 1, 0.3]]))
    return Effect.gen(function*() {
      const reason = (model: Model) =>
        Effect.map(Effect.either(measure(whole, model, 50)), (result) =>
          Either.isLeft(result) && result.left._tag === "ModelLoadFailed" ? result.left.reason : "no failure of loading")
      assert.strictEqual(yield* reason(named("whole", 1)), "warm-up-failed")
      assert.strictEqual(yield* reason(named("nobody", 1)), "unsupported")
    }).pipe(Effect.provide(layerOf(whole)))
  })

  it.live("fails where the glet dies, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { arena } = yield* Executor
      const control = yield* Emulated.EmulatedControl
      const fiber = yield* Effect.fork(Effect.flip(measure(linear, named("linear", 8), 5000)))
      const kill = Effect.delay(control.kill(unsafeGletId("tiny:0/profile-0")), 20)
      yield* Effect.repeat(kill, { until: (killed) => killed })
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "GletExited")
      assert.strictEqual(arena.usedBytes(), 0)
    }).pipe(Effect.provide(layerOf(linear))))

  it.live("can be interrupted, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { arena } = yield* Executor
      const fiber = yield* Effect.fork(measure(linear, named("linear", 8), 5000))
      while (arena.usedBytes() === 0) yield* Effect.sleep(20)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(arena.usedBytes(), 0)
    }).pipe(Effect.provide(layerOf(linear))))

  it.live("measures beside a busy neighbour, where there is room for one", () => {
    const interference = new Map([["tiny", { memory: 0, compute: 0, presence: 2 }]])
    const medians = (busyNeighbour: boolean) =>
      Effect.gen(function*() {
        const { points } = yield* measure(linear, named("linear", 1), 60)
        return points.map((point) => point.p50Ms)
      }).pipe(Effect.provide(layerOf(linear, { busyNeighbour }, { latency: { interference } })))
    return Effect.gen(function*() {
      const [alone50, alone100] = yield* medians(false)
      const [busy50, busy100] = yield* medians(true)
      assert.closeTo(alone50!, 0.4, 1e-6)
      assert.closeTo(busy50!, 0.8, 1e-6)
      assert.closeTo(alone100!, 0.3, 1e-6)
      assert.closeTo(busy100!, 0.3, 1e-6)
    })
  })

  it.live("measures a few shares of a fine grid, the ends among them", () => {
    const shares = Array.from({ length: 50 }, (_, i) => 2 * i + 2) as unknown as Gpu["sharesPct"]
    const fine = replayed(steady("fine", [[2, 1, 0.2], [100, 1, 0.1]]))
    return Effect.gen(function*() {
      const profiler = yield* Profiler
      const { points } = yield* profiler.profile({ model: named("fine", 1), gpu: gpuOf(fine, shares), budgetMs: 30 })
      const measured = points.map((point) => point.sharePct)
      assert.isAtMost(measured.length, 6)
      assert.strictEqual(measured[0], 2)
      assert.strictEqual(measured.at(-1), 100)
    }).pipe(Effect.provide(layerOf(fine, {}, {}, shares)))
  })
})

describe("co-runs", () => {
  const presence = 2
  const latency = { interference: new Map([["tiny", { memory: 0, compute: 0, presence }]]) }
  const [one, other] = [steady("one", [[25, 8, 0.8], [50, 8, 0.4], [100, 8, 0.3]]), steady("other", [[25, 8, 2], [50, 8, 1], [100, 8, 0.6]])]
  const profile = replayed(one, other)
  const models = [named("one", 8), named("other", 8)]
  const at = (model: string, sharePct: number) => ({ model: unsafeModelName(model), batch: 8, sharePct })
  const groups = [[at("one", 50), at("other", 50)], [at("one", 50), at("one", 50)], [at("other", 25), at("one", 50), at("one", 25)]]
  const watched = (opened: Array<number>, atOnce: number) =>
    ProfilerLive.layer().pipe(Layer.provideMerge(Layer.map(
      Layer.provide(Emulated.layer({ profiles: [profile], latency }), Emulated.layerInventory(profile, { count: 1, sharesPct: [25, 50, 100] })),
      (context) => {
        const executor = Context.get(context, Executor)
        let open = 0
        return Context.make(Executor, {
          ...executor,
          open: (spec) =>
            Effect.acquireRelease(Effect.suspend(() => ++open > atOnce ? Effect.fail(new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason: "no-memory", detail: "full" })) : Effect.void), () => Effect.sync(() => { open -= 1 })).pipe(
              Effect.tapError(() => Effect.sync(() => { open -= 1 })),
              Effect.zipRight(executor.open(spec)), Effect.tap(() => Effect.sync(() => opened.push(spec.sharePct)))
            )
        })
      }
    )))
  const measureOn = (isolation: Gpu["isolation"], atOnce = 100) => {
    const opened: Array<number> = []
    return Effect.gen(function*() {
      const { arena } = yield* Executor
      const seen: Array<number> = []
      const gpu: Gpu = { ...gpuOf(profile, [25, 50, 100]), isolation }
      const profiler = yield* Profiler
      const found = yield* profiler.coRuns({ gpu, models, groups, forMs: 30, onMeasured: (done, total) => Effect.sync(() => { seen.push(done, total) }) })
      assert.strictEqual(arena.usedBytes(), 0)
      return { found, opened, seen }
    }).pipe(Effect.provide(watched(opened, atOnce)))
  }
  // A neighbour on half of the GPU costs half of the presence.
  const expected = [["one", 1 + presence * 0.5], ["other", 1 + presence * 0.5], ["one", 1 + presence * 0.5], ["one", 1 + presence * 0.5], ["other", 1 + presence * 0.75], ["one", 1 + presence * 0.5], ["one", 1 + presence * 0.75]] as const
  const check = (found: ReadonlyArray<MeasuredCoRun>) => {
    assert.deepStrictEqual(found.map(({ model }) => model as string), expected.map(([model]) => model))
    found.forEach(({ coRun }, i) => {
      assert.closeTo(coRun.slowdown, expected[i]![1], 0.05)
      assert.isAtLeast(coRun.count, 8)
    })
    assert.deepStrictEqual(found[4]!.coRun.neighbours, [at("one", 50), at("one", 25)])
  }

  it.live("are found with all glets open at once where caps allow it, each loaded once", () =>
    Effect.gen(function*() {
      const { found, opened, seen } = yield* measureOn("mps")
      check(found)
      assert.deepStrictEqual([...opened].sort((a, b) => a - b), [25, 25, 50, 50, 50])
      assert.deepStrictEqual(seen, [1, 3, 2, 3, 3, 3])
    }))

  it.live("are found group by group elsewhere, and where all do not fit", () =>
    Effect.gen(function*() {
      const { found, opened } = yield* measureOn("emulated")
      check(found)
      assert.strictEqual(opened.length, 7)
      check((yield* measureOn("mps", 3)).found)
    }))

  it.live("fail where a batch cannot be run", () =>
    Effect.gen(function*() {
      const profiler = yield* Profiler
      const failed = yield* Effect.flip(profiler.coRuns({
        gpu: gpuOf(profile, [25, 50, 100]), models, groups: [[at("one", 50), { ...at("other", 50), batch: 9 }]], forMs: 20
      }))
      assert.strictEqual(failed._tag, "ModelLoadFailed")
    }).pipe(Effect.provide(layerOf(profile, {}, {}, [25, 50, 100]))))
})

describe("sample inputs", () => {
  const layout = makeSlotLayout({
    inputs: [
      { name: "ids", datatype: "INT64", shape: ["batch", "sequence"] },
      { name: "mask", datatype: "BOOL", shape: ["batch", "sequence"] },
      { name: "half", datatype: "FP16", shape: ["batch", 5] },
      { name: "brain", datatype: "BF16", shape: ["batch", 5] },
      { name: "double", datatype: "FP64", shape: ["batch", 5] },
      { name: "byte", datatype: "INT8", shape: ["batch", 5] }
    ],
    outputs: [{ name: "out", datatype: "FP32", shape: ["batch", "sequence"] }],
    batchSymbol: "batch"
  })
  const options = { sizeOf: () => 9, maxInteger: 3, random: makeRandom(1) }

  it("are valid elements of their types", () => {
    const samples = makeSampleRequests(makeHeapArena(1e6), layout, 4, 1, options)!
    for (const { bindings, items, slot } of samples.entries(4)) {
      assert.deepStrictEqual([...bindings], [9])
      assert.strictEqual(items, 1)
      const { inputBytes, inputOffsets } = layout.placement(1, bindings)
      const bytes = inputOffsets.map((offset, i) => slot.bytes.slice(offset, offset + inputBytes[i]!))
      assert.strictEqual(new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, 1)[0], 9)
      assert.isTrue(new BigInt64Array(bytes[0]!.buffer).every((value) => value >= 0n && value <= 3n))
      assert.isTrue(bytes[1]!.every((value) => value <= 1))
      assert.isTrue(new Uint16Array(bytes[2]!.buffer).every((value) => value >> 10 === 14))
      assert.isTrue(new Uint16Array(bytes[3]!.buffer).every((value) => value >> 7 === 126))
      assert.isTrue(new Float64Array(bytes[4]!.buffer).every((value) => value >= 0 && value < 1))
      assert.isTrue(bytes[5]!.every((value) => value <= 3))
    }
  })

  it("take no more than their part of the arena", () => {
    const bytes = layout.placement(1, [9]).totalBytes
    const arena = makeHeapArena(16 * bytes)
    const samples = makeSampleRequests(arena, layout, 8, 1 / 8, options)!
    assert.strictEqual(arena.usedBytes(), 2 * bytes)
    assert.strictEqual(samples.entries(8).length, 8)
    samples.release()
    assert.strictEqual(arena.usedBytes(), 0)
    assert.isUndefined(makeSampleRequests(makeHeapArena(bytes - 1), layout, 8, 1, options))
  })
})
