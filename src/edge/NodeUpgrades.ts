/**
 * WebSockets of edge nodes on a server of `node:http`. Who has the wrong token, or comes from a page of another origin, gets no connection that could
 * carry anything.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { WebSocketServer } from "ws"
import { Upgrades } from "../server/Upgrades.js"
import { EdgeNodes } from "./EdgeNodes.js"
import { closeCodes, edgePath, edgeProtocol, maxFrameBytes, tokenOf } from "./EdgeProtocol.js"
import type { EdgeSocket } from "./EdgeSocket.js"

/** @since 0.1.0 @category options */
export interface NodeUpgradesOptions {
  readonly token: string
  /** Origins of pages that may join besides those of this machine, e.g. `https://example.org`. */
  readonly origins: ReadonlyArray<string>
}

/** Compares in a time that tells nothing, whatever the lengths. @since 0.1.0 @category tokens */
export const sameToken = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash("sha256").update(text, "utf8").digest()
  return timingSafeEqual(digest(given), digest(expected))
}

const local = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/

/** Pages say where they come from, others say nothing. @since 0.1.0 @category origins */
export const isAllowedOrigin = (origin: string | undefined, origins: ReadonlyArray<string>): boolean =>
  origin === undefined || local.test(origin) || origins.includes(origin)

const refuseHttp = (socket: Duplex, status: string, text: string): void => {
  socket.on("error", () => {})
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
}

const toEdgeSocket = (socket: WebSocket): EdgeSocket => ({
  send: (frame) => {
    if (socket.readyState === socket.OPEN) socket.send(frame)
  },
  bufferedBytes: () => socket.bufferedAmount,
  close: (code, reason) => {
    socket.close(code, reason.slice(0, 120))
    // Who does not answer is not waited for.
    setTimeout(() => socket.terminate(), 1000).unref()
  },
  listen: (onMessage, onClose) => {
    socket.on("message", (data: Buffer, isBinary) => onMessage(isBinary ? data : new Uint8Array(0)))
    socket.on("close", (code, reason) => onClose(code, reason.toString("utf8")))
    socket.on("error", () => socket.terminate())
  }
})

/** @since 0.1.0 @category layers */
export const layer = (options: NodeUpgradesOptions): Layer.Layer<Upgrades, never, EdgeNodes> =>
  Layer.effect(Upgrades, Effect.map(EdgeNodes, (nodes) => {
    const choose = { noServer: true, perMessageDeflate: false, clientTracking: false, handleProtocols: () => edgeProtocol } as const
    const server = new WebSocketServer({ ...choose, maxPayload: maxFrameBytes })
    // It speaks the protocol only to say why it hangs up: a page is told nothing of a refused request for a WebSocket.
    const refuser = new WebSocketServer({ ...choose, maxPayload: 1 })
    const handle = (request: IncomingMessage, socket: Duplex, head: Buffer): boolean => {
      if (request.url?.split("?")[0] !== edgePath) return false
      if (!isAllowedOrigin(request.headers.origin, options.origins)) {
        refuseHttp(socket, "403 Forbidden", `pages of ${request.headers.origin} may not join; glet serve --edge-origin allows an origin\n`)
        return true
      }
      const token = tokenOf(request.headers["sec-websocket-protocol"])
      const isRight = token !== undefined && sameToken(token, options.token)
      const chosen = isRight ? server : refuser
      chosen.handleUpgrade(request, socket, head, (made: WebSocket) => {
        if (isRight) return nodes.accept(toEdgeSocket(made))
        made.on("error", () => made.terminate())
        made.close(closeCodes.badToken, "the token is not right")
        setTimeout(() => made.terminate(), 1000).unref()
      })
      return true
    }
    return { handle, close: nodes.close }
  }))
