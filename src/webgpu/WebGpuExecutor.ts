/**
 * The executor over onnxruntime-web: a worker per glet, each with onnxruntime-web and a device of its own; shares are turns on the GPU (`duty`).
 * Where there is no adapter models run in WebAssembly, and every load says so and why.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { GletHandle, GletSpec } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import { GletOpenFailed } from "../core/ExecutorError.js"
import { makeSegmentArena } from "../core/internal/segmentArena.js"
import type { Model } from "../core/Model.js"
import * as DutyExecutor from "./DutyExecutor.js"
import type { GletWorkerOptions } from "./GletWorkers.js"
import { GletWorkers } from "./GletWorkers.js"
import { fetchModel } from "./internal/fetchModel.js"
import type { ModelBytes, RuntimeLocation } from "./internal/protocol.js"
import { openWorkerGlet } from "./internal/workerGlet.js"
import { SpareRealm } from "./internal/spareRealm.js"

export type { ModelBytes, RuntimeLocation }

/** How the executor works; every field has a default. @since 0.1.0 @category options */
export interface WebGpuExecutorOptions extends GletWorkerOptions {
  /** Workers made before, of which one may be starting already (`GletWorkers.begin`): what is said of workers here does not count then. */
  readonly workers?: GletWorkers
  /** Reads a model. Default: fetches its `path`, which may be any address, that of a dropped file too. */
  readonly readModel?: (model: Model) => Promise<ModelBytes>
  /** Memory for the tensors of all requests. Default 64 MiB. */
  readonly arenaBytes?: number
  /** For a model to load and warm up. Default 120,000: shaders are compiled. */
  readonly loadTimeoutMs?: number
  /** For batches in flight when a glet closes. Default 10,000. */
  readonly drainTimeoutMs?: number
}

/** Workers without turns: what `duty` is put over. */
const makeWorkers = (options: WebGpuExecutorOptions, spare: SpareRealm): typeof Executor.Service => {
  const memory = new ArrayBuffer(options.arenaBytes ?? 64 << 20)
  const workers = options.workers ?? new GletWorkers(options)
  const glet = {
    workers,
    // What of a limit earlier models have taken is not known.
    spare: workers.memoryLimitBytes === undefined ? spare : undefined,
    readModel: options.readModel ?? fetchModel,
    memory: new Uint8Array(memory),
    loadTimeoutMs: options.loadTimeoutMs ?? 120_000,
    drainTimeoutMs: options.drainTimeoutMs ?? 10_000
  }
  const coming = workers.takeBegun()
  if (coming !== undefined) spare.expect(coming)
  const open = (spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> =>
    Effect.mapError(openWorkerGlet(spec, glet), ({ detail, reason }) => new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail }))
  return { name: "webgpu", arena: makeSegmentArena(memory), open }
}

const makeWith = (options: WebGpuExecutorOptions, spare: SpareRealm): typeof Executor.Service =>
  DutyExecutor.make(makeWorkers(options, spare), options.drainTimeoutMs === undefined ? {} : { drainTimeoutMs: options.drainTimeoutMs })

/**
 * The service. Nothing is started before the first glet is opened, unless `workers` has begun; the worker of the last one to close lives on for two seconds.
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: WebGpuExecutorOptions = {}): typeof Executor.Service => makeWith(options, new SpareRealm())

/**
 * `make` as a layer.
 *
 * @example
 * ```ts
 * import { WebGpuExecutor } from "glet-orion/webgpu"
 *
 * const executor = WebGpuExecutor.layer({ runtime: { wasmPaths: "/ort/" } })
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: WebGpuExecutorOptions = {}): Layer.Layer<Executor> =>
  Layer.scoped(Executor, Effect.map(Effect.acquireRelease(Effect.sync(() => new SpareRealm()), (spare) => Effect.sync(() => spare.end())), (spare) => makeWith(options, spare)))
