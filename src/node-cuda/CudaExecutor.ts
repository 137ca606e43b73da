/**
 * The executor of NVIDIA GPUs. Under `mps` every glet is a runner process of its own, whose share, priority and memory limit MPS enforces; under
 * `green` and `stream` one runner per GPU hosts all of its glets. A glet either computes on the GPU or does not open: there is no way back to the
 * CPU.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { GletSpec } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import { CudaUnavailable } from "./CudaError.js"
import type { DeviceSettings, Opened, Ready } from "./internal/control.js"
import { libraryPath } from "./internal/cudaLibraries.js"
import { noPipeDirectory } from "./internal/cudaProbe.js"
import type { MpsHost } from "./internal/mpsHost.js"
import { makeMpsHost } from "./internal/mpsHost.js"
import { providerState } from "./internal/ortProvider.js"
import type { Placement, RunnerExecutorOptions } from "./internal/runnerExecutor.js"
import { makeRunnerExecutor } from "./internal/runnerExecutor.js"
import type { GletRefusal } from "./internal/runnerGlet.js"

/**
 * How the executor works; every field has a default. A runner has 60,000 ms to get ready: the first on a GPU may have to start its driver.
 * @since 0.1.0
 * @category options
 */
export interface CudaExecutorOptions extends RunnerExecutorOptions {
  /** Device memory that a glet's process may take at most, in bytes; only `mps` can enforce it. Default: no limit. */
  readonly gletMemoryBytes?: number
  /** Folders with CUDA's and cuDNN's libraries, for runners. Default: looked for, and the provider is checked before anything starts. */
  readonly libraryFolders?: ReadonlyArray<string>
  /** Whether requests are going to name clients' memory: runners then start with the thread that locks it for the GPU, which else the first region starts. Default: false. */
  readonly expectsClients?: boolean
}

/** Calls into onnxruntime and the driver that can run at a time: of one glet, and of all glets of a GPU. */
const poolThreads = { ofGlet: 16, ofGpu: 64 } as const
const mebibyte = 2 ** 20

/** MPS knows two priorities: normal and below. */
const mpsPriority = (priority: number): "0" | "1" => (priority > 0 ? "1" : "0")

/** What a glet's process must know before it starts. */
const mpsEnv = (spec: GletSpec, pipeDirectory: string, memoryBytes: number | undefined): Readonly<Record<string, string>> => ({
  CUDA_MPS_PIPE_DIRECTORY: pipeDirectory,
  CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: String(spec.sharePct),
  CUDA_MPS_CLIENT_PRIORITY: mpsPriority(spec.priority),
  ...(memoryBytes === undefined ? {} : { CUDA_MPS_PINNED_DEVICE_MEM_LIMIT: `0=${Math.max(1, Math.floor(memoryBytes / mebibyte))}M` })
})

/** Whether the runner has what it was started for. onnxruntime-node's own engine cannot tell; it is taken where it was asked for, not as a fallback. */
const checkReady = ({ gpu, sharePct }: GletSpec, engine: CudaExecutorOptions["engine"]) => ({ cuda, fallback }: Ready): GletRefusal | undefined => {
  if (cuda === undefined && engine === "ort-js") return undefined
  if (cuda === undefined) return { reason: "device-missing", detail: fallback ?? "its runner knows nothing of CUDA: build it again (npm run build)" }
  // A client that finds no daemon runs without MPS and says nothing: then it has all SMs.
  if (gpu.isolation === "mps" && sharePct < 100 && cuda.units >= gpu.units) {
    return { reason: "share-unsupported", detail: `the driver gives its process all ${cuda.units} SMs instead of ${sharePct} %: it is no client of the MPS daemon` }
  }
  return undefined
}

const noteOf = ({ units }: Opened, { gpu, sharePct }: GletSpec): string => `, ${gpu.isolation} ${sharePct} %, ${units} of ${gpu.units} SMs`

const isCuda = (gpu: Gpu): gpu is Gpu & { readonly isolation: "mps" | "green" | "stream" } =>
  gpu.isolation === "mps" || gpu.isolation === "green" || gpu.isolation === "stream"

const placeUnderMps = (mps: MpsHost, spec: GletSpec, common: Pick<Placement, "device" | "env" | "check" | "claimsOf">, memoryBytes: number | undefined) =>
  mps.daemon(spec.gpu.id).pipe(
    Effect.mapError((error): GletRefusal => ({ reason: "device-missing", detail: error.message })),
    Effect.map(({ pipeDirectory }): Placement => ({
      ...common,
      sharedKey: undefined,
      poolThreads: poolThreads.ofGlet,
      env: { ...common.env, ...mpsEnv(spec, pipeDirectory, memoryBytes) },
      beforeKill: (pid) => mps.release(spec.gpu.id, pid),
      watch: (runner) => mps.watch(spec.gpu.id, runner)
    }))
  )

/** Folders for LD_LIBRARY_PATH. Fails where the provider or what it needs is missing. */
const checkedFolders: Effect.Effect<ReadonlyArray<string>, CudaUnavailable> = Effect.gen(function*() {
  const failed = (detail: string) => new CudaUnavailable({ reason: "provider-missing", subject: "ONNX Runtime's CUDA provider", detail })
  const state = yield* Effect.flatMap(
    Effect.try({ try: () => providerState(), catch: (error) => failed(error instanceof Error ? error.message : String(error)) }),
    (read) => read
  )
  if (!state.installed) return yield* failed(`it is not in ${state.home.folder}`)
  if (state.version !== undefined && state.version !== state.home.version) {
    return yield* failed(`it is version ${state.version}, onnxruntime-node ${state.home.version}`)
  }
  if (state.libraries.missing.length > 0) return yield* failed(`${state.libraries.missing.join(", ")} not found`)
  return state.libraries.folders
})

/**
 * Streams of a process share the driver's queues of work, eight where nothing is said: what waits in one holds up the streams of other glets behind
 * it. The most that there can be, and room for the graphs of a thousand kernels; who sets the driver's variables has their way.
 */
const launchQueues = (env: NodeJS.ProcessEnv): Record<string, string> => ({
  CUDA_DEVICE_MAX_CONNECTIONS: env["CUDA_DEVICE_MAX_CONNECTIONS"] ?? "32",
  CUDA_SCALE_LAUNCH_QUEUES: env["CUDA_SCALE_LAUNCH_QUEUES"] ?? "4x"
})

/**
 * The service. Fails where no model could ever run on the GPU, with what is missing.
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: CudaExecutorOptions = {}): Effect.Effect<Executor["Type"], CudaUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    const folders = options.libraryFolders ?? (yield* checkedFolders)
    const mps = yield* makeMpsHost
    const place = (spec: GletSpec): Effect.Effect<Placement, GletRefusal> => {
      const { gpu } = spec
      if (!isCuda(gpu)) return Effect.fail({ reason: "share-unsupported", detail: `CUDA enforces shares by mps, green or stream, not by ${gpu.isolation}` })
      const device: DeviceSettings = { provider: "cuda", uuid: gpu.id, isolation: gpu.isolation, ...(options.expectsClients === true ? { expectsClients: true } : {}) }
      const env = { CUDA_VISIBLE_DEVICES: gpu.id, CUDA_DEVICE_ORDER: "PCI_BUS_ID", LD_LIBRARY_PATH: libraryPath(folders) }
      const common = { device, env, check: checkReady(spec, options.engine), claimsOf: gpu.id }
      if (gpu.isolation === "mps") return placeUnderMps(mps, spec, common, options.gletMemoryBytes)
      // Not to become a client of a daemon that happens to run.
      const alone = { ...env, CUDA_MPS_PIPE_DIRECTORY: noPipeDirectory }
      return Effect.succeed({ ...common, env: { ...alone, ...launchQueues(process.env) }, sharedKey: gpu.id, poolThreads: poolThreads.ofGpu })
    }
    return yield* makeRunnerExecutor(options, { name: "cuda", startTimeoutMs: 60_000, place, note: noteOf })
  })

/**
 * `make` as a layer.
 *
 * @example
 * ```ts
 * import { CudaExecutor, CudaInventory } from "glet-orion/node-cuda"
 * import * as Layer from "effect/Layer"
 *
 * const gpus = Layer.merge(CudaExecutor.layer(), CudaInventory.layer({ isolation: "green" }))
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: CudaExecutorOptions = {}): Layer.Layer<Executor, CudaUnavailable> => Layer.scoped(Executor, make(options))
