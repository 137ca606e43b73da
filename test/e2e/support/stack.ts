/** The whole server in this process: catalog, scheduler, executor and HTTP as `glet serve` puts them together, with what tests look into. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { Executor } from "../../../src/core/Executor.js"
import type { GpuInventory } from "../../../src/core/Gpu.js"
import type { Profile, ProfileStore } from "../../../src/core/Profile.js"
import type { Profiler as ProfilerTag } from "../../../src/core/Profiler.js"
import type { TensorArena } from "../../../src/core/TensorArena.js"
import type { CpuExecutorOptions } from "../../../src/node-cuda/CpuExecutor.js"
import * as CpuExecutor from "../../../src/node-cuda/CpuExecutor.js"
import * as CpuInventory from "../../../src/node-cuda/CpuInventory.js"
import type { CudaExecutorOptions } from "../../../src/node-cuda/CudaExecutor.js"
import * as CudaExecutor from "../../../src/node-cuda/CudaExecutor.js"
import * as CudaInventory from "../../../src/node-cuda/CudaInventory.js"
import * as Emulated from "../../../src/node-cuda/Emulated.js"
import * as Profiler from "../../../src/core/ProfilerLive.js"
import * as ProfileStoreFile from "../../../src/node-cuda/ProfileStoreFile.js"
import { Planner } from "../../../src/scheduler/Planner.js"
import type { PlannerAlgorithm } from "../../../src/scheduler/Planner.js"
import { defaultPlanner } from "../../../src/scheduler/DefaultPlanner.js"
import type { SchedulerOptions } from "../../../src/scheduler/SchedulerLive.js"
import * as SchedulerLive from "../../../src/scheduler/SchedulerLive.js"
import { SchedulerStatus } from "../../../src/scheduler/SchedulerStatus.js"
import * as HttpServer from "../../../src/server/HttpServer.js"
import { ModelCatalog } from "../../../src/server/ModelCatalog.js"
import * as ModelCatalogLive from "../../../src/server/ModelCatalogLive.js"
import * as PlanThreadWorker from "../../../src/server/PlanThreadWorker.js"
import type { ModelSettings } from "../../../src/server/repository/ModelSettings.js"
import { defaultConfig, type ServerConfig } from "../../../src/server/ServerConfig.js"
import { call } from "../../support/http.js"

export interface StackOptions {
  readonly directory: string
  readonly models?: Readonly<Record<string, ModelSettings>>
  readonly scheduler?: Partial<SchedulerOptions>
  readonly planner?: PlannerAlgorithm
  readonly config?: Partial<ServerConfig>
  /** For each model that no profile tells of. */
  readonly profileBudgetMs?: number
}

export interface Stack {
  readonly port: number
  readonly arena: TensorArena
  /** Messages of all log lines so far. */
  readonly logs: ReadonlyArray<string>
  readonly status: Effect.Effect<SchedulerStatus>
  /** Samples of the metrics page: `name{labels}` to value. */
  readonly metrics: Effect.Effect<ReadonlyMap<string, number>>
}

const decodeStatus = Schema.decodeUnknownSync(Schema.parseJson(SchedulerStatus))

export const statusAt = (port: number): Effect.Effect<SchedulerStatus> =>
  Effect.promise(async () => decodeStatus((await call(port, { path: "/glet/v1alpha1/status" })).body.toString()))

export const metricsAt = (port: number): Effect.Effect<ReadonlyMap<string, number>> =>
  Effect.promise(async () => {
    const text = (await call(port, { path: "/metrics" })).body.toString()
    return new Map(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line): [string, number] => {
      const space = line.lastIndexOf(" ")
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }))
  })

const serve = <More>(
  options: StackOptions,
  backend: Layer.Layer<Executor | GpuInventory | ProfilerTag | ProfileStore | More>
) =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const logger = Logger.make(({ message }) => {
      logs.push((Array.isArray(message) ? message : [message]).map(String).join(" "))
    })
    const services = yield* Layer.build(
      HttpServer.layer({ ...defaultConfig, port: 0, ...options.config }).pipe(
        Layer.provideMerge(ModelCatalogLive.layer({
          directory: options.directory, overrides: new Map(Object.entries(options.models ?? {})), profileBudgetMs: options.profileBudgetMs ?? 150
        })),
        Layer.provideMerge(Layer.provide(SchedulerLive.layer(options.scheduler ?? {}), PlanThreadWorker.layer())),
        Layer.provide(Layer.succeed(Planner, options.planner ?? defaultPlanner)),
        Layer.provideMerge(backend),
        Layer.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    )
    yield* Context.get(services, ModelCatalog).settled
    const { port } = Context.get(services, HttpServer.HttpServer)
    const stack: Stack = { port, logs, arena: Context.get(services, Executor).arena, status: statusAt(port), metrics: metricsAt(port) }
    return { stack, services }
  })

/** On this machine's CPU, in a runner process. */
export const cpuStack = (options: StackOptions & { readonly cores: number; readonly executor?: CpuExecutorOptions }) =>
  serve(
    options,
    Profiler.layer().pipe(
      Layer.provideMerge(CpuExecutor.layer(options.executor ?? {})),
      Layer.merge(Layer.merge(CpuInventory.layer({ cores: options.cores }), ProfileStoreFile.layerMemory([])))
    )
  ).pipe(Effect.map(({ stack }) => stack))

/** On NVIDIA GPUs, as a fake of the host has them. */
export const cudaStack = (options: StackOptions & {
  readonly profile: Profile
  readonly isolation: "mps" | "green"
  readonly executor: CudaExecutorOptions & { readonly runnerPath: string }
}) =>
  serve(
    options,
    Profiler.layer().pipe(
      Layer.provideMerge(CudaExecutor.layer(options.executor)),
      Layer.merge(CudaInventory.layer({ isolation: options.isolation, runnerPath: options.executor.runnerPath })),
      Layer.orDie,
      Layer.merge(ProfileStoreFile.layerMemory([options.profile]))
    )
  ).pipe(Effect.map(({ stack }) => stack))

/** On GPUs that replay a profile; their glets can be killed. */
export const emulatedStack = (options: StackOptions & { readonly profile: Profile; readonly gpus: number }) => {
  const profile: Profile = { ...options.profile, isolation: "emulated" }
  return serve(
    options,
    Profiler.layer().pipe(
      Layer.provideMerge(Emulated.layer({ profiles: [profile] })),
      Layer.provideMerge(Emulated.layerInventory(profile, { count: options.gpus })),
      Layer.merge(ProfileStoreFile.layerMemory([profile]))
    )
  ).pipe(Effect.map(({ services, stack }) => ({ ...stack, kill: Context.get(services, Emulated.EmulatedControl).kill })))
}

/** Waits until something holds; fails with what was last seen where it never does. Answers how long it took, ms. */
export const eventually = <A>(
  what: string, look: Effect.Effect<A>, holds: (seen: A) => boolean, withinMs = 20_000
): Effect.Effect<number> =>
  Effect.gen(function*() {
    const startMs = performance.now()
    for (;;) {
      const seen = yield* look
      const tookMs = performance.now() - startMs
      if (holds(seen)) return tookMs
      if (tookMs > withinMs) return yield* Effect.die(new Error(`not within ${withinMs} ms: ${what}; last seen ${JSON.stringify(seen)}`))
      yield* Effect.sleep(20)
    }
  })
