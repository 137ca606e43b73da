/**
 * What the page's scheduler runs on: devices, an executor and models, as one value.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import type { Model } from "../core/Model.js"
import type { ModelProfile } from "../core/Profile.js"
import type { DeviceView, ModelControls, WorldName } from "./Messages.js"

/** A model of a world before it is registered. @since 0.1.0 @category worlds */
export interface WorldModel {
  /** Its objective and rate are those of `controls`. */
  readonly model: Model
  readonly controls: ModelControls
  /** Of its file; profiles of other bytes do not count. */
  readonly sha256: string
  /** Where it is known; else it is measured. */
  readonly profile: ModelProfile | undefined
  readonly removable: boolean
  /** Frees what holds its bytes. */
  readonly release: () => void
}

/** @since 0.1.0 @category worlds */
export interface World {
  readonly name: WorldName
  readonly device: DeviceView
  /** Simulated time per real time. */
  readonly speed: number
  readonly gpus: readonly [Gpu, ...ReadonlyArray<Gpu>]
  /** Shares of its GPUs are multiples of this, and such as were measured. */
  readonly gridPct: number
  /** Glets of one GPU at most: each costs something, e.g. a worker. */
  readonly maxGletsPerGpu: number
  readonly executor: Layer.Layer<Executor>
  /** What a file was given the name of; undefined where models cannot be added. */
  readonly read: ((name: string, bytes: Uint8Array) => Effect.Effect<WorldModel, string>) | undefined
  /** The models at the start; a string says which cannot be had, and why. */
  readonly models: Effect.Effect<ReadonlyArray<WorldModel>, string>
  /** Keeps a model's file that a server sends; undefined where the world's GPU cannot be lent. */
  readonly keep: ((bytes: Uint8Array) => { readonly path: string; readonly release: () => void }) | undefined
  /** The right answer to the next request, for models whose traffic is checked, and its input. */
  readonly sample: ((model: string) => Sample | undefined) | undefined
}

/** A request whose answer is known. @since 0.1.0 @category worlds */
export interface Sample {
  readonly input: Float32Array
  readonly isRight: (output: Float32Array) => boolean
}
