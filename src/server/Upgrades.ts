/**
 * Who takes connections that ask for another protocol than HTTP. Optional: without it a server answers such requests as if they did not ask.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"

/**
 * @since 0.1.0
 * @category services
 */
export class Upgrades extends Context.Tag("glet/server/Upgrades")<Upgrades, {
  /** Takes the socket; false: it is nobody's, and is refused. */
  readonly handle: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
  /** Ends what was taken. Called when the server stops and all requests are answered. */
  readonly close: Effect.Effect<void>
}>() {}
