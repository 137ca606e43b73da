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

  /** Sets what the glet shall have loaded, and loads what is missing. Models left out stay loaded until `unloadOthers`. */
  retarget(works: ReadonlyArray<GletWork>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.works = works
      const handle = this.handle
      // A glet that is down loads the new works when it is back; its supervisor tells of the death.
      return handle === undefined ? Effect.void : Effect.ignore(this.loadAll(handle))
    })
  }

  /** The models that it shall have. */
  get models(): ReadonlyArray<Model> {
    return this.works.map(({ model }) => model)
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
    this.works = this.works.map((work) => (work.model === old ? { ...work, model } : work))
    const report = this.loaded.get(old)
    if (report !== undefined && this.loaded.delete(old)) this.loaded.set(model, report)
    const failure = this.failed.get(old)
    if (failure !== undefined && this.failed.delete(old)) this.failed.set(model, failure)
  }

  /** Unloads what it shall no longer have. */
  readonly unloadOthers: Effect.Effect<void> = Effect.suspend(() => {
    const wanted = new Set(this.works.map((work) => work.model))
    // One that was unregistered and registered again meanwhile is the same to the glet.
    const keys = new Set([...wanted].map(modelKey))
    for (const model of this.failed.keys()) if (!wanted.has(model)) this.failed.delete(model)
    const handle = this.handle
    if (handle === undefined) return Effect.void
    return Effect.forEach([...this.loaded.keys()].filter((model) => !wanted.has(model)), (model) => {
      this.loaded.delete(model)
      return keys.has(modelKey(model)) ? Effect.void : handle.unload(model)
    }, { discard: true })
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
      const nowMs = options.nowMs()
      this.openMs = nowMs - startedMs
      this.openedAtMs = nowMs
      this.handle = handle
      this.error = undefined
      this.state = "ready"
      options.onReady(this, handle)
      yield* Deferred.succeed(this.settled, "ready")
      // What the works became while it was loading.
      yield* this.loadAll(handle)
      return yield* handle.exited
    }).pipe(Effect.catchAll((error) => Effect.succeed(error)))
  }

  private now(model: Model): Model {
    let current = model
    for (let next = this.amended.get(current); next !== undefined; next = this.amended.get(current)) current = next
    return current
  }

  private loadAll(handle: GletHandle): Effect.Effect<void, GletExited> {
    return Effect.suspend(() =>
      Effect.forEach(this.works.filter(({ model }) => !this.loaded.has(model)), (work) =>
        Effect.suspend(() => {
          // It may have been given up while others were loaded.
          const givenUp = this.failed.get(work.model)
          if (givenUp?.reason === "crashed") return Effect.fail(givenUp)
          this.loading.add(work.model)
          return this.options.onLoad(this, work.model, handle.load(work.model, work.warm))
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
