/**
 * An executor without a device: glets are fibers that sleep as long as an execution would take, by Effect's Clock. For tests (with TestClock),
 * examples and dry runs; outputs stay as they are in the slots.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { Batch, BatchEnd, GletHandle, GletSpec } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import type { GletOpenFailed } from "../core/ExecutorError.js"
import { GletExited, ModelLoadFailed } from "../core/ExecutorError.js"
import type { GletId, GpuId } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import { modelKey } from "../core/Model.js"
import { makeHeapArena } from "../core/TensorArena.js"

/** How long things take there, and what goes wrong. @since 0.1.0 @category executor */
export interface MemoryExecutorOptions {
  /** How long one execution takes, ms. */
  readonly latencyMs: (batch: Batch, spec: GletSpec) => number
  /** Batches outstanding per glet; 2 where absent. */
  readonly depth?: number
  readonly openMs?: number
  readonly loadMs?: number
  /** How soon batches of glets that give way do so, as they report it; they only sleep on. */
  readonly preemptMs?: number
  readonly arenaBytes?: number
  /** Answers the error with which a glet does not open, if it shall not. */
  readonly failOpen?: (spec: GletSpec) => GletOpenFailed | undefined
  /** Answers the reason for which a model does not load, if it shall not. */
  readonly failLoad?: (model: Model, spec: GletSpec) => ModelLoadFailed["reason"] | undefined
  /** Answers what is wrong with an execution, if it shall fail. */
  readonly failBatch?: (batch: Batch, spec: GletSpec) => string | undefined
  /** Whether loading or running a model ends the process, which all glets of the GPU share. */
  readonly crash?: (model: Model, doing: "loading" | "running", spec: GletSpec) => boolean
}

/**
 * What tests can do to the glets of the memory executor.
 * @since 0.1.0
 * @category services
 */
export class MemoryExecutorControl extends Context.Tag("glet/scheduler/MemoryExecutorControl")<MemoryExecutorControl, {
  /** Ends a glet as SIGKILL would; unknown and ended glets are ignored. */
  readonly kill: (glet: GletId) => Effect.Effect<void>
  /** Glets that are open. */
  readonly open: Effect.Effect<ReadonlyArray<GletSpec>>
}>() {}

interface Pending {
  readonly batch: Batch
  readonly onEnd: (end: BatchEnd) => void
}

interface OpenGlet {
  readonly handle: GletHandle
  readonly die: (signal: string, process: number) => Effect.Effect<void>
}

/** `crash` ends the process of the GPU. */
const openGlet = (options: MemoryExecutorOptions, spec: GletSpec, crash: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const exited = yield* Deferred.make<GletExited>()
    const work = yield* Queue.unbounded<Pending>()
    const idle = yield* Effect.makeLatch(true)
    const loaded = new Map<string, Model>()
    const pending: Array<Pending> = []
    const stats = { batches: 0, items: 0, busyMs: 0 }
    let dead: GletExited | undefined
    let closed = false

    const end = (ended: Pending, how: BatchEnd): void => {
      pending.splice(pending.indexOf(ended), 1)
      if (pending.length === 0) idle.unsafeOpen()
      ended.onEnd(how)
    }
    const die = (signal: string, process: number) =>
      Effect.gen(function*() {
        if (dead !== undefined) return
        const error = dead = new GletExited({ glet: spec.id, signal, process, detail: "" })
        yield* Deferred.succeed(exited, error)
        for (const lost of [...pending]) end(lost, { ok: false, error })
      })
    const serve = Effect.gen(function*() {
      const next = yield* Queue.take(work)
      const inferMs = options.latencyMs(next.batch, spec)
      yield* Effect.sleep(inferMs)
      if (dead !== undefined) return
      if (options.crash?.(next.batch.model, "running", spec) === true) {
        // Not by this fiber, which ends with the glet.
        yield* Effect.forkDaemon(crash)
        return yield* Effect.never
      }
      stats.batches += 1
      stats.items += next.batch.items
      stats.busyMs += inferMs
      const detail = loaded.has(modelKey(next.batch.model))
        ? options.failBatch?.(next.batch, spec)
        : `model "${next.batch.model.name}" is not loaded on glet ${spec.id}`
      end(next, detail === undefined
        ? { ok: true, inputMs: 0, inferMs, outputMs: 0, outputBindings: undefined, overflow: undefined }
        : { ok: false, error: { _tag: "BatchFailed", detail } })
    })
    // A glet is acquired without interruption; its fiber must not inherit that.
    yield* Effect.forkScoped(Effect.interruptible(Effect.forever(serve)))
    // Finalizers run in reverse: what runs ends before its fiber does.
    yield* Effect.addFinalizer(() => Effect.zipRight(idle.await, Effect.sync(() => {
      closed = true
    })))

    const start: GletHandle["start"] = (batch, onEnd) => {
      const started = { batch, onEnd }
      pending.push(started)
      idle.unsafeClose()
      const error = dead
      if (error !== undefined) queueMicrotask(() => end(started, { ok: false, error, unstarted: true }))
      else if (closed) queueMicrotask(() => end(started, { ok: false, error: { _tag: "BatchFailed", detail: `glet ${spec.id} is closed` } }))
      else Queue.unsafeOffer(work, started)
    }
    const load: GletHandle["load"] = (model) =>
      Effect.gen(function*() {
        if (dead !== undefined) return yield* dead
        if (loaded.has(modelKey(model))) return { loadMs: 0, memoryBytes: model.weightBytes, detail: "memory" }
        yield* Effect.raceFirst(Effect.sleep(options.loadMs ?? 1), Effect.flatMap(Deferred.await(exited), Effect.fail))
        if (options.crash?.(model, "loading", spec) === true) {
          yield* crash
          return yield* Effect.flatMap(Deferred.await(exited), Effect.fail)
        }
        const reason = options.failLoad?.(model, spec)
        if (reason !== undefined) {
          return yield* new ModelLoadFailed({ model: model.name, glet: spec.id, reason, detail: "as the options of the memory executor say" })
        }
        loaded.set(modelKey(model), model)
        return {
          loadMs: options.loadMs ?? 1, memoryBytes: model.weightBytes, detail: "memory",
          ...(options.preemptMs === undefined || spec.givesWay !== true ? {} : { preemptMs: options.preemptMs })
        }
      })
    const handle: GletHandle = {
      spec,
      depth: options.depth ?? 2,
      load,
      unload: (model) => Effect.zipRight(idle.await, Effect.sync(() => loaded.delete(modelKey(model)))),
      start,
      exited: Deferred.await(exited),
      stats: Effect.sync(() => ({ ...stats }))
    }
    return { handle, die }
  })

/**
 * An executor of sleeping glets, and the control over them.
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: MemoryExecutorOptions): Layer.Layer<Executor | MemoryExecutorControl> =>
  Layer.effectContext(Effect.sync(() => {
    const glets = new Map<GletId, OpenGlet>()
    let deaths = 0
    const crash = (gpu: GpuId): Effect.Effect<void> =>
      Effect.suspend(() => {
        const process = ++deaths
        return Effect.forEach([...glets.values()].filter(({ handle }) => handle.spec.gpu.id === gpu), ({ die }) => die("SIGSEGV", process), { discard: true })
      })
    const open = (spec: GletSpec) =>
      Effect.gen(function*() {
        yield* Effect.sleep(options.openMs ?? 1)
        const error = options.failOpen?.(spec)
        if (error !== undefined) return yield* error
        const glet = yield* Effect.acquireRelease(
          Effect.tap(openGlet(options, spec, crash(spec.gpu.id)), (opened) => Effect.sync(() => glets.set(spec.id, opened))),
          () => Effect.sync(() => glets.delete(spec.id))
        )
        return glet.handle
      })
    return Context.empty().pipe(
      Context.add(Executor, { name: "memory", arena: makeHeapArena(options.arenaBytes ?? 64 * 1024 * 1024), open }),
      Context.add(MemoryExecutorControl, {
        kill: (id) => Effect.suspend(() => glets.get(id)?.die("SIGKILL", ++deaths) ?? Effect.void),
        open: Effect.sync(() => [...glets.values()].map((glet) => glet.handle.spec))
      })
    )
  }))
