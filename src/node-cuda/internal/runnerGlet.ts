/** A glet of a runner as the rest of the system sees it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { Batch, BatchEnd, GletHandle, GletSpec, LoadReport } from "../../core/Executor.js"
import type { GletOpenFailed } from "../../core/ExecutorError.js"
import { GletExited, ModelLoadFailed } from "../../core/ExecutorError.js"
import { unitsOfShare } from "../../core/Gpu.js"
import type { Model } from "../../core/Model.js"
import { modelKey } from "../../core/Model.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import type { ControlReply, ControlRequest, Opened, OpenFailureReason } from "./control.js"
import type { LoadFailureReason } from "../../core/internal/loadFailure.js"
import type { LinkedModel, RunnerExit } from "./runnerLink.js"
import type { RunnerProcess } from "./runnerProcess.js"
import { greenUnits } from "./smGroups.js"

interface RunnerGletOptions {
  readonly loadTimeoutMs: number
  readonly drainTimeoutMs: number
  /** Appended to what a load reports. */
  readonly note: (opened: Opened) => string
}

/** Why a runner did not open a glet. */
export interface GletRefusal {
  readonly reason: GletOpenFailed["reason"]
  readonly detail: string
}

/** One batch runs, the next one's inputs are gathered meanwhile. */
const defaultDepth = 2
/** How long `stats` waits for the process. */
const statsTimeout = "1 second"
/** Model objects remembered, so that a batch's model is found without making its key. */
const rememberedModels = 256

interface Entry {
  readonly linked: LinkedModel
  readonly done: Deferred.Deferred<LoadReport, ModelLoadFailed | GletExited>
  loaded: boolean
}

/** Numbers of glets and of models within all runners of this process; a number is never used twice. */
let numbers = 0

/** Asks, and waits for the reply. */
const ask = (runner: RunnerProcess, request: ControlRequest): Effect.Effect<ControlReply | RunnerExit> =>
  Effect.async((resume) => {
    const forget = runner.link.request(request, (reply) => resume(Effect.succeed(reply)))
    return Effect.sync(forget)
  })

const isReply = (reply: ControlReply | RunnerExit): reply is ControlReply => "ok" in reply

/** Reasons of an opening do not belong to a load. */
const loadReason = (reason: LoadFailureReason | OpenFailureReason | undefined): ModelLoadFailed["reason"] =>
  reason === undefined || reason === "share-unsupported" || reason === "device-missing" ? "invalid-model" : reason

const openRequest = (glet: number, { givesWay, gpu, priority, sharePct }: GletSpec): ControlRequest => ({
  type: "open", glet, units: gpu.isolation === "green" ? greenUnits(gpu, sharePct) : unitsOfShare(gpu, sharePct), sharePct, priority,
  ...(givesWay === true ? { givesWay } : {})
})

const openReason = (reason: LoadFailureReason | OpenFailureReason | undefined): GletRefusal["reason"] =>
  reason === "share-unsupported" || reason === "device-missing" || reason === "no-memory" ? reason : "spawn-failed"

/** Opens a glet on a runner. Fails with how the runner ended where it is gone. */
export const openRunnerGlet = (
  runner: RunnerProcess,
  spec: GletSpec,
  options: RunnerGletOptions
): Effect.Effect<GletHandle, RunnerExit | GletRefusal, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const number = ++numbers
      const reply = yield* restore(ask(runner, openRequest(number, spec))).pipe(
        Effect.onInterrupt(() => Effect.sync(() => runner.link.request({ type: "close", glet: number }, () => undefined)))
      )
      if (!isReply(reply)) return yield* Effect.fail(reply)
      if (!reply.ok) return yield* Effect.fail<GletRefusal>({ reason: openReason(reply.reason), detail: reply.detail })
      const opened = reply.opened ?? { units: unitsOfShare(spec.gpu, spec.sharePct) }
      const glet = new RunnerGlet(runner, spec, number, opened, options)
      yield* Effect.addFinalizer(() => glet.close)
      return glet
    })
  )

class RunnerGlet implements GletHandle {
  readonly depth: number
  private readonly entries = new Map<string, Entry>()
  private readonly byModel = new Map<Model, LinkedModel>()
  private closed = false
  private batches = 0
  private items = 0
  private busyMs = 0

  constructor(
    private readonly runner: RunnerProcess,
    readonly spec: GletSpec,
    private readonly number: number,
    private readonly opened: Opened,
    private readonly options: RunnerGletOptions
  ) {
    this.depth = opened.depth ?? defaultDepth
  }

  readonly load = (model: Model, warmBatches: ReadonlyArray<number>): Effect.Effect<LoadReport, ModelLoadFailed | GletExited> =>
    Effect.suspend(() => {
      const gone = this.runner.link.exit
      if (gone !== undefined) return Effect.fail(this.exitedWith(gone))
      const key = modelKey(model)
      const entry = this.entries.get(key) ?? this.beginLoad(key, model, warmBatches)
      const { loadTimeoutMs } = this.options
      return Deferred.await(entry.done).pipe(Effect.timeoutFail({
        duration: loadTimeoutMs,
        onTimeout: () => {
          if (!entry.loaded) this.forget(key, entry)
          return this.loadFailed(model, "timeout", `it was not loaded within ${loadTimeoutMs} ms`)
        }
      }))
    })

  readonly unload = (model: Model): Effect.Effect<void> =>
    Effect.suspend(() => {
      const key = modelKey(model)
      const entry = this.entries.get(key)
      if (entry === undefined) return Effect.void
      this.forget(key, entry)
      return entry.loaded ? Effect.asVoid(ask(this.runner, { type: "unload", glet: this.number, model: entry.linked.number })) : Effect.void
    })

  readonly start = (batch: Batch, onEnd: (end: BatchEnd) => void): void => {
    const model = this.byModel.get(batch.model) ?? this.find(batch.model)
    const gone = this.runner.link.exit
    if (gone !== undefined) return queueMicrotask(() => onEnd({ ok: false, error: this.exitedWith(gone), unstarted: true }))
    if (model === undefined || this.closed) {
      const detail = this.closed ? "the glet is closed" : `model "${batch.model.name}" is not loaded on glet ${this.spec.id}`
      return queueMicrotask(() => onEnd({ ok: false, error: { _tag: "BatchFailed", detail } }))
    }
    this.runner.link.start(model, batch, {
      onEnd: (end) => {
        if (end.ok) {
          this.batches++
          this.items += batch.items
          this.busyMs += end.inputMs + end.inferMs + end.outputMs
        }
        onEnd(end)
      },
      onGone: (exit) => onEnd({ ok: false, error: this.exitedWith(exit) })
    })
  }

  get exited(): Effect.Effect<GletExited> {
    return Effect.flatMap(this.runner.exited, (exit) => this.closed ? Effect.never : Effect.succeed(this.exitedWith(exit)))
  }

  get stats(): GletHandle["stats"] {
    return ask(this.runner, { type: "stats" }).pipe(
      Effect.timeoutOption(statsTimeout),
      Effect.map((reply) => {
        const { batches, busyMs, items, runner } = this
        const { freeDeviceBytes, residentBytes } = reply._tag === "Some" && isReply(reply.value) && reply.value.ok ? reply.value : {}
        return {
          batches, items, busyMs, pid: runner.pid, units: this.opened.units, ...(residentBytes === undefined ? {} : { residentBytes }),
          ...(freeDeviceBytes === undefined ? {} : { freeDeviceBytes })
        }
      })
    )
  }

  /** Ends what is in flight, then frees the glet's place in the runner. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      return ask(this.runner, { type: "close", glet: this.number }).pipe(
        Effect.interruptible,
        Effect.timeoutOption(this.options.drainTimeoutMs),
        Effect.flatMap((reply) =>
          reply._tag === "Some"
            ? Effect.void
            : Effect.logWarning(`glet ${this.spec.id} still has batches in flight ${this.options.drainTimeoutMs} ms after it was closed`)
        )
      )
    })
  }

  /** The load goes on without whoever asked for it: others may wait for it too. */
  private beginLoad(key: string, model: Model, warmBatches: ReadonlyArray<number>): Entry {
    const entry: Entry = {
      linked: { number: ++numbers, layout: makeSlotLayout(model.signature) },
      done: Deferred.unsafeMake<LoadReport, ModelLoadFailed | GletExited>(FiberId.none),
      loaded: false
    }
    this.entries.set(key, entry)
    const start = performance.now()
    const { number } = entry.linked
    const request: ControlRequest = {
      type: "load", glet: this.number, model: number, path: model.path, signature: model.signature, warmBatches,
      ...(model.files === undefined ? {} : { files: model.files })
    }
    this.runner.link.request(request, (reply) => {
      if (isReply(reply) && reply.ok && this.entries.get(key) === entry) {
        entry.loaded = true
        const detail = `${reply.loaded?.detail ?? ""}${this.options.note(this.opened)}`
        const preemptMs = reply.loaded?.preemptMs
        const report: LoadReport = {
          loadMs: performance.now() - start, memoryBytes: reply.loaded?.memoryBytes ?? 0, detail, ...(preemptMs === undefined ? {} : { preemptMs })
        }
        Deferred.unsafeDone(entry.done, Effect.succeed(report))
        return
      }
      if (isReply(reply) && reply.ok) {
        // Unloaded, or given up, while it was loading.
        this.runner.link.request({ type: "unload", glet: this.number, model: number }, () => undefined)
      }
      this.forget(key, entry)
      Deferred.unsafeDone(entry.done, Effect.fail(
        !isReply(reply)
          ? this.exitedWith(reply)
          : reply.ok
          ? this.loadFailed(model, "timeout", "it was unloaded while it was loading")
          : this.loadFailed(model, loadReason(reply.reason), reply.detail)
      ))
    })
    return entry
  }

  private forget(key: string, entry: Entry): void {
    if (this.entries.get(key) === entry) this.entries.delete(key)
    this.byModel.clear()
  }

  private find(model: Model): LinkedModel | undefined {
    const entry = this.entries.get(modelKey(model))
    if (entry?.loaded !== true) return undefined
    if (this.byModel.size >= rememberedModels) this.byModel.clear()
    this.byModel.set(model, entry.linked)
    return entry.linked
  }

  private loadFailed(model: Model, reason: ModelLoadFailed["reason"], detail: string): ModelLoadFailed {
    return new ModelLoadFailed({ model: model.name, glet: this.spec.id, reason, detail })
  }

  private exitedWith({ code, detail, signal }: RunnerExit): GletExited {
    return new GletExited({
      glet: this.spec.id,
      process: this.runner.pid,
      detail,
      ...(code === undefined ? {} : { code }),
      ...(signal === undefined ? {} : { signal })
    })
  }
}
