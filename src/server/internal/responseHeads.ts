/** The heads of responses that are written without node:http, in its words. */
import { STATUS_CODES } from "node:http"
import type { ErrorResponse } from "../ErrorMapping.js"

/** Headers as text, from name, value, …. */
export const lineOf = (headers: ReadonlyArray<string>): string => {
  let text = ""
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
  return text
}

const statusLine = (status: number): string => `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`

const wholeOf = ({ body, headers, status }: ErrorResponse, end: string): Buffer => Buffer.from(statusLine(status) + lineOf(headers) + end + body)

export class ResponseHeads {
  readonly ok = statusLine(200)
  private readonly kept: string
  private second = -1
  private keptEnd = ""
  private closedEnd = ""
  /** The bytes of errors that are sent again and again: those of dropped requests. */
  private failures = new WeakMap<ErrorResponse, Buffer>()

  constructor(keepAliveTimeoutMs: number, private readonly unixMs: () => number = Date.now) {
    this.kept = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n\r\n`
  }

  /** The last headers and the empty line; `closes`: no further request is taken. */
  end(closes: boolean): string {
    this.refresh()
    return closes ? this.closedEnd : this.keptEnd
  }

  /** A whole error response. */
  failure(response: ErrorResponse, closes: boolean): Buffer {
    this.refresh()
    if (closes) return wholeOf(response, this.closedEnd)
    let bytes = this.failures.get(response)
    if (bytes === undefined) this.failures.set(response, bytes = wholeOf(response, this.keptEnd))
    return bytes
  }

  private refresh(): void {
    const now = this.unixMs()
    const second = Math.floor(now / 1000)
    if (second === this.second) return
    this.second = second
    const date = `Date: ${new Date(now).toUTCString()}\r\n`
    this.keptEnd = date + this.kept
    this.closedEnd = `${date}Connection: close\r\n\r\n`
    this.failures = new WeakMap()
  }
}
