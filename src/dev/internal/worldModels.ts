/** Models come and go: read, measured where they are not known, registered. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Model } from "../../core/Model.js"
import { oneAtATime } from "../../core/Model.js"
import type { ModelProfile } from "../../core/Profile.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import type { HostModel } from "../HostModel.js"
import { amendedModel, largestRateRps, makeHostModel } from "../HostModel.js"
import type { WorldModel } from "../World.js"
import type { HostContext } from "./hostContext.js"
import { registered } from "./hostContext.js"
import type { TrafficLoop } from "./trafficLoop.js"

export interface WorldModels {
  /**
   * Those that the world begins with. When it completes there is a plan: of those whose profiles are known, or of the first, which is measured. What
   * is answered measures the others and plans them as well. Left: why there are none.
   */
  readonly start: Effect.Effect<Either.Either<Effect.Effect<void>, string>>
  readonly add: (name: string, bytes: Uint8Array) => Effect.Effect<void>
  readonly remove: (name: string) => Effect.Effect<void>
  readonly registerAll: Effect.Effect<void>
  readonly unregisterAll: Effect.Effect<void>
}

export const makeModels = (context: HostContext, trafficLoop: TrafficLoop): WorldModels => {
  const { gpu, models, options, publish, scheduler, sender, services, statistics, traffic, world } = context

  const knownProfile = (one: WorldModel): ModelProfile | undefined =>
    one.profile ?? options.profiles.find(({ gpuType, sha256 }) => gpuType === gpu.type && sha256 === one.sha256)?.profile
  const take = (host: HostModel, model: Model): void => {
    host.model = model
    host.layout = makeSlotLayout(model.signature)
  }
  const profileOf = (one: WorldModel, host: HostModel) => {
    const known = knownProfile(one)
    if (known !== undefined) {
      if (known.maxBatch === 1 && one.model.maxBatch > 1) take(host, oneAtATime(one.model))
      return Effect.succeed(known)
    }
    const measure = (model: Model) => options.measure({ ...one, model }, gpu, (done, total) => {
      host.detail = `measuring, ${done} of ${total}`
      publish()
    })
    return measure(one.model).pipe(
      Effect.catchIf(({ reason }) => reason === "items-depend", () => {
        take(host, oneAtATime(one.model))
        return measure(host.model)
      }),
      Effect.provide(services),
      Effect.tap((profile) => Effect.sync(() => options.post({ kind: "profiled", stored: { gpuType: gpu.type, sha256: one.sha256, profile } })))
    )
  }
  const show = (one: WorldModel): HostModel => {
    const host = makeHostModel(one)
    models.set(one.model.name, host)
    publish()
    return host
  }
  const prepare = (one: WorldModel, host: HostModel) =>
    Effect.gen(function*() {
      const profile = yield* Effect.either(profileOf(one, host))
      if (Either.isLeft(profile)) {
        host.problem = profile.left.message
        publish()
        return undefined
      }
      host.profile = profile.right
      host.detail = ""
      host.controls = { ...host.controls, rateRps: Math.min(host.controls.rateRps, largestRateRps(host, gpu)) }
      traffic.set(scheduler.nowMs(), one.model.name, host.controls.rateRps)
      publish()
      return host
    })
  const register = (one: HostModel) => scheduler.register(amendedModel(one), new Map([[gpu.type, one.profile!]]))
  /** One measurement at a time, then one plan. */
  const serve = (some: ReadonlyArray<readonly [WorldModel, HostModel]>) =>
    Effect.gen(function*() {
      const ready = yield* Effect.forEach(some, ([one, host]) => prepare(one, host))
      yield* Effect.forEach(ready.filter((one) => one !== undefined), register, { concurrency: "unbounded", discard: true })
    })

  return {
    start: Effect.gen(function*() {
      const initial = yield* Effect.either(world.models)
      if (Either.isLeft(initial)) return Either.left(initial.left)
      const shown = initial.right.map((one) => [one, show(one)] as const)
      const known = shown.filter(([one]) => knownProfile(one) !== undefined)
      const first = known.length > 0 ? known : shown.slice(0, 1)
      yield* serve(first)
      return Either.right(serve(shown.filter((one) => !first.includes(one))))
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
        yield* trafficLoop.heldDuring(serve([[read.right, show(read.right)]]))
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
