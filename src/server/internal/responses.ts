/** Helpers of the routes that are Effect's. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type { IncomingMessage } from "node:http"
import { Readable } from "node:stream"
import type { ReadableStream } from "node:stream/web"
import { InvalidRequest } from "../../core/RequestError.js"
import { errorResponse, type MappedError } from "../ErrorMapping.js"
import { RequestRefused } from "../ServerError.js"

export const json = (value: unknown, status = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(typeof value === "string" ? value : JSON.stringify(value), { status, contentType: "application/json" })

export const errorToResponse = (error: MappedError, compatTritonErrors: boolean): HttpServerResponse.HttpServerResponse => {
  const { body, headers, status } = errorResponse(error, { compatTritonErrors })
  const named: Record<string, string> = {}
  for (let i = 0; i < headers.length; i += 2) named[headers[i]!.toLowerCase()] = headers[i + 1]!
  return HttpServerResponse.text(body, { status, contentType: "application/json", headers: named })
}

const maxControlBytes = 1024 * 1024

/** Without @effect/platform-node, which knows no other server than Node's. */
const bodyOf = (source: unknown): Readable =>
  source instanceof Request
    ? source.body === null ? Readable.from([]) : Readable.fromWeb(source.body as ReadableStream)
    : source as IncomingMessage

/** The body of a control request as a JSON object; empty bodies are an empty object. Linear, and bounded. */
export const readObject: Effect.Effect<
  ReadonlyMap<string, unknown>,
  InvalidRequest | RequestRefused,
  HttpServerRequest.HttpServerRequest
> = Effect.gen(function*() {
  const request = bodyOf((yield* HttpServerRequest.HttpServerRequest).source)
  const text = yield* Effect.async<string, RequestRefused>((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length <= maxControlBytes) {
        chunks.push(chunk)
        return
      }
      request.off("data", onData)
      request.resume()
      resume(Effect.fail(new RequestRefused({
        reason: "body-too-large", subject: "body", detail: `is larger than the ${maxControlBytes} bytes that control requests may have`
      })))
    }
    request.on("data", onData)
    request.once("end", () => resume(Effect.sync(() => Buffer.concat(chunks).toString())))
  })
  if (text.trim() === "") return new Map<string, unknown>()
  const value = yield* Effect.try({
    try: () => JSON.parse(text) as unknown,
    catch: () => new InvalidRequest({ field: "body", problem: "is not valid JSON" })
  })
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return yield* new InvalidRequest({ field: "body", problem: "must be a JSON object" })
  }
  return new Map(Object.entries(value))
})
