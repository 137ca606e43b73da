/**
 * From the registered models and their rates to glets that serve them: plan, check, make the new before breaking the old, switch in one step.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { GletHandle } from "../../core/Executor.js"
import type { ModelLoadFailed } from "../../core/ExecutorError.js"
import type { Gpu } from "../../core/Gpu.js"
import type { GletId, ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { Plan, PlannedGlet } from "../../core/Plan.js"
import { emptyPlan, gletsOf } from "../../core/Plan.js"
import { counted } from "../../core/internal/counted.js"
import type { GletRoutes, ModelRoute } from "../GletRoutes.js"
import type { PlanBasis } from "../PlanBasis.js"
import { modelsLost, nextNumber, rollOut } from "../PlanSuccession.js"
import { routesOfPlan } from "../RoutesOfPlan.js"
import type { ModelReadiness } from "../Scheduler.js"
import type { GletFleetOptions } from "./gletFleet.js"
import { GletFleet } from "./gletFleet.js"
import type { Planned, PlanMakingOptions } from "./planMaking.js"
import { PlanMaking } from "./planMaking.js"
import { Registrations } from "./registrations.js"

interface DeploymentOptions extends PlanMakingOptions, GletFleetOptions {
  readonly gpus: ReadonlyArray<Gpu>
  /** Longest wait for queued requests of a replaced model before its glets close, ms. */
  readonly retireMs: number
  /** A model ends the processes of its glets, and was taken off them. */
  readonly onGivenUp: (error: ModelLoadFailed) => void
  /** A model could not be loaded on any glet: a plan without it is wanted. */
  readonly onUnloadable: (model: ModelName) => void
}

/** What each of more glets runs nobody reads in a line. */
const mostSketched = 8

/** The glets in a few words: shares, models and their planned batches. */
const sketchOf = (plan: Plan): string => {
  const glets = gletsOf(plan)
  if (glets.length === 0 || glets.length > mostSketched) return ""
  const works = ({ assignments, bestEffort }: PlannedGlet): string => [...assignments, ...bestEffort].map(({ batch, model }) => `${model} ${batch}`).join(" + ")
  return `: ${glets.map(({ glet }) => `${glet.sharePct} % ${works(glet)}`).join("; ")}`
}

const worksOf = (plan: Plan, name: ModelName): ReadonlyArray<GletId> =>
  gletsOf(plan).filter(({ glet }) => [...glet.assignments, ...glet.bestEffort].some((work) => work.model === name)).map(({ glet }) => glet.id)

export class Deployment {
  readonly registrations = new Registrations()
  readonly fleet: GletFleet
  private readonly making: PlanMaking
  plan: Plan = emptyPlan
  /** What the deployed plan was made on. */
  basis: PlanBasis | undefined
  private routes: ReadonlyArray<GletRoutes> = []
  /** Replaced models on glets that wait for their last requests. */
  private retiring: ReadonlyArray<GletRoutes> = []
  private nextGletNumber = 0
  /** What plans are made for; `wantedGpus` from the next plan on. */
  private gpus: ReadonlyArray<Gpu>
  private wantedGpus: ReadonlyArray<Gpu>

  constructor(private readonly options: DeploymentOptions) {
    this.gpus = this.wantedGpus = options.gpus
    this.making = new PlanMaking(options)
    this.fleet = new GletFleet(options, {
      onReady: (id, handle) => this.gletReady(id, handle),
      onGivenUp: (error) => {
        options.onGivenUp(error)
        this.applyRoutes()
      }
    })
  }

  /** Devices for the next plan. Glets on those left out close once it is deployed. */
  setGpus(gpus: ReadonlyArray<Gpu>): void {
    this.wantedGpus = gpus
  }

  readiness(name: ModelName): ModelReadiness | undefined {
    const entry = this.registrations.registry.get(name)
    if (entry === undefined) return this.registrations.isExpected(name) ? waitingState : undefined
    if (this.options.dispatcher.view.isServed(name)) return entry.note === "" ? readyState : { state: "ready", notTaken: entry.note }
    return entry.failure === undefined ? waitingState : { state: "failed", reason: entry.failure }
  }

  /** Plans for the rates now estimated. Left: why not. */
  readonly planNow: Effect.Effect<Either.Either<Planned, string>> = Effect.suspend(() => {
    const { gpus, nextGletNumber, plan: current } = this
    const registrations = this.registrations.registry.values()
    return this.making.make({ gpus, registrations, current, stayable: this.withoutReplaced(), nextGletNumber })
  }).pipe(Effect.map(Either.mapLeft(({ culprits, detail }) => {
    for (const culprit of culprits) this.fail(culprit.model, culprit.detail)
    return detail
  })))

  /** Plans and deploys. Never fails: what cannot be done is logged and seen in readiness and status, and the old plan stays. */
  deploy(reason: string): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.takeIn()
      // Each round settles at least one replacement that cannot be loaded; without one the first round is the last.
      for (let round = 0; round <= this.registrations.registry.size; round++) {
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
    if (this.basis === undefined) return
    this.routes = routesOfPlan(this.plan, this.basis.problem, this.registrations.models).map((glet) => ({
      ...glet, models: glet.models.filter((route) => this.fleet.mayServe(glet.id, route.model)).map((route) => this.asLoaded(glet.id, route))
    }))
    dispatcher.setRoutes([...this.routes, ...this.retiring])
    for (const { id } of this.routes) {
      const glet = this.fleet.get(id)
      if (glet?.handle !== undefined) path.setHandle(id, glet.handle)
      else dispatcher.gletUnready(id, glet?.backAtMs ?? Infinity)
    }
    this.noteFailures()
    path.sweep()
    this.options.onChange()
  }

  /** Everything down, in the end: what runs may end, what waits is refused. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => this.fleet.close(this.fleet.ids)).pipe(
    Effect.zipRight(Effect.sync(() => {
      const { dispatcher, nowMs, path } = this.options
      for (const name of this.registrations.registry.keys()) dispatcher.removeModel(nowMs(), name)
      path.dispatchAll()
    }))
  )

  private takeIn(): void {
    const { crashes, dispatcher, nowMs, path } = this.options
    this.gpus = this.wantedGpus
    this.registrations.takeIn({
      isPlaced: (name) => worksOf(this.plan, name).length > 0,
      onAdded: (model) => {
        crashes.forgive(model.name)
        dispatcher.setModel(model)
        dispatcher.setUnavailable(model.name, "model-not-ready", "it is being loaded")
      },
      onReplacing: (name) => crashes.forgive(name),
      onRemoved: (name) => {
        dispatcher.removeModel(nowMs(), name)
        crashes.forgive(name)
        path.answers.delete(name)
      },
      onAmended: this.onAmended
    })
    path.dispatchAll()
  }

  private readonly onAmended = (old: Model, model: Model): void => {
    this.options.dispatcher.amendModel(model)
    this.fleet.amend(old, model)
  }

  /** How soon its batches give way is as the executor says, not as is typical of the GPU. */
  private asLoaded(id: GletId, route: ModelRoute): ModelRoute {
    const report = this.fleet.get(id)?.loaded.get(route.model)
    if (report === undefined || report.preemptMs === route.preemptMs) return route
    const { preemptMs: _, ...rest } = route
    return report.preemptMs === undefined ? rest : { ...rest, preemptMs: report.preemptMs }
  }

  private gletReady(id: GletId, handle: GletHandle): void {
    // Only a glet of the deployed plan; a new one gets its routes with the switch.
    if (this.routes.some((routes) => routes.id === id)) this.applyRoutes()
    else this.options.path.setHandle(id, handle)
  }

  /** Makes the plan real. False: a replacement could not be loaded and was taken back; plan again. */
  private carryOut({ basis, plan, planningMs }: Planned, reason: string): Effect.Effect<boolean> {
    return Effect.gen(this, function*() {
      const before = this.plan
      const { fleet } = this
      const steps = rollOut(before, plan, basis.problem, this.registrations.models, fleet.ids)
      const { changes } = steps
      if (steps.isIdle) {
        this.plan = { ...plan, generation: before.generation }
        this.basis = basis
        this.noteFailures()
        return true
      }
      const opened = yield* fleet.open(steps.open, this.gpus)
      this.nextGletNumber = nextNumber(plan, this.nextGletNumber)
      yield* fleet.retarget(steps.retarget)

      const takenBack = this.takeBack(plan)
      const lost = takenBack.length > 0 ? [] : this.wouldLose(plan, opened)
      if (takenBack.length > 0 || lost.length > 0) {
        yield* fleet.close(opened)
        const what = lost.length > 0 ? `no glet of the new plan could be opened for ${lost.join(", ")}` : `${takenBack.join(", ")} could not be loaded`
        yield* Effect.logError(`the plan stays as it is: ${what}`)
        this.emit(plan, reason, planningMs, changes, false)
        this.options.onChange()
        return lost.length > 0
      }

      const replaced = this.switchTo(plan, basis, steps.close)
      this.emit(plan, reason, planningMs, changes, true)
      yield* this.retire(replaced)
      yield* fleet.close(steps.close)
      yield* fleet.unloadOthers
      this.options.onChange()
      yield* Effect.logInfo(
        `plan ${plan.generation} deployed (${reason}): ${counted(gletsOf(plan).length, "glet")}, ${gletsOf(before).length} before; planned in ${planningMs.toFixed(1)} ms${sketchOf(plan)}`
      )
      return true
    })
  }

  /** From here new requests go by the new plan. Answers the models that were replaced, which keep their glets for the requests that wait. */
  private switchTo(plan: Plan, basis: PlanBasis, closing: ReadonlyArray<GletId>): ReadonlyArray<Model> {
    const { replaced } = this.registrations
    this.retiring = this.routes
      .filter((glet) => closing.includes(glet.id))
      .map((glet) => ({ ...glet, models: glet.models.filter((route) => replaced.includes(route.model)) }))
      .filter((glet) => glet.models.length > 0)
    this.plan = plan
    this.basis = basis
    for (const entry of this.registrations.registry.values()) {
      const isNew = entry.replaces !== undefined
      entry.replaces = undefined
      this.options.dispatcher.setModel(entry.model)
      if (isNew) entry.onTaken()
    }
    this.applyRoutes()
    return replaced
  }

  /** Lets the requests of replaced models end, within bounds. */
  private retire(replaced: ReadonlyArray<Model>): Effect.Effect<void> {
    if (this.retiring.length === 0) return Effect.void
    const { dispatcher, retireMs } = this.options
    return Effect.sleep(2).pipe(
      Effect.repeat({ while: () => replaced.some((model) => dispatcher.view.isBusy(model)) }),
      Effect.timeoutOption(retireMs),
      Effect.zipRight(Effect.sync(() => {
        this.retiring = []
        this.applyRoutes()
      }))
    )
  }

  /** The deployed plan without the glets of models that are replaced: those get new glets, so that old and new never share one. */
  private withoutReplaced(): Plan {
    const replaced = new Set(this.registrations.replaced.map(({ name }) => name))
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
    for (const entry of [...this.registrations.registry.values()]) {
      const { model, replaces } = entry
      if (replaces === undefined || this.fleet.serves(plan, model)) continue
      const shortfall = plan.shortfalls.find((short) => short.model === model.name)
      // What it did is not to be held against the one that stays.
      this.options.crashes.forgive(model.name)
      this.registrations.rollBack(entry, this.fleet.loadFailure(model) ?? shortfall?.reason ?? "no glet could be opened for it", this.onAmended)
      names.push(model.name)
    }
    return names
  }

  private rollBackReplacements(why: string): void {
    const { dispatcher } = this.options
    for (const entry of [...this.registrations.registry.values()]) {
      const { name } = entry.model
      if (entry.replaces !== undefined) this.registrations.rollBack(entry, why, this.onAmended)
      else if (!dispatcher.view.isServed(name)) {
        entry.failure ??= why
        dispatcher.setUnavailable(name, "no-glet", entry.failure)
      }
    }
  }

  /**
   * Models that are served now and would not be by this plan, since glets did not open. Where memory was short it may be because the old
   * glets still have it: then the old ones must go first.
   */
  private wouldLose(plan: Plan, opened: ReadonlyArray<GletId>): ReadonlyArray<ModelName> {
    if (opened.some((id) => this.fleet.isShortOfMemory(id))) return []
    const { registry } = this.registrations
    return modelsLost(plan, registry.keys(), (model) => this.options.dispatcher.view.isServed(model), (id, name) => {
      const entry = registry.get(name)
      return entry !== undefined && this.fleet.isReady(id, entry.model)
    })
  }

  private fail(name: ModelName, why: string): void {
    const entry = this.registrations.registry.get(name)
    if (entry !== undefined) entry.failure = why
  }

  /** Says of every model why it is not served, if it is not. */
  private noteFailures(): void {
    const { dispatcher, onUnloadable } = this.options
    const shortfalls = new Map(this.plan.shortfalls.map((short) => [short.model, short]))
    for (const entry of this.registrations.registry.values()) {
      const { model } = entry
      if (entry.replaces !== undefined || entry.unloadable) continue
      const places = worksOf(this.plan, model.name)
      const everywhere = places.length > 0 && places.every((id) => this.fleet.isUnloadable(id, model))
      if (everywhere) {
        entry.failure = this.fleet.loadFailure(model)
        entry.unloadable = true
        onUnloadable(model.name)
      } else {
        entry.failure = places.length > 0 ? undefined : shortfalls.get(model.name)?.reason ?? "the plan has no glet for it"
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

const readyState: ModelReadiness = { state: "ready" }
const waitingState: ModelReadiness = { state: "waiting" }
