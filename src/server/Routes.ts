/**
 * All routes but the infer path: the Open Inference Protocol's, the metrics page and the admin API.
 *
 * @since 0.1.0
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { EdgeReport } from "../core/EdgeStatus.js"
import { HostReport } from "../core/HostStatus.js"
import { Executor } from "../core/Executor.js"
import { GpuInventory } from "../core/Gpu.js"
import { encodePlan } from "../core/Plan.js"
import { InvalidRequest } from "../core/RequestError.js"
import { askedShape, type TensorSpec } from "../core/Tensor.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import type { SchedulerStatus } from "../scheduler/SchedulerStatus.js"
import { statusStream } from "../scheduler/StatusStream.js"
import type { MappedError } from "./ErrorMapping.js"
import { type Endpoint, endpoint, type RouteServices, type RouteSettings, toApp } from "./internal/endpoint.js"
import { notServed } from "./internal/served.js"
import { json, readObject } from "./internal/responses.js"
import { sharedMemoryRoutes, type TellRegions } from "./internal/sharedMemoryRoutes.js"
import type { SharedRegions } from "./internal/sharedRegions.js"
import { unofferedRoutes } from "./internal/unofferedRoutes.js"
import { Metrics } from "./Metrics.js"
import { type CatalogEntry, ModelCatalog } from "./ModelCatalog.js"
import { RequestRefused } from "./ServerError.js"
import { extensions, serverName, version } from "./Version.js"

const notFound = (subject: string) => new RequestRefused({ reason: "route-not-found", subject, detail: "there is no such path" })

/** The model that the path names. */
const pathModel = Effect.gen(function*() {
  const catalog = yield* ModelCatalog
  const { params } = yield* HttpRouter.RouteContext
  const name = params["model"] ?? ""
  const digits = params["version"]
  if (digits !== undefined && !/^[0-9]{1,15}$/.test(digits)) return yield* notFound("path")
  const wanted = digits === undefined ? undefined : Number(digits)
  const entry = catalog.find(name, wanted)
  return entry ?? (yield* notServed(catalog, name, wanted))
})

/** -1 stands for what a request decides. */
const tensorMetadata = (spec: TensorSpec) => ({
  name: spec.name, datatype: spec.datatype, shape: askedShape(spec).map((dim) => (typeof dim === "number" ? dim : -1))
})

const metadata = ({ model }: CatalogEntry) => ({
  name: model.name,
  versions: [String(model.version)],
  platform: "onnxruntime_onnx",
  inputs: model.signature.inputs.map(tensorMetadata),
  outputs: model.signature.outputs.map(tensorMetadata)
})

const modelReady = Effect.gen(function*() {
  const entry = yield* pathModel
  const scheduler = yield* Scheduler
  const readiness = scheduler.readiness(entry.model.name)
  const ready = entry.state === "READY" && readiness?.state === "ready"
  const reason = readiness?.state === "failed" ? readiness.reason : readiness?.state ?? entry.state
  return json({ name: entry.model.name, ready, ...(ready ? {} : { reason }) }, ready ? 200 : 503)
})

const modelStats = Effect.gen(function*() {
  const { model } = yield* pathModel
  const metrics = yield* Metrics
  return json({ model_stats: [metrics.statistics(model)] })
})

/** All models that were read. */
const readModels = Effect.map(ModelCatalog, (catalog) =>
  catalog.index().flatMap(({ name, version }) => catalog.find(name, version === undefined ? undefined : Number(version))?.model ?? []))

const allStats = Effect.gen(function*() {
  const models = yield* readModels
  const metrics = yield* Metrics
  return json({ model_stats: models.map(metrics.statistics) })
})

const modelNames = Effect.map(ModelCatalog, (catalog) => json({ models: [...new Set(catalog.index().map(({ name }) => name))] }))

const repositoryIndex = Effect.gen(function*() {
  const catalog = yield* ModelCatalog
  const ready = (yield* readObject).get("ready")
  if (ready !== undefined && typeof ready !== "boolean") {
    return yield* new InvalidRequest({ field: "ready", problem: "must be true or false" })
  }
  return json(catalog.index().filter((line) => ready !== true || line.state === "READY"))
})

const noFiles = "files cannot be sent with a request; put them into the repository's folder"

/** What makes the body of a load large is a file in it. */
const loadBody = Effect.catchTag(readObject, "RequestRefused", (refused) =>
  refused.reason === "body-too-large" ? new RequestRefused({ reason: refused.reason, subject: refused.subject, detail: `${refused.detail}; ${noFiles}` }) : refused)

const loadModel = Effect.gen(function*() {
  const catalog = yield* ModelCatalog
  const { params } = yield* HttpRouter.RouteContext
  const given = (yield* loadBody).get("parameters") ?? {}
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return yield* new InvalidRequest({ field: "parameters", problem: "must be an object" })
  }
  const parameters = new Map<string, unknown>(Object.entries(given))
  for (const name of parameters.keys()) {
    if (name.startsWith("file:")) {
      return yield* new RequestRefused({ reason: "not-implemented", subject: `parameters["${name.slice(0, 64)}"]`, detail: noFiles })
    }
  }
  const config = parameters.get("config")
  if (config !== undefined && typeof config !== "string") {
    return yield* new InvalidRequest({ field: "parameters.config", problem: "must be a string that holds a model configuration as JSON" })
  }
  yield* catalog.load(params["model"] ?? "", config)
  return json({})
})

const unloadModel = Effect.gen(function*() {
  const catalog = yield* ModelCatalog
  const { params } = yield* HttpRouter.RouteContext
  yield* readObject
  yield* catalog.unload(params["model"] ?? "")
  return json({})
})

/** With what is noticed of the host, where it is watched. */
const withHost = (status: SchedulerStatus): Effect.Effect<SchedulerStatus> =>
  Effect.flatMap(Effect.serviceOption(HostReport), (report) =>
    Option.isNone(report) ? Effect.succeed(status) : Effect.map(report.value.now, (host) => (host === undefined ? status : { ...status, host })))

/** With that of edge nodes, where they may join. */
const withEdge = (status: SchedulerStatus): Effect.Effect<SchedulerStatus> =>
  Effect.flatMap(Effect.serviceOption(EdgeReport), (report) =>
    Option.isNone(report) ? Effect.succeed(status) : Effect.map(report.value.now, (edge) => ({ ...status, edge })))

/** With all that the scheduler does not know. */
const completed = (status: SchedulerStatus): Effect.Effect<SchedulerStatus> => Effect.flatMap(withEdge(status), withHost)

const statusNow = Effect.flatMap(Scheduler, ({ status }) => Effect.flatMap(status, completed))

const metricsPage = Effect.gen(function*() {
  const { arena } = yield* Executor
  const inventory = yield* GpuInventory
  const metrics = yield* Metrics
  const status = yield* statusNow
  const telemetry = yield* inventory.telemetry.pipe(Effect.timeoutTo({ duration: "2 seconds", onSuccess: (all) => all, onTimeout: () => [] }))
  const page = metrics.render({ models: yield* readModels, status, telemetry, arena })
  return HttpServerResponse.text(page, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
})

const replan = Effect.gen(function*() {
  const scheduler = yield* Scheduler
  const dryRun = (yield* readObject).get("dryRun") ?? false
  if (typeof dryRun !== "boolean") return yield* new InvalidRequest({ field: "dryRun", problem: "must be true or false" })
  return json(encodePlan(yield* scheduler.replan({ reason: "asked by the admin API", dryRun })))
})

const adminModels = Effect.gen(function*() {
  const catalog = yield* ModelCatalog
  const scheduler = yield* Scheduler
  const models = catalog.index().map((line) => {
    const entry = catalog.find(line.name, line.version === undefined ? undefined : Number(line.version))
    if (entry === undefined) return line
    const { model } = entry
    return {
      ...line,
      readiness: scheduler.readiness(model.name) ?? { state: "waiting" },
      serviceClass: model.serviceClass,
      sloMs: model.sloMs,
      maxBatch: model.maxBatch,
      expectedRateRps: model.expectedRateRps,
      weightBytes: model.weightBytes
    }
  })
  return json({ apiVersion: "glet/v1alpha1", kind: "ModelList", models })
})

/** The status now and at every change, one JSON document a line; ends when the server stops. */
const watchStatus = (stopped: Effect.Effect<void>) =>
  Effect.map(Scheduler, (scheduler) =>
    HttpServerResponse.stream(
      statusStream(scheduler).pipe(
        Stream.mapEffect(completed),
        Stream.map((status) => new TextEncoder().encode(`${JSON.stringify(status)}\n`)),
        Stream.interruptWhen(stopped)
      ),
      { contentType: "application/x-ndjson" }
    ))

/**
 * The application of all these routes. `isDraining` turns readiness into 503.
 * @since 0.1.0
 * @category routes
 */
export const make = (
  options: RouteSettings & {
    readonly isDraining: () => boolean
    readonly stopped: Effect.Effect<void>
    /** Memory that clients share; undefined where that is off. */
    readonly regions: SharedRegions | undefined
    /** Tells fronts, where there are any, of a change of that memory; completes when all have heard of it. */
    readonly tellRegions?: TellRegions
  }
): Effect.Effect<
  Effect.Effect<HttpServerResponse.HttpServerResponse, never, RouteServices | HttpServerRequest.HttpServerRequest>
> => {
  // Who spreads load by it must not send requests while models are still measured and loaded.
  const ready = Effect.gen(function*() {
    const { isSettled } = yield* ModelCatalog
    const reason = options.isDraining() ? "draining" : (yield* isSettled) ? undefined : "starting"
    return reason === undefined ? json({ ready: true }) : json({ ready: false, reason }, 503)
  })
  const infer = { POST: Effect.fail<MappedError>(notFound("path")) }
  const perModel = (path: `/${string}`) => [
    endpoint(path, { GET: Effect.map(pathModel, (entry) => json(metadata(entry))) }),
    endpoint(`${path}/ready`, { GET: modelReady }),
    endpoint(`${path}/config`, { GET: Effect.map(pathModel, (entry) => json(entry.config)) }),
    endpoint(`${path}/stats`, { GET: modelStats }),
    endpoint(`${path}/infer`, infer)
  ]
  const routes: ReadonlyArray<Endpoint> = [
    endpoint("/v2", { GET: Effect.succeed(json({ name: serverName, version, extensions: options.regions === undefined ? extensions : [...extensions, "system_shared_memory"] })) }),
    endpoint("/v2/health/live", { GET: Effect.succeed(json({ live: true })) }),
    endpoint("/v2/health/ready", { GET: ready }),
    endpoint("/v2/models", { GET: modelNames }),
    endpoint("/v2/models/stats", { GET: allStats }),
    ...perModel("/v2/models/:model"),
    ...perModel("/v2/models/:model/versions/:version"),
    endpoint("/v2/repository/index", { POST: repositoryIndex }),
    endpoint("/v2/repository/models/:model/load", { POST: loadModel }),
    endpoint("/v2/repository/models/:model/unload", { POST: unloadModel }),
    ...sharedMemoryRoutes(options.regions, options.tellRegions ?? (() => Effect.void)),
    ...unofferedRoutes,
    endpoint("/metrics", { GET: metricsPage }),
    endpoint("/glet/v1alpha1/plan", { GET: Effect.flatMap(Scheduler, ({ plan }) => Effect.map(plan, (value) => json(encodePlan(value)))) }),
    endpoint("/glet/v1alpha1/status", { GET: Effect.map(statusNow, json) }),
    endpoint("/glet/v1alpha1/status/watch", { GET: watchStatus(options.stopped) }),
    endpoint("/glet/v1alpha1/models", { GET: adminModels }),
    endpoint("/glet/v1alpha1/replan", { POST: replan })
  ]
  return toApp(routes, options)
}
