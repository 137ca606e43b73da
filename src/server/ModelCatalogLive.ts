/**
 * The catalog over a folder of models: reads and checks them, has measured what is not known yet, registers them with the scheduler, and does
 * the same again when asked or when files change. One broken model never stops the others.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { GpuInventory } from "../core/Gpu.js"
import { unsafeModelName } from "../core/Ids.js"
import { ModelSignature } from "../core/Model.js"
import type { ProfileStore } from "../core/Profile.js"
import type { Profiler } from "../core/Profiler.js"
import { ModelNotFound } from "../core/RequestError.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { CatalogState } from "./ModelCatalog.js"
import { CatalogLoadFailed, ModelCatalog } from "./ModelCatalog.js"
import { suggest } from "./repository/internal/textNode.js"
import { Shelf } from "./repository/internal/shelf.js"
import type { KnownProfiles } from "./repository/ModelProfiles.js"
import { makeModelProfiles } from "./repository/ModelProfiles.js"
import type { ModelSettings, RepositorySettings, SettingsDefaults } from "./repository/ModelSettings.js"
import { defaultSettings, readSettings } from "./repository/ModelSettings.js"
import type { ReadModel } from "./repository/ReadModel.js"
import { readModel } from "./repository/ReadModel.js"
import { RepositoryError } from "./repository/RepositoryError.js"
import type { FoundModel } from "./repository/Scan.js"
import { scanRepository } from "./repository/Scan.js"
import type { TritonConfig } from "./repository/TritonConfig.js"
import { parseConfigJson } from "./repository/TritonConfig.js"

/** What the catalog is doing, for people who wait. @since 0.1.0 @category options */
export type CatalogProgress =
  | { readonly kind: "found"; readonly models: number; readonly toMeasure: number }
  | { readonly kind: "measuring"; readonly model: string; readonly gpuType: string; readonly done: number; readonly total: number }
  | { readonly kind: "state"; readonly model: string; readonly state: CatalogState; readonly reason: string }

/** @since 0.1.0 @category options */
export interface ModelCatalogOptions {
  /** The repository. */
  readonly directory: string
  /** What flags say of models, by name; outranks `glet.json` and `config.pbtxt`. */
  readonly overrides?: ReadonlyMap<string, ModelSettings>
  /** Where nobody says anything: SLO 100 ms, 1 item per second, batches up to 32. */
  readonly defaults?: Partial<SettingsDefaults>
  /** Time to measure a model that has no profile, per GPU type, in ms; 2000 by default. */
  readonly profileBudgetMs?: number
  /** Look for changed files this often, in ms; absent: only at the start and when asked. */
  readonly pollMs?: number
  /** Follow links that lead out of the repository; false by default. */
  readonly followLinks?: boolean
  /** How long a load may wait for a glet once the model is registered, in ms; 30000 by default. */
  readonly readyTimeoutMs?: number
  readonly onProgress?: (event: CatalogProgress) => void
}

/** A model that was read, with its profiles as far as they are known. */
interface Prepared {
  readonly read: ReadModel
  readonly profiles: KnownProfiles
}

/** Models whose files are read, and that are registered, at a time. */
const loadConcurrency = 8

/** Builds the catalog; models load in the background, see `settled`. @since 0.1.0 @category constructors */
export const make = (
  options: ModelCatalogOptions
): Effect.Effect<typeof ModelCatalog.Service, RepositoryError, Scheduler | ProfileStore | Profiler | GpuInventory | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const profiles = yield* makeModelProfiles
    const defaults = { ...defaultSettings, ...options.defaults }
    const scanOptions = { followLinks: options.followLinks ?? false }
    const shelves = new Map<string, Shelf>()
    const report = (event: CatalogProgress) => options.onProgress?.(event)
    const annotate = <A, E, R>(model: string, effect: Effect.Effect<A, E, R>) => Effect.annotateLogs(effect, { module: "catalog", model })

    const look = Effect.all([scanRepository(options.directory, scanOptions), readSettings(options.directory)])

    const makeShelf = (found: FoundModel) =>
      Effect.map(Effect.makeSemaphore(1), (lock) => {
        const shelf = new Shelf(found.name, lock, found.fingerprint, (name) => scheduler.readiness(unsafeModelName(name)))
        shelves.set(found.name, shelf)
        return shelf
      })

    /** Says where a model came to stand, in the log and to who waits. */
    const announce = (shelf: Shelf) =>
      Effect.suspend(() => {
        const { reason, state } = shelf.standing
        report({ kind: "state", model: shelf.name, state, reason })
        const text = `${state}${reason === "" ? "" : `: ${reason}`}`
        return annotate(shelf.name, state === "READY" && reason === "" ? Effect.logInfo(text) : Effect.logWarning(text))
      })

    /** What was registered goes on being served; what never was is broken. */
    const keepOrBreak = (shelf: Shelf, failure: CatalogLoadFailed) =>
      Effect.suspend(() => {
        shelf.phase = shelf.phase.is === "registered"
          ? { is: "registered", note: `still serving what was loaded before: ${failure.detail}` }
          : { is: "broken", reason: failure.detail }
        return Effect.zipRight(announce(shelf), Effect.fail(failure))
      })

    const failure = (name: string, reason: CatalogLoadFailed["reason"], detail: string) => new CatalogLoadFailed({ model: name, reason, detail })

    const prepare = (shelf: Shelf, found: FoundModel, settings: RepositorySettings, config: TritonConfig | undefined) =>
      Effect.gen(function*() {
        shelf.fingerprint = found.fingerprint
        const ofFile = yield* settings.models.get(found.name) ?? Either.right<ModelSettings>({})
        const read = yield* readModel(found, {
          ...scanOptions,
          defaults,
          settings: [options.overrides?.get(found.name) ?? {}, ofFile],
          ...(config === undefined ? {} : { config })
        })
        for (const note of read.notes) yield* annotate(found.name, Effect.logInfo(note))
        return { read, profiles: yield* profiles.look(read.model) }
      }).pipe(
        Effect.catchAll((error) => keepOrBreak(shelf, failure(found.name, error.reason === "unreadable" ? "failed" : "invalid", error.message)))
      )

    const deploy = (shelf: Shelf, { profiles: looked, read }: Prepared) =>
      Effect.gen(function*() {
        const complete = yield* profiles.complete(looked, {
          budgetMs: options.profileBudgetMs ?? 2000,
          onProgress: (gpuType, done, total) => report({ kind: "measuring", model: shelf.name, gpuType, done, total })
        }).pipe(
          Effect.catchAll((error) => {
            const invalid = error._tag === "ModelLoadFailed" && (error.reason === "invalid-model" || error.reason === "unsupported")
            return keepOrBreak(shelf, failure(shelf.name, invalid ? "invalid" : "failed", `${read.model.path}: ${error.message}`))
          })
        )
        const served = shelf.phase.is === "registered" ? shelf.entry : undefined
        if (served !== undefined && !sameSignature(served.model.signature, read.model.signature)) {
          // Requests parsed by the old signature must never reach the new model.
          shelf.phase = { is: "loading" }
          yield* scheduler.unregister(read.model.name)
        }
        shelf.put(read)
        yield* scheduler.register(read.model, complete)
        shelf.phase = { is: "registered", note: "" }
        const readiness = yield* awaitReadiness(shelf.name)
        yield* announce(shelf)
        if (readiness?.state !== "ready") return yield* failure(shelf.name, "failed", shelf.standing.reason)
      })

    const awaitReadiness = (name: string) =>
      Effect.sync(() => scheduler.readiness(unsafeModelName(name))).pipe(
        Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: (readiness) => readiness?.state !== "waiting" }),
        Effect.timeoutTo({
          duration: options.readyTimeoutMs ?? 30_000,
          onSuccess: (readiness) => readiness,
          onTimeout: () => scheduler.readiness(unsafeModelName(name))
        })
      )

    const reload = (shelf: Shelf, found: FoundModel, settings: RepositorySettings, config?: TritonConfig) =>
      shelf.lock.withPermits(1)(Effect.gen(function*() {
        if (shelf.phase.is !== "registered") shelf.phase = { is: "loading" }
        yield* deploy(shelf, yield* prepare(shelf, found, settings, config))
      }))

    const withdraw = (shelf: Shelf) =>
      shelf.lock.withPermits(1)(Effect.gen(function*() {
        shelf.phase = { is: "unloading" }
        yield* scheduler.unregister(unsafeModelName(shelf.name))
        shelf.phase = { is: "unloaded" }
        yield* announce(shelf)
      }))

    /** All is read and measured before anything is registered: glets that open would disturb the measurements, and one plan is enough. */
    const start = (found: ReadonlyArray<FoundModel>, settings: RepositorySettings) =>
      Effect.gen(function*() {
        const prepared = yield* Effect.forEach(found, (model) =>
          Effect.flatMap(makeShelf(model), (shelf) =>
            Effect.option(Effect.map(prepare(shelf, model, settings, undefined), (ready) => ({ shelf, ready })))), { concurrency: loadConcurrency })
        const readable = prepared.flatMap((one) => (one._tag === "Some" ? [one.value] : []))
        report({ kind: "found", models: found.length, toMeasure: readable.filter(({ ready }) => ready.profiles.missing.length > 0).length })
        return readable
      })

    const [found, settings] = yield* look
    yield* warnOfUnknownNames(found, settings, options)
    const settled = yield* Deferred.make<void>()
    return yield* Effect.dieMessage("unreachable")
  })
