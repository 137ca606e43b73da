/**
 * One keep-alive connection that sends prebuilt HTTP/1.1 requests, one at a time. By hand, because the generator shares the machine with the
 * server it measures: `node:http` costs five times as much per request.
 *
 * @since 0.1.0
 */
import * as net from "node:net"

/** What came back. `body` is only valid during the callback. @since 0.1.0 @category http */
export type Exchange =
  | { readonly ok: true; readonly status: number; readonly head: string; readonly body: Buffer }
  | { readonly ok: false; readonly reason: "connect-failed" | "connection-lost" | "timeout" | "bad-response" }

/** @since 0.1.0 @category http */
export interface Target {
  readonly host: string
  readonly port: number
}

// A server that answers without end must not fill the client's memory.
const maxResponseBytes = 256 * 1024 * 1024
const headEnd = Buffer.from("\r\n\r\n")

/** Value of a header in the text of a response's head. @since 0.1.0 @category http */
export const headerOf = (head: string, name: string): string | undefined => {
  const lower = head.toLowerCase()
  const at = lower.indexOf(`\r\n${name}:`)
  if (at < 0) return undefined
  const end = lower.indexOf("\r\n", at + 2)
  return head.slice(at + name.length + 3, end < 0 ? undefined : end).trim()
}

/** Body of a chunked message and where it ends; undefined while more must come, null where it is malformed. */
const decodeChunked = (bytes: Buffer, from: number): { readonly body: Buffer; readonly end: number } | null | undefined => {
  const parts: Array<Buffer> = []
  let at = from
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16)
    if (!(size >= 0)) return null
    if (size === 0) {
      const end = bytes.indexOf(headEnd, lineEnd)
      return end < 0 ? undefined : { body: Buffer.concat(parts), end: end + 4 }
    }
    const next = lineEnd + 2 + size + 2
    if (bytes.length < next) return undefined
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = next
  }
}

/** A connection; it connects with its first request and again after it was lost. @since 0.1.0 @category http */
export class HttpConnection {
  private socket: net.Socket | undefined
  private connected = false
  private onEnd: ((exchange: Exchange) => void) | undefined
  private chunks: Array<Buffer> = []
  private received = 0
  // Bytes the message needs before it is worth looking again.
  private needed = 0

  constructor(private readonly target: Target) {}

  /** Sends one request; `onEnd` is called once. The previous one must have ended. */
  send(request: Buffer, onEnd: (exchange: Exchange) => void): void {
    this.onEnd = onEnd
    this.chunks = []
    this.received = 0
    this.needed = 0
    if (this.socket === undefined) this.connect()
    this.socket!.write(request)
  }

  /** Gives up the request in flight, and the connection. */
  abort(reason: "timeout" | "connection-lost"): void {
    this.drop()
    this.end({ ok: false, reason })
  }

  close(): void {
    this.onEnd = undefined
    this.drop()
  }

  private connect(): void {
    const socket = net.connect({ host: this.target.host, port: this.target.port, noDelay: true })
    this.connected = false
    this.socket = socket
    const lost = (): void => {
      if (this.socket !== socket) return
      const reason = this.connected ? "connection-lost" : "connect-failed"
      this.drop()
      this.end({ ok: false, reason })
    }
    socket.on("connect", () => {
      this.connected = true
    })
    socket.on("data", (chunk) => {
      if (this.socket === socket) this.receive(chunk)
    })
    socket.on("error", lost)
    socket.on("close", lost)
  }

  private drop(): void {
    const socket = this.socket
    this.socket = undefined
    socket?.destroy()
  }

  private end(exchange: Exchange): void {
    const onEnd = this.onEnd
    this.onEnd = undefined
    this.chunks = []
    onEnd?.(exchange)
  }

  private receive(chunk: Buffer): void {
    if (this.onEnd === undefined) return
    this.chunks.push(chunk)
    this.received += chunk.length
    if (this.received < this.needed) return
    if (this.received > maxResponseBytes) return this.fail()
    const bytes = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks)
    this.chunks = [bytes]
    const at = bytes.indexOf(headEnd)
    if (at < 0) return
    const head = bytes.toString("latin1", 0, at)
    const status = Number(head.slice(9, 12))
    if (!head.startsWith("HTTP/1.") || !(status >= 100 && status <= 599)) return this.fail()
    let body: Buffer
    if (headerOf(head, "transfer-encoding")?.toLowerCase() === "chunked") {
      const decoded = decodeChunked(bytes, at + 4)
      if (decoded === undefined) return
      if (decoded === null) return this.fail()
      body = decoded.body
    } else {
      const length = Number(headerOf(head, "content-length") ?? "0")
      if (!(length >= 0)) return this.fail()
      this.needed = at + 4 + length
      if (bytes.length < this.needed) return
      body = bytes.subarray(at + 4, this.needed)
    }
    if (headerOf(head, "connection")?.toLowerCase() === "close") this.drop()
    this.end({ ok: true, status, head, body })
  }

  private fail(): void {
    this.drop()
    this.end({ ok: false, reason: "bad-response" })
  }
}
