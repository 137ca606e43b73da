/** A glet that is a worker, as the rest of the system sees it. Its worker runs one batch after the other. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { Batch, BatchEnd, GletHandle, GletSpec, GletStats, LoadReport } from "../../core/Executor.js"
import { GletExited, ModelLoadFailed } from "../../core/ExecutorError.js"
import type { DynamicOutput, RunBatch } from "../../core/internal/batchAssembly.js"
import { batchProblem, dynamicOutputs, gather, scatter, scatterDynamic } from "../../core/internal/batchAssembly.js"
import { LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import type { Model } from "../../core/Model.js"
import { modelKey } from "../../core/Model.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import type { GletWorkers } from "../GletWorkers.js"
import type { ModelBytes } from "./protocol.js"
import type { SpareRealm } from "./spareRealm.js"
import type { Refusal } from "./workerRealm.js"
import { Realm } from "./workerRealm.js"

export interface WorkerGletOptions {
  readonly workers: GletWorkers
  /** Undefined: every glet has a fresh worker. */
  readonly spare: SpareRealm | undefined
  /** Reads a model's file and those beside it. */
  readonly readModel: (model: Model) => Promise<ModelBytes>
  /** All that slots stand in. */
  readonly memory: Uint8Array
  readonly loadTimeoutMs: number
  readonly drainTimeoutMs: number
}

interface Entry {
  readonly number: number
  readonly model: Model
  readonly layout: SlotLayout
  readonly dynamic: ReadonlyArray<number>
  readonly warmBatches: ReadonlyArray<number>
  readonly done: Deferred.Deferred<LoadReport, ModelLoadFailed | GletExited>
  loaded: boolean
}

/** Buffers kept for the batches to come. */
const spareBuffers = 2

/** Opens a glet: takes the spare worker, or starts one and waits until it can work. */
export const openWorkerGlet = (spec: GletSpec, options: WorkerGletOptions): Effect.Effect<GletHandle, Refusal, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(
      Effect.promise(async () => (await options.spare?.take()) ?? options.workers.start()),
      (realm) => realm instanceof Realm ? Effect.succeed(new WorkerGlet(spec, options, realm)) : Effect.fail(realm)
    ),
    (glet) => glet.close
  )

class WorkerGlet implements GletHandle {
  /** The next batch waits in the worker while one runs. */
  readonly depth = 2
  private readonly entries = new Map<string, Entry>()
  private readonly died = Deferred.unsafeMake<GletExited>(FiberId.none)
  private dead: GletExited | undefined
  private closed = false
  /** Its worker is no longer its own. */
  private spared = false
  private batches = 0
  private items = 0
  private busyMs = 0
  private deviceMs = 0
  private inFlight = 0
  private idle: Array<() => void> = []
  private numbers = 0
  private readonly spare: Array<ArrayBuffer> = []
  /** Loads and renewals, one at a time. */
  private control: Promise<void> = Promise.resolve()
  /** Batches that came while the worker is renewed. */
  private held: Array<() => void> | undefined

  constructor(readonly spec: GletSpec, private readonly options: WorkerGletOptions, private realm: Realm) {
    this.watch(realm)
  }

  readonly load = (model: Model, warmBatches: ReadonlyArray<number>): Effect.Effect<LoadReport, ModelLoadFailed | GletExited> =>
    Effect.suspend(() => {
      if (this.dead !== undefined) return Effect.fail(this.dead)
      const key = modelKey(model)
      const entry = this.entries.get(key) ?? this.beginLoad(key, model, warmBatches)
      const { loadTimeoutMs } = this.options
      return Deferred.await(entry.done).pipe(Effect.timeoutFail({
        duration: loadTimeoutMs,
        onTimeout: () => {
          if (!entry.loaded && this.entries.get(key) === entry) this.entries.delete(key)
          return this.loadFailed(model, "timeout", `it was not loaded within ${loadTimeoutMs} ms`)
        }
      }))
    })

  readonly unload = (model: Model): Effect.Effect<void> =>
    Effect.promise(async () => {
      const key = modelKey(model)
      const entry = this.entries.get(key)
      if (entry === undefined) return
      this.entries.delete(key)
      if (!entry.loaded) return
      // The worker works in order: batches that were started before end before.
      this.control = this.control.then(async () => void await this.realm.ask({ type: "unload", model: entry.number }))
      await this.control
    })

  readonly start = (batch: Batch, onEnd: (end: BatchEnd) => void): void => {
    const fail = (end: BatchEnd & { readonly ok: false }) => queueMicrotask(() => onEnd(end))
    const refuse = (detail: string) => fail({ ok: false, error: { _tag: "BatchFailed", detail } })
    if (this.dead !== undefined && !this.closed) return fail({ ok: false, error: this.dead, unstarted: true })
    const entry = this.entries.get(modelKey(batch.model))
    if (this.closed || entry?.loaded !== true) {
      return refuse(this.closed ? "the glet is closed" : `model "${batch.model.name}" is not loaded on glet ${this.spec.id}`)
    }
    const run: RunBatch = {
      items: batch.items,
      bindings: batch.entries[0]?.bindings ?? [],
      offsets: batch.entries.map(({ slot }) => slot.offset),
      entryItems: batch.entries.map(({ items }) => items)
    }
    const problem = batchProblem(entry.layout, run, this.options.memory.length) ?? roomProblem(entry.layout, batch)
    if (problem !== undefined) return refuse(problem)
    this.inFlight++
    const go = () => this.run(entry, run, (end) => {
      if (end.ok) {
        this.batches++
        this.items += batch.items
        this.busyMs += end.inputMs + end.inferMs + end.outputMs
      }
      onEnd(end)
      if (--this.inFlight === 0) for (const resume of this.idle.splice(0)) resume()
    })
    if (this.held === undefined) go()
    else this.held.push(go)
  }

  get exited(): Effect.Effect<GletExited> {
    return Effect.flatMap(Deferred.await(this.died), (exit) => this.closed ? Effect.never : Effect.succeed(exit))
  }

  get stats(): Effect.Effect<GletStats> {
    return Effect.sync(() => ({
      batches: this.batches, items: this.items, busyMs: this.busyMs,
      ...(this.options.workers.deviceClock ? { deviceMs: this.deviceMs } : {})
    }))
  }

  /** Ends what is in flight, then the worker. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      const { drainTimeoutMs } = this.options
      return Effect.promise(() => this.whenIdle()).pipe(
        Effect.interruptible,
        Effect.timeoutOption(drainTimeoutMs),
        Effect.flatMap((drained) =>
          drained._tag === "Some"
            ? Effect.promise(() => this.spareWorker())
            : Effect.logWarning(`glet ${this.spec.id} still has batches in flight ${drainTimeoutMs} ms after it was closed`)
        ),
        Effect.ensuring(Effect.sync(() => {
          if (!this.spared) this.realm.end("the glet was closed")
        }))
      )
    })
  }

  /** Leaves the worker to the next glet, if it is in order and nothing but models is in it. */
  private async spareWorker(): Promise<void> {
    const { realm } = this
    const { spare } = this.options
    if (spare === undefined || this.dead !== undefined || this.held !== undefined || !realm.isSpare) return
    const loaded = [...this.entries.values()]
    this.entries.clear()
    for (const { number } of loaded) await realm.ask({ type: "unload", model: number })
    if (this.dead !== undefined || realm !== this.realm || !realm.isSpare) return
    this.spared = true
    spare.give(realm)
  }

  private whenIdle(): Promise<void> {
    return this.inFlight === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve))
  }

  private watch(realm: Realm): void {
    void realm.exited.then((detail) => {
      if (realm === this.realm) this.die(detail)
    })
  }

  private die(detail: string): GletExited {
    if (this.dead !== undefined) return this.dead
    this.dead = new GletExited({ glet: this.spec.id, detail })
    Deferred.unsafeDone(this.died, Effect.succeed(this.dead))
    const held = this.held ?? []
    this.held = undefined
    for (const go of held) go()
    return this.dead
  }

  private run({ dynamic, layout, number }: Entry, batch: RunBatch, onEnd: (end: BatchEnd) => void): void {
    if (this.dead !== undefined) {
      const error = this.dead
      return queueMicrotask(() => onEnd({ ok: false, error, unstarted: true }))
    }
    const start = performance.now()
    const { memory } = this.options
    const placement = layout.placement(batch.items, batch.bindings)
    const found = this.spare.findIndex((one) => one.byteLength >= placement.totalBytes)
    const buffer = found < 0 ? new ArrayBuffer(placement.totalBytes) : this.spare.splice(found, 1)[0]!
    gather(layout, memory, batch, new Uint8Array(buffer), placement)
    const inputMs = performance.now() - start
    const realm = this.realm
    realm.send({ type: "run", model: number, items: batch.items, bindings: batch.bindings, buffer }, [buffer], (reply) => {
      if (reply.type === "exited") return onEnd({ ok: false, error: this.die(reply.detail) })
      if (reply.type !== "ended") {
        const detail = reply.type === "run-failed" ? reply.detail : `the worker answered "${reply.type}" to "run"`
        if (reply.type === "run-failed" && reply.spoilt) {
          realm.spoilt = true
          this.control = this.control.then(() => this.renew(realm))
        }
        return onEnd({ ok: false, error: { _tag: "BatchFailed", detail } })
      }
      const ended = performance.now()
      try {
        scatter(layout, memory, batch, new Uint8Array(reply.buffer), placement)
        const outputs: Array<DynamicOutput | undefined> = layout.signature.outputs.map(() => undefined)
        for (const one of reply.dynamic) outputs[one.output] = one
        const beside = dynamic.length === 0 ? undefined : scatterDynamic(layout, memory, batch, outputs)
        if (this.spare.length < spareBuffers) this.spare.push(reply.buffer)
        if (reply.deviceMs !== undefined) this.deviceMs += reply.deviceMs
        onEnd({
          ok: true, inputMs, inferMs: reply.inferMs, outputMs: reply.outputMs + (performance.now() - ended),
          outputBindings: beside === undefined ? undefined : batch.offsets.map(() => beside.outputBindings),
          overflow: beside?.overflow
        })
      } catch (error) {
        onEnd({ ok: false, error: { _tag: "BatchFailed", detail: textOf(error) } })
      }
    })
  }

  /** The load goes on without whoever asked for it: others may wait for it too. */
  private beginLoad(key: string, model: Model, warmBatches: ReadonlyArray<number>): Entry {
    const layout = makeSlotLayout(model.signature)
    const entry: Entry = {
      number: ++this.numbers, model, layout, dynamic: dynamicOutputs(layout), warmBatches,
      done: Deferred.unsafeMake<LoadReport, ModelLoadFailed | GletExited>(FiberId.none),
      loaded: false
    }
    this.entries.set(key, entry)
    this.control = this.control.then(async () => {
      const end = await this.loadNow(entry)
      if (end._tag === "Left" && this.entries.get(key) === entry) this.entries.delete(key)
      Deferred.unsafeDone(entry.done, end._tag === "Left" ? Effect.fail(end.error) : Effect.succeed(end.report))
    })
    return entry
  }

  private async loadNow(entry: Entry): Promise<
    { readonly _tag: "Right"; readonly report: LoadReport } | { readonly _tag: "Left"; readonly error: ModelLoadFailed | GletExited }
  > {
    const { model } = entry
    const failed = (reason: ModelLoadFailed["reason"], detail: string) => ({ _tag: "Left", error: this.loadFailed(model, reason, detail) }) as const
    const start = performance.now()
    let file: ModelBytes
    try {
      file = await this.options.readModel(model)
    } catch (error) {
      return error instanceof LoadFailure ? failed(error.reason, error.message) : failed("unreadable", `${model.path}: ${textOf(error)}`)
    }
    if (this.entries.get(modelKey(model)) !== entry) return failed("timeout", "it was unloaded before it was loaded")
    const realm = this.realm
    const reply = await realm.ask({ type: "load", model: entry.number, file, signature: model.signature, warmBatches: entry.warmBatches }, [
      file.bytes, ...file.external.map(({ bytes }) => bytes)
    ])
    switch (reply.type) {
      case "loaded":
        if (this.entries.get(modelKey(model)) !== entry) {
          await realm.ask({ type: "unload", model: entry.number })
          return failed("timeout", "it was unloaded while it was loading")
        }
        entry.loaded = true
        return { _tag: "Right", report: { loadMs: performance.now() - start, memoryBytes: reply.memoryBytes, detail: realm.detail } }
      case "load-failed":
        if (reply.spoilt) {
          realm.spoilt = true
          await this.renew(realm)
        }
        return failed(reply.reason, reply.detail)
      case "exited":
        return { _tag: "Left", error: this.die(reply.detail) }
      default:
        return failed("invalid-model", `the worker answered "${reply.type}" to "load"`)
    }
  }

  /** Another worker with the same models takes the place of one that is spoilt; batches wait meanwhile. */
  private async renew(old: Realm): Promise<void> {
    if (old !== this.realm || this.dead !== undefined || this.closed) return
    this.held = []
    await old.whenIdle()
    if (this.dead !== undefined) return
    const next = await this.options.workers.start()
    if (!(next instanceof Realm)) return void this.die(`its worker had to be renewed, and could not be: ${next.detail}`)
    this.realm = next
    this.watch(next)
    old.end("it was renewed")
    try {
      for (const entry of [...this.entries.values()].filter(({ loaded }) => loaded)) {
        const file = await this.options.readModel(entry.model)
        const { model, number, warmBatches } = entry
        const reply = await next.ask({ type: "load", model: number, file, signature: model.signature, warmBatches }, [
          file.bytes, ...file.external.map(({ bytes }) => bytes)
        ])
        if (reply.type !== "loaded") throw new Error(reply.type === "load-failed" ? reply.detail : `the worker answered "${reply.type}"`)
      }
    } catch (error) {
      next.end("it could not be renewed")
      return void this.die(`its worker had to be renewed, and a model did not load again: ${textOf(error)}`)
    }
    const held = this.held
    this.held = undefined
    for (const go of held) go()
  }

  private loadFailed(model: Model, reason: ModelLoadFailed["reason"], detail: string): ModelLoadFailed {
    return new ModelLoadFailed({ model: model.name, glet: this.spec.id, reason, detail })
  }
}

/** Slots that are too small for what the batch says they hold. */
const roomProblem = (layout: SlotLayout, { entries }: Batch): string | undefined => {
  for (const [i, { bindings, items, slot }] of entries.entries()) {
    const { totalBytes } = layout.placement(items, bindings)
    if (slot.bytes.length < totalBytes) return `entry ${i} has a slot of ${slot.bytes.length} bytes where ${totalBytes} are needed`
  }
  return undefined
}
