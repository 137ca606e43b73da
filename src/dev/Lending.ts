/**
 * Lends the page's device to a server as an edge node, and comes back by itself when the connection broke.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import * as EdgeNode from "../edge/EdgeNode.js"
import { closeCodes, edgePath, protocolsFor } from "../edge/EdgeProtocol.js"
import type { EdgeSocket } from "../edge/EdgeSocket.js"
import type { EdgeView } from "./Messages.js"

/** Opens a socket with these subprotocols; a string says why it cannot be. @since 0.1.0 @category sockets */
export type Connect = (address: string, protocols: Array<string>) => Effect.Effect<EdgeSocket, string>

/** @since 0.1.0 @category options */
export interface LendingOptions {
  /** As people write it: of the server, with http or ws. */
  readonly url: string
  readonly token: string
  readonly name: string
  readonly gpu: Gpu
  readonly device: string
  readonly keep: EdgeNode.EdgeNodeOptions["keep"]
  readonly connect: Connect
  readonly onChange: (view: EdgeView) => void
}

/** @since 0.1.0 @category views */
export const notLent: EdgeView = { state: "off", detail: "", glets: 0, batches: 0 }

const firstRetryMs = 1000
const longestRetryMs = 30_000

/** The address for edge nodes of a server. @since 0.1.0 @category addresses */
export const edgeAddress = (url: string): Either.Either<string, string> =>
  Either.gen(function*() {
    const parsed = yield* Either.try({ try: () => new URL(url.includes("://") ? url : `http://${url}`), catch: () => `"${url}" is no address of a server, such as http://127.0.0.1:8000` })
    const protocol = new Map([["http:", "ws:"], ["https:", "wss:"], ["ws:", "ws:"], ["wss:", "wss:"]]).get(parsed.protocol)
    return protocol === undefined ? yield* Either.left(`"${parsed.protocol}" is not http, https, ws or wss`) : `${protocol}//${parsed.host}${edgePath}`
  })

/** Coming again would end the same way. */
const isFinal = (code: number): boolean => [1000, closeCodes.badToken, closeCodes.badFrame, closeCodes.replaced].some((one) => one === code)

/** Joins and stays until it is interrupted, or the server does not want it. @since 0.1.0 @category lending */
export const lend = (options: LendingOptions): Effect.Effect<void, never, Executor> =>
  Effect.gen(function*() {
    const { onChange } = options
    const failed = (detail: string) => Effect.sync(() => onChange({ state: "failed", detail, glets: 0, batches: 0 }))
    const address = edgeAddress(options.url)
    if (Either.isLeft(address)) return yield* failed(address.left)
    let retryMs = firstRetryMs
    let everJoined = false
    for (;;) {
      onChange({ state: "joining", detail: everJoined ? "the connection broke, trying again" : "", glets: 0, batches: 0 })
      const socket = yield* Effect.either(options.connect(address.right, protocolsFor(options.token)))
      if (Either.isLeft(socket) && !everJoined) return yield* failed(socket.left)
      if (Either.isRight(socket)) {
        const end = yield* EdgeNode.run({
          ...options, socket: socket.right,
          onStatus: ({ batches, glets, joined }) => {
            if (!joined) return
            everJoined = true
            retryMs = firstRetryMs
            onChange({ state: "joined", detail: "", glets, batches })
          }
        })
        if (!end.joined && !everJoined || isFinal(end.code)) return yield* failed(end.reason === "" ? `the connection ended (${end.code})` : end.reason)
      }
      yield* Effect.sleep(retryMs)
      retryMs = Math.min(longestRetryMs, 2 * retryMs)
    }
  })
