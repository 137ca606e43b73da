/**
 * Measures models: the service that fills a `ProfileStore`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ExecutorError } from "./ExecutorError.js"
import type { Gpu } from "./Gpu.js"
import type { Model } from "./Model.js"
import type { ModelProfile } from "./Profile.js"

/** What to measure of a model, and for how long. @since 0.1.0 @category profiling */
export interface ProfileRequest {
  readonly model: Model
  readonly gpu: Gpu
  readonly sha256?: string
  /**
   * Time to spend in ms, loading not counted; batches that the model's objective has use for are measured also beyond it, for up to as much on each share. Fewer points are measured, more where the curve bends.
   */
  readonly budgetMs: number
  /** Shares to measure; where absent the GPU's grid, thinned where it is fine. */
  readonly sharesPct?: ReadonlyArray<number>
  /** What runs on the rest of the GPU all the time meanwhile, in batches of `batch`; `nothing`; or, where absent, what the profiler's options say. */
  readonly beside?: { readonly model: Model; readonly batch: number } | "nothing"
  /** Batches to measure, where only these are of interest. */
  readonly batches?: ReadonlyArray<number>
  /** Called after every measured point. */
  readonly onProgress?: (done: number, total: number, point: { readonly sharePct: number; readonly batch: number; readonly p99Ms: number }) => void
}

/**
 * @since 0.1.0
 * @category services
 */
export class Profiler extends Context.Tag("glet/core/Profiler")<Profiler, {
  /** Opens glets of its own beside what runs, measures, closes them. */
  readonly profile: (request: ProfileRequest) => Effect.Effect<ModelProfile, ExecutorError>
}>() {}
