/** The glets that there are, whatever state they are in: opened beside one another, kept open by a supervisor each, closed for good. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Executor, GletHandle } from "../../core/Executor.js"
import type { Gpu } from "../../core/Gpu.js"
import type { GletId } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { Plan } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import type { GletToOpen } from "../PlanSuccession.js"
import { numberAfter } from "../PlanSuccession.js"
import type { RestartOptions } from "../RestartPolicy.js"
import { SupervisedGlet } from "./gletSupervisor.js"
import type { RequestPath } from "./requestPath.js"

export interface GletFleetOptions {
  readonly executor: Executor["Type"]
  readonly restart: RestartOptions
  readonly path: RequestPath
  readonly nowMs: () => number
  readonly onChange: () => void
  readonly scope: Scope.Scope
}

export class GletFleet {
  private readonly byId = new Map<GletId, SupervisedGlet>()

  /** `onReady`: a glet is open, and has loaded what it can. */
  constructor(private readonly options: GletFleetOptions, private readonly onReady: (id: GletId, handle: GletHandle) => void) {}

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

  private start({ id, priority, sharePct, works }: GletToOpen, gpu: Gpu): Effect.Effect<SupervisedGlet> {
    const { executor, nowMs, onChange, path, restart, scope } = this.options
    return SupervisedGlet.start(
      { id, gpu, sharePct, priority },
      works,
      numberAfter(id),
      {
        executor, nowMs, restart,
        onReady: ({ spec }, handle) => {
          this.onReady(spec.id, handle)
          onChange()
        },
        onClosing: ({ spec }) => path.gletClosing(spec.id),
        onLost: ({ restarts, spec }, error, backAtMs) => {
          path.gletLost(spec.id, backAtMs)
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
