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
import { fetchModel } from "./internal/fetchModel.js"
import type { ModelBytes, RuntimeLocation, WorkerSetup } from "./internal/protocol.js"
import { openWorkerGlet } from "./internal/workerGlet.js"
import { Realm } from "./internal/workerRealm.js"
import { SpareRealm } from "./internal/spareRealm.js"
import type { StartWorker } from "./WorkerLink.js"
import { startWebWorker } from "./WorkerLink.js"

export type { ModelBytes, RuntimeLocation }

/** @since 0.1.0 @category options */
export interface WebGpuExecutorOptions {
  /** `auto`: the GPU where an adapter is found, else WebAssembly. `webgpu`: glets do not open without one. Default `auto`. */
  readonly provider?: "auto" | "webgpu" | "wasm"
  /** Starts a glet's worker. Default: this package's worker file, beside this module or as a bundler places it. */
  readonly startWorker?: StartWorker
  /** Where onnxruntime-web is; by default it is imported by name, as bundlers, Deno and Node find it. */
  readonly runtime?: RuntimeLocation
  /** Threads of WebAssembly per glet. Default: what the realm can have, at most 4. */
  readonly threads?: number
  /** Reads a model. Default: fetches its `path`, which may be any address, that of a dropped file too. */
  readonly readModel?: (model: Model) => Promise<ModelBytes>
  /** Memory for the tensors of all requests. Default 64 MiB. */
  readonly arenaBytes?: number
  /** Bytes of the GPU that the buffers of one glet may take. Default: no limit but the device's. */
  readonly gletMemoryBytes?: number
  /** Read the device's own clock around all that runs, for `GletStats.deviceMs`. It costs some time per pass. Default false. */
  readonly deviceClock?: boolean
  /** Start the first glet's worker at once, beside whatever comes before that glet. Default false. */
  readonly startEarly?: boolean
  /** For a worker to get ready. Default 60,000: the first one compiles onnxruntime-web. */
  readonly startTimeoutMs?: number
  /** For a model to load and warm up. Default 120,000: shaders are compiled. */
  readonly loadTimeoutMs?: number
  /** For batches in flight when a glet closes. Default 10,000. */
  readonly drainTimeoutMs?: number
}

/** Workers without turns: what `duty` is put over. */
const makeWorkers = (options: WebGpuExecutorOptions, spare: SpareRealm): typeof Executor.Service => {
  const memory = new ArrayBuffer(options.arenaBytes ?? 64 << 20)
  const setup: WorkerSetup = {
    type: "setup",
    provider: options.provider ?? "auto",
    runtime: options.runtime ?? {},
    threads: options.threads,
    memoryLimitBytes: options.gletMemoryBytes,
    deviceClock: options.deviceClock ?? false
  }
  const glet = {
    setup,
    startWorker: options.startWorker ?? startWebWorker,
    // What of a limit earlier models have taken is not known.
    spare: options.gletMemoryBytes === undefined ? spare : undefined,
    readModel: options.readModel ?? fetchModel,
    memory: new Uint8Array(memory),
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    loadTimeoutMs: options.loadTimeoutMs ?? 120_000,
    drainTimeoutMs: options.drainTimeoutMs ?? 10_000
  }
  if (options.startEarly === true) spare.expect(Realm.start(setup, glet.startWorker, glet.startTimeoutMs))
  const open = (spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> =>
    Effect.mapError(openWorkerGlet(spec, glet), ({ detail, reason }) => new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail }))
  return { name: "webgpu", arena: makeSegmentArena(memory), open }
}

const makeWith = (options: WebGpuExecutorOptions, spare: SpareRealm): typeof Executor.Service =>
  DutyExecutor.make(makeWorkers(options, spare), options.drainTimeoutMs === undefined ? {} : { drainTimeoutMs: options.drainTimeoutMs })

/**
 * The service. Nothing is started before the first glet is opened, unless `startEarly` says so; the worker of the last one to close lives on for two seconds.
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
