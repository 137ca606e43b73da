/**
 * The executor whose GPU is the CPU: a runner process hosts all glets, a glet's share is the threads it computes with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { GletHandle, GletSpec } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import { GletOpenFailed } from "../core/ExecutorError.js"
import type { GpuId } from "../core/Ids.js"
import { openCpuGlet } from "./internal/cpuGlet.js"
import { openMemory } from "./internal/executorMemory.js"
import { findRunner } from "./internal/runnerPath.js"
import type { RunnerProcess, RunnerStartFailure } from "./internal/runnerProcess.js"
import { openRunner } from "./internal/runnerProcess.js"

/**
 * How the executor works; every field has a default.
 * @since 0.1.0
 * @category options
 */
export interface CpuExecutorOptions {
  /** What runs models: ONNX Runtime's C API, or onnxruntime-node's own. Default `auto`: the C API where it loads. */
  readonly engine?: "auto" | "ort-c" | "ort-js"
  /** `off`: tensors go over the connection to the runner. Default `auto`: shared memory where it can be had. */
  readonly sharedMemory?: "auto" | "off"
  /** Memory for the tensors of all requests. Default: a quarter of what is free, at most 1 GiB (256 MiB where it is not shared). */
  readonly arenaBytes?: number
  /** The built runner. Default: the package's own. */
  readonly runnerPath?: string
  /** For a runner to get ready. Default 15,000. */
  readonly startTimeoutMs?: number
  /** For a model to load and warm up. Default 120,000. */
  readonly loadTimeoutMs?: number
  /** For batches in flight when a glet or the executor closes. Default 10,000. */
  readonly drainTimeoutMs?: number
}

interface HostedRunner {
  readonly process: RunnerProcess
  readonly scope: Scope.CloseableScope
}

/** Threads of a runner's pool: a call into onnxruntime for every glet that may be open, old and new ones of a change of plan together. */
const poolThreads = (units: number): number => Math.min(256, Math.max(8, 2 * units + 4))

/** What `LoadReport.detail` adds to the engine's own words. */
const noteOf = (fallback: string | undefined, shared: boolean): string =>
  `${shared ? "" : ", tensors over a socket"}${fallback === undefined ? "" : `, because ort-c does not load: ${fallback}`}`

/**
 * The service. A runner starts with the first glet of its GPU and lives as long as the scope; one that dies is replaced by the next `open`.
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: CpuExecutorOptions = {}): Effect.Effect<Executor["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const { drainTimeoutMs = 10_000, loadTimeoutMs = 120_000, startTimeoutMs = 15_000 } = options
    const memory = yield* Effect.acquireRelease(
      Effect.sync(() => openMemory(options.sharedMemory ?? "auto", options.arenaBytes)),
      ({ close }) => Effect.sync(close)
    )
    if (memory.problem !== undefined) {
      yield* Effect.logWarning(`memory cannot be shared with runners, tensors go over sockets: ${memory.problem}`)
    }
    const runners = new Map<GpuId, HostedRunner>()
    const starting = yield* Effect.makeSemaphore(1)

    const startRunner = (units: number): Effect.Effect<HostedRunner, RunnerStartFailure> =>
      Effect.gen(function*() {
        const path = options.runnerPath ?? findRunner()
        if (path === undefined) {
          return yield* Effect.fail<RunnerStartFailure>({ reason: "spawn-failed", detail: "dist/runner.js is missing: run `npm run build`" })
        }
        const own = yield* Scope.fork(scope, scope.strategy)
        const process = yield* openRunner({
          path,
          settings: { engine: options.engine ?? "auto", segmentBytes: memory.byteLength, shared: memory.fd !== undefined },
          segmentFd: memory.fd,
          poolThreads: poolThreads(units),
          startTimeoutMs,
          drainTimeoutMs
        }).pipe(
          Scope.extend(own),
          Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, Exit.void))
        )
        if (process.ready.fallback !== undefined) {
          yield* Effect.logWarning(`the C API of onnxruntime does not load, onnxruntime-node's own runs models: ${process.ready.fallback}`)
        }
        return { process, scope: own }
      })

    const runnerOf = ({ gpu }: GletSpec): Effect.Effect<RunnerProcess, RunnerStartFailure> =>
      starting.withPermits(1)(Effect.uninterruptibleMask((restore) => Effect.gen(function*() {
        const known = runners.get(gpu.id)
        if (known !== undefined && known.process.link.exit === undefined) return known.process
        if (known !== undefined) {
          runners.delete(gpu.id)
          yield* Scope.close(known.scope, Exit.void)
        }
        const started = yield* restore(startRunner(gpu.units))
        runners.set(gpu.id, started)
        return started.process
      })))

    const open = (spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> => {
      const failed = (reason: GletOpenFailed["reason"], detail: string) => new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail })
      if (spec.gpu.isolation !== "threads") {
        return Effect.fail(failed("share-unsupported", `the CPU enforces shares by threads, not by ${spec.gpu.isolation}`))
      }
      if (!spec.gpu.sharesPct.includes(spec.sharePct)) {
        return Effect.fail(failed("share-unsupported", `a share of ${spec.sharePct} % is not one of ${spec.gpu.sharesPct.join(", ")} %`))
      }
      const once = Effect.flatMap(
        Effect.mapError(runnerOf(spec), ({ detail, reason }) => failed(reason, detail)),
        (runner) => {
          const shared = memory.fd !== undefined
          const note = noteOf(runner.ready.fallback, shared)
          return openCpuGlet(runner, spec, { loadTimeoutMs, drainTimeoutMs, note })
        }
      )
      // A runner may die before its death is known: then the next one is asked.
      return Effect.catchAll(once, (error) => error instanceof GletOpenFailed || typeof error === "string" ? Effect.fail(error) : once).pipe(
        Effect.mapError((error) =>
          error instanceof GletOpenFailed
            ? error
            : failed("spawn-failed", typeof error === "string" ? error : `the runner died while it opened the glet: ${error.detail}`)
        )
      )
    }
    return { name: "cpu", arena: memory.arena, open }
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
