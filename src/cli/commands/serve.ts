import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { counted } from "../../core/internal/counted.js"
import { gletsOf } from "../../core/Plan.js"
import { Scheduler } from "../../scheduler/Scheduler.js"
import { HttpServer } from "../../server/HttpServer.js"
import type { ResolvedConfig, ServerConfig } from "../../server/ServerConfig.js"
import { ModelCatalog } from "../../server/ModelCatalog.js"
import type { CatalogProgress } from "../../server/ModelCatalogLive.js"
import type { NodeUpgradesOptions } from "../../edge/NodeUpgrades.js"
import type { CliError } from "../CliError.js"
import { usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { layerServing } from "../compose.js"
import { schedulingOf } from "../internal/bestEffort.js"
import { modelFolder } from "../internal/files.js"
import { modelSettings, readConfigFile, resolveServerConfig } from "../internal/settings.js"
import { endSignal } from "../internal/signals.js"
import { makeProgress, note, out } from "../internal/terminal.js"
import type { serve } from "../specs/serve.js"
import type { ReadyLine } from "./readyLine.js"

type ServeArgs = ParsedArgs<typeof serve>

/** Shows measuring as it goes; logs say the rest. */
const showProgress = (progress: ReturnType<typeof makeProgress>) => {
  let measured = 0
  let toMeasure = 0
  let last = ""
  return (event: CatalogProgress): void => {
    switch (event.kind) {
      case "found":
        toMeasure = event.toMeasure
        if (toMeasure > 0) note(`${event.models} models found, ${toMeasure} to measure first`)
        return
      case "measuring":
        if (event.model !== last) measured++
        last = event.model
        return progress.show(`measuring [${measured}/${toMeasure}] ${event.model} on ${event.gpuType}: ${event.done} of ${event.total}`)
      case "state":
        return progress.clear()
    }
  }
}

/** Shorter ones can be guessed. */
const leastTokenLetters = 16

const edgeOptions = (args: ServeArgs): Effect.Effect<NodeUpgradesOptions | undefined, CliError> =>
  Effect.gen(function*() {
    const token = args.edgeToken ?? process.env["GLET_EDGE_TOKEN"]
    if (token === undefined) {
      return args.edgeOrigin.length === 0 ? undefined : yield* usageError("--edge-origin does nothing without a token", "set GLET_EDGE_TOKEN or give --edge-token")
    }
    if (token.length < leastTokenLetters || token.length > 512) {
      return yield* usageError(`the edge token has ${token.length} letters; ${leastTokenLetters} to 512 are needed`, "openssl rand -hex 24 makes one")
    }
    return { token, origins: args.edgeOrigin }
  })

/** Where GPUs compute, cores are there to read requests, and one JavaScript thread would be the limit long before the GPUs are. */
const withFronts = ({ config, settings }: ResolvedConfig, executor: ServeArgs["executor"], hasEdge: boolean): ServerConfig => {
  const isAsked = settings.some(({ name, source }) => name === "fronts" && source !== "default")
  return isAsked || hasEdge || executor !== "cuda" ? config : { ...config, fronts: "auto" }
}

/** `glet serve` */
export const handle = (args: ServeArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const directory = yield* modelFolder(args.models)
    const resolved = yield* resolveServerConfig(args)
    const file = yield* readConfigFile(args.config)
    const overrides = yield* modelSettings(args, file.models)
    const edge = yield* edgeOptions(args)
    const config = withFronts(resolved, args.executor, edge !== undefined)
    // A front passes requests on, not connections of another protocol.
    if (edge !== undefined && config.fronts !== 0) return yield* usageError("edge nodes cannot join through fronts", "leave out --fronts, or the edge token")
    const progress = makeProgress(1000)
    const scheduling = yield* schedulingOf(args)
    const layer = yield* layerServing({ ...args, scheduling, directory, overrides, config, edge, onProgress: showProgress(progress) })
    // Everything closes with this scope: connections drain, then glets, then their processes.
    const services = yield* Layer.build(layer)
    const { url } = Context.get(services, HttpServer)
    const catalog = Context.get(services, ModelCatalog)
    yield* catalog.settled
    progress.clear()
    const index = catalog.index()
    const plan = yield* Context.get(services, Scheduler).plan
    const ready: typeof ReadyLine.Type = {
      apiVersion: "glet/v1alpha1",
      kind: "Ready",
      url,
      models: index.length,
      modelsReady: index.filter((entry) => entry.state === "READY").length,
      glets: gletsOf(plan).length,
      pid: process.pid
    }
    const models = `${ready.modelsReady === ready.models ? "" : `${ready.modelsReady} of `}${counted(ready.models, "model")}`
    out(args.json ? JSON.stringify(ready) : `glet serving ${models} on ${url} with ${counted(ready.glets, "glet")}; glet status --server ${url}`)
    const signal = yield* endSignal
    note(`${signal}: draining; again to end at once`)
  }).pipe(Effect.scoped)
