/**
 * The page's backend, for a worker: a scheduler over a world, traffic, and what the page is told of it. The same scheduler, dispatcher and
 * planners as in the server; only who asks and who is told differ.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { Executor } from "../core/Executor.js"
import { layerStatic } from "../core/Gpu.js"
import type { PlanOptions } from "../core/PlanProblem.js"
import { onlinePlanOptions } from "../core/PlanProblem.js"
import { Planner } from "../scheduler/Planner.js"
import { defaultPlanner } from "../scheduler/DefaultPlanner.js"
import { findPlanner, isRegistered } from "../scheduler/PlannerRegistry.js"
import { PlanThread, PlanThreadFailed } from "../scheduler/PlanThread.js"
import { defaultReplanOptions } from "../scheduler/ReplanPolicy.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import * as SchedulerLive from "../scheduler/SchedulerLive.js"
import type { HostOptions, TaskWorker } from "./HostOptions.js"
import { makeComparison } from "./internal/comparison.js"
import type { HostContext, HostView } from "./internal/hostContext.js"
import { failedAnswer } from "./internal/hostContext.js"
import { makeLoan } from "./internal/loan.js"
import { startPreview } from "./internal/planPreview.js"
import { reportState } from "./internal/stateReport.js"
import { startTraffic } from "./internal/trafficLoop.js"
import { makeModels } from "./internal/worldModels.js"
import { notLent } from "./Lending.js"
import { LiveStatistics } from "./LiveStatistics.js"
import type { ToHost } from "./Messages.js"
import { Sender } from "./Sender.js"
import * as SlowClock from "./SlowClock.js"
import { Traffic } from "./Traffic.js"

/**
 * Runs a host until its scope closes. What is answered takes the page's messages.
 * @since 0.1.0
 * @category constructors
 */
export const run = (options: HostOptions): Effect.Effect<(message: ToHost) => void, never, Scope.Scope> =>
  Effect.clockWith((real) => {
    const { speed } = options.world
    return Effect.withClock(runIn(options, real), speed === 1 ? real : SlowClock.make(real, speed))
  })

/** The scheduler over the world, its plans made by `worker`. */
const layerScheduler = (options: HostOptions, planOptions: PlanOptions, worker: TaskWorker, view: HostView): Layer.Layer<Scheduler | Executor> => {
  const { world } = options
  const planThread = PlanThread.of({
    knows: isRegistered,
    answer: (question) =>
      Effect.flatMap(worker.ask({ kind: "plan", question }), (answer) =>
        answer.kind === "plan" ? Effect.succeed(answer.answer) : Effect.fail(new PlanThreadFailed({ reason: "died", detail: failedAnswer(answer) })))
  })
  return SchedulerLive.layer({
    // While nobody sends anything the plan stays: whoever pauses wants to look at it.
    plan: planOptions,
    replan: { ...defaultReplanOptions, get downAfterMs() { return view.trafficOn ? defaultReplanOptions.downAfterMs : Infinity } }
  }).pipe(
    Layer.provideMerge(world.executor),
    Layer.provide(Layer.mergeAll(
      layerStatic(world.gpus, Effect.succeed([])),
      Layer.succeed(Planner, Either.getOrElse(findPlanner(options.planner), () => defaultPlanner)),
      Layer.succeed(PlanThread, planThread)
    ))
  )
}

/** Does what it is given one after the other, from `begin` on. More than it has room for is dropped: nobody clicks so fast. */
const startJobs = (post: HostOptions["post"]) =>
  Effect.gen(function*() {
    const queue = yield* Queue.dropping<Effect.Effect<unknown>>(64)
    const begun = yield* Effect.makeLatch(false)
    const one = Effect.flatMap(Queue.take(queue), (job) => Effect.catchAllDefect(job, (defect) => Effect.sync(() => post({ kind: "broken", detail: String(defect) }))))
    yield* Effect.forkScoped(begun.whenOpen(Effect.forever(one)))
    return { add: (job: Effect.Effect<unknown>): void => void Queue.unsafeOffer(queue, job), begin: (): void => void begun.unsafeOpen() }
  })

/** In the world's time; what is for people's eyes goes by the real one. */
const runIn = (options: HostOptions, real: Clock.Clock): Effect.Effect<(message: ToHost) => void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { post, world } = options
    const scope = yield* Effect.scope
    const worker = options.startWorker()
    yield* Effect.addFinalizer(() => Effect.sync(worker.close))
    const view: HostView = {
      planner: options.planner, planReason: "", planningMs: 0, preview: undefined, planProblem: "", trafficWanted: options.traffic, trafficOn: false, lent: notLent, status: undefined
    }
    const planOptions: PlanOptions = { ...onlinePlanOptions, maxGletsPerGpu: world.maxGletsPerGpu }
    const services = yield* Layer.buildWithScope(layerScheduler(options, planOptions, worker, view), scope)
    const scheduler = Context.get(services, Scheduler)
    const statistics = new LiveStatistics(scheduler.nowMs)
    const sender = new Sender(scheduler, Context.get(services, Executor).arena, statistics, world.sample)
    yield* scheduler.observe(statistics.observer)
    yield* scheduler.observe(sender.observer)
    const stateWanted = yield* Queue.sliding<void>(1)
    const context: HostContext = {
      options, world, gpu: world.gpus[0], planOptions, models: new Map(), view, worker, scheduler, services, statistics, traffic: new Traffic(1), sender, real, scope,
      publish: () => void Queue.unsafeOffer(stateWanted, undefined)
    }
    yield* reportState(context, stateWanted)
    const traffic = yield* startTraffic(context)
    const preview = yield* startPreview(context)
    const models = makeModels(context, traffic)
    const loan = makeLoan(context, traffic, models)
    const compare = makeComparison(context)

    // Models come and go one after the other, in the order that was asked for; beside them sliders and planners are followed.
    const jobs = yield* startJobs(post)
    const changes = yield* startJobs(post)
    context.publish()
    yield* Effect.forkScoped(traffic.heldDuring(Effect.flatMap(models.start, (begun) => {
      if (Either.isLeft(begun)) {
        traffic.set(false)
        return Effect.sync(() => post({ kind: "broken", detail: begun.left }))
      }
      changes.begin()
      return Effect.zipRight(begun.right, Effect.sync(jobs.begin))
    })))

    return (message) => {
      switch (message.kind) {
        case "traffic":
          return traffic.set(message.on)
        case "planner":
          return changes.add(preview.usePlanner(message.name))
        case "controls": {
          const one = preview.setControls(message.model, message.controls)
          if (one === undefined || one.profile === undefined) return
          return message.final ? changes.add(preview.deploy(one)) : preview.show()
        }
        case "add":
          return jobs.add(models.add(message.name, message.bytes))
        case "remove":
          return jobs.add(models.remove(message.model))
        case "infer": {
          const one = context.models.get(message.model)
          const answered = (output: Float32Array | undefined, problem: string, latencyMs: number, glet: string, batchItems: number): void =>
            post({ kind: "inferred", id: message.id, output, problem, latencyMs, glet, batchItems })
          traffic.active()
          if (one === undefined) return answered(undefined, `there is no model ${message.model}`, 0, "", 0)
          return sender.infer(one, message.input, answered)
        }
        case "join":
          return jobs.add(loan.join(message))
        case "leave":
          return jobs.add(loan.leave)
        case "compare":
          void Effect.runFork(compare)
          return
        default:
          return
      }
    }
  })
