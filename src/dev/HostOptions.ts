/**
 * What a host is given: a world, workers that plan, ways to measure and to reach a server.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Executor } from "../core/Executor.js"
import type { ModelProfile } from "../core/Profile.js"
import type { Connect } from "./Lending.js"
import type { FromHost, StoredProfile, Task, TaskAnswer } from "./Messages.js"
import type { World, WorldModel } from "./World.js"

/** A worker that answers tasks one after the other. @since 0.1.0 @category workers */
export interface TaskWorker {
  readonly ask: (task: Task) => Effect.Effect<TaskAnswer>
  readonly close: () => void
}

/** Measures a model on the world's first GPU. Reason `items-depend`: its requests get other answers together than alone. @since 0.1.0 @category profiling */
export type Measure = (
  one: WorldModel, gpu: World["gpus"][0], onProgress: (done: number, total: number) => void
) => Effect.Effect<ModelProfile, { readonly message: string; readonly reason?: string }, Executor>

/** @since 0.1.0 @category options */
export interface HostOptions {
  readonly world: World
  readonly planner: string
  readonly traffic: boolean
  /** Of earlier visits. */
  readonly profiles: ReadonlyArray<StoredProfile>
  readonly post: (message: FromHost) => void
  readonly startWorker: () => TaskWorker
  readonly measure: Measure
  /** Opens a WebSocket of an edge node; a string says why it cannot. */
  readonly connect: Connect
}
