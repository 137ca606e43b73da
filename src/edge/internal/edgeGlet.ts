/** A glet on an edge node, as the scheduler sees it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import type { Batch, BatchEnd, GletHandle, GletSpec, GletStats } from "../../core/Executor.js"
import { GletExited, ModelLoadFailed } from "../../core/ExecutorError.js"
import type { Model } from "../../core/Model.js"
import { modelKey } from "../../core/Model.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import { maxFrameBytes } from "../EdgeProtocol.js"
import type { NodeWire, RunReply } from "./nodeWire.js"

interface LoadedModel {
  readonly number: number
  readonly layout: SlotLayout
  /** The longest batch so far; undefined before the first. */
  longestMs: number | undefined
}

const failed = (detail: string): BatchEnd => ({ ok: false, error: { _tag: "BatchFailed", detail } })
const loadReasons = ["unreadable", "invalid-model", "unsupported", "no-memory", "timeout", "warm-up-failed"] as const
/** Before anything is known of a model, its batches may take as long as its loading. */
const patience = 8

export class EdgeGlet implements GletHandle {
  /** One computes while another is on its way. */
  readonly depth = 2
  private readonly models = new Map<string, LoadedModel>()
  private readonly died = Deferred.unsafeMake<GletExited>(FiberId.none)
  private dead: GletExited | undefined
  private closed = false
  private inFlight = 0
  private idle: Array<() => void> = []
  private batches = 0
  private items = 0
  private busyMs = 0
  /** When the batch before came back: what was sent before then began no sooner. */
  private freeMs = 0

  constructor(private readonly link: NodeWire, readonly spec: GletSpec) {}

  readonly exited: Effect.Effect<GletExited> = Deferred.await(this.died)

  readonly stats: Effect.Effect<GletStats> = Effect.sync(() => ({ batches: this.batches, items: this.items, busyMs: this.busyMs }))

  readonly load: GletHandle["load"] = (model, warm) =>
    Effect.gen(this, function*() {
      if (this.dead !== undefined) return yield* this.dead
      const key = modelKey(model)
      if (this.models.has(key)) return { loadMs: 0, memoryBytes: model.weightBytes, detail: `edge node ${this.link.name}` }
      const refuse = (reason: ModelLoadFailed["reason"], detail: string) => new ModelLoadFailed({ model: model.name, glet: this.spec.id, reason, detail })
      const layout = makeSlotLayout(model.signature)
      const number = yield* this.link.send(model)
      if (Either.isLeft(number)) {
        return yield* this.dead ?? (typeof number.left === "string" ? refuse("unreadable", number.left) : refuse(number.left.reason, number.left.message))
      }
      const reply = yield* this.link.ask({
        t: "load", glet: this.spec.id, model: number.right, name: model.name, maxBatch: model.maxBatch, signature: model.signature, warm: warm.slice(0, 64)
      })
      if (reply?.t === "done") {
        this.models.set(key, { number: number.right, layout, longestMs: undefined })
        return { loadMs: reply.loadMs, memoryBytes: reply.memoryBytes, detail: `edge node ${this.link.name}: ${reply.detail}` }
      }
      this.link.release(number.right)
      if (reply === undefined || reply.reason === "exited") return yield* this.dead ?? new GletExited({ glet: this.spec.id, detail: this.link.dead ?? reply?.detail ?? "" })
      return yield* refuse(loadReasons.find((one) => one === reply.reason) ?? "warm-up-failed", `on edge node ${this.link.name}: ${reply.detail}`)
    })

  readonly unload: GletHandle["unload"] = (model: Model) =>
    Effect.gen(this, function*() {
      const known = this.models.get(modelKey(model))
      if (known === undefined) return
      yield* this.whenIdle
      this.models.delete(modelKey(model))
      yield* this.link.ask({ t: "unload", glet: this.spec.id, model: known.number })
      this.link.release(known.number)
    })

  readonly start: GletHandle["start"] = (batch, onEnd) => {
    const { dead } = this
    if (dead !== undefined) return queueMicrotask(() => onEnd({ ok: false, error: dead, unstarted: true }))
    const known = this.models.get(modelKey(batch.model))
    const problem = this.closed ? `glet ${this.spec.id} is closed` : known === undefined ? `model "${batch.model.name}" is not loaded on glet ${this.spec.id}` : undefined
    if (known === undefined || problem !== undefined) return queueMicrotask(() => onEnd(failed(problem!)))
    const { layout } = known
    const bindings = batch.entries[0]!.bindings
    const inputs = inputsOf(layout, batch)
    const bytes = inputs.reduce((sum, part) => sum + part.length, 0)
    if (bytes > maxFrameBytes / 2) return queueMicrotask(() => onEnd(failed(`a batch with ${bytes} bytes of inputs is too large for an edge node`)))
    const sentMs = performance.now()
    const limitMs = known.longestMs === undefined ? this.link.options.controlTimeoutMs : Math.max(this.link.options.batchTimeoutMs, patience * known.longestMs)
    this.inFlight += 1
    this.link.run({ glet: this.spec.id, model: known.number, items: batch.items, bindings }, inputs, limitMs, (reply, payload) => {
      this.inFlight -= 1
      const nowMs = performance.now()
      const serviceMs = nowMs - Math.max(sentMs, this.freeMs)
      this.freeMs = nowMs
      const end = this.endOf(batch, known, reply, payload, serviceMs)
      if (end.ok) {
        this.batches += 1
        this.items += batch.items
        this.busyMs += serviceMs
        known.longestMs = Math.max(known.longestMs ?? 0, nowMs - sentMs)
      }
      onEnd(end)
      if (this.inFlight === 0) for (const done of this.idle.splice(0)) done()
    })
  }

  die(error: GletExited): void {
    if (this.dead !== undefined) return
    this.dead = error
    this.models.clear()
    Deferred.unsafeDone(this.died, Effect.succeed(error))
  }

  /** Takes nothing more; completes when all has ended. */
  get drain(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      return this.whenIdle
    })
  }

  private get whenIdle(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.inFlight === 0) resume(Effect.void)
      else this.idle.push(() => resume(Effect.void))
    })
  }

  private endOf(batch: Batch, { layout }: LoadedModel, reply: RunReply | undefined, payload: Uint8Array, serviceMs: number): BatchEnd {
    if (reply === undefined) {
      return { ok: false, error: this.dead ?? new GletExited({ glet: this.spec.id, detail: `edge node ${this.link.name} is gone: ${this.link.dead ?? ""}` }) }
    }
    if (reply.t === "run-failed") {
      const detail = `on edge node ${this.link.name}: ${reply.detail}`
      if (reply.cause === "failed") return failed(detail)
      return { ok: false, error: this.dead ?? new GletExited({ glet: this.spec.id, detail }), unstarted: reply.cause === "not-open" }
    }
    const outputs = takeOutputs(layout, batch, reply, payload)
    if (typeof outputs === "string") {
      // It speaks the protocol and breaks it: nothing it says can be trusted.
      queueMicrotask(() => this.link.die("bad-frame", outputs))
      return failed(outputs)
    }
    // The way there and back is part of what a batch costs.
    const inferMs = Math.min(reply.inferMs, serviceMs)
    return { ok: true, inputMs: serviceMs - inferMs, inferMs, outputMs: 0, ...outputs }
  }
}

/** The inputs of a batch, one after the other: of each input all entries. */
const inputsOf = (layout: SlotLayout, { entries }: Batch): ReadonlyArray<Uint8Array> =>
  layout.signature.inputs.flatMap((_, j) =>
    entries.map(({ bindings, items, slot }) => {
      const { inputBytes, inputOffsets } = layout.placement(items, bindings)
      return slot.bytes.subarray(inputOffsets[j]!, inputOffsets[j]! + inputBytes[j]!)
    }))

/** Writes outputs into the slots; a string says why they are none. */
const takeOutputs = (
  layout: SlotLayout, { entries, items }: Batch, reply: Extract<RunReply, { readonly t: "ran" }>, payload: Uint8Array
): Pick<Extract<BatchEnd, { readonly ok: true }>, "outputBindings" | "overflow"> | string => {
  const whole = layout.placement(items, entries[0]!.bindings)
  const fixedBytes = whole.outputBytes.reduce((sum, bytes) => sum + bytes, 0)
  const beside = reply.overflowBytes.reduce((sum, bytes) => sum + Math.max(0, bytes), 0)
  const { outputBindings: values } = reply
  if (payload.length !== fixedBytes + beside) return `${payload.length} bytes of outputs where ${fixedBytes + beside} were announced`
  if (layout.outputSymbols.length === 0 ? beside > 0 : values.length !== layout.outputSymbols.length || reply.overflowBytes.length !== whole.outputBytes.length) {
    return "outputs of other sizes than the model has"
  }
  if (reply.overflowBytes.some((bytes) => bytes > 0 && bytes % items !== 0)) return "an output that does not divide among its items"
  let at = 0
  whole.outputBytes.forEach((bytes, j) => {
    if (bytes === 0) return
    for (const entry of entries) {
      const own = layout.placement(entry.items, entry.bindings)
      entry.slot.bytes.set(payload.subarray(at, at + own.outputBytes[j]!), own.outputOffsets[j]!)
      at += own.outputBytes[j]!
    }
  })
  if (layout.outputSymbols.length === 0) return { outputBindings: undefined, overflow: undefined }
  const overflow = entries.map((): Array<Uint8Array | undefined> => whole.outputBytes.map(() => undefined))
  reply.overflowBytes.forEach((bytes, j) => {
    if (bytes < 0) return
    entries.forEach((entry, i) => {
      const own = (bytes / items) * entry.items
      overflow[i]![j] = payload.slice(at, at + own)
      at += own
    })
  })
  for (const { slot } of entries) new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset + 4 * layout.inputSymbols.length, values.length).set(values)
  return { outputBindings: entries.map(() => values), overflow }
}
