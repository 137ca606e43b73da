/**
 * What every `Executor` layer must do. An implementation's test calls `executorContract` with its layer, models it can run and, where it has
 * processes that can die, a way to kill them:
 *
 * ```ts
 * executorContract("cpu, ort-c", CpuExecutor.layer({ engine: "ort-c" }), { gpu, models: [lenet], kill })
 * ```
 * The layer is built once for the suite; every test opens glets of its own.
 */
import { assert, layer as withLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Batch, BatchEnd, GletHandle, GletSpec } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import type { GletExited } from "../../src/core/ExecutorError.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { ContractModel, PreparedRequest } from "./requests.js"
import { prepare, verify } from "./requests.js"

export type { ContractModel, ContractRequest } from "./requests.js"

export interface ExecutorContractOptions<R> {
  readonly gpu: Gpu
  /** Share of every glet opened; two of them must fit. The GPU's smallest by default. */
  readonly sharePct?: number
  /** Whether its batches give way: then one test more has a glet beside it that they give way to. */
  readonly givesWay?: boolean
  /** The first should take well under 20 ms per batch: it is the one used for everything but right outputs. */
  readonly models: readonly [ContractModel, ...ReadonlyArray<ContractModel>]
  /** Versions of one model whose answers differ; where nothing is computed, the first model's. */
  readonly versions?: readonly [ContractModel, ContractModel]
  /** A model that cannot be loaded. */
  readonly badModel: Model
  /** Kills what is behind a glet, at once. */
  readonly kill?: (handle: GletHandle) => Effect.Effect<void, never, R>
}

let glets = 0
/** Bound for all that must not hang. */
const patience = "20 seconds"

/** Runs the suite over a layer. `R` is what `kill` needs besides. */
export const executorContract = <R, E>(
  name: string,
  layer: Layer.Layer<Executor | R, E>,
  options: ExecutorContractOptions<R>
): void => {
  const { badModel, gpu, kill, models } = options
  const first = models[0]
  const versions = options.versions ?? [first, { ...first, model: { ...first.model, version: first.model.version + 1 } }]
  const sharePct = options.sharePct ?? gpu.sharesPct[0]

  const givesWay = options.givesWay === true
  const openThat = (more: Pick<GletSpec, "sharePct" | "givesWay">) => Effect.flatMap(Executor, (executor) =>
    executor.open({ id: unsafeGletId(`${gpu.id}/contract-${glets++}`), gpu, priority: 0, ...more }))
  const open = openThat({ sharePct, ...(givesWay ? { givesWay } : {}) })
  const opened = Effect.tap(open, (handle) => handle.load(first.model, [1, first.model.maxBatch]))

  /** A request whose slot goes back when the test's scope closes. */
  const request = (contract: ContractModel, items: number, seed: number) =>
    Effect.acquireRelease(
      Effect.map(Executor, (executor) => prepare(executor.arena, contract, items, seed)),
      (prepared) => Effect.sync(() => prepared.slot.release())
    )
  const requests = (contract: ContractModel, sizes: ReadonlyArray<number>, seed: number) =>
    Effect.forEach(sizes, (items, i) => request(contract, items, seed + 31 * i))
  const batchOf = (contract: ContractModel, prepared: ReadonlyArray<PreparedRequest>): Batch => ({
    model: contract.model,
    entries: prepared.map((one) => one.entry),
    items: prepared.reduce((sum, one) => sum + one.items, 0)
  })
  const run = (handle: GletHandle, batch: Batch) => runBatch(handle, batch).pipe(Effect.timeoutFail({
    duration: patience,
    onTimeout: () => new Error("a batch never ended")
  }))
  const runAndVerify = (handle: GletHandle, contract: ContractModel, sizes: ReadonlyArray<number>, seed: number) =>
    Effect.gen(function*() {
      const prepared = yield* requests(contract, sizes, seed)
      const end = yield* run(handle, batchOf(contract, prepared))
      prepared.forEach((one, i) => verify(one, end, i))
    })

  /** Starts batches without waiting; records every call of `onEnd`. */
  const startAll = (handle: GletHandle, batches: ReadonlyArray<Batch>) => {
    const ends = batches.map((): Array<BatchEnd> => [])
    let during = 0
    batches.forEach((batch, i) => {
      let returned = false
      handle.start(batch, (end) => {
        if (!returned) during++
        ends[i]!.push(end)
      })
      returned = true
    })
    assert.strictEqual(during, 0, "onEnd was called before start returned")
    return {
      ends,
      /** Completes when every batch has ended, then gives a second call of onEnd time to show. */
      all: Effect.gen(function*() {
        while (ends.some((calls) => calls.length === 0)) yield* Effect.sleep(2)
        yield* Effect.sleep(20)
        assert.isTrue(ends.every((calls) => calls.length === 1), "onEnd was called more than once")
        return ends.map((calls) => calls[0]!)
      }).pipe(Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("a batch never ended") }))
    }
  }
  const assertFails = (end: BatchEnd, tag: "BatchFailed" | "GletExited") => {
    assert(!end.ok, "the batch should have failed")
    assert.strictEqual(end.error._tag, tag)
    assert.isAbove((end.error._tag === "GletExited" ? end.error.message : end.error.detail).length, 0)
  }

  withLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(`Executor contract: ${name}`, (it) => {
    it.scoped("opens glets that say what they are", () =>
      Effect.gen(function*() {
        const executor = yield* Executor
        assert.isAbove(executor.name.length, 0)
        const handle = yield* open
        assert.strictEqual(handle.spec.gpu.id, gpu.id)
        assert.strictEqual(handle.spec.sharePct, sharePct)
        assert.isAtLeast(handle.depth, 1)
        const stats = yield* handle.stats
        assert.strictEqual(stats.batches, 0)
        assert.strictEqual(stats.items, 0)
      }))

    it.scoped("loads models, and does nothing where they are loaded", () =>
      Effect.gen(function*() {
        const handle = yield* open
        const loads = yield* Effect.all([1, 2, 3].map(() => handle.load(first.model, [1])), { concurrency: "unbounded" })
        const again = yield* handle.load(first.model, [1, first.model.maxBatch])
        for (const report of [...loads, again]) {
          assert.isAtLeast(report.loadMs, 0)
          assert.isAtLeast(report.memoryBytes, 0)
          assert.isAbove(report.detail.length, 0)
        }
        yield* runAndVerify(handle, first, [1], 0)
      }))

    for (const contract of models) {
      it.scoped(`answers batches of ${contract.model.name}, each request with its own`, () =>
        Effect.gen(function*() {
          const { maxBatch, signature } = contract.model
          const handle = yield* open
          yield* handle.load(contract.model, [1, maxBatch])
          const counts = [...new Set([1, 2, 3, Math.ceil(maxBatch / 2), maxBatch])].filter((n) => n <= maxBatch)
          for (const n of counts) yield* runAndVerify(handle, contract, Array.from({ length: n }, () => 1), 7 * n)
          if (signature.batchSymbol === undefined || maxBatch < 3) return
          yield* runAndVerify(handle, contract, [maxBatch], 5)
          yield* runAndVerify(handle, contract, [2, 1], 11)
          yield* runAndVerify(handle, contract, [1, maxBatch - 1], 17)
        }))
    }

    it.scoped("loads models side by side, while another runs", () =>
      Effect.gen(function*() {
        const handle = yield* open
        yield* handle.load(first.model, [1])
        let areLoading = true
        const running = yield* Effect.fork(Effect.scoped(runAndVerify(handle, first, [1], 3)).pipe(Effect.repeat({ while: () => areLoading })))
        const sizesOf = ({ maxBatch }: Model) => [...new Set([1, maxBatch])]
        const others: ReadonlyArray<ContractModel> = [...models.slice(1), { ...first, model: { ...first.model, version: 2 } }]
        yield* Effect.forEach(others, ({ model }) => handle.load(model, sizesOf(model)), { concurrency: "unbounded" })
        areLoading = false
        yield* Fiber.join(running)
        for (const other of others) {
          for (const size of sizesOf(other.model)) yield* runAndVerify(handle, other, Array.from({ length: size }, () => 1), 5)
        }
      }))

    it.scoped("ends every batch once, many beyond its depth, in any mixture of sizes", () =>
      Effect.gen(function*() {
        const handle = yield* opened
        const prepared = yield* Effect.forEach(Array.from({ length: 8 * handle.depth + 5 }), (_, i) =>
          requests(first, Array.from({ length: 1 + (i % Math.min(3, first.model.maxBatch)) }, () => 1), i))
        const ends = yield* startAll(handle, prepared.map((group) => batchOf(first, group))).all
        prepared.forEach((group, i) => group.forEach((one, j) => verify(one, ends[i]!, j)))
      }))

    it.scoped("keeps count", () =>
      Effect.gen(function*() {
        const handle = yield* opened
        const before = yield* handle.stats
        const sizes = first.model.maxBatch < 2 ? [1] : [1, 1]
        for (let i = 0; i < 5; i++) yield* runAndVerify(handle, first, sizes, i)
        const after = yield* handle.stats
        assert.strictEqual(after.batches - before.batches, 5)
        assert.strictEqual(after.items - before.items, 5 * sizes.length)
        assert.isAbove(after.busyMs, before.busyMs)
      }))

    it.scoped("fails a batch of a model that is not loaded, and lives", () =>
      Effect.gen(function*() {
        const handle = yield* open
        const batch = batchOf(first, yield* requests(first, [1], 1))
        assertFails((yield* startAll(handle, [batch]).all)[0]!, "BatchFailed")
        yield* handle.load(first.model, [1])
        yield* runAndVerify(handle, first, [1], 2)
      }))

    it.scoped("refuses a bad model with its reason, and lives", () =>
      Effect.gen(function*() {
        const handle = yield* opened
        const failed = yield* Effect.either(handle.load(badModel, [1]))
        assert(Either.isLeft(failed), "the bad model was loaded")
        assert(failed.left._tag === "ModelLoadFailed", failed.left.message)
        assert.strictEqual(failed.left.model, badModel.name)
        assert.strictEqual(failed.left.glet, handle.spec.id)
        assert.isAbove(failed.left.detail.length, 0)
        yield* runAndVerify(handle, first, [1], 3)
      }))

    it.scoped("unloads after what is in flight, and ignores what it does not know", () =>
      Effect.gen(function*() {
        const handle = yield* opened
        const prepared = yield* Effect.forEach(Array.from({ length: handle.depth + 2 }), (_, i) => requests(first, [1], i))
        const started = startAll(handle, prepared.map((group) => batchOf(first, group)))
        yield* handle.unload(first.model)
        const ends = yield* started.all
        prepared.forEach((group, i) => verify(group[0]!, ends[i]!, 0))
        yield* handle.unload(first.model)
        yield* handle.unload(badModel)
        assertFails(yield* run(handle, batchOf(first, prepared[0]!)), "BatchFailed")
        yield* handle.load(first.model, [1])
        yield* runAndVerify(handle, first, [1], 9)
      }))

    it.scoped("holds two versions of a model apart", () =>
      Effect.gen(function*() {
        const handle = yield* open
        const [one, two] = versions
        for (const { model } of versions) yield* handle.load(model, [1])
        const groups = yield* Effect.forEach([one, two, two, one, two, one], (version, i) => requests(version, [1, 1], 3 * i))
        const ends = yield* startAll(handle, groups.map((group) => batchOf(group[0]!.contract, group))).all
        groups.forEach((group, i) => group.forEach((request, j) => verify(request, ends[i]!, j)))
        yield* handle.unload(one.model)
        yield* runAndVerify(handle, two, [1], 4)
        assertFails(yield* run(handle, batchOf(one, yield* requests(one, [1], 4))), "BatchFailed")
        yield* handle.load(one.model, [1])
        yield* runAndVerify(handle, one, [2], 5)
        yield* runAndVerify(handle, two, [2], 5)
      }))

    it.scoped("ends what runs before a closed glet is gone", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.extend(opened, scope)
        const exited = yield* Effect.fork(handle.exited)
        const prepared = yield* Effect.forEach(Array.from({ length: handle.depth }), (_, i) => requests(first, [1], i))
        const started = startAll(handle, prepared.map((group) => batchOf(first, group)))
        yield* Scope.close(scope, Exit.void).pipe(Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("closing hangs") }))
        assert.isTrue(started.ends.every((calls) => calls.length === 1), "the glet closed with batches in flight")
        prepared.forEach((group, i) => verify(group[0]!, started.ends[i]![0]!, 0))
        const [late] = yield* startAll(handle, [batchOf(first, prepared[0]!)]).all
        assert.isFalse(late!.ok, "a closed glet ran a batch")
        assert.isTrue(Option.isNone(yield* Fiber.poll(exited)), "exited completed on an orderly close")
        yield* Fiber.interrupt(exited)
      }))

    it.scoped("keeps two glets of a GPU apart", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const one = yield* opened
        const other = yield* Scope.extend(open, scope)
        assertFails(yield* run(other, batchOf(first, yield* requests(first, [1], 1))), "BatchFailed")
        yield* other.load(first.model, [1])
        yield* Effect.all([runAndVerify(one, first, [1], 2), runAndVerify(other, first, [1], 3)], { concurrency: 2 })
        yield* Scope.close(scope, Exit.void)
        yield* runAndVerify(one, first, [1], 4)
      }))

    if (givesWay) {
      it.scoped("gives way to a glet beside it, and both answer all", () =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const giving = yield* opened
          const taking = yield* Scope.extend(openThat({ sharePct: gpu.sharesPct.at(-1)! }), scope)
          const reports = yield* Effect.all([giving, taking].map((handle) => handle.load(first.model, [1, first.model.maxBatch])))
          assert.isAbove(reports[0]!.preemptMs ?? 0, 0, "its batches run to their end")
          const asked = yield* Effect.forEach(Array.from({ length: 24 }), (_, i) => requests(first, [1], i))
          const started = [giving, taking].map((handle, k) => startAll(handle, asked.slice(12 * k, 12 * k + 12).map((group) => batchOf(first, group))))
          const ends = yield* Effect.map(Effect.all(started.map(({ all }) => all), { concurrency: 2 }), (both) => both.flat())
          asked.forEach((group, i) => verify(group[0]!, ends[i]!, 0))
          // Nobody is in its way any more.
          yield* Scope.close(scope, Exit.void)
          yield* runAndVerify(giving, first, [1], 40)
        }))
    }

    it.scoped("lends its arena and takes it back", () =>
      Effect.gen(function*() {
        const { arena } = yield* Executor
        const before = arena.usedBytes()
        const slots = [1, 100, 4096, 70_000].map((bytes) => arena.allocate(bytes)!)
        slots.forEach((slot, i) => slot.bytes.fill(i + 1))
        slots.forEach((slot, i) => assert.isTrue(slot.bytes.every((byte) => byte === i + 1), "slots overlap"))
        assert.isAbove(arena.usedBytes(), before)
        for (const slot of slots) slot.release()
        assert.strictEqual(arena.usedBytes(), before)
        assert.isUndefined(arena.allocate(arena.capacityBytes + 1))
      }))

    if (kill === undefined) return

    it.scoped("says that a killed glet died, and fails what is in flight on it", () =>
      Effect.gen(function*() {
        const handle = yield* opened
        const { pid } = yield* handle.stats
        const prepared = yield* Effect.forEach(Array.from({ length: 8 }), (_, i) => requests(first, [1], i))
        // One after the other on each slot, so that something is in flight whenever the kill comes.
        const running = yield* Effect.fork(Effect.forEach(
          prepared,
          (group) => Effect.repeat(runBatch(handle, batchOf(first, group)), { while: (end) => end.ok }),
          { concurrency: "unbounded" }
        ))
        yield* Effect.yieldNow()
        yield* kill(handle)
        const ends = yield* Fiber.join(running).pipe(Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("a batch never ended, or the kill did nothing") }))
        for (const end of ends) assertFails(end, "GletExited")
        const exited: GletExited = yield* handle.exited.pipe(
          Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("exited never completed") })
        )
        assert.strictEqual(exited.glet, handle.spec.id)
        if (pid !== undefined) assert.strictEqual(exited.process, pid, "glets of one process die of one death")
      }))

    it.scoped("answers for a dead glet at once, and opens a new one", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.extend(opened, scope)
        yield* kill(handle)
        yield* handle.exited.pipe(Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("exited never completed") }))
        const end = (yield* startAll(handle, [batchOf(first, yield* requests(first, [1], 1))]).all)[0]!
        assertFails(end, "GletExited")
        assert.isTrue(!end.ok && end.unstarted === true, "the batch has no part in the death")
        const load = yield* Effect.either(handle.load(first.model, [1]))
        assert(Either.isLeft(load) && load.left._tag === "GletExited", "a dead glet loaded a model")
        yield* handle.unload(first.model)
        yield* handle.stats
        yield* Scope.close(scope, Exit.void).pipe(Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("closing hangs") }))
        const next = yield* opened
        yield* runAndVerify(next, first, [1], 6)
      }))
  })
}
