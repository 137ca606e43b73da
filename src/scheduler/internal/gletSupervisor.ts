/** Keeps one glet of the plan open: opens it, loads its models, opens it again when it died, until it is closed. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Executor, GletHandle, GletSpec, LoadReport } from "../../core/Executor.js"
import type { GletExited, GletOpenFailed, ModelLoadFailed } from "../../core/ExecutorError.js"
import type { Model } from "../../core/Model.js"
import { modelKey } from "../../core/Model.js"
import type { GletWork } from "../PlanSuccession.js"
import type { RestartOptions, RestartState } from "../RestartPolicy.js"
import { backAfterExitMs, noRestarts, recordExit } from "../RestartPolicy.js"
import type { GletState } from "../SchedulerStatus.js"

interface SupervisorOptions {
  readonly executor: Executor["Type"]
  readonly nowMs: () => number
  readonly restart: RestartOptions
  /** Open and loaded. */
  readonly onReady: (glet: SupervisedGlet, handle: GletHandle) => void
  /** It is about to be drained and closed for good. */
  readonly onClosing: (glet: SupervisedGlet) => void
  /** Loads, and says when; what fails with the death of the glet is still being loaded then. */
  readonly onLoad: (glet: SupervisedGlet, model: Model, load: Effect.Effect<LoadReport, ModelLoadFailed | GletExited>) =>
    Effect.Effect<LoadReport, ModelLoadFailed | GletExited>
  /** A model cannot be loaded there. */
  readonly onLoadFailed: (glet: SupervisedGlet, model: Model, error: ModelLoadFailed) => void
  /** It is about to be opened again. */
  readonly onReopen: (glet: SupervisedGlet) => void
  /** It died, or could not be opened; `backAtMs` is when it is expected again. */
  readonly onLost: (glet: SupervisedGlet, error: GletExited | GletOpenFailed, backAtMs: number) => void
}

/** How long opening and loading take before it was measured, ms. */
const firstOpenMs = 500

export class SupervisedGlet {
  state: GletState = "opening"
  /** Last error, for people. */
  detail = ""
  /** Why it is not open. */
  error: GletExited | GletOpenFailed | undefined = undefined
  restarts = 0
  handle: GletHandle | undefined = undefined
  backAtMs = Infinity
  openedAtMs = 0
  readonly loaded = new Map<Model, LoadReport>()
  /** What was being loaded when it died. */
  readonly loading = new Set<Model>()
  readonly failed = new Map<Model, ModelLoadFailed>()
  /** Completes with the first success or failure to open and load. */
  readonly settled: Deferred.Deferred<"ready" | GletExited | GletOpenFailed>
  /** What models became whose objective changed; one that is being loaded goes by what it was. */
  private readonly amended = new WeakMap<Model, Model>()
  /** What it is not to have for long: the deployed plan has it here until the next one is. */
  private leaving: ReadonlyArray<GletWork> = []
  private restartState: RestartState = noRestarts
  private openMs = firstOpenMs
  private fiber: Fiber.RuntimeFiber<void> | undefined

  private constructor(
    readonly spec: GletSpec,
    private works: ReadonlyArray<GletWork>,
    private readonly seed: number,
    private readonly options: SupervisorOptions,
    settled: Deferred.Deferred<"ready" | GletExited | GletOpenFailed>
  ) {
    this.settled = settled
  }

  /** Starts to open a glet; it is kept open until `close` or the end of the scope. */
  static start(
    spec: GletSpec, works: ReadonlyArray<GletWork>, seed: number, options: SupervisorOptions, scope: Scope.Scope
  ): Effect.Effect<SupervisedGlet> {
    return Effect.gen(function*() {
      const settled = yield* Deferred.make<"ready" | GletExited | GletOpenFailed>()
      const glet = new SupervisedGlet(spec, works, seed, options, settled)
      glet.backAtMs = options.nowMs() + firstOpenMs
      glet.fiber = yield* Effect.forkIn(
        Effect.annotateLogs(glet.supervise, { module: "gletSupervisor", glet: spec.id }),
        scope
      )
      return glet
    })
  }

  isLoaded(model: Model): boolean {
    return this.loaded.has(model)
  }

  /**
   * Sets what the glet shall have loaded, and loads what is missing. Models left out stay until `unloadOthers`, through a death too: the plan before
   * goes on where this one is not deployed.
   */
  retarget(works: ReadonlyArray<GletWork>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const keys = new Set(works.map(({ model }) => modelKey(model)))
      this.leaving = [...this.leaving, ...this.works].filter(({ model }) => !keys.has(modelKey(model)))
      this.works = works
      const handle = this.handle
      // A glet that is down loads the new works when it is back; its supervisor tells of the death.
      return handle === undefined ? Effect.void : Effect.ignore(this.loadAll(handle))
    })
  }

  /** The models that it shall have, and those that it still may. */
  get models(): ReadonlyArray<Model> {
    return this.wanted.map(({ model }) => model)
  }

  /** Never loads a model again, for the reason given. */
  giveUp(model: Model, why: ModelLoadFailed): void {
    this.failed.set(model, why)
    this.loaded.delete(model)
    this.detail = why.message
  }

  /** The same model with another objective: what is loaded stays. */
  amend(old: Model, model: Model): void {
    this.amended.set(old, model)
    if (this.loading.delete(old)) this.loading.add(model)
    const renew = (work: GletWork): GletWork => work.model === old ? { ...work, model } : work
    this.works = this.works.map(renew)
    this.leaving = this.leaving.map(renew)
    const report = this.loaded.get(old)
    if (report !== undefined && this.loaded.delete(old)) this.loaded.set(model, report)
    const failure = this.failed.get(old)
    if (failure !== undefined && this.failed.delete(old)) this.failed.set(model, failure)
  }

  /** Unloads what it shall no longer have. */
  readonly unloadOthers: Effect.Effect<void> = Effect.suspend(() => {
    this.leaving = []
    const wanted = new Set(this.models)
    for (const model of this.failed.keys()) if (!wanted.has(model)) this.failed.delete(model)
    // One that is loading its models does so before it is ready.
    return this.handle === undefined ? Effect.void : this.unloadUnwanted(this.handle)
  })

  /** Ends it for good: what runs may end. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    this.fiber === undefined ? Effect.void : Effect.asVoid(Fiber.interrupt(this.fiber))
  )

  private readonly supervise: Effect.Effect<void> = Effect.suspend(() => Effect.forever(Effect.flatMap(this.life, (error) => this.died(error))))

  /** From opening to death. Interruption closes the scope of the glet, which drains it. */
  private readonly life: Effect.Effect<GletExited | GletOpenFailed> = Effect.suspend(() =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(this, function*() {
        const scope = yield* Scope.make()
        const lived = yield* Effect.exit(restore(this.live(scope)))
        this.handle = undefined
        this.loaded.clear()
        if (Exit.isInterrupted(lived)) {
          this.state = "draining"
          this.options.onClosing(this)
        }
        yield* Scope.close(scope, Exit.void)
        return yield* lived
      })
    )
  )

  private live(scope: Scope.Scope): Effect.Effect<GletExited | GletOpenFailed> {
    return Effect.gen(this, function*() {
      const { options } = this
      const startedMs = options.nowMs()
      this.loading.clear()
      const handle = yield* Scope.extend(options.executor.open(this.spec), scope)
      yield* this.loadAll(handle)
      // What its works became meanwhile: nothing is awaited between the last look and being ready, from where on `retarget` loads.
      while (this.unwanted.length > 0 || this.wanted.some(({ model }) => !this.loaded.has(model) && !this.failed.has(model))) {
        yield* this.unloadUnwanted(handle)
        yield* this.loadAll(handle)
      }
      const nowMs = options.nowMs()
      this.openMs = nowMs - startedMs
      this.openedAtMs = nowMs
      this.handle = handle
      this.error = undefined
      this.state = "ready"
      options.onReady(this, handle)
      yield* Deferred.succeed(this.settled, "ready")
      return yield* handle.exited
    }).pipe(Effect.catchAll((error) => Effect.succeed(error)))
  }

  private now(model: Model): Model {
    let current = model
    for (let next = this.amended.get(current); next !== undefined; next = this.amended.get(current)) current = next
    return current
  }

  private get wanted(): ReadonlyArray<GletWork> {
    return [...this.works, ...this.leaving]
  }

  private get unwanted(): ReadonlyArray<Model> {
    const wanted = new Set(this.models)
    return [...this.loaded.keys()].filter((model) => !wanted.has(model))
  }

  private unloadUnwanted(handle: GletHandle): Effect.Effect<void> {
    return Effect.suspend(() => Effect.forEach(this.unwanted, (model) => this.unload(handle, model), { discard: true }))
  }

  private unload(handle: GletHandle, model: Model): Effect.Effect<void> {
    this.loaded.delete(model)
    return handle.unload(model)
  }

  /**
   * Unloads what goes by the key of a model that is about to be loaded and is not it: executors know models by key, and would answer for a file that was
   * written anew, under its old version, that they have it.
   */
  private unloadNamesakes(handle: GletHandle, model: Model): Effect.Effect<void> {
    const key = modelKey(model)
    return Effect.forEach([...this.loaded.keys()].filter((other) => other !== model && modelKey(other) === key), (other) => this.unload(handle, other), { discard: true })
  }

  private loadAll(handle: GletHandle): Effect.Effect<void, GletExited> {
    return Effect.suspend(() =>
      Effect.forEach(this.wanted.filter(({ model }) => !this.loaded.has(model)), (work) =>
        Effect.suspend(() => {
          // It may have been given up while others were loaded.
          const givenUp = this.failed.get(work.model)
          if (givenUp?.reason === "crashed") return Effect.fail(givenUp)
          this.loading.add(work.model)
          return Effect.zipRight(
            this.unloadNamesakes(handle, work.model),
            this.options.onLoad(this, work.model, handle.load(work.model, work.warm))
          )
        }).pipe(
          Effect.map((report) => {
            const model = this.now(work.model)
            this.loading.delete(model)
            this.loaded.set(model, report)
            this.failed.delete(model)
          }),
          Effect.catchTag("ModelLoadFailed", (error) => {
            const model = this.now(work.model)
            this.loading.delete(model)
            this.failed.set(model, error)
            this.detail = error.message
            this.options.onLoadFailed(this, model, error)
            return error.reason === "crashed" ? Effect.void : Effect.logError(error.message)
          })
        ), { discard: true })
    )
  }

  private died(error: GletExited | GletOpenFailed): Effect.Effect<void> {
    return Effect.suspend(() => {
      const nowMs = this.options.nowMs()
      this.restarts += 1
      this.error = error
      this.detail = error.message
      this.restartState = recordExit(this.restartState, nowMs, this.seed, this.options.restart)
      this.state = this.restartState.crashLoop ? "crash-loop" : "restarting"
      this.backAtMs = backAfterExitMs(this.restartState, nowMs, this.openMs)
      this.options.onLost(this, error, this.backAtMs)
      const again = `opening it again in ${Math.round(this.restartState.delayMs)} ms`
      return Effect.logError(`${error.message}; ${this.restartState.crashLoop ? `it keeps dying (crash loop), ${again}` : again}`).pipe(
        Effect.zipRight(Deferred.succeed(this.settled, error)),
        Effect.zipRight(Effect.sleep(this.restartState.delayMs)),
        Effect.zipRight(Effect.sync(() => this.options.onReopen(this)))
      )
    })
  }
}
