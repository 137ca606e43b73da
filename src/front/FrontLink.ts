/**
 * A front's end of its link to the agent: the scheduler and the counters, as its requests see them. What one turn of the event loop brings is
 * written at its end, at once.
 */
import type { ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { InferRequest } from "../core/Request.js"
import type { DropReason, RequestDropped } from "../core/RequestError.js"
import type { TensorArena, TensorSlot } from "../core/TensorArena.js"
import type { ByteSink } from "../link/channel.js"
import { type FrameSink, MalformedFrame } from "../link/frameReader.js"
import { FrameWriter } from "../link/frameWriter.js"
import { Numbered } from "../link/numbered.js"
import type { AdmissionPage } from "../server/fronts/admissionPage.js"
import { readEnd } from "../server/fronts/endCodec.js"
import { writeOffer } from "../server/fronts/offerCodec.js"
import {
  countBytes, countsHeadBytes, dropReasons, FrontFrame, maxPending, refusedBytes, refusedPerFrame, type ToAgent, type ToFront
} from "../server/fronts/protocol.js"
import type { AnswerEnd, InferContext, RequestTaker } from "../server/internal/inferContext.js"
import type { FrontModel, FrontModels } from "./FrontModels.js"

/** When to try again where so many are. */
const pendingRetryMs = 100

interface Pending {
  readonly model: FrontModel
  readonly onEnd: (end: AnswerEnd) => void
}

const nowhere: ReadonlyArray<Uint8Array> = []
const nothing = (): void => {}

export class FrontLink implements FrameSink, RequestTaker {
  private readonly writer: FrameWriter
  private readonly pending = new Numbered<Pending>()
  /** An end whose payload is on its way. */
  private arriving: { readonly onEnd: (end: AnswerEnd) => void; readonly end: AnswerEnd } | undefined
  private scheduled = false
  /** Number of the model, of the reason, time of arrival; in threes. */
  private refusals: Array<number> = []
  private responses = new Map<number, number>()
  private taken = 0
  private closed = 0
  private usedBytes = 0

  constructor(
    sink: ByteSink,
    private readonly models: FrontModels,
    private readonly page: AdmissionPage,
    private readonly arena: TensorArena,
    private readonly onMessage: (message: ToFront) => void
  ) {
    this.writer = new FrameWriter(sink, this.schedule)
  }

  tell(message: ToAgent, id = 0): void {
    this.writer.control(id, message)
  }

  /** Something is to be counted. */
  readonly metrics: InferContext["metrics"] = {
    responded: (status, count = 1) => {
      this.responses.set(status, (this.responses.get(status) ?? 0) + count)
      this.schedule()
    },
    droppedAtFront: (model, reason) => this.tell({ type: "dropped", number: this.models.of(model).number, reason })
  }

  /** Takes a slot; the agent hears of it, whatever becomes of its request. */
  readonly allocate = (byteLength: number): TensorSlot | undefined => {
    this.schedule()
    return this.arena.allocate(byteLength)
  }

  connectionTaken(): void {
    this.taken += 1
    this.schedule()
  }

  connectionClosed(): void {
    this.closed += 1
    this.schedule()
  }

  readonly wouldRefuse = (name: ModelName, arrivedAtMs: number): RequestDropped | undefined => {
    const model = this.models.named(name)
    if (model === undefined) return undefined
    const edgeMs = this.page.arrivedMs(model.line)
    if (!(arrivedAtMs < edgeMs)) return undefined
    return edgeMs === Infinity
      ? model.refusals.dropped("queue-full", this.page.retryAfterMs(model.line))
      : model.refusals.dropped("deadline-unreachable", edgeMs - arrivedAtMs)
  }

  readonly refusedUnread = (name: ModelName, arrivedAtMs: number, { reason }: RequestDropped): void => {
    const model = this.models.named(name)
    if (model === undefined) return
    this.refusals.push(model.number, dropReasons.indexOf(reason), arrivedAtMs)
    this.schedule()
  }

  readonly offer = (request: InferRequest, onEnd: (end: AnswerEnd) => void, model: Model): () => void => {
    const read = this.models.of(model)
    if (this.pending.size >= maxPending) {
      onEnd({ ok: false, error: this.dropped(read, "queue-full") })
      return nothing
    }
    const pending: Pending = { model: read, onEnd }
    const id = this.pending.add(pending)
    writeOffer(this.writer, id, read.number, request)
    return () => {
      if (this.pending.get(id) === pending) this.writer.begin(FrontFrame.cancel, id, 0, 0)
    }
  }

  frame(kind: number, id: number, bytes: Buffer, start: number, end: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    if (kind === FrontFrame.control) {
      this.onMessage(JSON.parse(bytes.toString("utf8", start, end)) as ToFront)
      if (id !== 0) this.tell({ type: "ack" }, id)
      return nowhere
    }
    if (kind !== FrontFrame.end) throw new MalformedFrame(`the agent sent a frame of kind ${kind}`)
    const pending = this.pending.take(id)
    if (pending === undefined) throw new MalformedFrame(`the agent ended request ${id}, which it does not have`)
    const { end: told, places } = readEnd(pending.model, bytes, start, end)
    if (payloadBytes === 0) pending.onEnd(told)
    else this.arriving = { onEnd: pending.onEnd, end: told }
    this.schedule()
    return places
  }

  payloadComplete(): void {
    const { arriving } = this
    this.arriving = undefined
    arriving?.onEnd(arriving.end)
  }

  /** Writes all that is to be told. Happens by itself at the end of the turn. */
  readonly flush = (): void => {
    this.scheduled = false
    this.writeRefusals()
    this.writeCounts()
    this.writer.flush()
  }

  private readonly schedule = (): void => {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.flush)
  }

  private dropped(model: FrontModel, reason: DropReason): RequestDropped {
    this.tell({ type: "dropped", number: model.number, reason })
    return model.dropped(reason, pendingRetryMs)
  }

  private writeRefusals(): void {
    const { refusals } = this
    if (refusals.length === 0) return
    this.refusals = []
    for (let from = 0; from < refusals.length; from += 3 * refusedPerFrame) {
      const to = Math.min(refusals.length, from + 3 * refusedPerFrame)
      let at = this.writer.begin(FrontFrame.refused, 0, ((to - from) / 3) * refusedBytes, 0)
      const { buffer } = this.writer
      for (let i = from; i < to; i += 3) {
        buffer.writeUInt32LE(refusals[i]!, at)
        buffer.writeUInt32LE(refusals[i + 1]!, at + 4)
        buffer.writeDoubleLE(refusals[i + 2]!, at + 8)
        at += refusedBytes
      }
    }
  }

  private writeCounts(): void {
    const { closed, responses, taken } = this
    const usedBytes = this.arena.usedBytes()
    if (taken === 0 && closed === 0 && responses.size === 0 && usedBytes === this.usedBytes) return
    let at = this.writer.begin(FrontFrame.counts, 0, countsHeadBytes + countBytes * responses.size, 0)
    const { buffer } = this.writer
    buffer.writeUInt32LE(closed, at)
    buffer.writeUInt32LE(taken, at + 4)
    buffer.writeDoubleLE(usedBytes, at + 8)
    at += countsHeadBytes
    for (const [status, count] of responses) {
      buffer.writeUInt32LE(status, at)
      buffer.writeUInt32LE(count, at + 4)
      at += countBytes
    }
    this.taken = 0
    this.closed = 0
    this.usedBytes = usedBytes
    // Not cleared: a Map that is cleared again and again leaves a chain of tables (link/numbered.ts).
    if (responses.size > 0) this.responses = new Map()
  }
}
