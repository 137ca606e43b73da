/** Answers through node:http. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { ErrorResponse } from "../ErrorMapping.js"
import type { InferContext } from "./inferContext.js"
import { copiedBytes, forgottenBytes, lingerMs, type Reply, writeParts } from "./reply.js"

type ReplyContext = Pick<InferContext, "config" | "metrics" | "draining">

export class NodeReply implements Reply {
  constructor(private readonly context: ReplyContext, private readonly req: IncomingMessage, private readonly res: ServerResponse) {}

  get acceptEncoding(): string | Array<string> | undefined {
    return this.req.headers["accept-encoding"]
  }

  get isGone(): boolean {
    return this.res.destroyed
  }

  send(headers: Array<string>, body: string | Buffer): void {
    const { res } = this
    this.writeHead(headers, Buffer.byteLength(body))
    res.end(body)
    if (!res.writableFinished && res.socket !== null && res.socket.writableLength > 0) this.guardSlowReader()
  }

  sendParts(headers: Array<string>, json: string, parts: ReadonlyArray<Uint8Array>, byteLength: number, onSent: () => void): void {
    if (byteLength <= copiedBytes) {
      const body = Buffer.allocUnsafe(byteLength)
      writeParts(body, 0, json, parts)
      onSent()
      return this.send(headers, body)
    }
    const { res } = this
    this.writeHead(headers, byteLength)
    res.write(json)
    for (const part of parts) res.write(part)
    res.end(onSent)
    this.guardSlowReader()
  }

  fail({ body, headers, status }: ErrorResponse): void {
    const { context, req, res } = this
    context.metrics.responded(status)
    if (res.headersSent || res.destroyed) return
    const declared = req.headers["content-length"]
    const lingers = !req.complete && !(declared !== undefined && Number(declared) <= forgottenBytes)
    res.writeHead(status, lingers || context.draining ? [...headers, "Connection", "close"] : headers as Array<string>)
    req.resume()
    if (!lingers) {
      res.end(body)
      return
    }
    // Closing now would reset the connection under a client that still writes, and its answer would be lost.
    res.write(body)
    const timer = setTimeout(() => req.socket.destroy(), lingerMs)
    req.once("end", () => {
      clearTimeout(timer)
      res.end()
    })
    req.once("close", () => clearTimeout(timer))
  }

  destroy(): void {
    this.res.destroy()
  }

  private writeHead(headers: Array<string>, byteLength: number): void {
    headers.push("Content-Length", String(byteLength))
    if (this.context.draining) headers.push("Connection", "close")
    this.context.metrics.responded(200)
    this.res.writeHead(200, headers)
  }

  /** A client that does not read its answer must not hold memory for ever. */
  private guardSlowReader(): void {
    const { context, res } = this
    const { socket } = res
    if (socket === null || res.writableFinished) return
    const timer = setTimeout(() => socket.destroy(), context.config.requestTimeoutMs)
    const stop = () => clearTimeout(timer)
    res.once("finish", stop)
    res.once("close", stop)
  }
}
