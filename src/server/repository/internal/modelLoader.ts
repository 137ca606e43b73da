/** The way of one model from its files to the scheduler and back, in steps that the catalog puts in order. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { unsafeModelName } from "../../../core/Ids.js"
import type { Model } from "../../../core/Model.js"
import type { ModelProfile } from "../../../core/Profile.js"
import type { Scheduler } from "../../../scheduler/Scheduler.js"
import type { CatalogProgress } from "../../ModelCatalog.js"
import { CatalogLoadFailed } from "../../ModelCatalog.js"
import { joinedOrAlone } from "../JoinedOrAlone.js"
import type { KnownProfiles, ModelProfiles } from "../ModelProfiles.js"
import type { ModelSettings, RepositorySettings, SettingsDefaults } from "../ModelSettings.js"
import type { ReadModel } from "../ReadModel.js"
import { readModel } from "../ReadModel.js"
import type { FoundModel } from "../Scan.js"
import type { TritonConfig } from "../TritonConfig.js"
import type { Shelf } from "./shelf.js"

/** Read, and looked up in the store of profiles. */
interface Prepared {
  readonly read: ReadModel
  readonly known: KnownProfiles
}

/** Nothing is missing for its registration. */
export interface Measured {
  readonly read: ReadModel
  readonly profiles: ReadonlyMap<string, ModelProfile>
}

interface LoaderOptions {
  readonly overrides: ReadonlyMap<string, ModelSettings>
  readonly defaults: SettingsDefaults
  readonly profileBudgetMs: number
  readonly followLinks: boolean
  readonly readyTimeoutMs: number
  /** Completes when whoever reads requests elsewhere has heard that something of this model changed. */
  readonly changed: (name: string) => Effect.Effect<void>
  readonly report: (event: CatalogProgress) => void
}

type Step<A> = Effect.Effect<A, CatalogLoadFailed>

export class ModelLoader {
  constructor(
    private readonly scheduler: typeof Scheduler.Service,
    private readonly profiles: ModelProfiles,
    private readonly options: LoaderOptions
  ) {}

  /** Reads and checks the files. */
  prepare(shelf: Shelf, found: FoundModel, settings: RepositorySettings, config?: TritonConfig): Step<Prepared> {
    const { defaults, followLinks, overrides } = this.options
    return Effect.gen(this, function*() {
      shelf.stamp = stampOf(found, settings)
      const ofFile = yield* settings.models.get(found.name) ?? Either.right<ModelSettings>({})
      const read = yield* readModel(found, {
        followLinks,
        defaults,
        settings: [overrides.get(found.name) ?? {}, ofFile],
        ...(config === undefined ? {} : { config })
      })
      for (const note of read.notes) yield* Effect.logInfo(note)
      shelf.expect(read)
      return { read, known: yield* this.profiles.look(read.model) }
    }).pipe(
      Effect.catchAll((error) => this.fail(shelf, error.reason === "unreadable" ? "failed" : "invalid", error.message)),
      annotated(shelf)
    )
  }

  /** Measures what no profile tells yet. */
  measure(shelf: Shelf, prepared: Prepared): Step<Measured> {
    const options = {
      budgetMs: this.options.profileBudgetMs,
      onProgress: (gpuType: string, done: number, total: number) => this.options.report({ kind: "measuring", model: shelf.name, gpuType, done, total })
    }
    return joinedOrAlone(prepared.read, (read, mayJoin) =>
      Effect.gen(this, function*() {
        const known = read === prepared.read ? prepared.known : yield* this.profiles.look(read.model)
        return { read, profiles: yield* this.profiles.complete(known, { ...options, mayJoin }) }
      })).pipe(
      Effect.catchAll((error) => {
        const invalid = error._tag === "ModelLoadFailed" && (error.reason === "invalid-model" || error.reason === "unsupported")
        return this.fail(shelf, invalid ? "invalid" : "failed", error._tag === "RepositoryError" ? error.message : `${prepared.read.model.path}: ${error.message}`)
      }),
      annotated(shelf)
    )
  }

  /** Hands it to the scheduler and waits until a glet serves it. */
  register(shelf: Shelf, { profiles, read }: Measured): Step<void> {
    return Effect.gen(this, function*() {
      const isKnown = shelf.entry !== undefined
      shelf.expect(read)
      if (shelf.phase.is !== "registered") {
        // Nothing serves in its place meanwhile.
        shelf.take()
        // Before it can be ready, nobody reads requests as they were any more. What nobody knows yet need not wait: all of a start are planned together.
        if (isKnown) yield* this.options.changed(shelf.name)
      }
      yield* this.handOver(shelf, read.model, profiles)
      shelf.phase = { is: "registered", note: "" }
      const ready = yield* this.awaitReady(shelf.name)
      const readiness = this.scheduler.readiness(read.model.name)
      if (readiness?.state === "ready" && readiness.notTaken !== undefined) return yield* this.fail(shelf, "failed", readiness.notTaken)
      yield* this.announce(shelf)
      if (!ready) return yield* new CatalogLoadFailed({ model: shelf.name, reason: "failed", detail: shelf.standing.reason })
    }).pipe(annotated(shelf))
  }

  /** Has the scheduler take it; who reads requests elsewhere hears of it when it does, not when all is done that comes after. */
  private handOver(shelf: Shelf, model: Model, profiles: Measured["profiles"]): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const taken = yield* Deferred.make<void>()
      const telling = yield* Effect.fork(Effect.zipRight(Deferred.await(taken), this.options.changed(shelf.name)))
      yield* this.scheduler.register(model, profiles, () => {
        if (shelf.take()) Deferred.unsafeDone(taken, Effect.void)
      })
      yield* (yield* Deferred.isDone(taken)) ? Fiber.join(telling) : Fiber.interrupt(telling)
    })
  }

  /** All steps, alone on the shelf. False: it was forgotten meanwhile. */
  load(shelf: Shelf, found: FoundModel, settings: RepositorySettings, config?: TritonConfig): Step<boolean> {
    return shelf.lock.withPermits(1)(Effect.gen(this, function*() {
      if (shelf.isForgotten) return false
      if (shelf.phase.is !== "registered") shelf.phase = { is: "loading" }
      const prepared = yield* this.prepare(shelf, found, settings, config)
      yield* this.register(shelf, yield* this.measure(shelf, prepared))
      shelf.given = config
      return true
    }))
  }

  /** `onUnloaded`: before anybody else has its turn on the shelf. */
  unload(shelf: Shelf, onUnloaded: () => void = () => undefined): Effect.Effect<void> {
    return shelf.lock.withPermits(1)(Effect.gen(this, function*() {
      shelf.phase = { is: "unloading" }
      yield* this.scheduler.unregister(unsafeModelName(shelf.name))
      shelf.phase = { is: "unloaded" }
      onUnloaded()
      yield* this.announce(shelf)
    })).pipe(annotated(shelf))
  }

  private awaitReady(name: string): Effect.Effect<boolean> {
    const look: Effect.Effect<boolean> = Effect.suspend(() => {
      const state = this.scheduler.readiness(unsafeModelName(name))?.state
      return state === "waiting" ? Effect.delay(look, "20 millis") : Effect.succeed(state === "ready")
    })
    return Effect.timeoutTo(look, { duration: this.options.readyTimeoutMs, onSuccess: (ready) => ready, onTimeout: () => false })
  }

  /** What is registered goes on being served; what never was is broken. */
  private fail(shelf: Shelf, reason: CatalogLoadFailed["reason"], detail: string): Step<never> {
    return Effect.suspend(() => {
      shelf.giveUp()
      shelf.phase = shelf.phase.is === "registered"
        ? { is: "registered", note: detail }
        : { is: "broken", reason: detail }
      return Effect.zipRight(this.announce(shelf), new CatalogLoadFailed({ model: shelf.name, reason, detail }))
    })
  }

  /** Says where a model came to stand: to who reads requests, in the log, and to who waits. */
  private announce(shelf: Shelf): Effect.Effect<void> {
    return Effect.zipRight(this.options.changed(shelf.name), Effect.suspend(() => {
      const { reason, state } = shelf.standing
      this.options.report({ kind: "state", model: shelf.name, state, reason })
      const fine = (state === "READY" && reason === "") || shelf.phase.is === "unloaded"
      const text = reason === "" ? state : `${state}: ${reason}`
      return fine ? Effect.logInfo(text) : Effect.logWarning(text)
    }))
  }
}

const annotated = (shelf: Shelf) => Effect.annotateLogs({ module: "catalog", model: shelf.name })

/** Changes when the model's files or its settings do. */
export const stampOf = (found: FoundModel, settings: RepositorySettings): string => {
  const entry = settings.models.get(found.name)
  return `${found.fingerprint}\n${entry === undefined ? "" : JSON.stringify(Either.merge(entry))}`
}
