/** The online scheduler over glets that only sleep, in time that the test moves. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { Gpu, Isolation } from "../../src/core/Gpu.js"
import { layerStatic } from "../../src/core/Gpu.js"
import { unsafeGpuId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import type { InferRequest, RequestEnd } from "../../src/core/Request.js"
import type { MemoryExecutorOptions } from "../../src/scheduler/MemoryExecutor.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import { Planner } from "../../src/scheduler/Planner.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import type { SchedulerObserver } from "../../src/scheduler/Scheduler.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import type { SchedulerOptions } from "../../src/scheduler/SchedulerLive.js"
import * as SchedulerLive from "../../src/scheduler/SchedulerLive.js"
import { makeModel, random, request } from "./harness.js"
import type { VirtualClock } from "./virtualClock.js"
import { makeVirtualClock } from "./virtualClock.js"

const gpuOf = (id: string, isolation: Isolation, preemptMs: number | undefined): Gpu => ({
  id: unsafeGpuId(id), type: "test", isolation, units: 100, memoryBytes: 1e10, sharesPct: [25, 50, 75, 100], ...(preemptMs === undefined ? {} : { preemptMs })
})

/** A quarter of a GPU takes twice as long as a whole one. */
const truthMs = (items: number, sharePct: number): number => (1 + 0.25 * items) * Math.sqrt(100 / sharePct)

export const profileOf = (model: Model, factor = 1): ReadonlyMap<string, ModelProfile> => {
  const points = [25, 50, 75, 100].flatMap((sharePct) =>
    [1, 2, 4, 8, 16].map((batch) => {
      const ms = truthMs(batch, sharePct) * factor
      return { sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: 1.1 * ms, count: 100 }
    }))
  return new Map([["test", { model: model.name, memoryBytes: 1e6, loadMs: 10, points: [points[0]!, ...points.slice(1)] }]])
}

export const critical = (name: string, options: Partial<Model> = {}): Model => makeModel(name, { sloMs: 50, expectedRateRps: 50, ...options })

interface Setup {
  readonly gpus?: number
  /** `emulated` where it is left out. */
  readonly isolation?: Isolation
  /** Best-effort batches give way within so many ms, as far as planning goes. */
  readonly preemptMs?: number
  readonly executor?: Partial<MemoryExecutorOptions>
  readonly scheduler?: Partial<SchedulerOptions>
}

export const layer = (setup: Setup) =>
  SchedulerLive.layer(setup.scheduler).pipe(
    Layer.provideMerge(Layer.mergeAll(
      MemoryExecutor.layer({ latencyMs: (batch, spec) => truthMs(batch.items, spec.sharePct), openMs: 20, loadMs: 10, ...setup.executor }),
      layerStatic(Array.from({ length: setup.gpus ?? 1 }, (_, i) => gpuOf(`gpu${i}`, setup.isolation ?? "emulated", setup.preemptMs)), Effect.succeed([])),
      Layer.succeed(Planner, orion)
    )),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

type Services = Scheduler | MemoryExecutor.MemoryExecutorControl

/** Runs a test against a scheduler with registered models; time moves only by the test. */
export const withScheduler = <A, E>(setup: Setup, body: Effect.Effect<A, E, Services>, clock = makeVirtualClock()) =>
  Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(layer(setup))
    return yield* Effect.provide(body, context as Context.Context<Services>)
  })).pipe(Effect.withClock(clock))

export const pass = (ms: number) => Effect.clockWith((clock) => (clock as VirtualClock).advance(ms))

export const register = (...models: ReadonlyArray<Model>) =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const fibers = yield* Effect.forEach(models, (model) => Effect.fork(scheduler.register(model, profileOf(model))))
    yield* pass(200)
    return yield* Effect.forEach(fibers, Fiber.join)
  })

export interface Tally {
  offered: number
  readonly ends: Array<RequestEnd>
  within: number
}

export const outcome = (end: RequestEnd): string =>
  end.ok ? "ok" : end.error._tag === "RequestDropped" || end.error._tag === "ModelUnavailable" ? end.error.reason : end.error._tag

export const count = (tally: Tally): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const end of tally.ends) counts[outcome(end)] = (counts[outcome(end)] ?? 0) + 1
  return counts
}

/** Poisson arrivals, millisecond by millisecond. */
export const load = (model: Model, rateRps: number, forMs: number, seed: number, tally: Tally = { offered: 0, ends: [], within: 0 }) =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const rng = random(seed)
    let due = -Math.log(1 - rng()) * 1000 / rateRps
    for (let ms = 0; ms < forMs; ms++) {
      while (due <= ms) {
        due += -Math.log(1 - rng()) * 1000 / rateRps
        tally.offered += 1
        const at = scheduler.nowMs()
        scheduler.offer(request(model), (end) => {
          tally.ends.push(end)
          if (end.ok && scheduler.nowMs() - at <= (model.sloMs ?? Infinity)) tally.within += 1
        })
      }
      yield* pass(1)
    }
    return tally
  })

export const offer = (item: InferRequest) =>
  Effect.map(Scheduler, (scheduler) => {
    const ended: { end: RequestEnd | undefined; cancel: () => void } = { end: undefined, cancel: () => {} }
    ended.cancel = scheduler.offer(item, (end) => {
      ended.end = end
    })
    return ended
  })

export const observed = (observer: SchedulerObserver) => Effect.flatMap(Scheduler, (scheduler) => scheduler.observe(observer))
