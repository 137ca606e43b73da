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
import type { ModelName } from "./Ids.js"
import type { CoRun, ModelProfile, Neighbour } from "./Profile.js"

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
  /**
   * Somebody vouches for it that requests can be joined. Where nobody does, two are run together and alone, and a model that answers them otherwise fails
   * with `items-depend`.
   */
  readonly mayJoin?: boolean
  /** Batches to measure, where only these are of interest. */
  readonly batches?: ReadonlyArray<number>
  /** Called after every measured point. */
  readonly onProgress?: (done: number, total: number, point: { readonly sharePct: number; readonly batch: number; readonly p99Ms: number }) => void
}

/** How one model of a group was slowed down by the others. @since 0.1.0 @category profiling */
export interface MeasuredCoRun {
  readonly model: ModelName
  readonly coRun: CoRun
}

/** Which models to measure beside each other, and for how long. @since 0.1.0 @category profiling */
export interface CoRunRequest<E = never> {
  readonly gpu: Gpu
  readonly models: ReadonlyArray<Model>
  /** Two or more of these models that compute at the same time, each on a share of its own. */
  readonly groups: ReadonlyArray<ReadonlyArray<Neighbour>>
  /** Time for each group, and for each of its batches alone, in ms; more where executions are long. */
  readonly forMs: number
  /** Called after every group, with what it showed of each member. */
  readonly onMeasured?: (done: number, total: number, measured: ReadonlyArray<MeasuredCoRun>) => Effect.Effect<void, E>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Profiler extends Context.Tag("glet/core/Profiler")<Profiler, {
  /** Opens glets of its own beside what runs, measures, closes them. */
  readonly profile: (request: ProfileRequest) => Effect.Effect<ModelProfile, ExecutorError>
  /** Slow-downs of every member of every group, by glets of its own. */
  readonly coRuns: <E = never>(request: CoRunRequest<E>) => Effect.Effect<ReadonlyArray<MeasuredCoRun>, ExecutorError | E>
}>() {}
