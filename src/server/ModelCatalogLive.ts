/**
 * The catalog over a folder of models: reads and checks them, has measured what is not known yet, registers them with the scheduler, and does
 * the same again when asked or when files change. One broken model never stops the others.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { GpuInventory } from "../core/Gpu.js"
import { unsafeModelName } from "../core/Ids.js"
import type { ProfileStore } from "../core/Profile.js"
import type { Profiler } from "../core/Profiler.js"
import { ModelNotFound } from "../core/RequestError.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { CatalogProgress } from "./ModelCatalog.js"
import { CatalogLoadFailed, ModelCatalog } from "./ModelCatalog.js"
import { ModelLoader } from "./repository/internal/modelLoader.js"
import { watchChanged } from "./repository/internal/changedModels.js"
import { pollChanges } from "./repository/internal/pollChanges.js"
import { Shelf } from "./repository/internal/shelf.js"
import { makeModelProfiles } from "./repository/ModelProfiles.js"
import type { ModelSettings, RepositorySettings, SettingsDefaults } from "./repository/ModelSettings.js"
import { defaultSettings, readSettings } from "./repository/ModelSettings.js"
import type { RepositoryError } from "./repository/RepositoryError.js"
import type { FoundModel } from "./repository/Scan.js"
import { scanRepository } from "./repository/Scan.js"
import { unknownNames } from "./repository/unknownNames.js"
import type { TritonConfig } from "./repository/TritonConfig.js"
import { parseConfigJson } from "./repository/TritonConfig.js"

export type { CatalogProgress }

/** Where the models are, and how they are profiled. @since 0.1.0 @category options */
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

/** Models whose files are read at a time. */
const readConcurrency = 8

/**
 * Builds the catalog. Fails where the folder or its `glet.json` cannot be read; models load in the background, see `settled`.
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: ModelCatalogOptions
): Effect.Effect<typeof ModelCatalog.Service, RepositoryError, Scheduler | ProfileStore | Profiler | GpuInventory | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const report = (event: CatalogProgress) => options.onProgress?.(event)
    const followLinks = options.followLinks ?? false
    const observers = new Set<(name: string) => Effect.Effect<void>>()
    const changed = (name: string): Effect.Effect<void> =>
      Effect.suspend(() => Effect.forEach([...observers], (tell) => tell(name), { concurrency: "unbounded", discard: true }))
    const loader = new ModelLoader(scheduler, yield* makeModelProfiles, {
      overrides: options.overrides ?? new Map(),
      defaults: { ...defaultSettings, ...options.defaults },
      profileBudgetMs: options.profileBudgetMs ?? 2000,
      readyTimeoutMs: options.readyTimeoutMs ?? 30_000,
      followLinks,
      changed,
      report
    })
    const scope = yield* Effect.scope
    /** Whoever asked for it may be gone before: a model that is neither in nor out would be refused, and stay so. */
    const toItsEnd = <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.flatMap(Effect.forkIn(work, scope), Fiber.join)
    const shelves = new Map<string, Shelf>()
    const settled = yield* Deferred.make<void>()

    const look = Effect.all([scanRepository(options.directory, { followLinks }), readSettings(options.directory)])
    const shelfOf = (name: string) =>
      Effect.gen(function*() {
        const known = shelves.get(name)
        if (known !== undefined) return known
        const shelf = new Shelf(name, yield* Effect.makeSemaphore(1), () => scheduler.readiness(unsafeModelName(name)))
        shelves.set(name, shelf)
        return shelf
      })

    /** Everything is read and measured before anything is registered: glets that open would disturb the measurements. */
    const start = (found: ReadonlyArray<FoundModel>, settings: RepositorySettings) =>
      Effect.gen(function*() {
        const prepared = yield* each(found, (model) =>
          Effect.gen(function*() {
            const shelf = yield* shelfOf(model.name)
            return { shelf, prepared: yield* loader.prepare(shelf, model, settings) }
          }), readConcurrency)
        report({ kind: "found", models: found.length, toMeasure: prepared.filter((one) => one.prepared.known.missing.length > 0).length })
        const measured = yield* each(prepared, ({ prepared, shelf }) =>
          Effect.map(loader.measure(shelf, prepared), (measured) => ({ shelf, measured })), 1)
        // All at once: one plan for all of them.
        yield* each(measured, ({ measured, shelf }) => loader.register(shelf, measured), "unbounded")
      })

    const forget = (shelf: Shelf) =>
      loader.unload(shelf, () => {
        shelf.isForgotten = true
        if (shelves.get(shelf.name) === shelf) shelves.delete(shelf.name)
      })

    /** On the shelf that the model has when its turn comes. */
    const loadFound = (
      found: FoundModel, settings: RepositorySettings, configOf: (shelf: Shelf) => TritonConfig | undefined
    ): Effect.Effect<void, CatalogLoadFailed> =>
      Effect.flatMap(shelfOf(found.name), (shelf) =>
        Effect.flatMap(loader.load(shelf, found, settings, configOf(shelf)), (isLoaded) => isLoaded ? Effect.void : loadFound(found, settings, configOf)))

    const load = (name: string, config?: string) =>
      Effect.gen(function*() {
        yield* Deferred.await(settled)
        const override = config === undefined ? undefined : yield* parseConfigJson("the given configuration", config)
        const [found, settings] = yield* look
        const model = found.find((one) => one.name === name)
        const shelf = shelves.get(name)
        if (model === undefined) {
          if (shelf !== undefined) yield* forget(shelf)
          return yield* new ModelNotFound({ model: name })
        }
        yield* loadFound(model, settings, () => override)
      }).pipe(
        Effect.catchTag("RepositoryError", (error) => new CatalogLoadFailed({ model: name, reason: "invalid", detail: error.message }))
      )

    const unload = (name: string) =>
      Effect.gen(function*() {
        yield* Deferred.await(settled)
        const shelf = shelves.get(name)
        if (shelf === undefined) return yield* new ModelNotFound({ model: name })
        yield* loader.unload(shelf)
      })

    const reloadChanged = yield* watchChanged({
      scheduler, look, shelves, load: (found, settings) => loadFound(found, settings, (shelf) => shelf.given)
    })
    const [found, settings] = yield* look
    const warnings = [
      ...(found.length === 0 ? [`${options.directory} holds no .onnx file and no folder in Triton's layout: no model is served`] : []),
      ...unknownNames(found, settings, options.overrides ?? new Map())
    ]
    for (const line of warnings) yield* Effect.annotateLogs(Effect.logWarning(line), { module: "catalog" })
    // Known by name from the first moment on.
    for (const model of found) yield* shelfOf(model.name)
    yield* start(found, settings).pipe(Effect.ensuring(Deferred.succeed(settled, undefined)), Effect.forkScoped)
    yield* Deferred.await(settled).pipe(
      Effect.zipRight(reloadChanged),
      Effect.annotateLogs({ module: "catalog", fiber: "changed" }),
      Effect.forkScoped
    )
    if (options.pollMs !== undefined) {
      const poll = pollChanges({ look, shelves, load: (found, settings) => loadFound(found, settings, () => undefined), forget })
      yield* Deferred.await(settled).pipe(
        Effect.zipRight(Effect.repeat(poll, Schedule.spaced(options.pollMs))),
        Effect.annotateLogs({ module: "catalog", fiber: "poll" }),
        Effect.forkScoped
      )
    }
    return {
      index: () => [...shelves.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((shelf) => shelf.lines),
      find: (name, version) => {
        const entry = shelves.get(name)?.entry
        return version === undefined || entry?.model.version === version ? entry : undefined
      },
      load: (name, config) => toItsEnd(load(name, config)),
      unload: (name) => toItsEnd(unload(name)),
      settled: Deferred.await(settled),
      isSettled: Deferred.isDone(settled),
      observe: (changed) =>
        Effect.asVoid(Effect.acquireRelease(Effect.sync(() => observers.add(changed)), () => Effect.sync(() => observers.delete(changed))))
    }
  })

/** Runs a step for all; those that fail have been announced and drop out. */
const each = <A, B>(
  all: ReadonlyArray<A>,
  step: (one: A) => Effect.Effect<B, CatalogLoadFailed>,
  concurrency: number | "unbounded"
): Effect.Effect<ReadonlyArray<B>> =>
  Effect.map(Effect.forEach(all, (one) => Effect.option(step(one)), { concurrency }), (results) => results.filter(Option.isSome).map(({ value }) => value))

/** The catalog over a folder of models. @since 0.1.0 @category layers */
export const layer = (
  options: ModelCatalogOptions
): Layer.Layer<ModelCatalog, RepositoryError, Scheduler | ProfileStore | Profiler | GpuInventory> => Layer.scoped(ModelCatalog, make(options))
