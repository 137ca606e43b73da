/** Where connections come in: accepted by node:http itself, or accepted here and given to fronts. */
import * as Effect from "effect/Effect"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import type { Fronts } from "../fronts/Fronts.js"
import type { ServerConfig } from "../ServerConfig.js"
import type { ServerStartError } from "../ServerError.js"
import { startErrorOf } from "../ServerError.js"
import type { Listener } from "./listener.js"

export interface Entrance {
  readonly address: AddressInfo
  /** Accepts no more; completes when all that came in has gone. */
  readonly close: Effect.Effect<void>
}

/** Connections that wait to be accepted. */
const backlog = 1024

const listen = (server: Server, { host, port }: ServerConfig) =>
  Effect.async<AddressInfo, ServerStartError>((resume) => {
    const onError = (cause: NodeJS.ErrnoException) =>
      resume(Effect.fail(startErrorOf({ host, port }, cause)))
    server.once("error", onError)
    server.listen({ host, port, backlog }, () => {
      server.off("error", onError)
      resume(Effect.sync(() => server.address() as AddressInfo))
    })
  })

const closed = (server: Server): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
  })

/** All connections stay in this process. */
export const openPlain = ({ server }: Listener, config: ServerConfig): Effect.Effect<Entrance, ServerStartError> =>
  Effect.map(listen(server, config), (address) => ({ address, close: closed(server) }))

/** Connections go to fronts; while none is up, they stay here. */
export const openFronted = (fronts: Fronts, listener: Listener, config: ServerConfig): Effect.Effect<Entrance, ServerStartError> =>
  Effect.gen(function*() {
    let here = 0
    let onNoneHere: (() => void) | undefined
    const server = createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket: Socket) => {
      if (here + fronts.connections() >= config.maxConnections) return void socket.destroy()
      if (fronts.give(socket)) return
      here += 1
      socket.once("close", () => {
        here -= 1
        if (here === 0) onNoneHere?.()
      })
      listener.accept(socket)
      socket.resume()
    })
    const address = yield* listen(server, config)
    // Not by the callback of `close`: once it has sent connections to a process, and that has died, it never comes.
    const noneHere = Effect.async<void>((resume) => {
      server.close()
      if (here === 0) resume(Effect.void)
      else onNoneHere = () => resume(Effect.void)
    })
    // A front that drains still passes requests on, so the listener that takes those closes last.
    const close = Effect.zipRight(Effect.all([noneHere, fronts.drain], { concurrency: 2, discard: true }), closed(listener.server))
    return { address, close }
  })
