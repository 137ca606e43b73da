/**
 * A connection that carries plain infer requests, read and answered on the socket itself: node:http costs more than all the rest of a refusal,
 * and a third of an answer. With the first request that is not plain (requestHead.ts) the connection goes over to node:http for good, with all
 * bytes that were not taken.
 *
 * One request at a time: what a client sends ahead waits until the answer before it is sent.
 */
import type { Socket } from "node:net"
import type { ErrorResponse } from "../ErrorMapping.js"
import { compiledModel } from "./compiledModel.js"
import type { Connection } from "./connection.js"
import { InferCall } from "./inferCall.js"
import type { InferContext } from "./inferContext.js"
import { isServed } from "./served.js"
import { refuseUnread } from "./refuseUnread.js"
import { copiedBytes, forgottenBytes, lingerMs, type Reply, writeParts } from "./reply.js"
import { isSameHead, readHead, type RequestHead } from "./requestHead.js"
import type { ResponseHeads } from "./responseHeads.js"
import { lineOf } from "./responseHeads.js"
import { shownError } from "./send.js"

/** What a client may send ahead before its connection is not read from any more. */
const aheadBytes = 64 * 1024

export class DirectConnection implements Reply {
  private head: RequestHead | undefined
  /** Bytes of the request's body that are still to come. */
  private missing = 0
  /** The request has its answer; at first there is none to answer. */
  private answered = true
  /** Reads the body; undefined where the request was refused unread. */
  private call: InferCall | undefined
  /** What came behind an unanswered request. */
  private ahead: Buffer | undefined
  private closing = false
  private taking = false
  /** When it is cut if nothing happens before. */
  private untilMs: number

  /** `handOver` gives the socket to node:http, with the bytes that come first. */
  constructor(
    private readonly context: InferContext,
    private readonly heads: ResponseHeads,
    readonly socket: Socket,
    private readonly connection: Connection,
    private readonly handOver: (socket: Socket, bytes: Buffer) => void
  ) {
    this.untilMs = performance.now() + context.config.headersTimeoutMs
    socket.on("data", this.take)
    socket.on("end", this.onEnd)
    socket.on("error", ignore)
  }

  get acceptEncoding(): string | undefined {
    return this.head?.acceptEncoding
  }

  get isGone(): boolean {
    return this.socket.destroyed
  }

  /** Nothing is being asked. */
  get isIdle(): boolean {
    return this.answered && this.missing === 0 && this.socket.writableLength === 0
  }

  /** Cuts it where it was silent for too long. */
  expire(nowMs: number): void {
    if (nowMs < this.untilMs) return
    if (!this.answered && this.missing > 0) {
      const status = this.connection.refuse({ code: "ERR_HTTP_REQUEST_TIMEOUT" })
      if (status !== undefined) this.context.metrics.responded(status)
      this.closing = true
    } else if (this.answered) {
      this.socket.destroy()
    }
  }

  destroy(): void {
    this.socket.destroy()
  }

  send(headers: Array<string>, body: string | Buffer): void {
    const { socket } = this
    const byteLength = Buffer.byteLength(body)
    const head = this.okHead(headers, byteLength)
    if (typeof body === "string") {
      socket.write(head + body, byteLength === body.length ? "latin1" : "utf8")
    } else {
      socket.cork()
      socket.write(head, "latin1")
      socket.write(body)
      socket.uncork()
    }
    this.sent()
  }

  sendParts(headers: Array<string>, json: string, parts: ReadonlyArray<Uint8Array>, byteLength: number, onSent: () => void): void {
    const { socket } = this
    const head = this.okHead(headers, byteLength)
    if (byteLength <= copiedBytes) {
      const bytes = Buffer.allocUnsafe(head.length + byteLength)
      writeParts(bytes, bytes.write(head, 0, "latin1"), json, parts)
      onSent()
      socket.write(bytes)
    } else {
      socket.cork()
      socket.write(head + json)
      const last = parts.length - 1
      for (let i = 0; i < last; i++) socket.write(parts[i]!)
      socket.write(parts[last]!, (error) => {
        if (!(error instanceof Error)) onSent()
      })
      socket.uncork()
    }
    this.sent()
  }

  fail(response: ErrorResponse): void {
    this.context.metrics.responded(response.status)
    if (this.answered || this.socket.destroyed) return
    // Closing now would reset the connection under a client that still writes, and its answer would be lost.
    if (this.missing > forgottenBytes) {
      this.closing = true
      this.untilMs = performance.now() + lingerMs
    }
    this.socket.write(this.heads.failure(response, this.closes))
    this.sent()
  }

  private readonly take = (chunk: Buffer): void => {
    this.taking = true
    let rest = chunk
    while (rest.length > 0) {
      if (this.missing > 0) {
        const part = rest.length <= this.missing ? rest : rest.subarray(0, this.missing)
        rest = rest.subarray(part.length)
        this.missing -= part.length
        if (!this.answered) this.call!.receive(part)
        if (this.answered && this.missing === 0) this.finish()
      } else if (this.closing) {
        break
      } else if (!this.answered) {
        // It reads on for a while, to see whether the client goes away.
        this.ahead = this.ahead === undefined ? rest : Buffer.concat([this.ahead, rest])
        if (this.ahead.length >= aheadBytes) this.socket.pause()
        break
      } else {
        const next = this.begin(rest)
        if (next === undefined) return this.leave(rest)
        rest = next
      }
    }
    this.taking = false
  }

  /** Begins the request whose head `bytes` begin with; answers the bytes after its head. Undefined: it is for node:http. */
  private begin(bytes: Buffer): Buffer | undefined {
    const { catalog, config, arrival } = this.context
    const same = this.head !== undefined && isSameHead(this.head, bytes)
    const head = same ? this.head : readHead(bytes, config.maxBodyBytes)
    if (head === undefined || this.context.draining) return undefined
    const entry = catalog.find(head.target.name, head.target.version)
    if (!isServed(entry)) return undefined
    this.head = head
    this.answered = false
    const { contentLength, jsonBytes } = head.body
    this.missing = contentLength
    this.untilMs = performance.now() + config.requestTimeoutMs
    const rest = bytes.subarray(head.bytes.length)
    const jsonEnd = jsonBytes ?? contentLength
    if (rest.length >= jsonEnd) {
      const refused = refuseUnread(this.context, entry.model.name, rest.subarray(0, jsonEnd), arrival.read())
      if (refused !== undefined) {
        // Of its body so much is here already.
        this.missing = Math.max(0, contentLength - rest.length)
        this.fail(shownError(this.context, refused))
        if (this.missing === 0) this.finish()
        return rest.subarray(Math.min(rest.length, contentLength))
      }
    }
    this.call = new InferCall(this.context, this.connection, this, compiledModel(entry), head.body, head.target.version)
    this.call.start()
    return rest
  }

  /** The answer is written, as far as the system takes it. */
  private sent(): void {
    this.answered = true
    if (this.missing === 0 && !this.taking) this.finish()
  }

  /** The request is over: all of it was read, and it was answered. */
  private finish(): void {
    const { config } = this.context
    this.call = undefined
    if (this.closes) {
      this.closing = true
      this.socket.end()
    }
    // A client that does not read its answer must not hold memory for ever.
    const waitMs = this.socket.writableLength > 0 ? config.requestTimeoutMs : this.closing ? lingerMs : config.keepAliveTimeoutMs
    this.untilMs = performance.now() + waitMs
    const { ahead } = this
    if (ahead === undefined || this.taking) return
    this.ahead = undefined
    this.socket.resume()
    this.take(ahead)
  }

  private leave(rest: Buffer): void {
    const { socket } = this
    socket.off("data", this.take)
    socket.off("end", this.onEnd)
    socket.off("error", ignore)
    this.handOver(socket, rest)
  }

  private readonly onEnd = (): void => {
    this.socket.end()
  }

  private get closes(): boolean {
    return this.closing || this.context.draining
  }

  private okHead(headers: ReadonlyArray<string>, byteLength: number): string {
    this.context.metrics.responded(200)
    return `${this.heads.ok}${lineOf(headers)}Content-Length: ${byteLength}\r\n${this.heads.end(this.closes)}`
  }
}

const ignore = (): void => {}
