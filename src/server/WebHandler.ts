/**
 * The server as a web handler, `Request` to `Response`: for `Deno.serve` and whatever else takes one. The same infer path and the same routes as
 * `HttpServer`, without a listener of its own; limits of connections and headers are whose listener it is.
 *
 * @since 0.1.0
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { Readable } from "node:stream"
import type { ReadableStream } from "node:stream/web"
import { Executor } from "../core/Executor.js"
import type { GpuInventory } from "../core/Gpu.js"
import { InvalidRequest, ModelUnavailable } from "../core/RequestError.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { LoopView } from "./internal/arrivalClock.js"
import { ArrivalClock } from "./internal/arrivalClock.js"
import { BufferBudget } from "./internal/bodyBuffer.js"
import { compiledModel } from "./internal/compiledModel.js"
import type { Call } from "./internal/connection.js"
import { InferCall } from "./internal/inferCall.js"
import type { InferContext } from "./internal/inferContext.js"
import { readHeaders } from "./internal/inferHeaders.js"
import { isServed, notServed } from "./internal/served.js"
import { inferTarget } from "./internal/inferTarget.js"
import { makeRequestTaker } from "./internal/requestTaker.js"
import { sendError } from "./internal/send.js"
import { WebReply } from "./internal/webReply.js"
import { Metrics } from "./Metrics.js"
import { ModelCatalog } from "./ModelCatalog.js"
import * as Routes from "./Routes.js"
import type { ServerConfig } from "./ServerConfig.js"
import { RequestRefused } from "./ServerError.js"

/** @since 0.1.0 @category handlers */
export type WebHandler = (request: Request) => Promise<Response>

/** This loop cannot be asked how long it was busy: what is read now counts as come now. */
const unknownLoop = (nowMs: () => number): LoopView => {
  let slept = 0
  return { nowMs, turns: () => 0, sleptMs: () => slept++, afterReading: (done) => void setTimeout(done, 0) }
}

const headersOf = (request: Request): IncomingHttpHeaders => ({
  ...Object.fromEntries(request.headers),
  // A body of unknown length; HTTP/2 has no header for it.
  ...(request.headers.has("content-length") || request.body === null ? {} : { "transfer-encoding": "chunked" })
})

const startInfer = (context: InferContext, request: Request, target: Exclude<ReturnType<typeof inferTarget>, undefined>): Promise<Response> => {
  const reply = new WebReply(context.metrics, request)
  const refuse = (error: Parameters<typeof sendError>[2]) => {
    sendError(context, reply, error)
    return reply.response
  }
  if (target instanceof RequestRefused) return refuse(target)
  const entry = context.catalog.find(target.name, target.version)
  if (!isServed(entry)) return refuse(notServed(context.catalog, target.name, target.version))
  if (context.draining) return refuse(new ModelUnavailable({ model: entry.model.name, reason: "draining" }))
  const headers = readHeaders(headersOf(request), context.config.maxBodyBytes)
  if (headers instanceof InvalidRequest || headers instanceof RequestRefused) return refuse(headers)

  const calls = new Set<Call>()
  request.signal.addEventListener("abort", () => {
    for (const call of calls) call.abandon()
    // Nobody reads it; the promise must not stay open.
    reply.destroy()
  })
  const body = request.body === null ? Readable.from([]) : Readable.fromWeb(request.body as ReadableStream)
  // A client that goes away in the middle of its body: the signal says so.
  body.on("error", () => undefined)
  const connection = { add: (call: Call) => void calls.add(call), remove: (call: Call) => void calls.delete(call) }
  new InferCall(context, connection, reply, compiledModel(entry), headers, target.version).readFrom(body as unknown as IncomingMessage)
  return reply.response
}

/**
 * The handler. When the scope closes it refuses new infer requests and waits, within `drainTimeoutMs`, for those accepted.
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  config: ServerConfig
): Effect.Effect<WebHandler, never, Scheduler | ModelCatalog | Executor | GpuInventory | Metrics | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const metrics = yield* Metrics
    const runtime = yield* Effect.runtime<Scheduler | ModelCatalog | Executor | GpuInventory | Metrics>()
    const runFork = Runtime.runFork(runtime)
    const stopped = yield* Deferred.make<void>()
    const catalog = yield* ModelCatalog
    const context: InferContext = {
      config,
      catalog,
      arena: (yield* Executor).arena,
      metrics,
      scheduler: makeRequestTaker(scheduler, catalog),
      buffers: new BufferBudget(config.maxBufferedBytes),
      arrival: new ArrivalClock(unknownLoop(scheduler.nowMs)),
      regions: undefined,
      onDefect: (defect) => runFork(Effect.logError("an infer request failed unexpectedly", defect)),
      draining: false
    }
    const app = yield* Routes.make({
      compatTritonErrors: config.compatTritonErrors,
      responded: metrics.responded,
      isDraining: () => context.draining,
      regions: undefined,
      stopped: Deferred.await(stopped)
    })
    const route = HttpApp.toWebHandlerRuntime(runtime)(app)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        context.draining = true
        return Deferred.succeed(stopped, undefined)
      }).pipe(Effect.zipRight(Effect.timeoutOption(Effect.interruptible(scheduler.drain), config.drainTimeoutMs))))
    return (request) => {
      const { pathname } = new URL(request.url)
      const target = request.method === "POST" ? inferTarget(pathname) : undefined
      return target === undefined ? route(request) : startInfer(context, request, target)
    }
  })
