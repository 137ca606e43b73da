/**
 * The HTTP server: one address. Plain infer requests are read from the socket, others by node:http; both take a path of their own, without
 * fibers, in this process or in fronts of it. All other routes are Effect's.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { Executor } from "../core/Executor.js"
import type { GpuInventory } from "../core/Gpu.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import { ArrivalClock, loopView } from "./internal/arrivalClock.js"
import { BufferBudget } from "./internal/bodyBuffer.js"
import { frontCount, startFronts } from "./fronts/startFronts.js"
import type * as Fronts from "./fronts/Fronts.js"
import { type Entrance, openFronted, openPlain } from "./internal/entrance.js"
import type { InferContext } from "./internal/inferContext.js"
import { Listener } from "./internal/listener.js"
import { makeRequestTaker } from "./internal/requestTaker.js"
import { sendOnNode } from "./internal/sendOnNode.js"
import { SharedRegions } from "./internal/sharedRegions.js"
import * as Metrics from "./Metrics.js"
import { ModelCatalog } from "./ModelCatalog.js"
import * as RequestLog from "./RequestLog.js"
import * as Routes from "./Routes.js"
import type { ServerConfig } from "./ServerConfig.js"
import type { RequestLogError, ServerStartError } from "./ServerError.js"
import { Upgrades } from "./Upgrades.js"

/**
 * A server that listens.
 * @since 0.1.0
 * @category services
 */
export class HttpServer extends Context.Tag("glet/server/HttpServer")<HttpServer, {
  readonly host: string
  /** The port it really has, where 0 was asked for. */
  readonly port: number
  readonly url: string
}>() {}

/** What the server serves. @since 0.1.0 @category services */
export type HttpServerServices = Scheduler | ModelCatalog | Executor | GpuInventory

/** A client whose request is not there as a whole when the server stops has this long for the rest; then nobody waits for it any more. */
const lateMs = 1000

/** Stops accepting and waits, within the bound, until what was accepted is answered and sent; then cuts what is left. */
const shutDown = (
  entrance: Entrance,
  listener: Listener,
  context: InferContext,
  drain: Effect.Effect<void>,
  stopped: Deferred.Deferred<void>
) =>
  Effect.gen(function*() {
    yield* Deferred.succeed(stopped, undefined)
    listener.drain()
    // From here on node:http has no time limits of its own for clients that send slowly or nothing.
    const cutLate = Effect.delay(Effect.sync(() => listener.cutLate()), lateMs)
    yield* Effect.all([entrance.close, drain], { concurrency: 2, discard: true }).pipe(
      Effect.raceFirst(Effect.zipRight(cutLate, Effect.never)),
      Effect.interruptible,
      Effect.timeoutTo({
        duration: context.config.drainTimeoutMs,
        onSuccess: () => Effect.void,
        onTimeout: () => Effect.logWarning(`requests were still unanswered after ${context.config.drainTimeoutMs} ms; their connections are closed`)
      }),
      Effect.flatten
    )
    listener.close()
  })

/**
 * Starts a server; closing the scope drains it.
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  config: ServerConfig
): Effect.Effect<
  typeof HttpServer.Service,
  ServerStartError | RequestLogError,
  HttpServerServices | Metrics.Metrics | Scope.Scope
> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const catalog = yield* ModelCatalog
    const { arena, clientMemory, name: executor } = yield* Executor
    const metrics = yield* Metrics.Metrics
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const stopped = yield* Deferred.make<void>()
    if (config.requestLog !== "") yield* RequestLog.observe(config.requestLog)
    // Known once they are up; nobody asks before.
    let fronts: Fronts.Fronts | undefined
    const wantsDirect = config.sharedMemoryDirect === "on" || (config.sharedMemoryDirect === "auto" && clientMemory?.isDefault === true)
    if (config.sharedMemory && config.sharedMemoryDirect === "on" && clientMemory === undefined) {
      yield* Effect.logWarning(`glets of executor ${executor} cannot read memory of clients themselves; tensors are copied from it`)
    }
    const openRegions = Effect.sync(() => new SharedRegions({
      memory: wantsDirect ? clientMemory : undefined,
      onDirect: (number, isDirect) => void (fronts && runFork(fronts.tell({ type: "direct", number, isDirect })))
    }))
    const regions = config.sharedMemory ? yield* Effect.acquireRelease(openRegions, (all) => Effect.sync(() => all.unregister())) : undefined
    const context: InferContext = {
      config,
      catalog,
      arena,
      metrics,
      scheduler: makeRequestTaker(scheduler, catalog),
      buffers: new BufferBudget(config.maxBufferedBytes),
      arrival: new ArrivalClock(loopView(scheduler.nowMs)),
      regions,
      onDefect: (defect) => runFork(Effect.logError("an infer request failed unexpectedly", defect)),
      draining: false
    }
    const count = yield* frontCount(config, arena)
    const app = yield* Routes.make({
      compatTritonErrors: config.compatTritonErrors,
      responded: metrics.responded,
      isDraining: () => context.draining,
      regions,
      tellRegions: (message) => fronts?.tell(message) ?? Effect.void,
      stopped: Deferred.await(stopped)
    })
    const route = yield* NodeHttpServer.makeHandler(Effect.flatMap(app, sendOnNode))
    // What a front counted before it passed a request on is read first: its link was readable no later than that request.
    const listener = new Listener(context, count === 0 ? route : (req, res) => setImmediate(route, req, res))
    const upgrades = Option.getOrUndefined(yield* Effect.serviceOption(Upgrades))
    if (upgrades !== undefined) listener.takeUpgrades(upgrades)
    // Edge nodes answer to the last.
    const drain = upgrades === undefined ? scheduler.drain : Effect.zipRight(scheduler.drain, upgrades.close)
    if (count > 0) fronts = yield* startFronts(count, context, catalog, scheduler, listener)
    const open = fronts === undefined ? openPlain(listener, config) : openFronted(fronts, listener, config)
    const entrance = yield* Effect.acquireRelease(open, (entrance) => shutDown(entrance, listener, context, drain, stopped))
    const { address } = entrance
    const shownHost = address.family === "IPv6" ? `[${address.address}]` : address.address
    return HttpServer.of({ host: address.address, port: address.port, url: `http://${shownHost}:${address.port}` })
  })

/**
 * The server with its metrics.
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  config: ServerConfig
): Layer.Layer<HttpServer | Metrics.Metrics, ServerStartError | RequestLogError, HttpServerServices> =>
  Layer.scoped(HttpServer, make(config)).pipe(Layer.provideMerge(Metrics.layer))
