/**
 * Reads the head of a plain infer request: a POST with a Content-Length and nothing unusual. Everything else is undefined here, and is left to
 * node:http, whose parser decides what it means. So this need not be lenient anywhere: where it accepts, no two parsers can differ on where
 * the request ends.
 */
import type { IncomingHttpHeaders } from "node:http"
import { RequestRefused } from "../ServerError.js"
import { type BodyHeaders, readHeaders } from "./inferHeaders.js"
import { inferTarget, type InferTarget } from "./inferTarget.js"

export interface RequestHead {
  /** The head as it came, its empty line included. */
  readonly bytes: Buffer
  readonly target: InferTarget
  readonly body: BodyHeaders & { readonly contentLength: number }
  readonly acceptEncoding: string | undefined
}

const headEnd = Buffer.from("\r\n\r\n")
const firstBytes = Buffer.from("POST /v2/models/")
/** A longer head is not usual. */
const maxHeadBytes = 4096

const requestLine = /^POST (\/[!-~]+) HTTP\/1\.1$/
/** A header without folding, without white space around its name, with visible ASCII in its value. */
const headerLine = /^([A-Za-z0-9_-]+): ?((?:[!-~](?:[ -~]*[!-~])?)?)$/

/** Headers that change what the message is, or how the connection goes on. */
const unusual = new Set([
  "transfer-encoding", "expect", "upgrade", "trailer", "te", "keep-alive", "proxy-connection", "content-encoding", "http2-settings"
])

/** The head that `chunk` begins with; undefined where it is not all there, or not plain. */
export const readHead = (chunk: Buffer, maxBodyBytes: number): RequestHead | undefined => {
  if (chunk.compare(firstBytes, 0, firstBytes.length, 0, Math.min(firstBytes.length, chunk.length)) !== 0) return undefined
  const end = chunk.indexOf(headEnd)
  if (end < 0 || end > maxHeadBytes) return undefined
  const [first, ...lines] = chunk.toString("latin1", 0, end).split("\r\n")
  const url = requestLine.exec(first!)?.[1]
  const target = url === undefined ? undefined : inferTarget(url)
  if (target === undefined || target instanceof RequestRefused) return undefined
  const headers = new Map<string, string>()
  for (const line of lines) {
    const match = headerLine.exec(line)
    if (match === null) return undefined
    const name = match[1]!.toLowerCase()
    if (headers.has(name) || unusual.has(name)) return undefined
    headers.set(name, match[2]!)
  }
  const connection = headers.get("connection")
  if (connection !== undefined && connection.toLowerCase() !== "keep-alive") return undefined
  const named: IncomingHttpHeaders = {}
  for (const name of ["content-length", "inference-header-content-length"] as const) {
    const value = headers.get(name)
    if (value !== undefined) named[name] = value
  }
  const body = readHeaders(named, maxBodyBytes)
  if (!("contentLength" in body) || body.contentLength === undefined || body.contentLength === 0) return undefined
  return {
    bytes: Buffer.from(chunk.subarray(0, end + headEnd.length)),
    target,
    body: { ...body, contentLength: body.contentLength },
    acceptEncoding: headers.get("accept-encoding")
  }
}

/** Whether `chunk` begins with the same head: most requests of a connection have it. */
export const isSameHead = (head: RequestHead, chunk: Buffer): boolean => {
  const { length } = head.bytes
  return chunk.length >= length && head.bytes.compare(chunk, 0, length) === 0
}
