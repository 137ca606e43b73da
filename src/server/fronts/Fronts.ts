/**
 * The front processes of a server: started, given connections, told what they must know, started again when they die. All decisions stay here,
 * in the agent: a front reads requests, writes their tensors into its part of the shared memory, and answers.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import * as path from "node:path"
import type { ModelName } from "../../core/Ids.js"
import type { SharedMemory, TensorArena } from "../../core/TensorArena.js"
import { channelBytes } from "../../link/channel.js"
import { lendChannel } from "../../link/lendChannel.js"
import { noRestarts, recordExit } from "../../scheduler/RestartPolicy.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { InferContext } from "../internal/inferContext.js"
import { registerMessage, type SharedRegions } from "../internal/sharedRegions.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { ServerConfig } from "../ServerConfig.js"
import { AdmissionPage, pageBytes } from "./admissionPage.js"
import { watchAdmission } from "./admissionWatch.js"
import { type FrontProcess, type FrontStartFailure, openFront } from "./frontProcess.js"
import { Hearing } from "./hearing.js"
import { leastBusy } from "./leastBusy.js"
import type { ToFront } from "./protocol.js"
import { PublishedModels } from "./publishedModels.js"

interface FrontsOptions {
  readonly count: number
  readonly config: ServerConfig
  readonly arena: TensorArena
  readonly shared: SharedMemory
  readonly scheduler: typeof Scheduler.Service
  readonly catalog: Pick<typeof ModelCatalog.Service, "find" | "index" | "observe">
  readonly metrics: InferContext["metrics"]
  /** Folder for the sockets. */
  readonly folder: string
  /** Path of the Unix socket where the agent answers. */
  readonly agentPath: string
  /** Memory that clients share, where they may. */
  readonly regions: SharedRegions | undefined
}

export interface Fronts {
  /** Gives a connection to the least busy front; false where none is up. */
  readonly give: (socket: Socket) => boolean
  /** Connections of clients that they have. */
  readonly connections: () => number
  /** Tells all fronts, and waits until they have heard of it; not for one that hangs. */
  readonly tell: (message: ToFront) => Effect.Effect<void>
  /** Asks them to answer what they have; completes when all have ended. */
  readonly drain: Effect.Effect<void>
  /** Process ids of those that are up. */
  readonly pids: () => ReadonlyArray<number>
}

const startTimeoutMs = 15_000
/** How often models are looked at for what the catalog does not tell of: one that no glet serves any more, say. */
const syncInterval = "100 millis"
/** How often what fronts answered counts less. */
const fadeInterval = "1 second"

/** Memory that clients share, for a front that is new. */
const regionMessages = (regions: SharedRegions | undefined): ReadonlyArray<ToFront> =>
  regions === undefined ? [] : regions.all().map((region) => registerMessage(region))

/** The system's monotonic clock, which all processes share. */
const systemMs = (): number => Number(process.hrtime.bigint()) / 1e6

/** Parts are whole pages of memory. */
const partUnitBytes = 4096

/** Bytes of the part of each of `count` fronts: equal parts that leave as much for the agent itself. */
const partBytes = (capacityBytes: number, count: number): number => Math.floor(capacityBytes / (count + 1) / partUnitBytes) * partUnitBytes

export const make = (options: FrontsOptions): Effect.Effect<Fronts, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { arena, catalog, count, metrics, scheduler, shared } = options
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const live = new Set<FrontProcess>()
    let draining = false
    let ended = 0
    const drainAsked = yield* Deferred.make<void>()
    const allEnded = yield* Deferred.make<void>()

    const tellAll = (message: ToFront): void => {
      for (const { peer } of live) peer.tell(message)
    }
    const models = new PublishedModels(catalog, tellAll)
    const page = yield* Effect.acquireRelease(Effect.sync(() => shared.lend(pageBytes)), (page) => Effect.sync(() => page?.release()))
    const admission = page === undefined ? undefined : new AdmissionPage(shared.memory, page.offset)
    admission?.clear()
    const watch = admission === undefined ? undefined : yield* watchAdmission(scheduler, models, admission)
    const hearing = new Hearing()
    const allHaveHeard = Effect.suspend(() => hearing.all([...live].map(({ peer }) => peer)))
    yield* catalog.observe((name) =>
      Effect.suspend(() => {
        models.syncModel(name)
        watch?.write(name as ModelName)
        return allHaveHeard
      }))
    const sync = Effect.sync(() => models.sync())
    yield* sync
    yield* Effect.forkScoped(Effect.forever(Effect.delay(sync, syncInterval)))
    const fade = Effect.sync(() => {
      for (const { peer } of live) peer.fade()
    })
    yield* Effect.forkScoped(Effect.forever(Effect.delay(fade, fadeInterval)))

    /** Config of each: what is bounded for the whole server is divided among those who read requests. */
    const config: ServerConfig = { ...options.config, maxBufferedBytes: Math.max(1, Math.floor(options.config.maxBufferedBytes / (count + 1))) }
    const size = partBytes(arena.capacityBytes - pageBytes - count * channelBytes, count)

    /** One front from its start to its end; answers how it ended. */
    const runOnce = (number: number, up: Effect.Effect<void>): Effect.Effect<string, FrontStartFailure> =>
      Effect.scoped(Effect.gen(function*() {
        const part = yield* Effect.acquireRelease(Effect.sync(() => shared.lend(size)), (part) => Effect.sync(() => part?.release()))
        if (part === undefined || page === undefined || watch === undefined) {
          return yield* Effect.fail<FrontStartFailure>({ _tag: "FrontStartFailure", detail: `${size} bytes of the tensor memory are not free` })
        }
        const channel = yield* lendChannel(arena)
        const front = yield* openFront({
          channel,
          settings: {
            config,
            segmentBytes: shared.memory.byteLength,
            part: { offset: part.offset, byteLength: part.byteLength },
            pageOffset: page.offset,
            ...(channel === undefined ? {} : { channelOffset: channel.offset }),
            clockMs: scheduler.nowMs() - systemMs(),
            agentPath: options.agentPath,
            ownPath: path.join(options.folder, `front-${number}.sock`)
          },
          segmentFd: shared.fd,
          memory: shared.memory,
          part,
          regions: options.regions,
          scheduler,
          metrics,
          models,
          onOffered: watch.offered,
          startTimeoutMs,
          onDefect: (detail) => runFork(Effect.logError(`front ${number}: an infer request failed unexpectedly: ${detail}`)),
          onLine: (line) => runFork(Effect.logWarning(`front ${number}: ${line}`))
        })
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            for (const message of [...models.messages, ...regionMessages(options.regions)]) front.peer.tell(message)
            live.add(front)
            if (draining) front.drain()
          }),
          () => Effect.sync(() => live.delete(front))
        )
        yield* up
        return yield* front.exited
      }))

    /** Keeps one front up. */
    const supervise = (number: number, first: Deferred.Deferred<void>) =>
      Effect.gen(function*() {
        const up = Effect.asVoid(Deferred.succeed(first, undefined))
        let restarts = noRestarts
        while (!draining) {
          const how = yield* Effect.merge(Effect.mapError(runOnce(number, up), ({ detail }) => detail))
          if (draining) break
          restarts = recordExit(restarts, yield* Clock.currentTimeMillis, number)
          yield* Effect.logWarning(`front ${number} ended: ${how}; another is started in ${Math.round(restarts.delayMs)} ms`)
          yield* up
          yield* Effect.raceFirst(Effect.sleep(restarts.delayMs), Deferred.await(drainAsked))
        }
      }).pipe(
        Effect.ensuring(Effect.suspend(() => ++ended === count ? Deferred.succeed(allEnded, undefined) : Effect.void)),
        Effect.annotateLogs({ module: "fronts", fiber: `front ${number}` })
      )

    const firsts = yield* Effect.forEach(Array.from({ length: count }, (_, i) => i + 1), (number) =>
      Effect.gen(function*() {
        const first = yield* Deferred.make<void>()
        yield* Effect.forkScoped(supervise(number, first))
        return first
      }))
    // Until all are up or known to be in trouble, so that the load is even from the first connection on.
    yield* Effect.forEach(firsts, Deferred.await, { discard: true })

    return {
      give: (socket) => {
        const front = leastBusy(live, Math.random)
        if (front === undefined) return false
        const { peer } = front
        peer.connections += 1
        front.give(socket, () => peer.connections -= 1)
        return true
      },
      connections: () => {
        let sum = 0
        for (const { peer } of live) sum += peer.connections
        return sum
      },
      tell: (message) => Effect.zipRight(Effect.sync(() => tellAll(message)), allHaveHeard),
      drain: Effect.suspend(() => {
        draining = true
        for (const front of live) front.drain()
        return Effect.zipRight(Deferred.succeed(drainAsked, undefined), Deferred.await(allEnded))
      }),
      pids: () => [...live].map(({ pid }) => pid)
    }
  })
