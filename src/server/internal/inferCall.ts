/**
 * One infer request over HTTP, from its headers to its answer: the hot path, without fibers.
 *
 * A body of JSON is collected and read once it is complete. Binary tensors are not collected: as soon as the JSON before them is there, the
 * slot is taken, and every chunk of the socket is copied straight into it; that is the only copy between socket and glet.
 */
import type { IncomingMessage } from "node:http"
import { createGunzip, createInflate } from "node:zlib"
import type { DirectTensor } from "../../core/ClientMemory.js"
import type { Transfer } from "../../link/clientFile.js"
import type { InferRequest } from "../../core/Request.js"
import { ExecutionFailed, InvalidRequest, ModelUnavailable, RequestDropped } from "../../core/RequestError.js"
import type { TensorSlot } from "../../core/TensorArena.js"
import type { MappedError } from "../ErrorMapping.js"
import { RequestRefused } from "../ServerError.js"
import { BodyBuffer } from "./bodyBuffer.js"
import type { CompiledModel } from "./compiledModel.js"
import type { Connection } from "./connection.js"
import type { AnswerEnd, InferContext } from "./inferContext.js"
import { type BodyHeaders, tooLarge } from "./inferHeaders.js"
import type { BoundRequest } from "./boundRequest.js"
import { bindRawRequest, directTensors, fillSlot, sharedInputs } from "./inferRequest.js"
import { directFailure, type InferResponse, makeResponse } from "./inferResponse.js"
import { readRequest } from "./readRequest.js"
import { refuseUnread } from "./refuseUnread.js"
import type { Reply } from "./reply.js"
import { sendError, sendResponse } from "./send.js"
import { notServed } from "./served.js"
import { copyShared, type SharedCopy } from "./sharedCopies.js"

/**
 * `head`: reading JSON. `tensors`: copying binary data. `sharing`: copying from or to the client's memory. `queued`: with the scheduler. `done`:
 * answered or abandoned.
 */
type Phase = "head" | "tensors" | "sharing" | "queued" | "done"

const discard = () => {}
const noDirect: ReadonlyArray<DirectTensor> = []

export class InferCall {
  private phase: Phase = "head"
  private readonly head: BodyBuffer
  /** Bytes of the head; Infinity where all is JSON. */
  private readonly headBytes: number
  private received = 0
  private request: BoundRequest | undefined
  private slot: TensorSlot | undefined
  private direct = noDirect
  /** The binary input being copied, by position in the request, and the bytes of it that are there. */
  private tensor = 0
  private tensorBytes = 0
  /** Set where the body comes compressed. */
  private stopInflating: (() => void) | undefined
  private cancel: (() => void) | undefined
  private ended = false

  constructor(
    private readonly context: InferContext,
    private readonly connection: Pick<Connection, "add" | "remove">,
    private readonly reply: Reply,
    private readonly compiled: CompiledModel,
    private readonly headers: BodyHeaders,
    /** What its path names, where it names one. */
    private readonly version: number | undefined
  ) {
    const { contentLength, encoding, jsonBytes } = headers
    const plainLength = encoding === "identity" ? contentLength : undefined
    // A raw request of unknown length is collected: its length is its shape.
    const raw = jsonBytes === 0
    this.headBytes = jsonBytes === undefined || (raw && plainLength === undefined) ? Infinity : jsonBytes
    this.head = new BodyBuffer(context.buffers, jsonBytes === undefined ? plainLength : raw ? undefined : jsonBytes)
  }

  /** The body comes by `receive`, uncompressed and of known length; from here on the call answers, whatever comes. */
  start(): void {
    this.connection.add(this)
    if (this.headers.jsonBytes === 0 && this.headers.contentLength !== undefined) this.guarded(() => this.onHead())
  }

  /** The body comes from a stream. */
  readFrom(req: IncomingMessage): void {
    const { encoding } = this.headers
    if (encoding === "identity") {
      req.on("data", this.receive)
      req.on("end", this.onBodyEnd)
      return this.start()
    }
    this.connection.add(this)
    const inflater = encoding === "gzip" ? createGunzip() : createInflate()
    this.stopInflating = () => {
      req.unpipe(inflater)
      inflater.removeAllListeners("data")
      inflater.on("error", discard)
      inflater.destroy()
    }
    inflater.on("data", this.receive)
    inflater.on("end", this.onBodyEnd)
    inflater.on("error", (cause: Error) => {
      this.fail(new InvalidRequest({ field: "body", problem: `cannot be inflated as the Content-Encoding says: ${cause.message}` }))
    })
    req.pipe(inflater)
  }

  /** The stations of a call, as callbacks of streams and of the scheduler. */
  readonly receive = (chunk: Buffer): void => this.guarded(() => this.take(chunk))
  private readonly onBodyEnd = (): void => this.guarded(() => this.endOfBody())
  private readonly onEnd = (end: AnswerEnd): void => this.guarded(() => this.answer(end))

  /** An exception is a bug: it ends this request, not the server. */
  private guarded(step: () => void): void {
    try {
      step()
    } catch (defect) {
      this.context.onDefect(defect)
      if (this.phase === "done") this.reply.destroy()
      else this.fail(new ExecutionFailed({ model: this.compiled.model.name, detail: "internal error; the server's log says more" }))
    }
  }

  private take(chunk: Buffer): void {
    if (this.phase !== "head" && this.phase !== "tensors") return
    this.received += chunk.length
    if (this.received > this.context.config.maxBodyBytes) return this.fail(tooLarge(this.context.config.maxBodyBytes))
    let rest = chunk
    if (this.phase === "head") {
      const missing = this.headBytes - this.head.length
      const part = chunk.length <= missing ? chunk : chunk.subarray(0, missing)
      if (!this.head.push(part)) return this.fail(buffersFull)
      if (this.head.length < this.headBytes) return this.endIfComplete()
      rest = chunk.subarray(part.length)
      this.onHead()
    }
    if (this.phase === "tensors") {
      if (rest.length > 0) this.copy(rest)
      this.endIfComplete()
    }
  }

  // The stream's own `end` comes a turn later.
  private endIfComplete(): void {
    if (this.stopInflating === undefined && this.received === this.headers.contentLength) this.endOfBody()
  }

  private endOfBody(): void {
    if (this.phase === "head") {
      if (this.headBytes === Infinity) return this.onHead()
      const problem = `is ${this.headBytes}, the body ended after ${this.received} bytes`
      return this.fail(new InvalidRequest({ field: "Inference-Header-Content-Length", problem }))
    }
    if (this.phase !== "tensors") return
    const request = this.request!
    if (this.tensor < request.inputs.length) {
      const jsonBytes = this.headBytes === Infinity ? 0 : this.headBytes
      const there = this.received - jsonBytes
      return this.fail(new InvalidRequest({ field: "body", problem: `ends after ${there} of ${request.binaryBytes} bytes of binary data` }))
    }
    this.offer()
  }

  /** The head is complete: checks it, takes a slot, and writes what the head holds of the tensors. */
  private onHead(): void {
    const { arena } = this.context
    const { contentLength, jsonBytes } = this.headers
    const arrivedAtMs = this.context.arrival.read()
    const body = this.head.view()
    const refused = refuseUnread(this.context, this.compiled.model.name, body, arrivedAtMs)
    if (refused !== undefined) return this.fail(refused)
    let request: BoundRequest
    if (jsonBytes === 0) {
      const length = this.headBytes === Infinity ? body.length : contentLength!
      const bound = bindRawRequest(this.compiled, length, arena.capacityBytes)
      if (bound instanceof InvalidRequest) return this.fail(bound)
      request = bound
    } else {
      const bound = readRequest(this.compiled, body, jsonBytes !== undefined, arena.capacityBytes, this.context.regions)
      if (bound instanceof InvalidRequest || bound instanceof RequestRefused) return this.fail(bound)
      request = bound
      if (jsonBytes !== undefined && this.stopInflating === undefined && contentLength !== undefined) {
        const binaryBytes = contentLength - jsonBytes
        if (binaryBytes !== bound.binaryBytes) {
          const problem = `has ${binaryBytes} bytes of binary data, its inputs say ${bound.binaryBytes}`
          return this.fail(new InvalidRequest({ field: "body", problem }))
        }
      }
    }
    const slot = arena.allocate(request.placement.totalBytes)
    if (slot === undefined) {
      this.context.metrics.droppedAtFront(this.compiled.model, "memory-full")
      return this.fail(new RequestDropped({ model: this.compiled.model.name, reason: "memory-full", retryAfterMs: 100 }))
    }
    this.request = request
    this.slot = slot
    for (const region of request.regions) region.retain()
    const wrong = fillSlot(this.compiled, request, body, slot)
    if (wrong !== undefined) return this.fail(wrong)
    if (jsonBytes === undefined) return this.offer(arrivedAtMs)
    this.phase = "tensors"
    this.skipFilled()
    if (jsonBytes === 0 && this.headBytes === Infinity) {
      this.copy(body)
      return this.offer()
    }
    this.head.free()
  }

  /** Moves on to the next input that comes as binary data. */
  private skipFilled(): void {
    const { inputs } = this.request!
    while (this.tensor < inputs.length) {
      const { range, shared } = inputs[this.tensor]!
      if (range === undefined && shared === undefined && this.sizeOf(this.tensor) !== this.tensorBytes) return
      this.tensor++
      this.tensorBytes = 0
    }
  }

  private sizeOf(tensor: number): number {
    return this.request!.placement.inputBytes[this.request!.inputs[tensor]!.index]!
  }

  private copy(chunk: Buffer): void {
    const { inputs, placement, binaryBytes } = this.request!
    let from = 0
    while (from < chunk.length) {
      if (this.tensor === inputs.length) {
        return this.fail(new InvalidRequest({ field: "body", problem: `goes on after the ${binaryBytes} bytes of binary data its inputs say` }))
      }
      const end = Math.min(chunk.length, from + this.sizeOf(this.tensor) - this.tensorBytes)
      const to = placement.inputOffsets[inputs[this.tensor]!.index]! + this.tensorBytes
      this.slot!.bytes.set(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end), to)
      this.tensorBytes += end - from
      from = end
      this.skipFilled()
    }
  }

  /** All that came with the request is in its slot. */
  private offer(arrivedAtMs = this.context.arrival.read()): void {
    if (this.phase === "done") return
    this.head.free()
    if (this.request!.regions.length === 0) return this.enqueue(arrivedAtMs)
    this.direct = directTensors(this.request!)
    this.readShared(arrivedAtMs)
  }

  /** Copies the inputs that glets do not read from their client's memory themselves. */
  private readShared(arrivedAtMs: number): void {
    const shared = sharedInputs(this.request!, this.slot!, this.direct)
    if (shared.length === 0) return this.enqueue(arrivedAtMs)
    this.share("read", shared, () => {
      // A region that was unregistered meanwhile is nothing that glets know.
      if (this.request!.regions.every(({ glets }) => glets?.isDirect === true || !this.direct.some(({ region }) => region === glets?.number))) {
        return this.enqueue(arrivedAtMs)
      }
      this.direct = noDirect
      this.readShared(arrivedAtMs)
    })
  }

  private enqueue(arrivedAtMs: number): void {
    this.phase = "queued"
    const { bindings, id, items, priority, serviceClass, timeoutMs } = this.request!
    const request: { -readonly [K in keyof InferRequest]: InferRequest[K] } = {
      model: this.compiled.model.name, slot: this.slot!, items, bindings, arrivedAtMs
    }
    if (timeoutMs !== undefined) request.timeoutMs = timeoutMs
    if (priority !== undefined) request.priority = priority
    if (serviceClass !== undefined) request.serviceClass = serviceClass
    if (id !== undefined) request.id = id
    if (this.direct.length > 0) request.direct = this.direct
    const cancel = this.context.scheduler.offer(request, this.onEnd, this.compiled.model)
    if (!this.ended) this.cancel = cancel
  }

  private answer(end: AnswerEnd): void {
    this.ended = end.ok || end.keepsSlot !== true
    this.cancel = undefined
    if (this.phase === "done") return this.release()
    if (!end.ok) {
      const { error } = end
      // The catalog knows it: it is the scheduler that does not have it any more, or not yet.
      if (error._tag === "ModelNotFound") {
        return this.fail(new ModelUnavailable({ model: this.compiled.model.name, reason: "model-not-ready" }))
      }
      return this.fail(error)
    }
    const { directProblem, version } = end.result
    if (directProblem !== undefined) return this.fail(directFailure(directProblem))
    // Another version took its place while the request came.
    if (this.version !== undefined && this.version !== version) return this.fail(notServed(this.context.catalog, this.compiled.model.name, this.version))
    const response = makeResponse(this.compiled, this.request!, this.slot!, end.result, this.direct)
    if (response instanceof ExecutionFailed || response instanceof InvalidRequest) return this.fail(response)
    if (response.shared.length === 0) this.respond(response)
    else this.share("write", response.shared, () => this.respond(response))
  }

  private respond(response: InferResponse): void {
    this.phase = "done"
    sendResponse(this.context, this.reply, response, this.onSent)
  }

  /** Copies from or to the client's memory; slot and regions are in use until then, also where the client is gone meanwhile. */
  private share(transfer: Transfer, copies: ReadonlyArray<SharedCopy>, next: () => void): void {
    this.phase = "sharing"
    copyShared(transfer, copies, (problem) =>
      this.guarded(() => {
        if (this.phase === "done") this.release()
        else if (problem !== undefined) this.fail(problem)
        else next()
      }))
  }

  /** The response's bytes are with the system, or nobody wants them. */
  private readonly onSent = (): void => {
    this.release()
    this.connection.remove(this)
  }

  private release(): void {
    const { slot } = this
    if (slot === undefined) return
    this.slot = undefined
    slot.release()
    for (const region of this.request!.regions) region.release()
  }

  private stopReading(): void {
    this.phase = "done"
    this.head.free()
    this.stopInflating?.()
  }

  private fail(error: MappedError): void {
    if (this.phase === "done") return
    const borrowed = this.phase === "queued" && !this.ended
    this.stopReading()
    // The scheduler may still write into it: `onEnd` releases.
    if (!borrowed) this.release()
    this.connection.remove(this)
    sendError(this.context, this.reply, error)
  }

  get isReading(): boolean {
    return this.phase === "head" || this.phase === "tensors"
  }

  /** The connection is gone: the request leaves the queue; the slot is given back once nobody uses it. */
  abandon(): void {
    const { phase } = this
    this.stopReading()
    // Where the scheduler has the request, its slot may be in a running batch: `onEnd` releases it.
    if (phase === "queued") this.cancel?.()
    else if (phase !== "sharing") this.release()
  }
}

const buffersFull = new RequestRefused({
  reason: "bodies-full", subject: "body", detail: "the memory for request bodies is in use; try again shortly"
})
