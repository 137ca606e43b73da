/**
 * The server's side of one edge node: asks it for glets, sends models and batches, and notices when it is gone, stuck or talks nonsense. Then all its
 * glets die, as a process does, and what ran there runs again elsewhere.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { EdgeNodeStatus } from "../core/EdgeStatus.js"
import type { GletHandle, GletSpec } from "../core/Executor.js"
import { GletExited, GletOpenFailed } from "../core/ExecutorError.js"
import type { Gpu } from "../core/Gpu.js"
import type { LoadFailure } from "../core/internal/loadFailure.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import { modelKey } from "../core/Model.js"
import type { Hello, ToNode } from "./EdgeProtocol.js"
import { closeCodes, decodeFromNode, encodeFrame, maxFrameBytes, modelChunkBytes } from "./EdgeProtocol.js"
import type { EdgeSocket } from "./EdgeSocket.js"
import { EdgeGlet } from "./internal/edgeGlet.js"
import type { Asked, EdgeEnd, NodeWire, Reply, RunHeader, RunReply } from "./internal/nodeWire.js"

/** @since 0.1.0 @category options */
export interface EdgeLinkOptions {
  /** Reads a model's file, or says why not. */
  readonly read: (model: Model) => Effect.Effect<Uint8Array, string | LoadFailure>
  /** Bytes that may wait to be sent before the socket counts as too slow. */
  readonly maxQueuedBytes: number
  /** Between two questions whether the node is still there, ms. */
  readonly pingMs: number
  /** Without any word for so long it is gone, ms. */
  readonly silenceMs: number
  /** A batch that takes longer, and eight times as long as any before, is lost, ms. */
  readonly batchTimeoutMs: number
  /** For a glet to open, or a model to load, ms. */
  readonly controlTimeoutMs: number
}

/** @since 0.1.0 @category options */
export const defaultLinkOptions: Omit<EdgeLinkOptions, "read"> = {
  maxQueuedBytes: 16 << 20, pingMs: 1000, silenceMs: 5000, batchTimeoutMs: 2000, controlTimeoutMs: 120_000
}

/** What a node says is shown in terminals. */
const printable = (text: string): string => text.replace(/\p{Cc}/gu, " ")

const endCodes: Readonly<Record<EdgeEnd, number>> = {
  "server-stops": closeCodes.closing, disconnected: closeCodes.closing, silent: closeCodes.tooSlow, stuck: closeCodes.tooSlow, "bad-frame": closeCodes.badFrame,
  replaced: closeCodes.replaced
}

interface PendingAsk {
  readonly answer: (reply: Reply | undefined) => void
}

interface PendingRun {
  readonly dueMs: number
  readonly answer: (reply: RunReply | undefined, payload: Uint8Array) => void
}

interface SentModel {
  readonly number: number
  readonly sent: Promise<string | undefined>
  users: number
}

const nothing = new Uint8Array(0)
const hex = (bytes: ArrayBuffer): string => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
/** Pieces of a model wait while more than this is on its way, so that batches are not stuck behind it. */
const modelQueueBytes = 2 * modelChunkBytes

/** @since 0.1.0 @category links */
export class EdgeLink implements NodeWire {
  readonly gpu: Gpu
  readonly name: string
  readonly device: string
  /** Why it is gone. */
  dead: string | undefined
  private readonly glets = new Map<string, EdgeGlet>()
  private readonly asks = new Map<number, PendingAsk>()
  private readonly runs = new Map<number, PendingRun>()
  /** By name, version, and content: what its file and signature are. */
  private readonly models = new Map<string, SentModel>()
  private nextId = 0
  private nextModel = 0
  private heardMs: number
  private readonly joinedMs: number
  private batches = 0
  private readonly sent = { frames: 0, bytes: 0 }
  private readonly received = { frames: 0, bytes: 0 }
  private readonly timer: ReturnType<typeof setInterval>

  constructor(
    private readonly socket: EdgeSocket, hello: Hello, readonly options: EdgeLinkOptions, private readonly onGone: (link: EdgeLink, reason: EdgeEnd) => void
  ) {
    this.name = hello.name
    this.device = printable(hello.device)
    const [first, ...shares] = [...new Set(hello.sharesPct)].sort((a, b) => a - b)
    this.gpu = {
      // The way to it is part of what is measured: a type of its own.
      id: unsafeGpuId(`edge:${hello.name}`), type: `edge-${hello.name}`, isolation: "duty", units: 100, memoryBytes: hello.memoryBytes, sharesPct: [first!, ...shares]
    }
    this.heardMs = this.joinedMs = performance.now()
    this.timer = setInterval(() => this.look(), options.pingMs)
    this.post({ t: "welcome", gpu: this.gpu.id })
  }

  /** What the node sent. */
  receive(frame: Uint8Array): void {
    if (this.dead !== undefined) return
    this.heardMs = performance.now()
    this.received.frames += 1
    this.received.bytes += frame.length
    const decoded = decodeFromNode(frame, maxFrameBytes)
    if (Either.isLeft(decoded)) return this.die("bad-frame", decoded.left)
    const { header, payload } = decoded.right
    switch (header.t) {
      case "hello":
        return this.die("bad-frame", "a second hello")
      case "pong":
        return
      case "done":
      case "failed": {
        const ask = this.asks.get(header.id)
        this.asks.delete(header.id)
        return ask?.answer(header)
      }
      case "ran":
      case "run-failed": {
        const run = this.runs.get(header.id)
        if (run === undefined) return this.die("bad-frame", `an answer to nothing (${header.id})`)
        this.runs.delete(header.id)
        this.batches += 1
        return run.answer(header, payload)
      }
      case "exited": {
        const glet = this.glets.get(header.glet)
        this.glets.delete(header.glet)
        return glet?.die(new GletExited({ glet: glet.spec.id, detail: `on edge node ${this.name}: ${header.detail}` }))
      }
    }
  }

  die(reason: EdgeEnd, why: string): void {
    if (this.dead !== undefined) return
    this.dead = printable(why)
    clearInterval(this.timer)
    this.socket.close(endCodes[reason], why)
    for (const { answer } of [...this.asks.values()]) answer(undefined)
    this.asks.clear()
    for (const glet of this.glets.values()) glet.die(new GletExited({ glet: glet.spec.id, detail: `edge node ${this.name} is gone: ${why}` }))
    this.glets.clear()
    for (const { answer } of [...this.runs.values()]) answer(undefined, nothing)
    this.runs.clear()
    this.onGone(this, reason)
  }

  /** What it is and did so far. */
  get status(): EdgeNodeStatus {
    const nowMs = performance.now()
    return {
      name: this.name, gpu: this.gpu.id, device: this.device, glets: this.glets.size, inFlight: this.runs.size, batches: this.batches,
      sent: { ...this.sent }, received: { ...this.received }, connectedMs: nowMs - this.joinedMs, silentMs: nowMs - this.heardMs
    }
  }

  /** Opens a glet there; closing the scope closes it. */
  open(spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> {
    const refuse = (reason: GletOpenFailed["reason"], detail: string) => new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail })
    return Effect.acquireRelease(
      Effect.gen(this, function*() {
        const reply = yield* this.ask({ t: "open", glet: spec.id, sharePct: spec.sharePct, priority: spec.priority })
        if (reply === undefined) return yield* refuse("device-missing", `edge node ${this.name} is gone: ${this.dead ?? "it does not answer"}`)
        if (reply.t === "failed") return yield* refuse(openReason(reply.reason), `on edge node ${this.name}: ${reply.detail}`)
        const glet = new EdgeGlet(this, spec)
        this.glets.set(spec.id, glet)
        return glet
      }),
      (glet) => glet.drain.pipe(Effect.zipRight(this.ask({ t: "close", glet: spec.id })), Effect.zipRight(Effect.sync(() => void this.glets.delete(spec.id))))
    )
  }

  ask(asked: Asked): Effect.Effect<Reply | undefined> {
    return Effect.async<Reply | undefined>((resume) => {
      if (this.dead !== undefined) return resume(Effect.succeed(undefined))
      const id = this.nextId++
      this.asks.set(id, { answer: (reply) => resume(Effect.succeed(reply)) })
      this.post({ ...asked, id } as ToNode)
    }).pipe(Effect.timeoutTo({
      duration: this.options.controlTimeoutMs,
      onSuccess: (reply) => reply,
      onTimeout: () => {
        this.die("stuck", `"${asked.t}" was not done within ${this.options.controlTimeoutMs} ms`)
        return undefined
      }
    }))
  }

  run(
    header: RunHeader, inputs: ReadonlyArray<Uint8Array>, limitMs: number, answer: (reply: RunReply | undefined, payload: Uint8Array) => void
  ): void {
    if (this.dead !== undefined) return queueMicrotask(() => answer(undefined, nothing))
    const id = this.nextId++
    this.runs.set(id, { dueMs: performance.now() + limitMs, answer })
    if (this.socket.bufferedBytes() > this.options.maxQueuedBytes) {
      queueMicrotask(() => this.die("stuck", `${this.socket.bufferedBytes()} bytes wait to be sent: the connection is too slow`))
      return
    }
    this.post({ ...header, t: "run", id }, inputs)
  }

  send(model: Model): Effect.Effect<Either.Either<number, string | LoadFailure>> {
    return Effect.gen(this, function*() {
      const read = yield* Effect.either(this.options.read(model))
      if (Either.isLeft(read)) return Either.left(read.left)
      const key = `${hex(yield* Effect.promise(() => crypto.subtle.digest("SHA-256", read.right as Uint8Array<ArrayBuffer>)))} ${modelKey(model)} ${JSON.stringify(model.signature)}`
      let known = this.models.get(key)
      if (known === undefined) {
        const number = this.nextModel++
        this.models.set(key, known = { number, users: 0, sent: this.sendFile(number, read.right) })
      }
      known.users += 1
      const { number, sent } = known
      const problem = yield* Effect.promise(() => sent)
      if (problem === undefined) return Either.right(number)
      this.release(number)
      return Either.left(problem)
    })
  }

  release(number: number): void {
    for (const [key, model] of this.models) {
      if (model.number !== number || --model.users > 0) continue
      this.models.delete(key)
      this.post({ t: "forget", model: number })
    }
  }

  private async sendFile(model: number, bytes: Uint8Array): Promise<string | undefined> {
    if (bytes.length === 0) return "its file is empty"
    for (let offset = 0; offset < bytes.length; offset += modelChunkBytes) {
      while (this.dead === undefined && this.socket.bufferedBytes() > modelQueueBytes) await new Promise((resolve) => setTimeout(resolve, 5))
      if (this.dead !== undefined) return `edge node ${this.name} is gone: ${this.dead}`
      this.post({ t: "model", model, offset, totalBytes: bytes.length }, [bytes.subarray(offset, offset + modelChunkBytes)])
    }
    return undefined
  }

  private post(header: ToNode, payload?: ReadonlyArray<Uint8Array>): void {
    if (this.dead !== undefined) return
    const frame = encodeFrame(header, payload)
    this.sent.frames += 1
    this.sent.bytes += frame.length
    this.socket.send(frame)
  }

  private look(): void {
    const nowMs = performance.now()
    if (nowMs - this.heardMs > this.options.silenceMs) return this.die("silent", `no word for ${Math.round(nowMs - this.heardMs)} ms`)
    for (const { dueMs } of this.runs.values()) if (nowMs > dueMs) return this.die("stuck", "a batch was not answered in time")
    this.post({ t: "ping", id: this.nextId++ })
  }
}

const openReason = (reason: string): GletOpenFailed["reason"] =>
  (["spawn-failed", "start-timeout", "share-unsupported", "device-missing", "no-memory"] as const).find((one) => one === reason) ?? "spawn-failed"
