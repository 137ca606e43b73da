/**
 * The HTTP server: one listener. Plain infer requests are read from the socket, others by node:http; both take a path of their own, without
 * fibers. All other routes are Effect's.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Executor } from "../core/Executor.js"
import type { GpuInventory } from "../core/Gpu.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import { ArrivalClock, loopView } from "./internal/arrivalClock.js"
import { BufferBudget } from "./internal/bodyBuffer.js"
import { Connection } from "./internal/connection.js"
import { DirectConnections } from "./internal/directConnections.js"
import type { InferContext } from "./internal/inferContext.js"
import { startInfer } from "./internal/inferRoute.js"
import { inferTarget } from "./internal/inferTarget.js"
import { NodeReply } from "./internal/nodeReply.js"
import { SharedRegions } from "./internal/sharedRegions.js"
import { sendError } from "./internal/send.js"
import * as Metrics from "./Metrics.js"
import { ModelCatalog } from "./ModelCatalog.js"
import * as RequestLog from "./RequestLog.js"
import * as Routes from "./Routes.js"
import type { ServerConfig } from "./ServerConfig.js"
import { type RequestLogError, RequestRefused, ServerStartError } from "./ServerError.js"

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

/** How often connections are looked at for what takes too long. */
const checkMs = (config: ServerConfig): number => Math.max(50, Math.min(1000, config.headersTimeoutMs / 4, config.requestTimeoutMs / 4))

const makeNodeServer = (config: ServerConfig): Server => {
  const server = createServer({
    maxHeaderSize: config.maxHeaderBytes,
    headersTimeout: Math.min(config.headersTimeoutMs, config.requestTimeoutMs),
    requestTimeout: config.requestTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: checkMs(config),
    requireHostHeader: false,
    noDelay: true
  })
  server.maxConnections = config.maxConnections
  server.maxRequestsPerSocket = config.maxRequestsPerConnection
  return server
}

const startReasons = new Map<string | undefined, ServerStartError["reason"]>([
  ["EADDRINUSE", "port-in-use"], ["EADDRNOTAVAIL", "bad-host"], ["ENOTFOUND", "bad-host"], ["EAI_AGAIN", "bad-host"], ["EINVAL", "bad-host"],
  ["EACCES", "permission-denied"], ["EPERM", "permission-denied"]
])

const listen = (server: Server, { host, port }: ServerConfig) =>
  Effect.async<AddressInfo, ServerStartError>((resume) => {
    const onError = (cause: NodeJS.ErrnoException) =>
      resume(Effect.fail(new ServerStartError({ reason: startReasons.get(cause.code) ?? "failed", host, port, detail: cause.message })))
    server.once("error", onError)
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off("error", onError)
      resume(Effect.sync(() => server.address() as AddressInfo))
    })
  })

/** A client whose request is not there as a whole when the server stops has this long for the rest; then nobody waits for it any more. */
const lateMs = 1000

/** What is open. */
interface Connections {
  readonly all: ReadonlyMap<Socket, Connection>
  readonly direct: DirectConnections
}

/** Stops accepting and waits, within the bound, until what was accepted is answered and sent; then cuts what is left. */
const shutDown = (
  server: Server,
  { all, direct }: Connections,
  context: InferContext,
  drain: Effect.Effect<void>,
  stopped: Deferred.Deferred<void>
) =>
  Effect.gen(function*() {
    context.draining = true
    yield* Deferred.succeed(stopped, undefined)
    direct.drain()
    const closed = Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
    })
    // From here on node:http has no time limits of its own for clients that send slowly or nothing.
    const cutLate = Effect.delay(
      Effect.sync(() => {
        for (const [socket, connection] of all) if (!connection.isAnswering) socket.destroy()
      }),
      lateMs
    )
    yield* Effect.all([closed, drain], { concurrency: 2, discard: true }).pipe(
      Effect.raceFirst(Effect.zipRight(cutLate, Effect.never)),
      Effect.interruptible,
      Effect.timeoutTo({
        duration: context.config.drainTimeoutMs,
        onSuccess: () => Effect.void,
        onTimeout: () => Effect.logWarning(`requests were still unanswered after ${context.config.drainTimeoutMs} ms; their connections are closed`)
      }),
      Effect.flatten
    )
    server.closeAllConnections()
    direct.close()
  })

/** Connects the listener's events with the two kinds of routes. */
const attach = (
  server: Server,
  context: InferContext,
  route: (req: IncomingMessage, res: ServerResponse) => void
): Connections => {
  const connections = new Map<Socket, Connection>()
  const connectionOf = (socket: Socket): Connection => {
    let connection = connections.get(socket)
    if (connection === undefined) {
      connection = new Connection(socket)
      connections.set(socket, connection)
      socket.once("close", () => connections.delete(socket))
    }
    return connection
  }
  const direct = new DirectConnections(context, server, connectionOf, checkMs(context.config))
  const handle = (req: IncomingMessage, res: ServerResponse, continues: boolean): void => {
    const connection = connectionOf(req.socket)
    const target = req.method === "POST" ? inferTarget(req.url!) : undefined
    if (target !== undefined) return startInfer(context, connection, req, res, target, continues)
    const call = { get isReading() { return !req.complete }, abandon: () => {} }
    connection.add(call)
    res.once("close", () => connection.remove(call))
    if (context.draining) res.shouldKeepAlive = false
    if (continues) res.writeContinue()
    route(req, res)
  }
  server.on("request", (req: IncomingMessage, res: ServerResponse) => handle(req, res, false))
  server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => handle(req, res, true))
  server.on("checkExpectation", (req: IncomingMessage, res: ServerResponse) => {
    sendError(context, new NodeReply(context, req, res), new RequestRefused({ reason: "malformed", subject: "Expect", detail: "only 100-continue is known" }))
  })
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const status = connectionOf(socket).refuse(error)
    if (status !== undefined) context.metrics.responded(status)
  })
  return { all: connections, direct }
}

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
    const { arena } = yield* Executor
    const metrics = yield* Metrics.Metrics
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const stopped = yield* Deferred.make<void>()
    if (config.requestLog !== "") yield* RequestLog.observe(config.requestLog)
    const regions = config.sharedMemory
      ? yield* Effect.acquireRelease(Effect.sync(() => new SharedRegions()), (all) => Effect.sync(() => all.unregister()))
      : undefined
    const context: InferContext = {
      config,
      catalog,
      arena,
      metrics,
      scheduler,
      buffers: new BufferBudget(config.maxBufferedBytes),
      arrival: new ArrivalClock(loopView(scheduler.nowMs)),
      regions,
      onDefect: (defect) => runFork(Effect.logError("an infer request failed unexpectedly", defect)),
      draining: false
    }
    const app = yield* Routes.make({
      compatTritonErrors: config.compatTritonErrors,
      responded: metrics.responded,
      isDraining: () => context.draining,
      regions,
      stopped: Deferred.await(stopped)
    })
    const route = yield* NodeHttpServer.makeHandler(app)
    const server = makeNodeServer(config)
    const connections = attach(server, context, route)
    const address = yield* Effect.acquireRelease(listen(server, config), () => shutDown(server, connections, context, scheduler.drain, stopped))
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
