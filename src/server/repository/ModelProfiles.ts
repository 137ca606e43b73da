/**
 * The profiles that a model needs before it can be planned: one per type of GPU, from the store, or measured now.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import type { ExecutorError } from "../../core/ExecutorError.js"
import type { Gpu } from "../../core/Gpu.js"
import { GpuInventory } from "../../core/Gpu.js"
import type { Model } from "../../core/Model.js"
import type { ModelProfile } from "../../core/Profile.js"
import { ProfileStore } from "../../core/Profile.js"
import { Profiler } from "../../core/Profiler.js"
import type { RepositoryError } from "./RepositoryError.js"
import { fromFileSystem } from "./RepositoryError.js"

/** What is known of a model, and what is still to be measured. @since 0.1.0 @category profiles */
export interface KnownProfiles {
  readonly model: Model
  readonly sha256: string
  /** By GPU type. */
  readonly known: ReadonlyMap<string, ModelProfile>
  readonly missing: ReadonlyArray<Gpu>
}

/** @since 0.1.0 @category profiles */
export interface MeasureOptions {
  readonly budgetMs: number
  /** `ProfileRequest.mayJoin` */
  readonly mayJoin?: boolean
  readonly onProgress?: (gpuType: string, done: number, total: number) => void
}

/** @since 0.1.0 @category profiles */
export interface ModelProfiles {
  /** Looks into the store. Disturbs nobody. */
  readonly look: (model: Model) => Effect.Effect<KnownProfiles, RepositoryError>
  /** Measures what is missing, one measurement at a time over all models, and stores it. */
  readonly complete: (profiles: KnownProfiles, options: MeasureOptions) => Effect.Effect<ReadonlyMap<string, ModelProfile>, ExecutorError>
}

/** @since 0.1.0 @category profiles */
export const makeModelProfiles: Effect.Effect<ModelProfiles, never, ProfileStore | Profiler | GpuInventory> = Effect.gen(function*() {
  const store = yield* ProfileStore
  const profiler = yield* Profiler
  const inventory = yield* GpuInventory
  const gpus = [...new Map(inventory.gpus.map((gpu) => [gpu.type, gpu])).values()]
  // Two measurements at once would each see the other's load.
  const measuring = yield* Effect.makeSemaphore(1)

  const storedFor = (model: Model, sha256: string, gpu: Gpu) =>
    store.get({ gpuType: gpu.type, isolation: gpu.isolation, units: gpu.units, model: model.name, sha256 }).pipe(
      Effect.catchAll((error) => Effect.as(Effect.logWarning(`${error.message}; the model is measured again`), Option.none<ModelProfile>())),
      Effect.map(Option.filter((profile) => covers(profile, model)))
    )

  const look = (model: Model) =>
    Effect.gen(function*() {
      const sha256 = yield* sha256OfFile(model.path)
      const known = new Map<string, ModelProfile>()
      const missing: Array<Gpu> = []
      for (const gpu of gpus) {
        const stored = yield* storedFor(model, sha256, gpu)
        if (Option.isSome(stored)) known.set(gpu.type, stored.value)
        else missing.push(gpu)
      }
      return { model, sha256, known, missing }
    })

  const measure = (model: Model, sha256: string, gpu: Gpu, options: MeasureOptions) =>
    Effect.gen(function*() {
      // Another model of the same file may have been measured since.
      const stored = yield* storedFor(model, sha256, gpu)
      if (Option.isSome(stored)) return stored.value
      const measured = yield* profiler.profile({
        model,
        gpu,
        sha256,
        budgetMs: options.budgetMs,
        ...(options.mayJoin === undefined ? {} : { mayJoin: options.mayJoin }),
        onProgress: (done, total) => options.onProgress?.(gpu.type, done, total)
      })
      const profile = { ...measured, sha256, maxBatch: model.maxBatch }
      yield* store.put({ gpuType: gpu.type, isolation: gpu.isolation, units: gpu.units }, profile).pipe(
        Effect.catchAll((error) => Effect.logWarning(`${error.message}; the next start measures the model again`))
      )
      return profile
    })

  const complete = ({ known, missing, model, sha256 }: KnownProfiles, options: MeasureOptions) =>
    Effect.gen(function*() {
      const profiles = new Map(known)
      for (const gpu of missing) profiles.set(gpu.type, yield* measuring.withPermits(1)(measure(model, sha256, gpu, options)))
      return profiles
    })

  return { look, complete }
})

/**
 * A profile made for smaller batches says nothing of larger ones; one that ran out of time at this maximum says all that will be known, and one
 * that was made by hand is taken as it is.
 */
const covers = (profile: ModelProfile, model: Model): boolean => profile.maxBatch === undefined || profile.maxBatch >= model.maxBatch

/** SHA-256 of a file in hexadecimal, read as a stream. @since 0.1.0 @category files */
export const sha256OfFile = (file: string): Effect.Effect<string, RepositoryError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const hash = createHash("sha256")
      await pipeline(createReadStream(file), hash, { signal })
      return hash.digest("hex")
    },
    catch: (cause) => cause
  }).pipe(Effect.mapError((cause) => fromFileSystem(file, cause)))
