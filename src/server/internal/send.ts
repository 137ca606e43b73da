/** Puts answers on the wire. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { gzip } from "node:zlib"
import type { RequestDropped } from "../../core/RequestError.js"
import { errorResponse, type ErrorResponse, type MappedError } from "../ErrorMapping.js"
import type { InferContext } from "./inferContext.js"
import { acceptsGzip } from "./inferHeaders.js"
import type { InferResponse } from "./inferResponse.js"

/** Up to here one copy and one write cost less than several writes of views. */
const copiedBytes = 64 * 1024
/** Rest of a refused body that is read and forgotten so that the connection can go on. */
const forgottenBytes = 256 * 1024
/** Time a client has to notice that its body was refused, before its connection is cut. */
const lingerMs = 2000

type SendContext = Pick<InferContext, "config" | "metrics" | "draining">

/** A client that does not read its answer must not hold memory for ever. */
const guardSlowReader = (context: SendContext, res: ServerResponse): void => {
  const { socket } = res
  if (socket === null || res.writableFinished) return
  const timer = setTimeout(() => socket.destroy(), context.config.requestTimeoutMs)
  const stop = () => clearTimeout(timer)
  res.once("finish", stop)
  res.once("close", stop)
}

const send = (context: SendContext, res: ServerResponse, headers: Array<string>, body: string | Buffer): void => {
  if (context.draining) headers.push("Connection", "close")
  context.metrics.responded(200)
  res.writeHead(200, headers)
  res.end(body)
  if (!res.writableFinished && res.socket !== null && res.socket.writableLength > 0) guardSlowReader(context, res)
}

const sendCompressed = (context: SendContext, res: ServerResponse, headers: Array<string>, body: string | Buffer): void => {
  gzip(body, { level: 1 }, (error, compressed) => {
    if (res.destroyed) return
    const bytes = error === null ? compressed : Buffer.from(body as string)
    if (error === null) headers.push("Content-Encoding", "gzip")
    headers.push("Vary", "Accept-Encoding", "Content-Length", String(bytes.length))
    send(context, res, headers, bytes)
  })
}

const joined = (response: InferResponse, jsonBytes: number): Buffer => {
  const body = Buffer.allocUnsafe(jsonBytes + response.binaryBytes)
  let at = body.write(response.json, 0)
  for (const part of response.binary) {
    body.set(part, at)
    at += part.byteLength
  }
  return body
}

/** Sends an answer; `onSent` is called once the response's views are no longer read. It is not called where the connection dies before. */
export const sendResponse = (
  context: SendContext,
  req: IncomingMessage,
  res: ServerResponse,
  response: InferResponse,
  onSent: () => void
): void => {
  const { binary, binaryBytes, json } = response
  const jsonBytes = Buffer.byteLength(json)
  const total = jsonBytes + binaryBytes
  const compress = total >= context.config.gzipMinBytes && acceptsGzip(req.headers["accept-encoding"])
  if (binary.length === 0) {
    const headers = ["Content-Type", "application/json"]
    onSent()
    if (compress) return sendCompressed(context, res, headers, json)
    headers.push("Content-Length", String(total))
    return send(context, res, headers, json)
  }
  const headers = ["Content-Type", "application/octet-stream", "Inference-Header-Content-Length", String(jsonBytes)]
  if (compress || total <= copiedBytes) {
    const body = joined(response, jsonBytes)
    onSent()
    if (compress) return sendCompressed(context, res, headers, body)
    headers.push("Content-Length", String(total))
    return send(context, res, headers, body)
  }
  headers.push("Content-Length", String(total))
  if (context.draining) headers.push("Connection", "close")
  context.metrics.responded(200)
  res.writeHead(200, headers)
  res.write(json)
  for (const part of binary) res.write(part)
  res.end(onSent)
  guardSlowReader(context, res)
}

const withBodyHeaders = ({ body, headers, status }: ErrorResponse): ErrorResponse => ({
  status, body, headers: ["Content-Type", "application/json", ...headers, "Content-Length", String(Buffer.byteLength(body))]
})

/** Under overload one and the same error goes to very many requests, and writing it down would cost as much as all else about them. */
const ofDrops = new WeakMap<SendContext["config"], WeakMap<RequestDropped, ErrorResponse>>()

const shown = ({ config }: SendContext, error: MappedError): ErrorResponse => {
  if (error._tag !== "RequestDropped") return withBodyHeaders(errorResponse(error, config))
  let known = ofDrops.get(config)
  if (known === undefined) ofDrops.set(config, known = new WeakMap())
  let response = known.get(error)
  if (response === undefined) known.set(error, response = withBodyHeaders(errorResponse(error, config)))
  return response
}

/** Sends an error. What is left of the request's body is forgotten, and where that is much, the connection ends. */
export const sendError = (context: SendContext, req: IncomingMessage, res: ServerResponse, error: MappedError): void => {
  const response = shown(context, error)
  context.metrics.responded(response.status)
  if (res.headersSent || res.destroyed) return
  const declared = req.headers["content-length"]
  const lingers = !req.complete && !(declared !== undefined && Number(declared) <= forgottenBytes)
  res.writeHead(response.status, lingers || context.draining ? [...response.headers, "Connection", "close"] : response.headers as Array<string>)
  req.resume()
  if (!lingers) {
    res.end(response.body)
    return
  }
  // Closing now would reset the connection under a client that still writes, and its answer would be lost.
  res.write(response.body)
  const timer = setTimeout(() => req.socket.destroy(), lingerMs)
  req.once("end", () => {
    clearTimeout(timer)
    res.end()
  })
  req.once("close", () => clearTimeout(timer))
}
