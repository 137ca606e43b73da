/**
 * The page's backend, for a worker: a scheduler over a world, traffic, and what the page is told of it. The same scheduler, dispatcher and
 * planners as in the server; only who asks and who is told differ.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Executor } from "../core/Executor.js"
import { layerStatic } from "../core/Gpu.js"
import type { Plan } from "../core/Plan.js"
import { emptyPlan } from "../core/Plan.js"
import type { PlanOptions } from "../core/PlanProblem.js"
import { onlinePlanOptions } from "../core/PlanProblem.js"
import type { ModelProfile } from "../core/Profile.js"
import { demandsOf } from "../scheduler/PlanSuccession.js"
import { Planner } from "../scheduler/Planner.js"
import { defaultPlanner, findPlanner, isRegistered, planners } from "../scheduler/PlannerRegistry.js"
import type { PlanQuestion } from "../scheduler/PlanThread.js"
import { PlanThread, PlanThreadFailed } from "../scheduler/PlanThread.js"
import { defaultReplanOptions } from "../scheduler/ReplanPolicy.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { SchedulerStatus } from "../scheduler/SchedulerStatus.js"
import * as SchedulerLive from "../scheduler/SchedulerLive.js"
import type { HostModel } from "./HostModel.js"
import { amendedModel, largestRateRps, makeHostModel, modelView } from "./HostModel.js"
import type { Connect } from "./Lending.js"
import { lend, notLent } from "./Lending.js"
import { LiveStatistics } from "./LiveStatistics.js"
import type { EdgeView, FromHost, GletView, HostState, ModelControls, SimulationQuestion, StoredProfile, Task, TaskAnswer, ToHost } from "./Messages.js"
import { Sender } from "./Sender.js"
import * as SlowClock from "./SlowClock.js"
import { Traffic } from "./Traffic.js"
import type { World, WorldModel } from "./World.js"

/** A worker that answers tasks one after the other. @since 0.1.0 @category workers */
export interface TaskWorker {
  readonly ask: (task: Task) => Effect.Effect<TaskAnswer>
  readonly close: () => void
}

/** Measures a model on the world's first GPU. @since 0.1.0 @category profiling */
export type Measure = (
  one: WorldModel, gpu: World["gpus"][0], onProgress: (done: number, total: number) => void
) => Effect.Effect<ModelProfile, { readonly message: string }, Executor>

/** @since 0.1.0 @category options */
export interface HostOptions {
  readonly world: World
  readonly planner: string
  readonly traffic: boolean
  /** Of earlier visits. */
  readonly profiles: ReadonlyArray<StoredProfile>
  readonly post: (message: FromHost) => void
  readonly startWorker: () => TaskWorker
  readonly measure: Measure
  /** Opens a WebSocket of an edge node; a string says why it cannot. */
  readonly connect: Connect
}

/** Of real time. */
const frameMs = 100
const stateMs = 100
/** Frames go on for so long after the last request, until numbers have settled. */
const settleMs = 600
/** Planners that a page can switch to: `static` needs a partition that nobody drew. */
const comparable = planners.filter(({ name }) => name !== "static").map(({ name }) => name)

const failedAnswer = (answer: TaskAnswer): string => (answer.kind === "failed" ? answer.detail : "it answered something else")

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

/** In the world's time; what is for people's eyes goes by the real one. */
const runIn = (options: HostOptions, real: Clock.Clock): Effect.Effect<(message: ToHost) => void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { post, world } = options
    const scope = yield* Effect.scope
    const realMs = (): number => real.unsafeCurrentTimeMillis()
    const gpu = world.gpus[0]
    const planOptions: PlanOptions = { ...onlinePlanOptions, maxGletsPerGpu: world.maxGletsPerGpu }
    const models = new Map<string, HostModel>()
    const worker = options.startWorker()
    yield* Effect.addFinalizer(() => Effect.sync(worker.close))

    let plannerName = options.planner
    let preview: Plan | undefined
    let planProblem = ""
    let planReason = ""
    let planningMs = 0
    let trafficOn = false
    let comparing: TaskWorker | undefined
    let lent: EdgeView = notLent
    let lending: Fiber.RuntimeFiber<void> | undefined

    const planThread = PlanThread.of({
      knows: isRegistered,
      answer: (question) =>
        Effect.flatMap(worker.ask({ kind: "plan", question }), (answer) =>
          answer.kind === "plan" ? Effect.succeed(answer.answer) : Effect.fail(new PlanThreadFailed({ reason: "died", detail: failedAnswer(answer) })))
    })
    const layer = SchedulerLive.layer({
      // While nobody sends anything the plan stays: whoever pauses wants to look at it.
      plan: planOptions,
      replan: { ...defaultReplanOptions, get downAfterMs() { return trafficOn ? defaultReplanOptions.downAfterMs : Infinity } }
    }).pipe(
      Layer.provideMerge(world.executor),
      Layer.provide(Layer.mergeAll(
        layerStatic(world.gpus, Effect.succeed([])),
        Layer.succeed(Planner, Either.getOrElse(findPlanner(options.planner), () => defaultPlanner)),
        Layer.succeed(PlanThread, planThread)
      ))
    )
    const services = yield* Layer.buildWithScope(layer, scope)
    const scheduler = Context.get(services, Scheduler)
    const { arena } = Context.get(services, Executor)
    const statistics = new LiveStatistics(scheduler.nowMs)
    const traffic = new Traffic(1)
    const sender = new Sender(scheduler, arena, statistics, world.sample)

    // What the page is told.
    const stateWanted = yield* Queue.sliding<void>(1)
    const publish = (): void => void Queue.unsafeOffer(stateWanted, undefined)
    let status: SchedulerStatus | undefined
    const stateOf = (now: SchedulerStatus | undefined): HostState => ({
      kind: "state", world: world.name, device: world.device, speed: world.speed,
      models: [...models.values()].map((one) => modelView(one, now, gpu)),
      planner: plannerName, plan: now?.plan ?? emptyPlan, planReason, planningMs, preview, planProblem,
      glets: (now?.glets ?? []).map(({ busyRatio, id, state }): GletView => ({ id, state, busyRatio })),
      traffic: trafficOn, canAdd: world.read !== undefined, canJoin: world.keep !== undefined, edge: lent
    })
    const publishing = Effect.gen(function*() {
      yield* Queue.take(stateWanted)
      status = yield* scheduler.status
      post(stateOf(status))
      yield* Effect.withClock(Effect.sleep(stateMs), real)
    })
    yield* scheduler.observe(statistics.observer)
    yield* scheduler.observe(sender.observer)
    yield* scheduler.observe({
      planDeployed: (event) => {
        planReason = event.reason
        planningMs = event.planningMs
        publish()
      },
      gletExited: publish
    })
    yield* Effect.forkScoped(Stream.runForEach(scheduler.changes, () => Effect.sync(publish)))
    yield* Effect.forkScoped(Effect.forever(publishing))

    // Traffic and its pictures; both sleep while nothing is sent.
    const sending = yield* Effect.makeLatch(false)
    const framing = yield* Effect.makeLatch(false)
    let activeMs = 0
    const active = (): void => {
      activeMs = realMs()
      framing.unsafeOpen()
    }
    const send = Effect.gen(function*() {
      yield* sending.await
      const nextMs = traffic.due(scheduler.nowMs(), (name) => {
        const one = models.get(name)
        if (one !== undefined && scheduler.readiness(one.model.name)?.state === "ready") sender.send(one)
      })
      active()
      yield* Effect.sleep(Math.min(50, Math.max(0, nextMs - scheduler.nowMs())))
    })
    const frame = Effect.gen(function*() {
      yield* framing.await
      yield* Effect.withClock(Effect.sleep(frameMs), real)
      post(statistics.frame())
      if (realMs() - activeMs > settleMs) framing.unsafeClose()
    })
    yield* Effect.forkScoped(Effect.forever(send))
    yield* Effect.forkScoped(Effect.forever(frame))
    const busyLook = Effect.gen(function*() {
      yield* sending.await
      yield* Effect.withClock(Effect.sleep(1000), real)
      publish()
    })
    yield* Effect.forkScoped(Effect.forever(busyLook))
    const setTraffic = (on: boolean): void => {
      if (on === trafficOn) return
      trafficOn = on
      if (on) {
        statistics.reset()
        traffic.restart(scheduler.nowMs())
        sending.unsafeOpen()
      } else sending.unsafeClose()
      publish()
    }

    // Plans for the sliders as they stand, before any of it is deployed.
    const registered = (): ReadonlyArray<HostModel> => [...models.values()].filter(({ profile, problem }) => profile !== undefined && problem === "")
    const question = (): PlanQuestion => ({
      planner: plannerName, gpus: world.gpus, options: planOptions, current: status?.plan ?? emptyPlan,
      demands: demandsOf(registered().map(amendedModel), (name) => models.get(name)!.controls.rateRps),
      profiles: new Map([[gpu.type, new Map(registered().map(({ model, profile }) => [model.name, profile!]))]])
    })
    /** Whether there is a plan for them. */
    const look = Effect.gen(function*() {
      const answer = yield* worker.ask({ kind: "plan", question: question() })
      const plan = answer.kind === "plan" ? answer.answer : { ok: false as const, detail: failedAnswer(answer) }
      preview = plan.ok ? plan.plan : undefined
      planProblem = plan.ok ? "" : plan.detail
      publish()
      return plan.ok
    })
    const previewWanted = yield* Queue.sliding<void>(1)
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(previewWanted), look)))

    const deployed = Effect.sync(() => {
      preview = undefined
      publish()
    })
    const applyControls = (one: HostModel) =>
      Effect.gen(function*() {
        if (!(yield* look)) return
        // While it is paused nobody tells the rates of the others.
        const amended = trafficOn ? [one] : registered()
        yield* Effect.forEach(amended, ({ controls, model }) =>
          scheduler.amend(model.name, { serviceClass: controls.serviceClass, sloMs: controls.sloMs, expectedRateRps: controls.rateRps }),
        { concurrency: "unbounded", discard: true })
      }).pipe(Effect.zipRight(deployed))

    const setPlanner = (name: string) =>
      Effect.gen(function*() {
        const planner = findPlanner(name)
        if (Either.isLeft(planner)) return
        plannerName = planner.right.name
        if (yield* look) yield* scheduler.usePlanner(planner.right)
      }).pipe(Effect.zipRight(deployed))

    // Models come and go.
    const prepare = (one: WorldModel) =>
      Effect.gen(function*() {
        const { name } = one.model
        const host = makeHostModel(one)
        models.set(name, host)
        publish()
        const known = one.profile ?? options.profiles.find(({ gpuType, sha256 }) => gpuType === gpu.type && sha256 === one.sha256)?.profile
        const profile = known === undefined
          ? yield* Effect.either(Effect.provide(options.measure(one, gpu, (done, total) => {
            host.detail = `measuring, ${done} of ${total}`
            publish()
          }), services))
          : Either.right(known)
        if (Either.isLeft(profile)) {
          host.problem = profile.left.message
          publish()
          return undefined
        }
        host.profile = profile.right
        host.detail = ""
        if (known === undefined) post({ kind: "profiled", stored: { gpuType: gpu.type, sha256: one.sha256, profile: profile.right } })
        host.controls = { ...host.controls, rateRps: Math.min(host.controls.rateRps, largestRateRps(host, gpu)) }
        traffic.set(scheduler.nowMs(), name, host.controls.rateRps)
        publish()
        return host
      })
    const register = (one: HostModel) => scheduler.register(amendedModel(one), new Map([[gpu.type, one.profile!]]))

    const add = (name: string, bytes: Uint8Array) =>
      Effect.gen(function*() {
        if (world.read === undefined) return
        const free = models.has(name) ? `${name}-${models.size}` : name
        const read = yield* Effect.either(world.read(free, bytes))
        if (Either.isLeft(read)) {
          models.set(free, { ...makeHostModel(undefined, free), problem: read.left })
          return publish()
        }
        const wasOn = trafficOn
        // Traffic would be part of what is measured.
        setTraffic(false)
        const one = yield* prepare(read.right)
        if (one !== undefined) yield* register(one)
        setTraffic(wasOn)
      })
    const remove = (name: string) =>
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
      })

    const compare = Effect.gen(function*() {
      comparing?.close()
      const own = options.startWorker()
      comparing = own
      const base: Omit<SimulationQuestion, "planner"> = {
        gpuType: gpu.type, isolation: "emulated", units: gpu.units, memoryBytes: gpu.memoryBytes, gpus: world.gpus.length, gridPct: world.gridPct, maxGletsPerGpu: world.maxGletsPerGpu, seed: 1, durationMs: 8000, loadFactor: 1,
        profiles: registered().map(({ profile }) => profile!),
        models: registered().map(({ controls, model }) => ({ name: model.name, controls, maxBatch: model.maxBatch }))
      }
      for (const [done, planner] of comparable.entries()) {
        const answer = yield* own.ask({ kind: "compare", question: { ...base, planner } })
        if (comparing !== own) return
        const row = answer.kind === "compare" ? answer.row : { planner, problem: failedAnswer(answer), gpus: 0, glets: 0, sloKept: 0, peakFactor: 0 }
        post({ kind: "compared", row, done: done + 1, total: comparable.length })
      }
      own.close()
      comparing = undefined
    })

    const takeBack = Effect.suspend(() => Effect.forEach(registered(), register, { concurrency: "unbounded", discard: true }))
    /** While the device is lent the server plans it, and nobody else. */
    const join = ({ name, token, url }: Extract<ToHost, { readonly kind: "join" }>) =>
      Effect.gen(function*() {
        if (world.keep === undefined || lending !== undefined) return
        setTraffic(false)
        yield* Effect.forEach(registered(), ({ model }) => scheduler.unregister(model.name), { concurrency: "unbounded", discard: true })
        lending = yield* Effect.forkIn(Effect.provide(
          lend({ url, token, name, gpu, device: world.device.label, keep: world.keep, connect: options.connect, onChange: (view) => {
            lent = view
            publish()
          } }),
          services
        ).pipe(Effect.zipRight(Effect.suspend(() => {
          // The server did not want it.
          lending = undefined
          return takeBack
        }))), scope)
      })
    const leave = Effect.gen(function*() {
      if (lending === undefined) return
      yield* Fiber.interrupt(lending)
      lending = undefined
      lent = notLent
      publish()
      yield* takeBack
    })

    const setControls = (name: string, controls: ModelControls): HostModel | undefined => {
      const one = models.get(name)
      if (one === undefined) return undefined
      one.controls = controls
      publish()
      traffic.set(scheduler.nowMs(), name, controls.rateRps)
      return one
    }

    // Slow things one after the other, in the order they were asked for.
    const jobs = yield* Queue.bounded<Effect.Effect<unknown>>(64)
    const started = yield* Deferred.make<void>()
    yield* Effect.forkScoped(Effect.zipRight(
      Deferred.await(started),
      Effect.forever(Effect.flatMap(Queue.take(jobs), (job) => Effect.catchAllDefect(job, (defect) => Effect.sync(() => post({ kind: "broken", detail: String(defect) })))))
    ))
    const start = Effect.gen(function*() {
      const initial = yield* Effect.either(world.models)
      if (Either.isLeft(initial)) return post({ kind: "broken", detail: initial.left })
      const ready = yield* Effect.forEach(initial.right, prepare)
      yield* Effect.forEach(ready.filter((one) => one !== undefined), register, { concurrency: "unbounded" })
      setTraffic(options.traffic)
      yield* Deferred.succeed(started, undefined)
    })
    publish()
    yield* Effect.forkScoped(start)

    return (message) => {
      const job = (effect: Effect.Effect<unknown>): void => void Queue.unsafeOffer(jobs, effect)
      switch (message.kind) {
        case "traffic":
          return setTraffic(message.on)
        case "planner":
          return job(setPlanner(message.name))
        case "controls": {
          const one = setControls(message.model, message.controls)
          if (one === undefined || one.profile === undefined) return
          if (message.final) return job(applyControls(one))
          Queue.unsafeOffer(previewWanted, undefined)
          return
        }
        case "add":
          return job(add(message.name, message.bytes))
        case "remove":
          return job(remove(message.model))
        case "infer": {
          const one = models.get(message.model)
          const answered = (output: Float32Array | undefined, problem: string, latencyMs: number, glet: string, batchItems: number): void =>
            post({ kind: "inferred", id: message.id, output, problem, latencyMs, glet, batchItems })
          active()
          if (one === undefined) return answered(undefined, `there is no model ${message.model}`, 0, "", 0)
          return sender.infer(one, message.input, answered)
        }
        case "join":
          return job(join(message))
        case "leave":
          return job(leave)
        case "compare":
          void Effect.runFork(compare)
          return
        default:
          return
      }
    }
  })
