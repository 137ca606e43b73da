/** Lends the device to a server: while it is lent the server plans it, and nobody else. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { lend, notLent } from "../Lending.js"
import type { ToHost } from "../Messages.js"
import type { HostContext } from "./hostContext.js"
import type { TrafficLoop } from "./trafficLoop.js"
import type { WorldModels } from "./worldModels.js"

export interface Loan {
  readonly join: (message: Extract<ToHost, { readonly kind: "join" }>) => Effect.Effect<void>
  readonly leave: Effect.Effect<void>
}

export const makeLoan = (context: HostContext, trafficLoop: TrafficLoop, models: WorldModels): Loan => {
  const { gpu, options, publish, scope, services, view, world } = context
  let lending: Fiber.RuntimeFiber<void> | undefined
  return {
    join: ({ name, token, url }) =>
      Effect.gen(function*() {
        if (world.keep === undefined || lending !== undefined) return
        trafficLoop.set(false)
        yield* models.unregisterAll
        const lent = lend({
          url, token, name, gpu, device: world.device.label, keep: world.keep, connect: options.connect,
          onChange: (state) => {
            view.lent = state
            publish()
          }
        })
        lending = yield* Effect.forkIn(Effect.zipRight(Effect.provide(lent, services), Effect.suspend(() => {
          // The server did not want it.
          lending = undefined
          return models.registerAll
        })), scope)
      }),
    leave: Effect.gen(function*() {
      if (lending === undefined) return
      yield* Fiber.interrupt(lending)
      lending = undefined
      view.lent = notLent
      publish()
      yield* models.registerAll
    })
  }
}
