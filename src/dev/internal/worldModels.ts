/** Models come and go: read, measured where they are not known, registered. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { HostModel } from "../HostModel.js"
import { amendedModel, largestRateRps, makeHostModel } from "../HostModel.js"
import type { WorldModel } from "../World.js"
import type { HostContext } from "./hostContext.js"
import { registered } from "./hostContext.js"
import type { TrafficLoop } from "./trafficLoop.js"

export interface WorldModels {
  /** Those that the world begins with. Left: why there are none. */
  readonly start: Effect.Effect<Either.Either<void, string>>
  readonly add: (name: string, bytes: Uint8Array) => Effect.Effect<void>
  readonly remove: (name: string) => Effect.Effect<void>
  readonly registerAll: Effect.Effect<void>
  readonly unregisterAll: Effect.Effect<void>
}

export const makeModels = (context: HostContext, trafficLoop: TrafficLoop): WorldModels => {
  const { gpu, models, options, publish, scheduler, sender, services, statistics, traffic, view, world } = context

  const profileOf = (one: WorldModel, host: HostModel) => {
    const known = one.profile ?? options.profiles.find(({ gpuType, sha256 }) => gpuType === gpu.type && sha256 === one.sha256)?.profile
    if (known !== undefined) return Effect.succeed(known)
    return options.measure(one, gpu, (done, total) => {
      host.detail = `measuring, ${done} of ${total}`
      publish()
    }).pipe(
      Effect.provide(services),
      Effect.tap((profile) => Effect.sync(() => options.post({ kind: "profiled", stored: { gpuType: gpu.type, sha256: one.sha256, profile } })))
    )
  }
  const prepare = (one: WorldModel) =>
    Effect.gen(function*() {
      const { name } = one.model
      const host = makeHostModel(one)
      models.set(name, host)
      publish()
      const profile = yield* Effect.either(profileOf(one, host))
      if (Either.isLeft(profile)) {
        host.problem = profile.left.message
        publish()
        return undefined
      }
      host.profile = profile.right
      host.detail = ""
      host.controls = { ...host.controls, rateRps: Math.min(host.controls.rateRps, largestRateRps(host, gpu)) }
      traffic.set(scheduler.nowMs(), name, host.controls.rateRps)
      publish()
      return host
    })
  const register = (one: HostModel) => scheduler.register(amendedModel(one), new Map([[gpu.type, one.profile!]]))

  return {
    start: Effect.gen(function*() {
      const initial = yield* Effect.either(world.models)
      if (Either.isLeft(initial)) return Either.left(initial.left)
      const ready = yield* Effect.forEach(initial.right, prepare)
      yield* Effect.forEach(ready.filter((one) => one !== undefined), register, { concurrency: "unbounded", discard: true })
      return Either.right(undefined)
    }),
    add: (name, bytes) =>
      Effect.gen(function*() {
        if (world.read === undefined) return
        const free = models.has(name) ? `${name}-${models.size}` : name
        const read = yield* Effect.either(world.read(free, bytes))
        if (Either.isLeft(read)) {
          models.set(free, { ...makeHostModel(undefined, free), problem: read.left })
          return publish()
        }
        const wasOn = view.trafficOn
        // Traffic would be part of what is measured.
        trafficLoop.set(false)
        const one = yield* prepare(read.right)
        if (one !== undefined) yield* register(one)
        trafficLoop.set(wasOn)
      }),
    remove: (name) =>
      Effect.gen(function*() {
        const one = models.get(name)
        if (one === undefined) return
        models.delete(name)
        traffic.remove(name)
        publish()
        if (one.profile !== undefined) yield* scheduler.unregister(one.model.name)
        sender.forget(one.model.name)
        statistics.forget(name)
        one.release()
      }),
    registerAll: Effect.suspend(() => Effect.forEach(registered(context), register, { concurrency: "unbounded", discard: true })),
    unregisterAll: Effect.suspend(() =>
      Effect.forEach(registered(context), ({ model }) => scheduler.unregister(model.name), { concurrency: "unbounded", discard: true }))
  }
}
