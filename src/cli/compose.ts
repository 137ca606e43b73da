/**
 * Puts the layers together: the one place that knows which implementations a command runs on.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import type { Executor } from "../core/Executor.js"
import type { GpuInventory } from "../core/Gpu.js"
import type { ProfileStore } from "../core/Profile.js"
import type { Profiler as ProfilerTag } from "../core/Profiler.js"
import * as CpuExecutor from "../node-cuda/CpuExecutor.js"
import * as CpuInventory from "../node-cuda/CpuInventory.js"
import * as Profiler from "../node-cuda/Profiler.js"
import * as ProfileStoreFile from "../node-cuda/ProfileStoreFile.js"

/** @since 0.1.0 @category layers */
export interface CpuOptions {
  readonly cores?: number | undefined
  readonly engine?: "auto" | "ort-c" | "ort-js" | undefined
  /** Folder of profiles, searched first and written; the user's cache where absent. */
  readonly profiles?: string | undefined
}

/** What models run on and what is known of them. @since 0.1.0 @category layers */
export type Backend = Executor | GpuInventory | ProfilerTag | ProfileStore

const layerStore = (folder: string | undefined): Layer.Layer<ProfileStore> => {
  const directories = ProfileStoreFile.defaultDirectories()
  return ProfileStoreFile.layer({ directories: folder === undefined ? directories : [path.resolve(folder), ...directories.slice(1)] })
}

/** This machine's CPU as the GPU. @since 0.1.0 @category layers */
export const layerCpu = (options: CpuOptions): Layer.Layer<Backend> =>
  Layer.mergeAll(
    CpuInventory.layer(options.cores === undefined ? {} : { cores: options.cores }),
    layerStore(options.profiles),
    Profiler.layer().pipe(Layer.provideMerge(CpuExecutor.layer({ engine: options.engine ?? "auto" })))
  )
