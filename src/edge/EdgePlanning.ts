/**
 * Makes the scheduler use edge nodes: measures on a node that joins what may run there, then plans with its GPU; plans without it when it is gone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import { GpuInventory } from "../core/Gpu.js"
import type { Model } from "../core/Model.js"
import type { ModelProfile } from "../core/Profile.js"
import * as ProfilerLive from "../core/ProfilerLive.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { EdgeLink } from "./EdgeLink.js"
import { EdgeNodes } from "./EdgeNodes.js"

/** @since 0.1.0 @category options */
export interface EdgePlanningOptions {
  /** The models that may run on edge nodes now. The same model is the same object. */
  readonly models: () => ReadonlyArray<Model>
  /** Time to measure a model on a node, ms. */
  readonly profileBudgetMs: number
}

/** Nodes whose measurements are remembered, should they come back. */
const mostRemembered = 64
/** Shares measured on a node: the smallest, the largest and one between. */
const maxShares = 3

/** What was measured, or why it could not be, on one node. */
type Known = Map<Model, Either.Either<ModelProfile, string>>

/** @since 0.1.0 @category constructors */
export const make = (options: EdgePlanningOptions): Effect.Effect<void, never, Scheduler | EdgeNodes | Executor | GpuInventory | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const nodes = yield* EdgeNodes
    const { gpus: own } = yield* GpuInventory
    const profiler = yield* ProfilerLive.make({ maxShares, everyShare: true })
    const wake = yield* Queue.sliding<void>(1)
    const known = new Map<string, Known>()
    /** What the scheduler was told: models by object, so that one that is registered anew is told of again. */
    let told = new WeakMap<EdgeLink, Set<Model>>()
    let planned: ReadonlyArray<Gpu> = []

    const knownOf = (name: string): Known => {
      const found = known.get(name) ?? new Map<Model, Either.Either<ModelProfile, string>>()
      known.delete(name)
      known.set(name, found)
      for (const oldest of known.keys()) if (known.size > mostRemembered) known.delete(oldest)
      return found
    }
    const measure = (link: EdgeLink, model: Model) =>
      // Whether requests can be joined the server found out, or was told, when it loaded the model.
      profiler.profile({ model, mayJoin: true, gpu: link.gpu, budgetMs: options.profileBudgetMs }).pipe(
        Effect.mapError((error) => error.message),
        Effect.either,
        Effect.tap((profile) =>
          Either.isLeft(profile) && link.dead === undefined
            ? Effect.logWarning(`model "${model.name}" is not used on edge node ${link.name}: ${profile.left}`)
            : Effect.void)
      )
    /** Measures and tells what is missing; answers whether there is something to plan with. */
    const complete = (link: EdgeLink, models: ReadonlyArray<Model>) =>
      Effect.gen(function*() {
        const profiles = knownOf(link.name)
        for (const model of profiles.keys()) if (!models.includes(model)) profiles.delete(model)
        let learned = false
        for (const model of models) {
          if (link.dead !== undefined) return { learned, usable: false }
          if (told.get(link)?.has(model) === true) continue
          const profile = profiles.get(model) ?? (yield* measure(link, model))
          if (link.dead !== undefined) return { learned, usable: false }
          profiles.set(model, profile)
          if (Either.isRight(profile)) {
            if (!(yield* scheduler.learn(model.name, new Map([[link.gpu.type, profile.right]])))) continue
            learned = true
          }
          told.set(link, (told.get(link) ?? new Set()).add(model))
        }
        return { learned, usable: models.some((model) => Either.isRight(profiles.get(model) ?? Either.left(""))) }
      })
    const look = Effect.gen(function*() {
      yield* Queue.take(wake)
      const models = options.models()
      let learned = false
      const usable: Array<Gpu> = []
      for (const link of nodes.links()) {
        const answer = yield* complete(link, models)
        learned ||= answer.learned
        if (answer.usable && link.dead === undefined) usable.push(link.gpu)
      }
      const same = usable.length === planned.length && usable.every((gpu, i) => gpu === planned[i])
      if (same && !learned) return
      const ids = (gpus: ReadonlyArray<Gpu>): string => gpus.map(({ id }) => id).join(", ") || "none"
      if (!same) yield* Effect.logInfo(`edge nodes to plan with: ${ids(usable)}; before: ${ids(planned)}`)
      planned = usable
      yield* scheduler.setGpus([...own, ...usable])
    })
    const nudge = (): void => void Queue.unsafeOffer(wake, undefined)
    const changed = yield* scheduler.follow
    yield* Effect.acquireRelease(Effect.sync(() => nodes.onChange(nudge)), (stop) => Effect.sync(stop))
    yield* Effect.forkScoped(Effect.forever(Effect.map(changed, nudge)))
    yield* Effect.forkScoped(Effect.annotateLogs(
      Effect.forever(Effect.catchAllDefect(look, (defect) => {
        told = new WeakMap()
        return Effect.zipRight(Effect.logError("planning with edge nodes went wrong", defect), Effect.sleep(1000))
      })),
      { module: "edge" }
    ))
  })

/** @since 0.1.0 @category layers */
export const layer = (options: EdgePlanningOptions): Layer.Layer<never, never, Scheduler | EdgeNodes | Executor | GpuInventory> =>
  Layer.scopedDiscard(make(options))
