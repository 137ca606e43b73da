/** A runner's one connection: takes frames from the agent, drives the engine, answers. */
import * as fs from "node:fs/promises"
import type { ClientObject, DirectTensor } from "../../core/ClientMemory.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import { BusyPoll } from "../internal/busyPoll.js"
import type { ControlReply, ControlRequest, RegionLost } from "../internal/control.js"
import { MalformedFrame } from "../../link/frameReader.js"
import type { FrameSink } from "../../link/frameReader.js"
import type { ByteSink } from "../../link/channel.js"
import { FrameWriter } from "../../link/frameWriter.js"
import { addOutputParts, inputPartBytes } from "../internal/slotParts.js"
import { problemBytes, readDirect } from "../internal/directCodec.js"
import { directFlag, endHeadBytes, FrameKind, noOverflow, offsetUnit, okFlag, pollFlag, runHeadBytes } from "../internal/wire.js"
import { batchProblem } from "../../core/internal/batchAssembly.js"
import { passedThrough, passThrough } from "../../core/internal/passThrough.js"
import { ClientRegions } from "./ClientRegions.js"
import { DirectBatch } from "./directBatch.js"
import type { Engine, EngineGlet, EngineModel, RunEnd } from "./Engine.js"
import type { RunBatch } from "../../core/internal/batchAssembly.js"
import type { StatFile } from "../../core/internal/readUnchanged.js"
import { readUnchanged } from "../../core/internal/readUnchanged.js"
import { LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import { OpenFailure } from "./Engine.js"

interface RunnerModel {
  readonly glet: RunnerGlet
  readonly layout: SlotLayout
  readonly passed: ReturnType<typeof passedThrough>
  readonly engine: EngineModel
  inFlight: number
  /** Called when nothing is in flight any more. */
  onIdle: (() => void) | undefined
}

interface RunnerGlet {
  readonly engine: EngineGlet
  readonly models: Set<number>
}

const statFile: StatFile = (path) => fs.stat(path, { bigint: true })
const nowhere: ReadonlyArray<Uint8Array> = []
const noProblems: ReadonlyMap<number, string> = new Map()

export class Runner implements FrameSink {
  private readonly writer: FrameWriter
  private readonly glets = new Map<number, RunnerGlet>()
  private readonly models = new Map<number, RunnerModel>()
  /** Loads run one after the other: what the process grows by is the model's. */
  private loading: Promise<unknown> = Promise.resolve()
  /** Done with the clients' memory that was there when the process began. */
  private begun: Promise<unknown> = Promise.resolve()
  private hasOpened = false
  /** A batch whose inputs are on their way (without shared memory). */
  private arriving: { readonly id: number; readonly model: RunnerModel; readonly batch: RunBatch } | undefined
  draining = false
  private readonly poll = new BusyPoll()
  /** Whether the agent, as of its last batch, wants this process to poll for the next. */
  private polls = false
  private readonly regions = new ClientRegions((region) => this.send({ type: "region-lost", region } satisfies RegionLost))

  constructor(
    sink: ByteSink,
    private readonly engine: Engine,
    /** The segment, or this process's copy of it. */
    private readonly memory: Uint8Array,
    private readonly shared: boolean,
    private readonly onDrained: () => void
  ) {
    this.writer = new FrameWriter(sink)
  }

  send(message: object): void {
    this.writer.control(0, message)
  }

  frame(kind: number, id: number, bytes: Buffer, start: number, end: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    if (kind === FrameKind.run) return this.takeBatch(id, bytes, start, payloadBytes)
    if (kind !== FrameKind.control) throw new MalformedFrame(`a runner got a frame of kind ${kind}`)
    const request = JSON.parse(bytes.toString("utf8", start, end)) as ControlRequest
    this.control(request).then(
      (reply) => this.writer.control(id, reply),
      (error: unknown) => {
        const reply: ControlReply = error instanceof LoadFailure || error instanceof OpenFailure
          ? { ok: false, reason: error.reason, detail: error.message }
          : { ok: false, detail: textOf(error) }
        this.writer.control(id, reply)
      }
    ).then(() => {
      if (request.type === "drain") this.onDrained()
    })
    return nowhere
  }

  payloadComplete(): void {
    const { batch, id, model } = this.arriving!
    this.arriving = undefined
    this.run(id, model, batch)
  }

  private async control(request: ControlRequest): Promise<ControlReply> {
    switch (request.type) {
      case "open": {
        this.hasOpened = true
        const engine = await this.engine.openGlet(request)
        this.glets.set(request.glet, { engine, models: new Set() })
        return { ok: true, opened: engine.opened }
      }
      case "load": {
        const glet = this.glets.get(request.glet)
        if (glet === undefined) return { ok: false, detail: `there is no glet ${request.glet}` }
        const load = this.loading.then(() => readUnchanged(request.files ?? [], statFile, () => glet.engine.load(request), ({ model }) => model.release()))
        this.loading = load.catch(() => undefined)
        const { loaded, model } = await load
        // Others have it already, and requests leave tensors there: the first batch is not to copy them.
        await this.begun
        if (this.glets.get(request.glet) !== glet) {
          await model.release()
          return { ok: false, detail: "the glet was closed while the model was loading" }
        }
        glet.models.add(request.model)
        this.models.set(request.model, {
          glet, layout: makeSlotLayout(request.signature), passed: passedThrough(request.signature), engine: model, inFlight: 0, onIdle: undefined
        })
        return { ok: true, loaded }
      }
      case "unload":
        await this.unload(request.model)
        return { ok: true }
      case "close":
        await this.close(request.glet)
        return { ok: true }
      case "region": {
        const opening = this.openRegion(request.region, request.object)
        if (!this.hasOpened) this.begun = Promise.allSettled([this.begun, opening])
        return opening
      }
      case "forget-region":
        this.regions.forget(request.region)
        return { ok: true }
      case "stats":
        return { ok: true, residentBytes: process.memoryUsage.rss(), ...(this.engine.freeDeviceBytes === undefined ? {} : { freeDeviceBytes: this.engine.freeDeviceBytes() }) }
      case "drain":
        this.draining = true
        await Promise.all([...this.glets.keys()].map((glet) => this.close(glet)))
        return { ok: true }
    }
  }

  /** From this call on batches may name it; the reply says whether they are better off. */
  private async openRegion(number: number, object: ClientObject): Promise<ControlReply> {
    const { clientMemory } = this.engine
    const file = this.regions.open(number, object)
    if (clientMemory === undefined) return { ok: true, isDirect: false, note: `engine ${this.engine.name} does not reach it` }
    if (clientMemory.by === "files") return { ok: true, isDirect: true }
    try {
      if (!object.isWritable) throw new Error("the server's user may not write it")
      await file.lock(clientMemory.lock)
      return { ok: true, isDirect: file.isOnDevice() }
    } catch (error) {
      return { ok: true, isDirect: false, note: textOf(error) }
    }
  }

  private async unload(number: number): Promise<void> {
    const model = this.models.get(number)
    if (model === undefined) return
    this.models.delete(number)
    model.glet.models.delete(number)
    if (model.inFlight > 0) await new Promise<void>((resolve) => model.onIdle = resolve)
    await model.engine.release()
  }

  private async close(number: number): Promise<void> {
    const glet = this.glets.get(number)
    if (glet === undefined) return
    this.glets.delete(number)
    await Promise.all([...glet.models].map((model) => this.unload(model)))
    await glet.engine.close()
  }

  private takeBatch(id: number, bytes: Buffer, start: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    const model = this.models.get(bytes.readUInt32LE(start))
    const entries = bytes.readUInt32LE(start + 8)
    const symbols = bytes.readUInt32LE(start + 12)
    const flags = bytes.readUInt32LE(start + 16)
    this.polls = (flags & pollFlag) !== 0
    const offsets = new Array<number>(entries)
    const entryItems = new Array<number>(entries)
    let at = start + runHeadBytes
    for (let i = 0; i < entries; i++) {
      offsets[i] = bytes.readUInt32LE(at) * offsetUnit
      entryItems[i] = bytes.readUInt32LE(at + 4)
      at += 8
    }
    const bindings = new Array<number>(symbols)
    for (let i = 0; i < symbols; i++) bindings[i] = bytes.readInt32LE(at + 4 * i)
    const batch: RunBatch = { items: bytes.readUInt32LE(start + 4), bindings, offsets, entryItems }

    const problem = model === undefined ? "the model is not loaded" : batchProblem(model.layout, batch, this.memory.length)
    if (model === undefined || problem !== undefined) {
      this.fail(id, problem ?? "")
      return payloadBytes === 0 ? nowhere : [new Uint8Array(payloadBytes)]
    }
    if (payloadBytes === 0) {
      if ((flags & directFlag) === 0) this.run(id, model, batch)
      else this.runDirect(id, model, batch, readDirect(bytes, at + 4 * symbols))
      return nowhere
    }
    this.arriving = { id, model, batch }
    return batch.offsets.map((offset, i) =>
      this.memory.subarray(offset, offset + inputPartBytes(model.layout, batch.entryItems[i]!, batch.bindings))
    )
  }

  private runDirect(id: number, model: RunnerModel, batch: RunBatch, tensors: ReadonlyArray<DirectTensor & { readonly entry: number }>): void {
    const direct = new DirectBatch(batch, tensors, model.layout, this.regions, this.engine, this.memory)
    this.run(id, model, direct.batch, direct)
  }

  private run(id: number, model: RunnerModel, batch: RunBatch, direct?: DirectBatch): void {
    model.inFlight++
    model.engine.run(batch, (end) => {
      if (end.ok && model.passed.length > 0) passThrough(model.layout, this.memory, batch, model.passed)
      direct?.finish(end.ok)
      if (end.ok) this.succeed(id, model, batch, end, direct?.problems ?? noProblems)
      else this.fail(id, end.detail)
      if (--model.inFlight === 0) model.onIdle?.()
      if (this.polls) this.poll.expect()
    })
  }

  private fail(id: number, detail: string): void {
    const text = Buffer.from(detail, "utf8")
    const at = this.writer.begin(FrameKind.end, id, endHeadBytes + text.length, 0)
    const { buffer } = this.writer
    buffer.fill(0, at, at + endHeadBytes)
    text.copy(buffer, at + endHeadBytes)
  }

  private succeed(
    id: number, model: RunnerModel, batch: RunBatch, end: RunEnd & { readonly ok: true }, problems: ReadonlyMap<number, string>
  ): void {
    const { outputBindings, overflow } = end
    const entries = batch.offsets.length
    const columns = overflow === undefined ? 0 : model.layout.signature.outputs.length
    const payload: Array<Uint8Array> = []
    if (!this.shared) {
      batch.offsets.forEach((offset, i) => addOutputParts(payload, model.layout, this.memory, offset, batch.entryItems[i]!, batch.bindings))
    }
    overflow?.forEach((row) => row.forEach((bytes) => bytes !== undefined && payload.push(bytes)))
    let payloadBytes = 0
    for (const piece of payload) payloadBytes += piece.length

    const problemText = problems.size === 0 ? undefined : problemBytes(problems)
    const metaBytes = endHeadBytes + 4 * (outputBindings.length + entries * columns) + (problemText?.length ?? 0)
    const at = this.writer.begin(FrameKind.end, id, metaBytes, payloadBytes)
    const { buffer } = this.writer
    buffer.writeUInt32LE(problemText === undefined ? okFlag : okFlag | directFlag, at)
    buffer.writeUInt32LE(outputBindings.length, at + 4)
    buffer.writeUInt32LE(columns, at + 8)
    buffer.writeFloatLE(end.inputMs, at + 12)
    buffer.writeFloatLE(end.inferMs, at + 16)
    buffer.writeFloatLE(end.outputMs, at + 20)
    let next = at + endHeadBytes
    for (const value of outputBindings) next = buffer.writeInt32LE(value, next)
    overflow?.forEach((row) => {
      for (const bytes of row) next = buffer.writeUInt32LE(bytes?.length ?? noOverflow, next)
    })
    problemText?.copy(buffer, next)
    for (const piece of payload) this.writer.payload(piece)
  }
}
