/**
 * The agent's end of the connection to one runner: control requests with their replies, batches with their ends. Plain callbacks; when the
 * process is gone everything that waits is told.
 */
import type { Duplex } from "node:stream"
import type { Batch, BatchEnd } from "../../core/Executor.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { BusyPoll } from "./busyPoll.js"
import type { ControlReply, ControlRequest, Ready, RegionLost } from "./control.js"
import { directBytes, readProblems, writeDirect } from "./directCodec.js"
import type { FrameSink } from "../../link/frameReader.js"
import { type AgentChannel, agentChannel, type ChannelPlace } from "../../link/channel.js"
import { makeFrameReader, MalformedFrame } from "../../link/frameReader.js"
import { FrameWriter } from "../../link/frameWriter.js"
import { Numbered } from "../../link/numbered.js"
import { PollChoice } from "./pollChoice.js"
import { addOutputParts, inputPartBytes } from "./slotParts.js"
import { directFlag, endHeadBytes, FrameKind, noOverflow, offsetUnit, okFlag, pollFlag, runHeadBytes } from "./wire.js"

/** How a process ended. */
export interface RunnerExit {
  readonly code: number | undefined
  readonly signal: string | undefined
  readonly detail: string
}

/** What the link needs to know of a loaded model. */
export interface LinkedModel {
  readonly number: number
  readonly layout: SlotLayout
}

/** Ends of batches; `onGone` instead of `onEnd` when the process died. */
interface BatchListener {
  readonly onEnd: (end: BatchEnd) => void
  readonly onGone: (exit: RunnerExit) => void
}

interface InFlight {
  readonly batch: Batch
  readonly layout: SlotLayout
  readonly listener: BatchListener
  /** When it left, where it left alone; undefined where others were on their way. */
  readonly leftAloneMs: number | undefined
  readonly polled: boolean
}

const nowhere: ReadonlyArray<Uint8Array> = []

/** What never holds its thread: clients' memory is locked on another one. Clients register theirs at any time, which is to hide no runner that hangs. */
const brief: ReadonlySet<ControlRequest["type"]> = new Set(["stats", "region", "forget-region"])

export class RunnerLink implements FrameSink {
  private readonly channel: AgentChannel
  private readonly writer: FrameWriter
  private readonly replies = new Map<number, (reply: ControlReply | RunnerExit) => void>()
  /** Of those, the requests that may keep its thread for a while, as loading a model may. */
  private readonly lengthy = new Set<number>()
  /** The ping that was not answered yet. */
  private pinged: number | undefined
  private readonly batches = new Numbered<InFlight>()
  private requests = 0
  private readonly poll = new BusyPoll()
  private readonly pollChoice = new PollChoice()
  /** An end whose payload is on its way. */
  private arriving: { readonly id: number; readonly end: BatchEnd } | undefined
  private goneWith: RunnerExit | undefined
  /** Messages that came from it. */
  heard = 0
  /** Batches that it has ended. */
  ended = 0
  /** Told of a client's memory that it does not reach directly any more. */
  onRegionLost: (region: number) => void = () => undefined

  constructor(
    stream: Duplex,
    /** Where its messages go, where memory is shared; elsewhere the stream carries them. */
    place: ChannelPlace | undefined,
    /** False: the tensors' bytes go over the connection too. */
    private readonly shared: boolean,
    private readonly onReady: (ready: Ready) => void,
    onMalformed: (problem: MalformedFrame) => void
  ) {
    const read = makeFrameReader(this)
    this.channel = agentChannel(stream, place, (bytes) => {
      try {
        read(bytes)
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error
        onMalformed(error)
      }
    })
    this.writer = new FrameWriter(this.channel.sink)
  }

  /** Set once the process is gone. */
  get exit(): RunnerExit | undefined {
    return this.goneWith
  }

  /** Batches are in flight. */
  get works(): boolean {
    return this.batches.size > 0
  }

  /** What it was asked may be why it is silent: what came to it after a ping is not, since it reads in order. */
  get mayBeBusy(): boolean {
    for (const id of this.lengthy) if (this.pinged === undefined || id < this.pinged) return true
    return false
  }

  /** Has it say something. */
  ping(): void {
    this.pinged ??= this.requests + 1
    this.request({ type: "stats" }, () => this.pinged = undefined)
  }

  /** Asks the runner; the answer is how it ended where it is gone. Returns a function that stops listening. */
  request(request: ControlRequest, onReply: (reply: ControlReply | RunnerExit) => void): () => void {
    if (this.goneWith !== undefined) {
      onReply(this.goneWith)
      return () => undefined
    }
    const id = ++this.requests
    this.replies.set(id, onReply)
    if (!brief.has(request.type)) this.lengthy.add(id)
    this.writer.control(id, request)
    return () => {
      this.replies.delete(id)
      this.lengthy.delete(id)
    }
  }

  /** Starts a batch. The listener is never called before this returns. */
  start(model: LinkedModel, batch: Batch, listener: BatchListener): void {
    const gone = this.goneWith
    if (gone !== undefined) {
      queueMicrotask(() => listener.onGone(gone))
      return
    }
    const { entries } = batch
    const { layout } = model
    const bindings = entries[0]?.bindings ?? []
    let payloadBytes = 0
    for (const entry of entries) {
      const { totalBytes } = layout.placement(entry.items, entry.bindings)
      if (entry.slot.bytes.length < totalBytes) {
        queueMicrotask(() => listener.onEnd({
          ok: false,
          error: { _tag: "BatchFailed", detail: `a request of ${totalBytes} bytes stands in a slot of ${entry.slot.bytes.length}` }
        }))
        return
      }
      if (!this.shared) payloadBytes += inputPartBytes(layout, entry.items, bindings)
    }
    const isAlone = this.batches.size === 0
    const polled = isAlone && this.pollChoice.next()
    const id = this.batches.add({ batch, layout, listener, leftAloneMs: isAlone ? performance.now() : undefined, polled })
    if (polled) this.poll.expect()
    else this.poll.rest()

    const direct = directBytes(entries)
    const at = this.writer.begin(FrameKind.run, id, runHeadBytes + 8 * entries.length + 4 * bindings.length + direct, payloadBytes)
    const { buffer } = this.writer
    buffer.writeUInt32LE(model.number, at)
    buffer.writeUInt32LE(batch.items, at + 4)
    buffer.writeUInt32LE(entries.length, at + 8)
    buffer.writeUInt32LE(bindings.length, at + 12)
    buffer.writeUInt32LE((polled ? pollFlag : 0) | (direct > 0 ? directFlag : 0), at + 16)
    let next = at + runHeadBytes
    for (const entry of entries) {
      buffer.writeUInt32LE(entry.slot.offset / offsetUnit, next)
      buffer.writeUInt32LE(entry.items, next + 4)
      next += 8
    }
    for (const value of bindings) next = buffer.writeInt32LE(value, next)
    if (direct > 0) writeDirect(buffer, next, entries)
    if (this.shared) return
    for (const entry of entries) {
      this.writer.payload(entry.slot.bytes.subarray(0, inputPartBytes(layout, entry.items, bindings)))
    }
  }

  /** The process is gone: everything that waits is told, once. */
  gone(exit: RunnerExit): void {
    if (this.goneWith !== undefined) return
    // What it had finished is not lost.
    this.channel.close()
    this.goneWith = exit
    const replies = [...this.replies.values()]
    const batches = this.batches.takeAll()
    this.replies.clear()
    for (const onReply of replies) onReply(exit)
    for (const { listener } of batches) listener.onGone(exit)
  }

  frame(kind: number, id: number, bytes: Buffer, start: number, end: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    if (this.goneWith !== undefined) return payloadBytes === 0 ? nowhere : [new Uint8Array(payloadBytes)]
    this.heard++
    if (kind === FrameKind.end) return this.takeEnd(id, bytes, start, end, payloadBytes)
    if (kind !== FrameKind.control) throw new MalformedFrame(`a runner sent a frame of kind ${kind}`)
    const message = JSON.parse(bytes.toString("utf8", start, end)) as Ready | RegionLost | ControlReply
    if ("type" in message) {
      if (message.type === "ready") this.onReady(message)
      else this.onRegionLost(message.region)
      return nowhere
    }
    const onReply = this.replies.get(id)
    this.replies.delete(id)
    this.lengthy.delete(id)
    onReply?.(message)
    return nowhere
  }

  payloadComplete(): void {
    const arrived = this.arriving
    if (arrived === undefined) return
    this.arriving = undefined
    this.finish(arrived.id, arrived.end)
  }

  private takeEnd(id: number, bytes: Buffer, start: number, end: number, payloadBytes: number): ReadonlyArray<Uint8Array> {
    const flight = this.batches.get(id)
    if (flight === undefined) throw new MalformedFrame(`a runner ended batch ${id}, which is not in flight`)
    const { batch, layout } = flight
    const head = start + endHeadBytes
    const flags = bytes.readUInt32LE(start)
    if ((flags & okFlag) === 0) {
      this.finish(id, { ok: false, error: { _tag: "BatchFailed", detail: bytes.toString("utf8", head, end) } })
      return nowhere
    }
    const symbols = bytes.readUInt32LE(start + 4)
    const columns = bytes.readUInt32LE(start + 8)
    let outputBindings: ReadonlyArray<ReadonlyArray<number>> | undefined
    if (symbols > 0) {
      const values = Array.from({ length: symbols }, (_, i) => bytes.readInt32LE(head + 4 * i))
      outputBindings = batch.entries.map(() => values)
    }
    const places: Array<Uint8Array> = []
    if (!this.shared) {
      batch.entries.forEach(({ bindings, items, slot }, i) => {
        addOutputParts(places, layout, slot.bytes, 0, items, bindings)
        // The runner wrote them into its own copy of the slot's header.
        const { buffer, byteOffset } = slot.bytes
        if (outputBindings !== undefined) new Int32Array(buffer, byteOffset + 4 * bindings.length, symbols).set(outputBindings[i]!)
      })
    }
    let overflow: ReadonlyArray<ReadonlyArray<Uint8Array | undefined>> | undefined
    let at = head + 4 * symbols
    if (columns > 0) {
      overflow = batch.entries.map(() =>
        Array.from({ length: columns }, () => {
          const length = bytes.readUInt32LE(at)
          at += 4
          if (length === noOverflow) return undefined
          const room = new Uint8Array(length)
          if (length > 0) places.push(room)
          return room
        })
      )
    }
    const directProblems = (flags & directFlag) === 0 ? undefined : readProblems(bytes, at, end)
    const done: BatchEnd = {
      ok: true,
      inputMs: bytes.readFloatLE(start + 12),
      inferMs: bytes.readFloatLE(start + 16),
      outputMs: bytes.readFloatLE(start + 20),
      outputBindings,
      overflow,
      directProblems
    }
    if (payloadBytes > 0) {
      // The slots stay ours until `onEnd`: the outputs go straight into them.
      this.arriving = { id, end: done }
      return places
    }
    this.finish(id, done)
    return nowhere
  }

  private finish(id: number, end: BatchEnd): void {
    const flight = this.batches.take(id)
    this.ended++
    if (this.batches.size === 0) {
      this.poll.rest()
      if (flight?.leftAloneMs !== undefined && end.ok) {
        this.pollChoice.observe(flight.polled, performance.now() - flight.leftAloneMs - end.inputMs - end.inferMs - end.outputMs)
      }
    }
    flight?.listener.onEnd(end)
  }
}
