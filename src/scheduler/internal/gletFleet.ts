/** The glets that there are, whatever state they are in: opened beside one another, kept open by a supervisor each, closed for good. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Executor, GletHandle, LoadReport } from "../../core/Executor.js"
import type { GletExited, GletOpenFailed } from "../../core/ExecutorError.js"
import { ModelLoadFailed } from "../../core/ExecutorError.js"
import type { Gpu } from "../../core/Gpu.js"
import type { GletId, GpuId, ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { Plan } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import type { Dispatcher } from "../Dispatcher.js"
import type { GletToOpen } from "../PlanSuccession.js"
import { numberAfter } from "../PlanSuccession.js"
import type { RestartOptions } from "../RestartPolicy.js"
import type { CrashWatch } from "./crashWatch.js"
import { SupervisedGlet } from "./gletSupervisor.js"
import type { RequestPath } from "./requestPath.js"

export interface GletFleetOptions {
  readonly executor: Executor["Type"]
  readonly restart: RestartOptions
  readonly path: RequestPath
  readonly dispatcher: Dispatcher
  readonly crashes: CrashWatch
  readonly nowMs: () => number
  readonly onChange: () => void
  readonly scope: Scope.Scope
}

interface FleetEvents {
  /** A glet is open, and has loaded what it can. */
  readonly onReady: (id: GletId, handle: GletHandle) => void
  /** A model that ends the processes of its glets was given up on all of them. */
  readonly onGivenUp: (error: ModelLoadFailed) => void
}

/** Longest wait of a load for the batches that run on the GPU, ms. */
const longestTurnMs = 10_000

export class GletFleet {
  private readonly byId = new Map<GletId, SupervisedGlet>()

  /** One load at a time, by GPU, while that is what the GPU is to do. */
  private readonly turns = new Map<GpuId, Effect.Semaphore>()

  constructor(private readonly options: GletFleetOptions, private readonly events: FleetEvents) {}

  get(id: GletId): SupervisedGlet | undefined {
    return this.byId.get(id)
  }

  get ids(): Iterable<GletId> {
    return this.byId.keys()
  }

  get glets(): ReadonlyArray<SupervisedGlet> {
    return [...this.byId.values()]
  }

  /** Opens glets beside those that are there, and waits until each is ready or has failed once. */
  open(glets: ReadonlyArray<GletToOpen>, gpus: ReadonlyArray<Gpu>): Effect.Effect<ReadonlyArray<GletId>> {
    return Effect.gen(this, function*() {
      const opened: Array<SupervisedGlet> = []
      for (const wanted of glets) {
        const glet = yield* this.start(wanted, gpus.find(({ id }) => id === wanted.gpu)!)
        this.byId.set(wanted.id, glet)
        opened.push(glet)
      }
      this.options.onChange()
      yield* Effect.forEach(opened, ({ settled }) => Deferred.await(settled), { concurrency: "unbounded", discard: true })
      return opened.map(({ spec }) => spec.id)
    })
  }

  close(ids: Iterable<GletId>): Effect.Effect<void> {
    return Effect.forEach([...ids], (id) => {
      const glet = this.byId.get(id)
      if (glet === undefined) return Effect.void
      return Effect.tap(glet.close, () =>
        Effect.sync(() => {
          this.byId.delete(id)
          this.options.path.gletClosed(id)
        }))
    }, { concurrency: "unbounded", discard: true })
  }

  /** Loads on glets that stay what a plan wants there. */
  retarget(wanted: ReadonlyArray<{ readonly id: GletId; readonly works: GletToOpen["works"] }>): Effect.Effect<void> {
    return Effect.forEach(wanted, ({ id, works }) => this.byId.get(id)!.retarget(works), { concurrency: "unbounded", discard: true })
  }

  /** Unloads everywhere what glets shall no longer have. */
  get unloadOthers(): Effect.Effect<void> {
    return Effect.suspend(() => Effect.forEach(this.glets, (glet) => glet.unloadOthers, { concurrency: "unbounded", discard: true }))
  }

  /** The same model with another objective. */
  amend(old: Model, model: Model): void {
    for (const glet of this.byId.values()) glet.amend(old, model)
  }

  isReady(id: GletId, model: Model): boolean {
    const glet = this.byId.get(id)
    return glet?.handle !== undefined && glet.isLoaded(model)
  }

  /** Whether a glet of the plan is open and has loaded the model. */
  serves(plan: Plan, model: Model): boolean {
    return gletsOf(plan).some(({ glet }) => this.isReady(glet.id, model))
  }

  /** It was tried there, and could not be loaded. */
  isUnloadable(id: GletId, model: Model): boolean {
    return this.byId.get(id)?.failed.has(model) === true
  }

  /**
   * Whether it has the model, or may have it once it is open. An open one without it has, as may be, another file of that name: nothing goes there
   * that is not about what it loaded.
   */
  mayServe(id: GletId, model: Model): boolean {
    const glet = this.byId.get(id)
    return glet?.handle === undefined ? !this.isUnloadable(id, model) : glet.isLoaded(model)
  }

  /** Why a model could not be loaded on some glet. */
  loadFailure(model: Model): string | undefined {
    for (const glet of this.byId.values()) {
      const failed = glet.failed.get(model)
      if (failed !== undefined) return failed.message
    }
    return undefined
  }

  isShortOfMemory(id: GletId): boolean {
    const error = this.byId.get(id)?.error
    return error?._tag === "GletOpenFailed" && error.reason === "no-memory"
  }

  /** Where the GPU is to do one thing at a time, after its batches and other loads, and before any that follow. */
  private load<E>(gpu: GpuId, model: ModelName, load: Effect.Effect<LoadReport, E>): Effect.Effect<LoadReport, E> {
    const { crashes, dispatcher, path } = this.options
    const alone = Effect.acquireUseRelease(
      Effect.sync(() => dispatcher.hold(gpu, true)),
      () => Effect.sleep(2).pipe(
        Effect.repeat({ while: () => dispatcher.isRunningOn(gpu) }),
        Effect.timeoutOption(longestTurnMs),
        Effect.zipRight(load)
      ),
      () => Effect.sync(() => {
        dispatcher.hold(gpu, false)
        path.dispatchAll()
      })
    )
    return Effect.suspend(() => dispatcher.isSerial(gpu) ? this.turnsOn(gpu).withPermits(1)(alone) : load).pipe(
      Effect.tap(() => Effect.sync(() => {
        crashes.succeeded(gpu, model, "loading")
        path.judge(gpu)
      }))
    )
  }

  private turnsOn(gpu: GpuId): Effect.Semaphore {
    const known = this.turns.get(gpu) ?? Effect.unsafeMakeSemaphore(1)
    this.turns.set(gpu, known)
    return known
  }

  /** What ran there the request path has told already. */
  private noteDeath({ loading, models, spec }: SupervisedGlet, error: GletExited | GletOpenFailed): void {
    if (error._tag !== "GletExited" || error.process === undefined) return
    const { crashes, nowMs, path } = this.options
    crashes.died(spec.gpu.id, {
      nowMs: nowMs(), process: error.process,
      involved: [...loading].map(({ name }) => ({ model: name, doing: "loading" })),
      placed: models.map(({ name }) => name)
    })
    path.judge(spec.gpu.id)
  }

  private lookForCulprit(gpu: GpuId, error: SupervisedGlet["error"]): void {
    const { crashes, path } = this.options
    const culprit = crashes.culpritOn(gpu)
    if (culprit === undefined) return
    const { deaths, doing, model } = culprit
    crashes.forgive(model)
    path.judge(gpu)
    const detail = `${deaths} processes in a row died on ${gpu} while it alone was ${doing}${error === undefined ? "" : `, at last ${error.message}`}`
    let givenUp: ModelLoadFailed | undefined
    for (const glet of this.byId.values()) {
      const loaded = glet.models.find(({ name }) => name === model)
      if (loaded === undefined) continue
      givenUp = new ModelLoadFailed({ model, glet: glet.spec.id, reason: "crashed", detail })
      glet.giveUp(loaded, givenUp)
    }
    if (givenUp !== undefined) this.events.onGivenUp(givenUp)
  }

  private start({ givesWay, id, priority, sharePct, works }: GletToOpen, gpu: Gpu): Effect.Effect<SupervisedGlet> {
    const { executor, nowMs, onChange, path, restart, scope } = this.options
    return SupervisedGlet.start(
      { id, gpu, sharePct, priority, ...(givesWay ? { givesWay } : {}) },
      works,
      numberAfter(id),
      {
        executor, nowMs, restart,
        onReady: ({ spec }, handle) => {
          this.events.onReady(spec.id, handle)
          onChange()
        },
        onLoad: ({ spec }, model, load) => this.load(spec.gpu.id, model.name, load),
        onLoadFailed: ({ spec }, model, error) => {
          for (const observer of path.observers) observer.loadFailed?.({ glet: spec.id, gpu: spec.gpu.id, model, error })
        },
        onReopen: ({ error, spec }) => this.lookForCulprit(spec.gpu.id, error),
        onClosing: ({ spec }) => path.gletClosing(spec.id),
        onLost: (glet, error, backAtMs) => {
          const { restarts, spec } = glet
          path.gletLost(spec.id, backAtMs)
          this.noteDeath(glet, error)
          for (const observer of path.observers) {
            observer.gletExited?.({ glet: spec.id, gpu: spec.gpu.id, detail: error.message, restarts })
          }
          onChange()
        }
      },
      scope
    )
  }
}
