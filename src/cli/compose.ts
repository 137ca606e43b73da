/**
 * Puts the layers together: the one place that knows which implementations a command runs on.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Executor } from "../core/Executor.js"
import type { GpuInventory } from "../core/Gpu.js"
import { LoadFailure } from "../core/internal/loadFailure.js"
import { readUnchanged } from "../core/internal/readUnchanged.js"
import type { Model } from "../core/Model.js"
import type { Profile, ProfileError, ProfileStore } from "../core/Profile.js"
import type { Profiler as ProfilerTag } from "../core/Profiler.js"
import * as CpuExecutor from "../node-cuda/CpuExecutor.js"
import * as CpuInventory from "../node-cuda/CpuInventory.js"
import type { CudaUnavailable } from "../node-cuda/CudaError.js"
import * as CudaExecutor from "../node-cuda/CudaExecutor.js"
import * as CudaInventory from "../node-cuda/CudaInventory.js"
import * as Emulated from "../node-cuda/Emulated.js"
import * as Profiler from "../core/ProfilerLive.js"
import * as ProfileStoreFile from "../node-cuda/ProfileStoreFile.js"
import * as EdgeNodes from "../edge/EdgeNodes.js"
import * as EdgePlanning from "../edge/EdgePlanning.js"
import { maxModelBytes } from "../edge/EdgeProtocol.js"
import * as NodeUpgrades from "../edge/NodeUpgrades.js"
import { Planner } from "../scheduler/Planner.js"
import type { SolverNeeded, UnknownPlanner } from "../scheduler/PlannerRegistry.js"
import { findPlanner } from "../scheduler/PlannerRegistry.js"
import type { Scheduler } from "../scheduler/Scheduler.js"
import type { SchedulerOptions } from "../scheduler/SchedulerLive.js"
import * as SchedulerLive from "../scheduler/SchedulerLive.js"
import * as HostWakeups from "../server/HostWakeups.js"
import * as HttpServer from "../server/HttpServer.js"
import { ModelCatalog } from "../server/ModelCatalog.js"
import type { CatalogProgress } from "../server/ModelCatalogLive.js"
import * as ModelCatalogLive from "../server/ModelCatalogLive.js"
import * as PlanThreadWorker from "../server/PlanThreadWorker.js"
import type { ModelSettings } from "../server/repository/ModelSettings.js"
import { readOnnx } from "../server/repository/OnnxFile.js"
import type { RepositoryError } from "../server/repository/RepositoryError.js"
import type { ServerConfig } from "../server/ServerConfig.js"
import type { RequestLogError, ServerStartError } from "../server/ServerError.js"
import type { CliError } from "./CliError.js"
import { usageError } from "./CliError.js"
import { preemptMsOf } from "./internal/bestEffort.js"
import { layerWebGpuDevice } from "./internal/webgpuBackend.js"

/** @since 0.1.0 @category layers */
export interface MachineOptions {
  readonly cores?: number | undefined
  /** Folder of profiles, searched first and written; the user's cache where absent. */
  readonly profiles?: string | undefined
}

const layerStore = (folder: string | undefined): Layer.Layer<ProfileStore> => {
  const directories = ProfileStoreFile.defaultDirectories()
  return ProfileStoreFile.layer({ directories: folder === undefined ? directories : [path.resolve(folder), ...directories.slice(1)] })
}

/** What there is and what is known of it, without anything that runs. @since 0.1.0 @category layers */
export const layerMachine = (options: MachineOptions): Layer.Layer<GpuInventory | ProfileStore> =>
  Layer.merge(CpuInventory.layer(options.cores === undefined ? {} : { cores: options.cores }), layerStore(options.profiles))

/** What models run on and what is known of them. @since 0.1.0 @category layers */
export type Backend = Executor | GpuInventory | ProfilerTag | ProfileStore

/** @since 0.1.0 @category layers */
export interface CpuOptions extends MachineOptions {
  readonly engine?: "auto" | "ort-c" | "ort-js" | undefined
  /** `RunnerExecutorOptions.arenaBytes`; 0: its default. */
  readonly tensorMemoryBytes?: number | undefined
}

const arenaOf = ({ tensorMemoryBytes = 0 }: Pick<CpuOptions, "tensorMemoryBytes">) => (tensorMemoryBytes > 0 ? { arenaBytes: tensorMemoryBytes } : {})

/** This machine's CPU as the GPU. @since 0.1.0 @category layers */
export const layerCpu = (options: CpuOptions): Layer.Layer<Backend> =>
  Layer.merge(layerMachine(options), Profiler.layer().pipe(Layer.provideMerge(CpuExecutor.layer({ engine: options.engine ?? "auto", ...arenaOf(options) }))))

/** @since 0.1.0 @category layers */
export interface CudaOptions {
  readonly profiles?: string | undefined
  readonly engine?: "auto" | "ort-c" | "ort-js" | undefined
  readonly isolation: "auto" | "mps" | "green" | "stream"
  /** MiB of the device that a glet under MPS may take. */
  readonly gletMemory?: number | undefined
  readonly preemption?: "on" | "off" | undefined
  /** `CudaExecutorOptions.expectsClients` */
  readonly expectsClients?: boolean
  readonly tensorMemoryBytes?: number | undefined
}

/** This host's NVIDIA GPUs. @since 0.1.0 @category layers */
export const layerCuda = (options: CudaOptions): Layer.Layer<Backend, CudaUnavailable> =>
  Profiler.layer().pipe(
    Layer.provideMerge(CudaExecutor.layer({
      engine: options.engine ?? "auto",
      expectsClients: options.expectsClients === true,
      ...arenaOf(options),
      ...(options.gletMemory === undefined ? {} : { gletMemoryBytes: options.gletMemory * 2 ** 20 })
    })),
    // First of all: where there is no GPU, that is what is told.
    Layer.provideMerge(CudaInventory.layer({ isolation: options.isolation, preemption: options.preemption !== "off" })),
    Layer.merge(layerStore(options.profiles))
  )

/** This host's GPU through WebGPU. @since 0.1.0 @category layers */
export const layerWebGpu = (options: MachineOptions): Layer.Layer<Backend, CliError> =>
  Layer.merge(layerStore(options.profiles), Profiler.layer().pipe(Layer.provideMerge(layerWebGpuDevice)))

/** @since 0.1.0 @category layers */
export interface EmulatedOptions {
  readonly gpus: number
  /** How soon best-effort batches give way, in ms; they run to their end where absent. */
  readonly preemptMs?: number | undefined
}

/** GPUs that only a profile knows, replayed in real time. @since 0.1.0 @category layers */
export const layerEmulated = (profile: Profile, { gpus, preemptMs }: EmulatedOptions): Layer.Layer<Backend> => {
  // Whatever isolation was measured: what runs here is its emulation.
  const replayed: Profile = { ...profile, isolation: "emulated" }
  return Profiler.layer().pipe(
    Layer.provideMerge(Emulated.layer({ profiles: [replayed] })),
    Layer.provideMerge(Emulated.layerInventory(replayed, { count: gpus, ...(preemptMs === undefined ? {} : { preemptMs }) })),
    Layer.merge(ProfileStoreFile.layerMemory([replayed]))
  )
}

/** @since 0.1.0 @category layers */
export interface ServingOptions extends CpuOptions {
  readonly executor: "cpu" | "cuda" | "webgpu" | "emulated"
  readonly isolation: "auto" | "mps" | "green" | "stream"
  readonly gletMemory?: number | undefined
  readonly preemption?: "on" | "off" | undefined
  /** Profile file to replay, and on how many GPUs. */
  readonly emulate?: string | undefined
  readonly gpus?: number | undefined
  /** How soon best-effort batches give way there, in ms, or `off`. */
  readonly preempt?: string | undefined
  readonly planner: string
  readonly directory: string
  readonly overrides: ReadonlyMap<string, ModelSettings>
  readonly profileBudget: number
  readonly config: ServerConfig
  /** Other than the defaults. */
  readonly scheduling?: Partial<SchedulerOptions> | undefined
  /** Lets edge nodes join. */
  readonly edge?: NodeUpgrades.NodeUpgradesOptions | undefined
  readonly onProgress: (event: CatalogProgress) => void
}

const layerBackend = (options: ServingOptions): Effect.Effect<Layer.Layer<Backend, CudaUnavailable | CliError>, CliError | ProfileError> => {
  if (options.gletMemory !== undefined && (options.executor !== "cuda" || options.isolation !== "mps")) {
    return Effect.fail(usageError("--glet-memory needs --executor cuda --isolation mps: nothing else can enforce it"))
  }
  if (options.preempt !== undefined && options.executor !== "emulated") {
    return Effect.fail(usageError("--preempt needs --executor emulated: what is emulated gives way as it is told", "on NVIDIA GPUs batches give way unless --preemption off says no"))
  }
  const { sharedMemory, sharedMemoryDirect, tensorMemoryBytes } = options.config
  if (options.executor === "cpu") return Effect.succeed(layerCpu({ ...options, tensorMemoryBytes }))
  if (options.executor === "cuda") return Effect.succeed(layerCuda({ ...options, tensorMemoryBytes, expectsClients: sharedMemory && sharedMemoryDirect === "on" }))
  if (options.executor === "webgpu") return Effect.succeed(layerWebGpu(options))
  return options.emulate === undefined
    ? Effect.fail(usageError("--executor emulated needs --emulate FILE, the profile to replay", "glet profile --output FILE writes one"))
    : Effect.zipWith(ProfileStoreFile.readProfile(options.emulate), preemptMsOf(options.preempt), (profile, preemptMs) =>
      layerEmulated(profile, { gpus: options.gpus ?? 1, preemptMs }))
}

/** A model's file for an edge node: whole, so one that keeps its weights elsewhere cannot go there. */
const readModelFile = (model: Model): Effect.Effect<Uint8Array, string | LoadFailure> =>
  readOnnx(model.path).pipe(
    Effect.mapError((error) => error.message),
    Effect.filterOrFail(({ externalData }) => externalData.length === 0, () => `${model.path} keeps weights in other files: edge nodes take single files`),
    Effect.filterOrFail(({ sizeBytes }) => sizeBytes <= maxModelBytes, ({ sizeBytes }) => `${model.path} has ${sizeBytes} bytes; an edge node takes ${maxModelBytes}`),
    Effect.zipRight(Effect.tryPromise({
      try: () => readUnchanged(model.files ?? [], (file) => fs.stat(file, { bigint: true }), () => fs.readFile(model.path)),
      catch: (error) => error instanceof LoadFailure ? error : String(error)
    }))
  )

const layerEdgePlanning = (profileBudgetMs: number) =>
  Layer.unwrapEffect(Effect.map(ModelCatalog, (catalog) =>
    EdgePlanning.layer({
      profileBudgetMs,
      models: () => catalog.index().flatMap(({ name, state }) => {
        const model = state === "READY" ? catalog.find(name)?.model : undefined
        return model?.edge === true ? [model] : []
      })
    })))

/** The whole server. @since 0.1.0 @category layers */
export const layerServing = (options: ServingOptions): Effect.Effect<
  Layer.Layer<HttpServer.HttpServer | ModelCatalog | Scheduler, CliError | CudaUnavailable | RepositoryError | RequestLogError | ServerStartError>,
  CliError | ProfileError | UnknownPlanner | SolverNeeded
> =>
  Effect.gen(function*() {
    const planner = yield* findPlanner(options.planner)
    const backend = yield* layerBackend(options)
    const catalog = ModelCatalogLive.layer({
      directory: options.directory,
      overrides: options.overrides,
      profileBudgetMs: options.profileBudget,
      onProgress: options.onProgress
    })
    const scheduling = Layer.provide(SchedulerLive.layer(options.scheduling ?? {}), PlanThreadWorker.layer())
    const planners = Layer.succeed(Planner, planner)
    const server = Layer.provide(HttpServer.layer(options.config), HostWakeups.layer)
    const { edge } = options
    if (edge === undefined) {
      return server.pipe(
        Layer.provideMerge(catalog), Layer.provideMerge(scheduling), Layer.provide(planners), Layer.provide(backend)
      )
    }
    return Layer.merge(server, layerEdgePlanning(options.profileBudget)).pipe(
      Layer.provide(NodeUpgrades.layer(edge)),
      Layer.provideMerge(catalog),
      Layer.provideMerge(scheduling),
      Layer.provide(planners),
      Layer.provide(Layer.provideMerge(EdgeNodes.layer({ read: readModelFile }), backend))
    )
  })
