/** An executor whose glets live in runner processes: what the CPU's and CUDA's have in common. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { Executor, GletHandle, GletSpec } from "../../core/Executor.js"
import { GletOpenFailed } from "../../core/ExecutorError.js"
import { Claims, ClaimsPlaces } from "./claims.js"
import { keepFloor } from "./claimsFloor.js"
import type { DeviceSettings, EngineName, Opened, Ready } from "./control.js"
import type { GpuId } from "../../core/Ids.js"
import { lendChannel } from "../../link/lendChannel.js"
import { openMemory } from "./executorMemory.js"
import { RunnerRegions } from "./runnerRegions.js"
import type { GletRefusal } from "./runnerGlet.js"
import { openRunnerGlet } from "./runnerGlet.js"
import type { RunnerExit } from "./runnerLink.js"
import { findRunner } from "./runnerPath.js"
import type { RunnerProcess, RunnerStartFailure } from "./runnerProcess.js"
import { openRunner } from "./runnerProcess.js"

/** What every such executor can be told; every field has a default. */
export interface RunnerExecutorOptions {
  /** What runs models: ONNX Runtime's C API, or onnxruntime-node's own. Default `auto`: the C API where it loads. */
  readonly engine?: EngineName | "auto"
  /** `off`: tensors go over the connection to the runner. Default `auto`: shared memory where it can be had. */
  readonly sharedMemory?: "auto" | "off"
  /** Memory for the tensors of all requests. Default: a quarter of what is free, at most 1 GiB (256 MiB where it is not shared). */
  readonly arenaBytes?: number
  /** The built runner. Default: the package's own. */
  readonly runnerPath?: string
  /** For a runner to get ready. */
  readonly startTimeoutMs?: number
  /** For a model to load and warm up. Default 120,000. */
  readonly loadTimeoutMs?: number
  /** For batches in flight when a glet or the executor closes. Default 10,000. */
  readonly drainTimeoutMs?: number
  /** A runner that gives no sign of life for so long, though asked, hangs: it is ended and replaced. Three times as long while it opens, loads or closes something. Default 10,000. */
  readonly hangTimeoutMs?: number
}

/** The process that a glet goes to. */
export interface Placement {
  /** Glets with the same key share a runner, which lives as long as the executor. Undefined: one of its own, which ends with the glet. */
  readonly sharedKey: string | undefined
  readonly device?: DeviceSettings
  readonly env?: Readonly<Record<string, string>>
  /** Calls into onnxruntime that can run at a time. */
  readonly poolThreads: number
  /** The GPU on which its batches tell what they claim, so that others can give way. */
  readonly claimsOf?: GpuId
  /** Looks at a runner that is ready; its refusal ends the runner again. */
  readonly check?: (ready: Ready) => GletRefusal | undefined
  readonly beforeKill?: (pid: number) => Effect.Effect<void>
  /** Told of a runner that came up, e.g. to watch it; the scope closes right before the runner is closed in order. */
  readonly watch?: (runner: RunnerProcess) => Effect.Effect<void, never, Scope.Scope>
}

/** What sets one executor apart from another. */
interface RunnerBackend {
  readonly name: string
  readonly startTimeoutMs: number
  /** Refuses a glet, or says where it goes. */
  readonly place: (spec: GletSpec) => Effect.Effect<Placement, GletRefusal>
  /** Appended to what a load reports. */
  readonly note?: (opened: Opened, spec: GletSpec) => string
  /** `ClientMemory.isDefault`; false where absent. */
  readonly reachesClientsByDefault?: boolean
}

interface HostedRunner {
  readonly process: RunnerProcess
  readonly scope: Scope.CloseableScope
}

const isRefusal = (error: RunnerExit | GletRefusal): error is GletRefusal => "reason" in error

/** What `LoadReport.detail` adds to the engine's own words. */
const noteOf = (fallback: string | undefined, shared: boolean): string =>
  `${shared ? "" : ", tensors over a socket"}${fallback === undefined ? "" : `, because ort-c does not load: ${fallback}`}`

/** The service. A runner that dies is replaced by the next `open`. */
export const makeRunnerExecutor = (options: RunnerExecutorOptions, backend: RunnerBackend): Effect.Effect<Executor["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const { drainTimeoutMs = 10_000, hangTimeoutMs = 10_000, loadTimeoutMs = 120_000, startTimeoutMs = backend.startTimeoutMs } = options
    const memory = yield* Effect.acquireRelease(
      Effect.sync(() => openMemory(options.sharedMemory ?? "auto", options.arenaBytes)),
      ({ close }) => Effect.sync(close)
    )
    const shared = memory.fd !== undefined
    const places = new ClaimsPlaces(memory.memory)
    if (memory.problem !== undefined) {
      yield* Effect.logWarning(`memory cannot be shared with runners, tensors go over sockets: ${memory.problem}`)
    }
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const regions = new RunnerRegions(backend.reachesClientsByDefault === true, (note) => runFork(Effect.logInfo(note)))
    const runners = new Map<string, HostedRunner>()
    /** One start at a time per key, so that GPUs do not wait for each other. */
    const starting = new Map<string, Effect.Semaphore>()
    const startingOf = (key: string): Effect.Semaphore => {
      const known = starting.get(key) ?? Effect.unsafeMakeSemaphore(1)
      starting.set(key, known)
      return known
    }

    /** Starts a runner that ends with the scope given. */
    const startRunner = (placement: Placement, own: Scope.CloseableScope): Effect.Effect<RunnerProcess, RunnerStartFailure> =>
      Effect.gen(function*() {
        const path = options.runnerPath ?? findRunner()
        if (path === undefined) {
          return yield* Effect.fail<RunnerStartFailure>({ reason: "spawn-failed", detail: "dist/runner.js is missing: run `npm run build`" })
        }
        const { beforeKill, check, claimsOf, device, env, poolThreads, watch } = placement
        // Without shared memory runners do not see each other's.
        const claims = claimsOf === undefined || !shared ? undefined : yield* Effect.acquireRelease(
          Effect.sync(() => places.take(claimsOf)),
          (place) => Effect.sync(() => place === undefined ? undefined : places.release(claimsOf, place))
        )
        const channel = yield* lendChannel(memory.arena)
        const process = yield* openRunner({
          path,
          settings: {
            ...(device === undefined ? {} : { device }), engine: options.engine ?? "auto", segmentBytes: memory.byteLength, shared,
            ...(claims === undefined ? {} : { claims }), ...(channel === undefined ? {} : { channelOffset: channel.offset })
          },
          segmentFd: memory.fd,
          channel,
          poolThreads,
          startTimeoutMs,
          drainTimeoutMs,
          hangTimeoutMs,
          ...(env === undefined ? {} : { env }),
          ...(beforeKill === undefined ? {} : { beforeKill })
        })
        const refusal = check?.(process.ready)
        if (refusal !== undefined) return yield* Effect.fail(refusal)
        if (process.ready.fallback !== undefined) {
          yield* Effect.logWarning(`the C API of onnxruntime does not load, onnxruntime-node's own runs models: ${process.ready.fallback}`)
        }
        yield* Effect.acquireRelease(Effect.sync(() => regions.add(process.link)), () => Effect.sync(() => regions.remove(process.link)))
        for (const note of process.ready.cuda?.notes ?? []) yield* Effect.logWarning(note)
        if (watch !== undefined) yield* watch(process)
        return process
      }).pipe(Scope.extend(own), Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, Exit.void)))

    const sharedRunner = (key: string, placement: Placement): Effect.Effect<RunnerProcess, RunnerStartFailure> =>
      startingOf(key).withPermits(1)(Effect.uninterruptibleMask((restore) => Effect.gen(function*() {
        const known = runners.get(key)
        if (known !== undefined && known.process.link.exit === undefined) return known.process
        if (known !== undefined) {
          runners.delete(key)
          yield* Scope.close(known.scope, Exit.void)
        }
        const own = yield* Scope.fork(scope, scope.strategy)
        const process = yield* restore(startRunner(placement, own))
        runners.set(key, { process, scope: own })
        return process
      })))

    /** A runner whose only glet closes before it does. */
    const ownRunner = (placement: Placement): Effect.Effect<RunnerProcess, RunnerStartFailure, Scope.Scope> =>
      Effect.uninterruptibleMask((restore) => Effect.gen(function*() {
        const glet = yield* Effect.scope
        const own = yield* Scope.fork(glet, glet.strategy)
        return yield* restore(startRunner(placement, own))
      }))

    const floorOf = (gpu: GpuId): Effect.Effect<void, never, Scope.Scope> =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          const place = places.take(gpu)
          return place === undefined ? undefined : { place, end: keepFloor(new Claims(memory.memory, place)) }
        }),
        (floor) => Effect.sync(() => {
          if (floor === undefined) return
          floor.end()
          places.release(gpu, floor.place)
        })
      ))

    const openOnce = (spec: GletSpec): Effect.Effect<GletHandle, RunnerExit | GletRefusal, Scope.Scope> =>
      Effect.gen(function*() {
        const placement = yield* backend.place(spec)
        if (spec.givesWay === true && placement.claimsOf !== undefined) yield* floorOf(placement.claimsOf)
        const runner = yield* placement.sharedKey === undefined ? ownRunner(placement) : sharedRunner(placement.sharedKey, placement)
        const note = (opened: Opened) => `${backend.note?.(opened, spec) ?? ""}${noteOf(runner.ready.fallback, shared)}`
        return yield* openRunnerGlet(runner, spec, { loadTimeoutMs, drainTimeoutMs, note })
      })

    const open = (spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> => {
      const failed = ({ detail, reason }: GletRefusal) => new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail })
      if (!spec.gpu.sharesPct.includes(spec.sharePct)) {
        const detail = `a share of ${spec.sharePct} % is not one of ${spec.gpu.sharesPct.join(", ")} %`
        return Effect.fail(failed({ reason: "share-unsupported", detail }))
      }
      // A runner may die before its death is known: then the next one is asked.
      return Effect.catchAll(openOnce(spec), (error) => isRefusal(error) ? Effect.fail(error) : openOnce(spec)).pipe(
        Effect.mapError((error) =>
          failed(isRefusal(error) ? error : { reason: "spawn-failed", detail: `the runner died while it opened the glet: ${error.detail}` })
        )
      )
    }
    // Elsewhere nobody has found out what a file that shrinks does.
    const reachesClients = shared && process.platform === "linux"
    return { name: backend.name, arena: memory.arena, open, ...(reachesClients ? { clientMemory: regions } : {}) }
  })
