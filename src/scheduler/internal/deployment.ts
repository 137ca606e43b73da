/**
 * From the registered models and their rates to glets that serve them: plan, check, make the new before breaking the old, switch in one step.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { Executor } from "../../core/Executor.js"
import type { Gpu } from "../../core/Gpu.js"
import type { GletId, ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { Plan } from "../../core/Plan.js"
import { emptyPlan, gletsOf } from "../../core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import type { Dispatcher } from "../Dispatcher.js"
import type { GletRoutes } from "../GletRoutes.js"
import type { PlannerAlgorithm } from "../Planner.js"
import type { GletToOpen, NoSuccessor } from "../PlanSuccession.js"
import { meanPartOf } from "../BurstHeadroom.js"
import { askPlanner, demandsOf, modelsLost, nextNumber, numberAfter, rollOut, succeed } from "../PlanSuccession.js"
import type { PlanThread } from "../PlanThread.js"
import type { ProfilesByType } from "../ProfileLatencyModel.js"
import type { RestartOptions } from "../RestartPolicy.js"
import { routesOfPlan } from "../RoutesOfPlan.js"
import type { ModelReadiness } from "../Scheduler.js"
import type { MakeLatencyModel } from "./sameProfiles.js"
import { onceFor } from "./sameProfiles.js"
import { SupervisedGlet } from "./gletSupervisor.js"
import type { ModelChange, Registration } from "./registry.js"
import { amended, plannable, profilesOf, registration } from "./registry.js"
import type { RequestPath } from "./requestPath.js"

interface DeploymentOptions {
  readonly executor: Executor["Type"]
  readonly gpus: ReadonlyArray<Gpu>
  readonly planner: PlannerAlgorithm
  /** Where plans are made; on this thread where it is left out. */
  readonly planThread: PlanThread["Type"] | undefined
  readonly planOptions: PlanOptions
  readonly latencyModel: MakeLatencyModel
  readonly restart: RestartOptions
  /** Longest wait for queued requests of a replaced model before its glets close, ms. */
  readonly retireMs: number
  readonly dispatcher: Dispatcher
  readonly path: RequestPath
  readonly nowMs: () => number
  readonly rateOf: (model: ModelName) => number
  readonly onChange: () => void
  /** A model could not be loaded on any glet: a plan without it is wanted. */
  readonly onUnloadable: (model: ModelName) => void
  readonly scope: Scope.Scope
}

interface Planned {
  readonly plan: Plan
  readonly problem: PlanProblem
  readonly planningMs: number
}

export class Deployment {
  /** What the deployed plan, or the one in the making, is about. */
  readonly registry = new Map<ModelName, Registration>()
  /** What the next plan is to take in; undefined: forget the model. */
  private readonly wanted = new Map<ModelName, Registration | undefined>()
  /** Changes of registered models that the next plan is to take in. */
  private readonly changes = new Map<ModelName, ModelChange>()
  private readonly learned = new Map<ModelName, Registration["profiles"]>()
  readonly glets = new Map<GletId, SupervisedGlet>()
  plan: Plan = emptyPlan
  /** Items per second that were asked of the deployed plan. */
  asked: ReadonlyMap<ModelName, number> = new Map()
  /** By which that was computed. */
  meanParts: ReadonlyMap<ModelName, number> = new Map()
  private problem: PlanProblem | undefined
  private routes: ReadonlyArray<GletRoutes> = []
  /** Replaced models on glets that wait for their last requests. */
  private retiring: ReadonlyArray<GletRoutes> = []
  private nextGletNumber = 0
  /** What plans are made for; `wantedGpus` from the next plan on. */
  private gpus: ReadonlyArray<Gpu>
  private wantedGpus: ReadonlyArray<Gpu>

  private readonly latencyOf: MakeLatencyModel

  constructor(private readonly options: DeploymentOptions) {
    this.gpus = this.wantedGpus = options.gpus
    this.latencyOf = onceFor(options.latencyModel)
  }

  /** Devices for the next plan. Glets on those left out close once it is deployed. */
  setGpus(gpus: ReadonlyArray<Gpu>): void {
    this.wantedGpus = gpus
  }

  /** What was measured of a model on further types of GPU, for the next plan. */
  learn(name: ModelName, profiles: Registration["profiles"]): void {
    this.learned.set(name, new Map([...(this.learned.get(name) ?? []), ...profiles]))
  }

  /** Takes a model in with the next plan. */
  register(model: Model, profiles: Registration["profiles"]): void {
    this.wanted.set(model.name, registration(model, profiles))
  }

  /** Leaves a model out of the next plan. */
  unregister(name: ModelName): void {
    this.wanted.set(name, undefined)
  }

  /** Changes what is asked of a model with the next plan. */
  amend(name: ModelName, change: ModelChange): void {
    this.changes.set(name, { ...this.changes.get(name), ...change })
  }

  isRegistered(name: ModelName): boolean {
    return this.wanted.has(name) ? this.wanted.get(name) !== undefined : this.registry.has(name)
  }

  readiness(name: ModelName): ModelReadiness | undefined {
    const entry = this.registry.get(name)
    if (entry === undefined) return this.wanted.get(name) === undefined ? undefined : waitingState
    if (this.options.dispatcher.isServed(name)) return readyState
    return entry.failure === undefined ? waitingState : { state: "failed", reason: entry.failure }
  }

  /** Plans for the rates now estimated. Left: why not. */
  readonly planNow: Effect.Effect<Either.Either<Planned, string>> = Effect.gen(this, function*() {
    const { gpus } = this
    const { nowMs, planOptions: options, rateOf } = this.options
    const startMs = nowMs()
    const entries = plannable(this.registry.values())
    const profiles = profilesOf(entries)
    const latency = this.latencyOf(profiles, gpus)
    const models = entries.map(({ model }) => model)
    const problem: PlanProblem = { gpus, options, latency, demands: demandsOf(models, rateOf, (model) => meanPartOf(latency, gpus, model)) }
    const { plan: current } = this
    const answer = yield* this.ask(problem, profiles, current)
    const successor = Either.flatMap(answer, (plan) =>
      succeed(plan, { planner: this.options.planner, problem, current, stayable: this.withoutReplaced(), nextGletNumber: this.nextGletNumber }))
    if (Either.isLeft(successor)) {
      for (const culprit of successor.left.culprits) this.fail(culprit.model, culprit.detail)
      return Either.left(successor.left.detail)
    }
    return Either.right({ plan: successor.right, problem, planningMs: nowMs() - startMs })
  })

  /** Asks the planner, on the thread for it where there is one. */
  private ask(problem: PlanProblem, profiles: ProfilesByType, current: Plan): Effect.Effect<Either.Either<Plan, NoSuccessor>> {
    const { planThread, planner } = this.options
    // Planners are synchronous: requests that wait for the thread go first.
    const here = Effect.zipRight(Effect.yieldNow(), Effect.sync(() => askPlanner(planner, problem, current)))
    if (planThread === undefined) return here
    const { demands, gpus, options } = problem
    return planThread.answer({ planner: planner.name, gpus, demands, options, profiles, current }).pipe(
      Effect.map((answer): Either.Either<Plan, NoSuccessor> => (answer.ok ? Either.right(answer.plan) : Either.left(answer))),
      Effect.catchAll((failed) => Effect.zipRight(
        Effect.logWarning(failed.message),
        // What was too much for a thread of its own would be too much here.
        failed.reason === "not-started" ? here : Effect.succeed(Either.left({ detail: failed.message, culprits: [] }))
      ))
    )
  }

  /** Plans and deploys. Never fails: what cannot be done is logged and seen in readiness and status, and the old plan stays. */
  deploy(reason: string): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.takeIn()
      // Each round settles at least one replacement that cannot be loaded; without one the first round is the last.
      for (let round = 0; round <= this.registry.size; round++) {
        const planned = yield* this.planNow
        if (Either.isLeft(planned)) {
          yield* Effect.logError(`the plan stays as it is: ${planned.left}`)
          this.rollBackReplacements(planned.left)
          this.options.onChange()
          return
        }
        if (yield* this.carryOut(planned.right, reason)) return
      }
    })
  }

  /** Routes anew, after a model was loaded or could not be loaded on a glet. */
  applyRoutes(): void {
    const { dispatcher, path } = this.options
    if (this.problem === undefined) return
    const models = new Map([...this.registry.values()].map(({ model }) => [model.name, model]))
    this.routes = routesOfPlan(this.plan, this.problem, models).map((glet) => ({
      ...glet, models: glet.models.filter((route) => this.glets.get(glet.id)?.failed.has(route.model) !== true)
    }))
    dispatcher.setRoutes([...this.routes, ...this.retiring])
    for (const { id } of this.routes) {
      const glet = this.glets.get(id)
      if (glet?.handle !== undefined) path.setHandle(id, glet.handle)
      else dispatcher.gletUnready(id, glet?.backAtMs ?? Infinity)
    }
    this.noteFailures()
    path.sweep()
    this.options.onChange()
  }

  /** Everything down, in the end: what runs may end, what waits is refused. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => this.closeGlets([...this.glets.keys()])).pipe(
    Effect.zipRight(Effect.sync(() => {
      const { dispatcher, nowMs, path } = this.options
      for (const name of this.registry.keys()) dispatcher.removeModel(nowMs(), name)
      path.dispatchAll()
    }))
  )

  /** Registrations change between plans only, so that a plan and what it is about always fit. */
  private takeIn(): void {
    const { dispatcher, nowMs, path } = this.options
    for (const [name, entry] of this.wanted) {
      const old = this.registry.get(name)
      if (entry === undefined) {
        this.registry.delete(name)
        dispatcher.removeModel(nowMs(), name)
        path.answers.delete(name)
        continue
      }
      // What is not deployed needs no successor beside it.
      if (old !== undefined && this.isPlaced(this.plan, name)) {
        entry.replaces = old.replaces ?? old
      } else {
        dispatcher.setModel(entry.model)
        dispatcher.setUnavailable(name, "model-not-ready", "it is being loaded")
      }
      this.registry.set(name, entry)
    }
    this.wanted.clear()
    this.gpus = this.wantedGpus
    for (const [name, profiles] of this.learned) {
      const entry = this.registry.get(name)
      if (entry !== undefined) this.registry.set(name, { ...entry, profiles: new Map([...entry.profiles, ...profiles]) })
    }
    this.learned.clear()
    this.takeInChanges()
    path.dispatchAll()
  }

  private takeInChanges(): void {
    for (const [name, change] of this.changes) {
      const entry = this.registry.get(name)
      if (entry === undefined) continue
      const model = amended(entry.model, change)
      this.registry.set(name, { ...entry, model })
      // What is still replaced serves as it is until then.
      if (entry.replaces !== undefined) continue
      this.options.dispatcher.amendModel(model)
      for (const glet of this.glets.values()) glet.amend(entry.model, model)
    }
    this.changes.clear()
  }

  private isPlaced(plan: Plan, name: ModelName): boolean {
    return gletsOf(plan).some(({ glet }) => [...glet.assignments, ...glet.bestEffort].some((work) => work.model === name))
  }

  /** Makes the plan real. False: a replacement could not be loaded and was taken back; plan again. */
  private carryOut({ plan, planningMs, problem }: Planned, reason: string): Effect.Effect<boolean> {
    return Effect.gen(this, function*() {
      const { dispatcher, onChange } = this.options
      const before = this.plan
      const models = new Map([...this.registry.values()].map(({ model }) => [model.name, model]))
      const steps = rollOut(before, plan, problem, models, this.glets.keys())
      const { changes } = steps
      if (steps.isIdle) {
        this.plan = { ...plan, generation: before.generation }
        this.adopt(problem)
        this.noteFailures()
        return true
      }
      const opened = yield* this.open(steps.open)
      this.nextGletNumber = nextNumber(plan, this.nextGletNumber)
      yield* Effect.forEach(steps.retarget, ({ id, works }) => this.glets.get(id)!.retarget(works), { concurrency: "unbounded", discard: true })

      const takenBack = this.takeBack(plan)
      const lost = takenBack.length > 0 ? [] : this.wouldLose(plan, opened)
      if (takenBack.length > 0 || lost.length > 0) {
        yield* this.closeGlets(opened)
        const what = lost.length > 0 ? `no glet of the new plan could be opened for ${lost.join(", ")}` : `${takenBack.join(", ")} could not be loaded`
        yield* Effect.logError(`the plan stays as it is: ${what}`)
        this.emit(plan, reason, planningMs, changes, false)
        onChange()
        return lost.length > 0
      }

      // The switch: from here new requests go by the new plan.
      const closing = steps.close
      const replaced = [...this.registry.values()].flatMap((entry) => (entry.replaces === undefined ? [] : [entry.replaces.model]))
      this.retiring = this.routes
        .filter((glet) => closing.includes(glet.id))
        .map((glet) => ({ ...glet, models: glet.models.filter((route) => replaced.includes(route.model)) }))
        .filter((glet) => glet.models.length > 0)
      this.plan = plan
      this.adopt(problem)
      for (const entry of this.registry.values()) {
        entry.replaces = undefined
        dispatcher.setModel(entry.model)
      }
      this.applyRoutes()
      this.emit(plan, reason, planningMs, changes, true)

      if (this.retiring.length > 0) {
        yield* Effect.sleep(2).pipe(
          Effect.repeat({ while: () => replaced.some((model) => dispatcher.isBusy(model)) }),
          Effect.timeoutOption(this.options.retireMs)
        )
        this.retiring = []
        this.applyRoutes()
      }
      yield* this.closeGlets(closing)
      yield* Effect.forEach([...this.glets.values()], (glet) => glet.unloadOthers, { concurrency: "unbounded", discard: true })
      onChange()
      yield* Effect.logInfo(
        `plan ${plan.generation} deployed (${reason}): ${gletsOf(plan).length} glets, ${gletsOf(before).length} before; planned in ${planningMs.toFixed(1)} ms`
      )
      return true
    })
  }

  private adopt(problem: PlanProblem): void {
    this.problem = problem
    this.asked = new Map(problem.demands.map((demand) => [demand.model, demand.rateRps]))
    const { gpus, latency } = problem
    this.meanParts = new Map(problem.demands.map(({ maxBatch, model }) => [model, meanPartOf(latency, gpus, { name: model, maxBatch })]))
  }

  /** Opens the glets that are new, beside the old ones, and waits until each is ready or has failed once. */
  private open(glets: ReadonlyArray<GletToOpen>): Effect.Effect<ReadonlyArray<GletId>> {
    return Effect.gen(this, function*() {
      const { gpus } = this
      const { executor, nowMs, path, restart, scope } = this.options
      const opened: Array<GletId> = []
      for (const { gpu: gpuId, id, priority, sharePct, works } of glets) {
        const gpu = gpus.find((candidate) => candidate.id === gpuId)!
        const supervised = yield* SupervisedGlet.start(
          { id, gpu, sharePct, priority },
          works,
          numberAfter(id),
          {
            executor, nowMs, restart,
            onReady: (ready, handle) => {
              // Only a glet of the deployed plan; a new one gets its routes with the switch.
              if (this.routes.some((routes) => routes.id === ready.spec.id)) this.applyRoutes()
              else path.setHandle(ready.spec.id, handle)
              this.options.onChange()
            },
            onClosing: (closing) => path.gletClosing(closing.spec.id),
            onLost: (gone, error, backAtMs) => {
              path.gletLost(gone.spec.id, backAtMs)
              for (const observer of path.observers) {
                observer.gletExited?.({ glet: gone.spec.id, gpu: gone.spec.gpu.id, detail: error.message, restarts: gone.restarts })
              }
              this.options.onChange()
            }
          },
          scope
        )
        this.glets.set(id, supervised)
        opened.push(id)
      }
      this.options.onChange()
      yield* Effect.forEach(opened, (id) => Deferred.await(this.glets.get(id)!.settled), { concurrency: "unbounded", discard: true })
      return opened
    })
  }

  private closeGlets(ids: ReadonlyArray<GletId>): Effect.Effect<void> {
    return Effect.forEach(ids, (id) => {
      const glet = this.glets.get(id)
      if (glet === undefined) return Effect.void
      return Effect.tap(glet.close, () =>
        Effect.sync(() => {
          this.glets.delete(id)
          this.options.path.gletClosed(id)
        }))
    }, { concurrency: "unbounded", discard: true })
  }

  /** The deployed plan without the glets of models that are replaced: those get new glets, so that old and new never share one. */
  private withoutReplaced(): Plan {
    const replaced = new Set([...this.registry.values()].filter((entry) => entry.replaces !== undefined).map((entry) => entry.model.name))
    if (replaced.size === 0) return this.plan
    return {
      ...this.plan,
      gpus: this.plan.gpus.map((gpu) => ({
        ...gpu,
        glets: gpu.glets.filter((glet) => ![...glet.assignments, ...glet.bestEffort].some((work) => replaced.has(work.model)))
      }))
    }
  }

  /** Replacements that no glet of the plan could load go back to what they replace; answers their names. */
  private takeBack(plan: Plan): ReadonlyArray<ModelName> {
    const names: Array<ModelName> = []
    for (const entry of [...this.registry.values()]) {
      const { model, replaces } = entry
      if (replaces === undefined || this.readyGlets(plan, model).length > 0) continue
      const shortfall = plan.shortfalls.find((short) => short.model === model.name)
      const failure = this.loadFailure(model) ?? shortfall?.reason ?? "no glet could be opened for it"
      this.registry.set(model.name, { ...replaces, note: `version ${model.version} was not taken: ${failure}` })
      names.push(model.name)
    }
    return names
  }

  private rollBackReplacements(why: string): void {
    for (const entry of [...this.registry.values()]) {
      if (entry.replaces !== undefined) this.registry.set(entry.model.name, { ...entry.replaces, note: `version ${entry.model.version} was not taken: ${why}` })
      else if (!this.options.dispatcher.isServed(entry.model.name)) {
        entry.failure ??= why
        this.options.dispatcher.setUnavailable(entry.model.name, "no-glet", entry.failure)
      }
    }
  }

  /**
   * Models that are served now and would not be by this plan, since glets did not open. Where memory was short it may be because the old
   * glets still have it: then the old ones must go first.
   */
  private wouldLose(plan: Plan, opened: ReadonlyArray<GletId>): ReadonlyArray<ModelName> {
    if (opened.some((id) => isShortOfMemory(this.glets.get(id)!))) return []
    return modelsLost(plan, this.registry.keys(), (model) => this.options.dispatcher.isServed(model), (id, name) => {
      const glet = this.glets.get(id)
      const entry = this.registry.get(name)
      return glet?.handle !== undefined && entry !== undefined && glet.isLoaded(entry.model)
    })
  }

  private readyGlets(plan: Plan, model: Model): ReadonlyArray<SupervisedGlet> {
    return gletsOf(plan).flatMap(({ glet }) => {
      const supervised = this.glets.get(glet.id)
      return supervised?.handle !== undefined && supervised.isLoaded(model) ? [supervised] : []
    })
  }

  private loadFailure(model: Model): string | undefined {
    for (const glet of this.glets.values()) {
      const failed = glet.failed.get(model)
      if (failed !== undefined) return failed.message
    }
    return undefined
  }

  private fail(name: ModelName, why: string): void {
    const entry = this.registry.get(name)
    if (entry !== undefined) entry.failure = why
  }

  /** Says of every model why it is not served, if it is not. */
  private noteFailures(): void {
    const { dispatcher, onUnloadable } = this.options
    const shortfalls = new Map(this.plan.shortfalls.map((short) => [short.model, short]))
    for (const entry of this.registry.values()) {
      const { model } = entry
      if (entry.replaces !== undefined || entry.unloadable) continue
      const works = gletsOf(this.plan).filter(({ glet }) => [...glet.assignments, ...glet.bestEffort].some((work) => work.model === model.name))
      const everywhere = works.length > 0 && works.every(({ glet }) => this.glets.get(glet.id)?.failed.has(model) === true)
      if (everywhere) {
        entry.failure = this.loadFailure(model)
        entry.unloadable = true
        onUnloadable(model.name)
      } else {
        entry.failure = works.length > 0 ? undefined : shortfalls.get(model.name)?.reason ?? "the plan has no glet for it"
      }
      dispatcher.setUnavailable(model.name, everywhere ? "model-not-ready" : "no-glet", entry.failure ?? "")
    }
  }

  private emit(plan: Plan, reason: string, planningMs: number, changes: ReadonlyArray<{ readonly kind: string }>, ok: boolean): void {
    for (const observer of this.options.path.observers) {
      observer.planDeployed?.({ plan, reason, planningMs, actions: changes.map(({ kind }) => ({ kind, ok })) })
    }
  }
}

const isShortOfMemory = ({ error }: SupervisedGlet): boolean => error?._tag === "GletOpenFailed" && error.reason === "no-memory"

const readyState: ModelReadiness = { state: "ready" }
const waitingState: ModelReadiness = { state: "waiting" }
