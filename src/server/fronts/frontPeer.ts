/** The agent's end of the link to one front: its requests go to the scheduler, their ends go back; what it counted is added up. */
import type { Duplex } from "node:stream"
import type { DirectTensor } from "../../core/ClientMemory.js"
import type { ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { InferRequest, RequestEnd } from "../../core/Request.js"
import { ExecutionFailed, ModelNotFound } from "../../core/RequestError.js"
import type { LentPart } from "../../core/TensorArena.js"
import { type AgentChannel, agentChannel, type ChannelPlace } from "../../link/channel.js"
import { type FrameSink, makeFrameReader, MalformedFrame } from "../../link/frameReader.js"
import { FrameWriter } from "../../link/frameWriter.js"
import { Refusals } from "../../scheduler/internal/refusals.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import { directFailure } from "../internal/inferResponse.js"
import type { SharedRegion, SharedRegions } from "../internal/sharedRegions.js"
import type { Metrics } from "../Metrics.js"
import { writeBroken, writeEnd } from "./endCodec.js"
import { readOffer } from "./offerCodec.js"
import { countBytes, countsHeadBytes, dropReasons, FrontFrame, maxPending, refusedBytes, type ToAgent, type ToFront } from "./protocol.js"
import type { PublishedModels } from "./publishedModels.js"

export interface FrontPeerContext {
  readonly scheduler: Pick<typeof Scheduler.Service, "offer" | "refusedUnread">
  readonly metrics: Pick<typeof Metrics.Service, "droppedAtFront" | "responded">
  readonly models: PublishedModels
  readonly memory: ArrayBufferLike
  readonly part: LentPart
  /** Where the link's messages go, where it has a place in the memory. */
  readonly channel?: ChannelPlace | undefined
  /** Memory of clients, where they may share it. */
  readonly regions?: Pick<SharedRegions, "numbered"> | undefined
  /** A request of the model was offered. */
  readonly onOffered: (model: ModelName) => void
  readonly onReady: (protocol: number) => void
  /** So many more of the connections that it was sent have come, in their order. */
  readonly onTaken: (count: number) => void
  /** An exception on a request's way: a bug, which ends that request only. */
  readonly onDefect: (detail: string) => void
  /** It sends what no front sends. */
  readonly onMalformed: (problem: MalformedFrame) => void
}

const nowhere: ReadonlyArray<Uint8Array> = []
const noRegions: ReadonlyArray<SharedRegion> = []

export class FrontPeer implements FrameSink {
  /** Connections of clients that it has. */
  connections = 0
  /** What it answered, the less the longer ago. */
  recentAnswers = 0
  /** Messages that came from it. */
  heard = 0
  private readonly channel: AgentChannel
  private readonly writer: FrameWriter
  /** How to cancel each request that is with the scheduler, by its number; not a Map, as link/numbered.ts says. */
  private readonly calls: Array<(() => void) | undefined> = []
  private pending = 0
  private readonly acks = new Map<number, () => void>()
  private readonly refusals = new WeakMap<Model, Refusals>()
  private asked = 0
  private isGone = false
  private onIdle: (() => void) | undefined

  constructor(stream: Duplex, private readonly context: FrontPeerContext) {
    const read = makeFrameReader(this)
    this.channel = agentChannel(stream, context.channel, (bytes) => {
      try {
        read(bytes)
      } catch (error) {
        if (!(error instanceof MalformedFrame) && !(error instanceof SyntaxError)) throw error
        context.onMalformed(new MalformedFrame(error.message))
      }
    })
    this.writer = new FrameWriter(this.channel.sink)
  }

  tell(message: ToFront): void {
    if (!this.isGone) this.writer.control(0, message)
  }

  /** What it answered until now counts half from here on. */
  fade(): void {
    this.recentAnswers /= 2
  }

  /** Tells it, and calls back once it has heard of it, or is gone. */
  ask(message: ToFront, onAck: () => void): void {
    if (this.isGone) return onAck()
    const id = ++this.asked
    this.acks.set(id, onAck)
    this.writer.control(id, message)
  }

  /** The process is gone: its requests are canceled. Calls back when none of its memory is in use any more. */
  gone(onIdle: () => void): void {
    this.channel.close()
    this.isGone = true
    this.connections = 0
    this.context.part.usedBytes = 0
    for (const onAck of this.acks.values()) onAck()
    this.acks.clear()
    this.onIdle = onIdle
    for (const cancel of this.calls) cancel?.()
    this.endIfIdle()
  }

  frame(kind: number, id: number, bytes: Buffer, start: number, end: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    if (payloadBytes !== 0) throw new MalformedFrame("a front sent payload")
    this.heard++
    switch (kind) {
      case FrontFrame.offer: this.offer(id, bytes, start, end); break
      case FrontFrame.cancel: this.calls[id]?.(); break
      case FrontFrame.refused: this.refused(bytes, start, end); break
      case FrontFrame.counts: this.counts(bytes, start, end); break
      case FrontFrame.control: this.control(id, JSON.parse(bytes.toString("utf8", start, end)) as ToAgent); break
      default: throw new MalformedFrame(`a front sent a frame of kind ${kind}`)
    }
    return nowhere
  }

  payloadComplete(): void {}

  private offer(id: number, bytes: Buffer, start: number, end: number): void {
    const { memory, models, onOffered, part, scheduler } = this.context
    if (this.calls[id] !== undefined) throw new MalformedFrame(`a front offered request ${id} twice`)
    if (id > maxPending) throw new MalformedFrame(`a front offered request ${id}, which is above ${maxPending}`)
    const { arrivedAtMs, bindings, direct, id: name, items, number, priority, serviceClass, slot, timeoutMs } = readOffer(memory, part, bytes, start, end)
    const model = models.modelOf(number)
    if (model === undefined) {
      const error = new ModelNotFound({ model: models.readAs(number)?.name ?? "" })
      return this.ended(id, { ok: false, error })
    }
    const request: { -readonly [K in keyof InferRequest]: InferRequest[K] } = { model: model.name, slot, items, bindings, arrivedAtMs }
    if (timeoutMs !== undefined) request.timeoutMs = timeoutMs
    if (priority !== undefined) request.priority = priority
    if (serviceClass !== undefined) request.serviceClass = serviceClass
    if (name !== undefined) request.id = name
    if (direct !== undefined) request.direct = direct
    const held = this.holdRegions(direct)
    // A front that was not waited for any longer has not heard of it.
    if (held === undefined) return this.ended(id, { ok: false, error: directFailure("was unregistered meanwhile") })
    let isOver = false
    let isBroken = false
    try {
      const cancel = scheduler.offer(request, (end) => {
        // Its front was told already, and has given the number to another.
        if (isBroken) return
        for (const region of held) region.release()
        if (this.calls[id] !== undefined) {
          this.calls[id] = undefined
          this.pending -= 1
        }
        isOver = true
        this.ended(id, end)
      })
      if (!isOver) this.hold(id, cancel)
    } catch (defect) {
      isBroken = true
      this.context.onDefect(defect instanceof Error ? defect.stack ?? defect.message : String(defect))
      if (!isOver) writeBroken(this.writer, id, new ExecutionFailed({ model: model.name, detail: "internal error; the server's log says more" }))
    }
    onOffered(model.name)
  }

  /** The regions that a request's tensors are in, held until it ends; undefined where one is not known any more. */
  private holdRegions(direct: ReadonlyArray<DirectTensor> | undefined): ReadonlyArray<SharedRegion> | undefined {
    if (direct === undefined) return noRegions
    const regions = direct.map(({ region }) => this.context.regions?.numbered(region))
    if (regions.includes(undefined)) return undefined
    for (const region of regions) region!.retain()
    return regions as ReadonlyArray<SharedRegion>
  }

  private hold(id: number, cancel: () => void): void {
    // Without holes: their numbers are the smallest that were free.
    while (this.calls.length < id) this.calls.push(undefined)
    this.calls[id] = cancel
    this.pending += 1
  }

  private ended(id: number, end: RequestEnd): void {
    if (!this.isGone) writeEnd(this.writer, id, end)
    else this.endIfIdle()
  }

  private endIfIdle(): void {
    if (this.pending > 0) return
    this.onIdle?.()
    this.onIdle = undefined
  }

  private refused(bytes: Buffer, start: number, end: number): void {
    const { models, scheduler } = this.context
    if ((end - start) % refusedBytes !== 0) throw new MalformedFrame(`refusals have ${end - start} bytes`)
    for (let at = start; at < end; at += refusedBytes) {
      const model = models.readAs(bytes.readUInt32LE(at))
      const reason = dropReasons[bytes.readUInt32LE(at + 4)]
      if (reason === undefined) throw new MalformedFrame("a request was refused for an unknown reason")
      if (model === undefined) continue
      let refusals = this.refusals.get(model)
      if (refusals === undefined) this.refusals.set(model, refusals = new Refusals(model.name))
      // Nobody who counts it asks when it is to be tried again.
      scheduler.refusedUnread(model.name, bytes.readDoubleLE(at + 8), refusals.dropped(reason, 1))
    }
  }

  private counts(bytes: Buffer, start: number, end: number): void {
    const { metrics, part } = this.context
    if (end - start < countsHeadBytes || (end - start - countsHeadBytes) % countBytes !== 0) throw new MalformedFrame(`counts have ${end - start} bytes`)
    this.context.onTaken(bytes.readUInt32LE(start + 4))
    this.connections = Math.max(0, this.connections - bytes.readUInt32LE(start))
    part.usedBytes = bytes.readDoubleLE(start + 8)
    for (let at = start + countsHeadBytes; at < end; at += countBytes) {
      const answers = bytes.readUInt32LE(at + 4)
      this.recentAnswers += answers
      metrics.responded(bytes.readUInt32LE(at), answers)
    }
  }

  private control(id: number, message: ToAgent): void {
    switch (message.type) {
      case "ready": return this.context.onReady(message.protocol)
      case "ack": {
        const onAck = this.acks.get(id)
        this.acks.delete(id)
        return onAck?.()
      }
      case "dropped": {
        const model = this.context.models.readAs(message.number)
        return model === undefined ? undefined : this.context.metrics.droppedAtFront(model, message.reason)
      }
      case "defect": return this.context.onDefect(message.detail)
    }
  }
}
