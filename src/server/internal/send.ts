/** From a response or an error to what is sent of it. */
import { deflate, gzip } from "node:zlib"
import type { RequestDropped } from "../../core/RequestError.js"
import { errorResponse, type ErrorResponse, type MappedError } from "../ErrorMapping.js"
import type { InferContext } from "./inferContext.js"
import { acceptedCoding } from "./inferHeaders.js"
import type { InferResponse } from "./inferResponse.js"
import { type Reply, writeParts } from "./reply.js"

type SendContext = Pick<InferContext, "config">

const sendCompressed = (reply: Reply, headers: Array<string>, body: string | Buffer, coding: "gzip" | "deflate"): void => {
  const compress = coding === "gzip" ? gzip : deflate
  compress(body, { level: 1 }, (error, compressed) => {
    if (reply.isGone) return
    headers.push("Vary", "Accept-Encoding")
    if (error === null) headers.push("Content-Encoding", coding)
    reply.send(headers, error === null ? compressed : body)
  })
}

/** Sends an answer; `onSent` is called once the response's views are no longer read. It is not called where the connection dies before. */
export const sendResponse = (context: SendContext, reply: Reply, response: InferResponse, onSent: () => void): void => {
  const { binary, binaryBytes, json } = response
  const jsonBytes = Buffer.byteLength(json)
  const total = jsonBytes + binaryBytes
  const coding = total >= context.config.gzipMinBytes ? acceptedCoding(reply.acceptEncoding) : undefined
  if (binary.length === 0) {
    const headers = ["Content-Type", "application/json"]
    onSent()
    return coding === undefined ? reply.send(headers, json) : sendCompressed(reply, headers, json, coding)
  }
  const headers = ["Content-Type", "application/octet-stream", "Inference-Header-Content-Length", String(jsonBytes)]
  if (coding === undefined) return reply.sendParts(headers, json, binary, total, onSent)
  const body = Buffer.allocUnsafe(total)
  writeParts(body, 0, json, binary)
  onSent()
  sendCompressed(reply, headers, body, coding)
}

const withBodyHeaders = ({ body, headers, status }: ErrorResponse): ErrorResponse => ({
  status, body, headers: ["Content-Type", "application/json", ...headers, "Content-Length", String(Buffer.byteLength(body))]
})

/** Under overload one and the same error goes to very many requests, and writing it down would cost as much as all else about them. */
const ofDrops = new WeakMap<SendContext["config"], WeakMap<RequestDropped, ErrorResponse>>()

/** What is sent of an error, all headers of the body included; the same object for the same drop. */
export const shownError = ({ config }: SendContext, error: MappedError): ErrorResponse => {
  if (error._tag !== "RequestDropped") return withBodyHeaders(errorResponse(error, config))
  let known = ofDrops.get(config)
  if (known === undefined) ofDrops.set(config, known = new WeakMap())
  let response = known.get(error)
  if (response === undefined) known.set(error, response = withBodyHeaders(errorResponse(error, config)))
  return response
}

export const sendError = (context: SendContext, reply: Reply, error: MappedError): void => reply.fail(shownError(context, error))
