/** Sends what routes answer through node:http. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"

/**
 * Hands a whole body over without waiting, and leaves streams to the platform. The platform waits until a body is sent, where nothing interrupts it; of one
 * whose client has closed meanwhile node:http never says that, and request, answer and fiber would stay for ever.
 */
export const sendOnNode = (
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =>
  Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
    const { body, headers, status } = response
    const sent = NodeHttpServerRequest.toServerResponse(request)
    if (body._tag === "Uint8Array" && !sent.headersSent) sent.writeHead(status, headers).end(body.body)
    return response
  })
