/**
 * The server in Deno: `Deno.serve` over the same handlers, models by onnxruntime-web in a worker per glet.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { Planner } from "../scheduler/Planner.js"
import { findPlanner } from "../scheduler/PlannerRegistry.js"
import { Scheduler } from "../scheduler/Scheduler.js"
import * as SchedulerLive from "../scheduler/SchedulerLive.js"
import { counted } from "../core/internal/counted.js"
import * as ProfilerLive from "../core/ProfilerLive.js"
import * as ProfileStoreMemory from "../core/ProfileStoreMemory.js"
import { gletsOf } from "../core/Plan.js"
import * as Metrics from "../server/Metrics.js"
import { ModelCatalog } from "../server/ModelCatalog.js"
import * as ModelCatalogLive from "../server/ModelCatalogLive.js"
import { readModelBytes } from "../server/repository/ModelBytes.js"
import { resolveConfig } from "../server/ServerConfig.js"
import * as WebHandler from "../server/WebHandler.js"
import { describeProvider, preferred, probeCapabilities } from "../webgpu/Capabilities.js"
import * as WebGpuExecutor from "../webgpu/WebGpuExecutor.js"
import * as WebGpuInventory from "../webgpu/WebGpuInventory.js"
import { parseArguments, usage } from "./arguments.js"

/** The parts of Deno that are used. */
interface DenoApi {
  readonly args: ReadonlyArray<string>
  readonly exit: (code: number) => never
  readonly addSignalListener: (signal: "SIGINT" | "SIGTERM", listener: () => void) => void
  readonly serve: (
    options: { readonly hostname: string; readonly port: number; readonly onListen: (address: { readonly port: number }) => void },
    handler: WebHandler.WebHandler
  ) => { readonly shutdown: () => Promise<void> }
}
declare const Deno: DenoApi

/** Lines for people go to stderr: stdout is for data. */
const note = (line: string): void => console.error(line)
const layerLog = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

const endSignal = Effect.async<string>((resume) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resume(Effect.succeed(signal)))
})

const listen = (handler: WebHandler.WebHandler, hostname: string, port: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly shutdown: () => Promise<void> }, string>((resume) => {
      try {
        const server = Deno.serve({ hostname, port, onListen: (address) => queueMicrotask(() => resume(Effect.succeed({ port: address.port, shutdown: () => server.shutdown() }))) }, handler)
      } catch (error) {
        resume(Effect.fail(`${hostname}:${port} cannot be listened on: ${error instanceof Error ? error.message : String(error)}`))
      }
    }),
    ({ shutdown }) => Effect.promise(shutdown)
  )

const program = Effect.gen(function*() {
  const args = yield* parseArguments(Deno.args)
  const { config } = yield* Either.mapLeft(resolveConfig({ flags: { host: args.host, port: args.port } }), (error) => error.message)
  const planner = yield* Effect.mapError(findPlanner(args.planner), (error) => error.message)
  const capabilities = preferred(yield* probeCapabilities, args.provider, "--provider webgpu")
  yield* Effect.logInfo(describeProvider(capabilities))
  const provider = capabilities.adapter === undefined && args.provider === "auto" ? "wasm" : args.provider

  const executor = WebGpuExecutor.layer({ provider, readModel: readModelBytes })
  const serving = ModelCatalogLive.layer({ directory: args.models, profileBudgetMs: args.profileBudget }).pipe(
    Layer.provideMerge(Metrics.layer),
    Layer.provideMerge(SchedulerLive.layer()),
    Layer.provideMerge(ProfilerLive.layer()),
    Layer.provideMerge(executor),
    Layer.provideMerge(WebGpuInventory.layer({ provider })),
    Layer.provide([ProfileStoreMemory.layerMemory(), Layer.succeed(Planner, planner)])
  )
  yield* Effect.gen(function*() {
    const handler = yield* WebHandler.make(config)
    const { port } = yield* listen(handler, args.host, args.port)
    const catalog = yield* ModelCatalog
    yield* catalog.settled
    const index = catalog.index()
    const ready = index.filter(({ state }) => state === "READY").length
    const glets = gletsOf(yield* (yield* Scheduler).plan).length
    note(`glet serving ${ready} of ${counted(index.length, "model")} on http://${args.host}:${port} with ${counted(glets, "glet")}`)
    note(`${yield* endSignal}: draining`)
  }).pipe(Effect.scoped, Effect.provide(serving))
}).pipe(Effect.provide(layerLog))

if (Deno.args.includes("--help") || Deno.args.includes("-h")) {
  note(usage)
} else {
  const exit = await Effect.runPromiseExit(program)
  if (exit._tag === "Failure") {
    const failure = Cause.squash(exit.cause)
    note(`glet: ${failure instanceof Error ? failure.message : String(failure)}`)
    Deno.exit(1)
  }
  Deno.exit(0)
}
