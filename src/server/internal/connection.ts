/** Connections, and what is answered on them when HTTP itself breaks. */
import type { Socket } from "node:net"
import { errorResponse } from "../ErrorMapping.js"
import { type RefusalReason, RequestRefused } from "../ServerError.js"

/** An unanswered request of a connection. */
export interface Call {
  /** Its body is not there yet. */
  readonly isReading: boolean
  /** The connection is gone. */
  readonly abandon: () => void
}

/** One listener per connection, not per request, sees it close. */
export class Connection {
  /** Few; not a Set, as link/numbered.ts says. */
  private readonly calls: Array<Call> = []
  private refused = false

  constructor(readonly socket: Socket) {
    socket.once("close", () => {
      for (const call of this.calls.splice(0)) call.abandon()
    })
  }

  add(call: Call): void {
    this.calls.push(call)
  }

  remove(call: Call): void {
    const at = this.calls.indexOf(call)
    if (at >= 0) this.calls.splice(at, 1)
  }

  /** A request that is there as a whole waits for its answer, or its answer is being sent. */
  get isAnswering(): boolean {
    for (const call of this.calls) if (!call.isReading) return true
    return false
  }

  /** What arrived is not HTTP, or not in time. Answers where the answer cannot be taken for that of an earlier request, and closes. */
  refuse(error: { readonly code?: string | undefined }): number | undefined {
    const { calls, socket } = this
    const [call] = calls
    if (this.refused) return undefined
    this.refused = true
    if (!socket.writable || error.code === "ECONNRESET" || calls.length > 1 || (call !== undefined && !call.isReading)) {
      socket.destroy()
      return undefined
    }
    const response = errorResponse(refusalOf(error.code ?? "unknown"))
    socket.end(
      `HTTP/1.1 ${response.status} ${statusText.get(response.status) ?? "Error"}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(response.body)}\r\nConnection: close\r\n\r\n${response.body}`
    )
    // The client may still be sending; it gets a moment to read why nobody listens.
    const timer = setTimeout(() => socket.destroy(), 1000)
    socket.once("close", () => clearTimeout(timer))
    return response.status
  }
}

const statusText = new Map([
  [400, "Bad Request"], [408, "Request Timeout"], [413, "Payload Too Large"], [431, "Request Header Fields Too Large"]
])

const refusals = new Map<string, readonly [reason: RefusalReason, subject: string, detail: string]>([
  ["ERR_HTTP_REQUEST_TIMEOUT", ["too-slow", "request", "was not sent in time"]],
  ["HPE_HEADER_OVERFLOW", ["headers-too-large", "headers", "are larger than the limit"]],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", ["body-too-large", "body", "has chunk extensions larger than the limit"]],
  ["HPE_INVALID_CONTENT_LENGTH", ["malformed", "Content-Length", "is not a whole number"]],
  ["HPE_UNEXPECTED_CONTENT_LENGTH", ["malformed", "Content-Length", "stands twice or beside Transfer-Encoding"]],
  ["HPE_INVALID_TRANSFER_ENCODING", ["malformed", "Transfer-Encoding", "cannot be read"]],
  ["HPE_INVALID_CHUNK_SIZE", ["malformed", "body", "has a chunk size that is no number"]]
])

const refusalOf = (code: string): RequestRefused => {
  const [reason, subject, detail] = refusals.get(code) ?? ["malformed", "request", `is not HTTP/1.1 (${code})`]
  return new RequestRefused({ reason, subject, detail })
}
