/**
 * The executor whose GPU is the CPU: a runner process hosts all glets, a glet's share is the threads it computes with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Executor } from "../core/Executor.js"
import type { Placement, RunnerExecutorOptions } from "./internal/runnerExecutor.js"
import { makeRunnerExecutor } from "./internal/runnerExecutor.js"
import type { GletRefusal } from "./internal/runnerGlet.js"

/**
 * How the executor works; every field has a default. A runner has 15,000 ms to get ready.
 * @since 0.1.0
 * @category options
 */
export type CpuExecutorOptions = RunnerExecutorOptions

/** Threads of a runner's pool: a call into onnxruntime for every glet that may be open, old and new ones of a change of plan together. */
const poolThreads = (units: number): number => Math.min(256, Math.max(8, 2 * units + 4))

/**
 * The service. A runner starts with the first glet of its GPU and lives as long as the scope; one that dies is replaced by the next `open`.
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: CpuExecutorOptions = {}): Effect.Effect<Executor["Type"], never, Scope.Scope> =>
  makeRunnerExecutor(options, {
    name: "cpu",
    startTimeoutMs: 15_000,
    reachesClientsByDefault: true,
    place: ({ gpu }): Effect.Effect<Placement, GletRefusal> =>
      gpu.isolation === "threads"
        ? Effect.succeed({ sharedKey: gpu.id, poolThreads: poolThreads(gpu.units) })
        : Effect.fail({ reason: "share-unsupported", detail: `the CPU enforces shares by threads, not by ${gpu.isolation}` })
  })

/**
 * `make` as a layer.
 *
 * @example
 * ```ts
 * import { CpuExecutor } from "glet-orion/node-cuda"
 *
 * const executor = CpuExecutor.layer({ engine: "ort-c" })
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: CpuExecutorOptions = {}): Layer.Layer<Executor> => Layer.scoped(Executor, make(options))
