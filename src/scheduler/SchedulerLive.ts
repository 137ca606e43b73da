/**
 * The scheduler over an executor: the dispatcher on the hot path, a fiber per glet that keeps it open, one that plans and deploys, one that
 * watches rates, one that watches deadlines. Time comes from Effect's Clock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import { GpuInventory } from "../core/Gpu.js"
import type { ModelName } from "../core/Ids.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { PlanOptions } from "../core/PlanProblem.js"
import { onlinePlanOptions } from "../core/PlanProblem.js"
import type { InferResult } from "../core/Request.js"
import type { RequestError } from "../core/RequestError.js"
import { defaultControlMs, watchControl } from "./ControlWatch.js"
import type { DispatcherOptions } from "./DispatcherOptions.js"
import { Dispatcher } from "./Dispatcher.js"
import { defaultDispatcherOptions } from "./DispatcherOptions.js"
import { CrashWatch } from "./internal/crashWatch.js"
import { Deployment } from "./internal/deployment.js"
import { RequestPath } from "./internal/requestPath.js"
import { makeStatus } from "./internal/statusReport.js"
import { sweepDelayMs } from "./internal/sweepDelay.js"
import type { InterferenceWatchOptions } from "./InterferenceWatch.js"
import { defaultInterferenceWatch, leastKept, makeInterferenceWatch } from "./InterferenceWatch.js"
import * as LoadWatch from "./LoadWatch.js"
import { Planner } from "./Planner.js"
import { PlanThread } from "./PlanThread.js"
import type { ProfilesByType } from "./ProfileLatencyModel.js"
import * as ProfileLatencyModel from "./ProfileLatencyModel.js"
import type { ReplanOptions } from "./ReplanPolicy.js"
import { defaultReplanOptions } from "./ReplanPolicy.js"
import type { RestartOptions } from "./RestartPolicy.js"
import { defaultRestartOptions } from "./RestartPolicy.js"
import { Scheduler } from "./Scheduler.js"

/** How the scheduler works; every field has a default. @since 0.1.0 @category options */
export interface SchedulerOptions {
  readonly dispatcher: DispatcherOptions
  /** By default `onlinePlanOptions`. */
  readonly plan: PlanOptions
  readonly replan: ReplanOptions
  readonly restart: RestartOptions
  /** How interference is learned from what executions take; undefined: not at all. */
  readonly learning: InterferenceWatchOptions | undefined
  /** How often arrivals are counted and the plan is judged by them, ms. */
  readonly controlMs: number
  /** Longest wait for queued requests of a replaced model before its glets close, ms. */
  readonly retireMs: number
  /** From what was measured to what planners ask. */
  readonly latencyModel: (profiles: ProfilesByType, gpus: ReadonlyArray<Gpu>) => LatencyModel
  /**
   * Runs something a little later: requests offered until then are batched together on an idle glet. `queueMicrotask` joins what one read of a
   * socket brought, e.g. of a stream. Undefined, the default, starts at once: where every read brings one request this costs less and
   * answers sooner, and behind a busy glet requests are batched anyway.
   */
  readonly defer: ((run: () => void) => void) | undefined
}

/** What stands where an option is left out. @since 0.1.0 @category options */
export const defaultSchedulerOptions: SchedulerOptions = {
  dispatcher: defaultDispatcherOptions,
  plan: onlinePlanOptions,
  replan: defaultReplanOptions,
  restart: defaultRestartOptions,
  learning: defaultInterferenceWatch,
  controlMs: defaultControlMs,
  retireMs: 10_000,
  latencyModel: ProfileLatencyModel.makeFor,
  defer: undefined
}

/** Of what led to a plan, so much is said in words. */
const shownReasons = 3

/**
 * Makes the scheduler. It runs until the scope closes: then glets are drained and closed; end it with `drain` first to answer all requests.
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Partial<SchedulerOptions> = {}
): Effect.Effect<Scheduler["Type"], never, Executor | GpuInventory | Planner | Scope.Scope> =>
  Effect.gen(function*() {
    const config: SchedulerOptions = { ...defaultSchedulerOptions, ...options }
    const executor = yield* Executor
    const { gpus } = yield* GpuInventory
    let planner = yield* Planner
    // Over there only the default latency model and the planners of the registry are known.
    const planThread = config.latencyModel === defaultSchedulerOptions.latencyModel
      ? Option.getOrUndefined(yield* Effect.serviceOption(PlanThread))
      : undefined
    const clock = yield* Clock.clockWith(Effect.succeed)
    const scope = yield* Effect.scope
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const nowMs = (): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6

    /** Who follows changes, each told that there are some. Not a PubSub, for which a page would load 2.5 kB more. */
    const followers = new Set<Effect.Latch>()
    // Requests to plan that come while one is carried out are served by the next one together.
    const planWanted = yield* Effect.makeLatch(false)
    let waiters: Array<{ readonly reason: string; readonly done: Deferred.Deferred<void> | undefined }> = []
    const waiting = yield* Effect.makeLatch(false)
    let draining = false
    /** A plan is in the making, or being carried out. */
    let isPlanning = false
    let load = LoadWatch.makeLoadWatch(nowMs())
    let interference = makeInterferenceWatch(nowMs())

    const rateOf = (model: ModelName): number => LoadWatch.watchedRps(load, model)
    const itemsPerRequest = (model: ModelName): number => LoadWatch.watchedItemsPerRequest(load, model)
    const onChange = (): void => {
      for (const follower of followers) follower.unsafeOpen()
    }
    const requestPlan = (reason: string, done?: Deferred.Deferred<void>): void => {
      waiters.push({ reason, done })
      planWanted.unsafeOpen()
    }
    const requestPlanAndWait = (reason: string): Effect.Effect<void> =>
      Effect.flatMap(Deferred.make<void>(), (done) => Effect.zipRight(Effect.sync(() => requestPlan(reason, done)), Deferred.await(done)))

    const dispatcher = new Dispatcher(config.dispatcher)
    const crashes = new CrashWatch(config.restart)
    let gatheringUntilMs = Infinity
    const path: RequestPath = new RequestPath({
      dispatcher, crashes, nowMs, defer: config.defer,
      onWaiting: () => waiting.unsafeOpen(),
      onGathering: (untilMs) => {
        if (untilMs >= gatheringUntilMs) return
        gatheringUntilMs = untilMs
        const start = Effect.sync(() => {
          // An earlier one came between.
          if (untilMs !== gatheringUntilMs) return
          gatheringUntilMs = Infinity
          path.startGathered()
        })
        runFork(Effect.delay(start, Math.max(0, untilMs - nowMs())), { scope })
      },
      onDefect: (defect) => runFork(Effect.logError("a callback of a request or an observer threw", defect))
    })
    const deployment = new Deployment({
      executor, gpus, dispatcher, crashes,
      get planner() {
        return planner
      },
      get planThread() {
        return planThread?.knows(planner) === true ? planThread : undefined
      },
      path, nowMs, rateOf: (model) => LoadWatch.rateToServe(load, model), itemsPerRequest, onChange, scope, learned: () => interference.learned, wayMs: () => dispatcher.view.wayMs, kept: () => leastKept(interference, config.learning),
      planOptions: config.plan, latencyModel: config.latencyModel, restart: config.restart, retireMs: config.retireMs,
      onGivenUp: (error) => {
        runFork(Effect.annotateLogs(Effect.logError(error.message), { module: "gletSupervisor" }))
      },
      onUnloadable: (model) => requestPlan(`model ${model} cannot be loaded`)
    })

    /** Carries out requests to plan, one at a time. */
    const planning = Effect.gen(function*() {
      yield* planWanted.await
      planWanted.unsafeClose()
      // Registrations made together are planned together.
      yield* Effect.yieldNow()
      const served = waiters
      waiters = []
      // The plan before took them along.
      if (served.length === 0) return
      const reasons = [...new Set(served.map(({ reason }) => reason))]
      const reason = `${reasons.slice(0, shownReasons).join(", ")}${reasons.length > shownReasons ? ` and ${reasons.length - shownReasons} more` : ""}`
      isPlanning = true
      yield* Effect.ensuring(
        deployment.deploy(reason),
        Effect.sync(() => {
          isPlanning = false
          load = LoadWatch.notePlan(load, nowMs())
          for (const { done } of served) if (done !== undefined) Deferred.unsafeDone(done, Effect.void)
        })
      )
    })

    /** Watches arrivals and what executions take, and asks for a plan where either calls for one. */
    const control = Effect.gen(function*() {
      yield* Effect.sleep(config.controlMs)
      const { basis, plan, registrations } = deployment
      const seen = watchControl({ load, interference }, {
        nowMs: nowMs(), dispatcher: dispatcher.view, plan, basis, options: config,
        models: [...registrations.registry.values()].map(({ model, unloadable }) => ({ model, plannable: !unloadable }))
      })
      load = seen.load
      interference = seen.interference
      // Judged by the plan before: what the next one is asked for is not known to it.
      if (seen.reason !== undefined && !draining && !isPlanning && waiters.length === 0) requestPlan(seen.reason)
    })

    /** Watches the deadlines of requests that wait; sleeps while none does. */
    const sweeping = Effect.gen(function*() {
      yield* waiting.await
      const inMs = path.sweep()
      if (inMs === Infinity) waiting.unsafeClose()
      yield* Effect.sleep(sweepDelayMs(inMs))
    })

    const forkLoop = (name: string, body: Effect.Effect<void>) =>
      Effect.forkScoped(Effect.annotateLogs(
        Effect.forever(Effect.catchAllDefect(body, (defect) => Effect.zipRight(Effect.logError(`${name} went wrong`, defect), Effect.sleep(1000)))),
        { module: "scheduler", fiber: name }
      ))
    yield* Effect.addFinalizer(() => deployment.close)
    yield* forkLoop("planning", planning)
    yield* forkLoop("control", control)
    yield* forkLoop("sweeping", sweeping)

    const status = makeStatus({ executor: executor.name, deployment, dispatcher: dispatcher.view, path, nowMs, rateOf, itemsPerRequest, draining: () => draining })

    return {
      nowMs,
      offer: path.offer,
      wouldRefuse: path.wouldRefuse,
      admissionEdge: path.admissionEdge,
      refusedUnread: path.refusedUnread,
      submit: (request) =>
        Effect.async<InferResult, RequestError>((resume) => {
          let whenEnded = (): void => {}
          const cancel = path.offer(request, (end) => {
            resume(end.ok ? Effect.succeed(end.result) : Effect.fail(end.error))
            whenEnded()
          })
          // Interruption ends when the slot is no longer in use.
          return Effect.async<void>((done) => {
            whenEnded = () => done(Effect.void)
            cancel()
          })
        }),
      register: (model, profiles, onTaken) =>
        Effect.suspend(() => {
          if (!deployment.registrations.registry.has(model.name)) load = LoadWatch.expectLoad(load, model)
          deployment.registrations.register(model, profiles, onTaken)
          return requestPlanAndWait(`model ${model.name} registered`)
        }).pipe(Effect.map(() => deployment.readiness(model.name) ?? { state: "failed", reason: "it was unregistered meanwhile" })),
      amend: (name, change) =>
        Effect.suspend(() => {
          if (!deployment.registrations.isRegistered(name)) return Effect.succeed(false)
          deployment.registrations.amend(name, change)
          if (change.expectedRateRps !== undefined) load = LoadWatch.expectRate(load, name, change.expectedRateRps)
          return Effect.as(requestPlanAndWait(`what is asked of ${name} changed`), true)
        }),
      learn: (name, profiles) =>
        Effect.sync(() => {
          if (!deployment.registrations.isRegistered(name)) return false
          deployment.registrations.learn(name, profiles)
          return true
        }),
      setGpus: (next) =>
        Effect.suspend(() => {
          deployment.setGpus(next)
          return requestPlanAndWait("other GPUs")
        }),
      unregister: (name) =>
        Effect.suspend(() => {
          deployment.registrations.unregister(name)
          load = LoadWatch.forgetCount(load, name)
          return requestPlanAndWait(`model ${name} unregistered`)
        }).pipe(Effect.zipRight(Effect.sync(() => {
          if (!deployment.registrations.registry.has(name)) load = LoadWatch.forgetLoad(load, name)
        }))),
      readiness: (name) => deployment.readiness(name),
      plan: Effect.sync(() => deployment.plan),
      usePlanner: (next) =>
        Effect.suspend(() => {
          planner = next
          return requestPlanAndWait(`planner ${next.name} asked for`)
        }),
      replan: ({ dryRun = false, reason = "asked for" } = {}) =>
        dryRun
          ? Effect.map(deployment.planNow, (planned) => (Either.isRight(planned) ? planned.right.plan : deployment.plan))
          : Effect.map(requestPlanAndWait(reason), () => deployment.plan),
      status,
      follow: Effect.map(
        Effect.acquireRelease(
          // Open: what there is now comes first.
          Effect.tap(Effect.makeLatch(true), (follower) => Effect.sync(() => followers.add(follower))),
          (follower) => Effect.sync(() => followers.delete(follower))
        ),
        (follower) => Effect.zipRight(follower.await, Effect.suspend(() => {
          follower.unsafeClose()
          return status
        }))
      ),
      observe: (observer) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.sync(() => path.observers.add(observer)),
          () => Effect.sync(() => path.observers.delete(observer))
        )),
      drain: Effect.async<void>((resume) => {
        draining = true
        dispatcher.drain()
        onChange()
        path.whenIdle(() => resume(Effect.void))
      })
    }
  })

/**
 * The scheduler as a layer.
 *
 * @example
 * ```ts
 * import { layer as schedulerLayer } from "glet-orion/scheduler"
 *
 * const live = schedulerLayer({ controlMs: 100 }) // needs Executor, GpuInventory, Planner
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Partial<SchedulerOptions> = {}): Layer.Layer<Scheduler, never, Executor | GpuInventory | Planner> =>
  Layer.scoped(Scheduler, make(options))
