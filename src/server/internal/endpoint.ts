/** Routes with methods, on Effect's router: every path answers 405 with Allow to the methods it does not have. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type { Executor } from "../../core/Executor.js"
import type { GpuInventory } from "../../core/Gpu.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { MappedError } from "../ErrorMapping.js"
import type { Metrics } from "../Metrics.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import { RequestRefused } from "../ServerError.js"
import { errorToResponse, json } from "./responses.js"

export interface RouteSettings {
  readonly compatTritonErrors: boolean
  /** Sees the status of every response. */
  readonly responded: (status: number) => void
}

/** What routes may ask for. */
export type RouteServices = Scheduler | ModelCatalog | Metrics | GpuInventory | Executor

type Handler = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  MappedError,
  RouteServices | HttpServerRequest.HttpServerRequest | HttpRouter.RouteContext
>

export interface Endpoint {
  readonly path: HttpRouter.PathInput
  readonly handler: Handler
}

/** One path with its methods. HEAD is GET without its body, which HTTP itself leaves out. */
export const endpoint = (
  path: HttpRouter.PathInput,
  methods: { readonly GET?: Handler; readonly POST?: Handler }
): Endpoint => {
  const allow = [...(methods.GET === undefined ? [] : ["GET", "HEAD"]), ...(methods.POST === undefined ? [] : ["POST"])]
  return {
    path,
    handler: Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method }): Handler => {
      const handler = method === "POST" ? methods.POST : method === "GET" || method === "HEAD" ? methods.GET : undefined
      if (handler !== undefined) return handler
      return Effect.fail(new RequestRefused({
        reason: "method-not-allowed", subject: method, detail: `this path has ${allow.join(", ")}`, allow
      }))
    })
  }
}

const routeNotFound = new RequestRefused({ reason: "route-not-found", subject: "path", detail: "there is no such path; GET /v2 says what this server is, GET /v2/models what it serves" })

/** One application of all endpoints, which never fails: errors and defects become JSON. */
export const toApp = (endpoints: ReadonlyArray<Endpoint>, settings: RouteSettings) =>
  HttpRouter.toHttpApp(HttpRouter.fromIterable(endpoints.map(({ handler, path }) => HttpRouter.makeRoute("*", path, handler)))).pipe(
    HttpRouter.withRouterConfig({ caseSensitive: true, ignoreTrailingSlash: true, ignoreDuplicateSlashes: false, maxParamLength: 1024 }),
    Effect.map((app) =>
      app.pipe(
        Effect.catchAll((error) =>
          Effect.succeed(errorToResponse(error._tag === "RouteNotFound" ? routeNotFound : error, settings.compatTritonErrors))
        ),
        Effect.catchAllDefect((defect) =>
          Effect.as(Effect.logError("a route failed unexpectedly", defect), json({ error: "internal error; the server's log says more" }, 500))
        ),
        Effect.tap((response) => Effect.sync(() => settings.responded(response.status)))
      )
    )
  )
