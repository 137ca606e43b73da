/**
 * What is compared: ours, and what one would do without it. Each serves a scenario's models on the GPUs of this host.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Scenario } from "../../simulator/Scenario.js"
import { expectedRates } from "../../simulator/ScenarioInput.js"
import { CliError } from "../CliError.js"
import { ReadyLine } from "../commands/readyLine.js"
import { startGlet } from "../demo/childProcess.js"
import { targetOf } from "../internal/serverClient.js"
import type { Target } from "../load/HttpConnection.js"
import { placeModels } from "./SuiteModels.js"

export interface SuiteSystem {
  readonly name: string
  readonly summary: string
  readonly planner: string
  /** How its shares are enforced; the server's own choice where it is left out. */
  readonly isolation?: "mps" | "green" | "stream"
  /** A server for each model, none knowing of the others. */
  readonly apart?: true
  /** Also what it answers beyond its peak is held against bare loops of the same glets. */
  readonly measuresSaturation?: true
}

export const suiteSystems: ReadonlyArray<SuiteSystem> = [
  { name: "orion", summary: "ours", planner: "orion", measuresSaturation: true },
  { name: "orion-green", summary: "ours, as green contexts", planner: "orion", isolation: "green", measuresSaturation: true },
  { name: "time-share", summary: "whole GPUs, models in turn", planner: "time-share" },
  { name: "elastic-int", summary: "gpulet's planner", planner: "elastic-int" },
  { name: "mps", summary: "plain MPS: a server for each model, each on the whole GPU", planner: "time-share", isolation: "mps", apart: true },
  { name: "equal-shares", summary: "MPS with a process and an equal share for each model", planner: "equal-shares", isolation: "mps" }
]

/** Time to measure each model without a profile: what plans promise is held against what is measured. */
const profileBudgetMs = 3000

interface ServedSystem {
  readonly targetOf: (model: string) => Target
  readonly targets: ReadonlyArray<Target>
}

export interface SuiteHost {
  readonly zoo: string
  readonly profiles: string
  /** Arguments that all servers get: which executor. */
  readonly serve: ReadonlyArray<string>
  readonly readyWithinMs: number
  readonly log: (line: string) => void
}

const tempFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "glet-suite-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** A repository with a scenario's models; gone with its scope. */
export const repositoryOf = (scenario: Scenario, zoo: string): Effect.Effect<string, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    const models = yield* tempFolder
    const missing = placeModels(scenario, zoo, models)
    if (missing.length > 0) return yield* new CliError({ reason: "input", problem: `${zoo} has no model for ${missing.join(", ")}`, hint: "scripts/make-zoo.ts writes them" })
    return models
  })

const startServer = (host: SuiteHost, system: SuiteSystem, scenario: Scenario, factor: number): Effect.Effect<Target, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    const models = yield* repositoryOf(scenario, host.zoo)
    const rates = expectedRates(scenario, factor)
    const ready = yield* Deferred.make<string>()
    const server = yield* startGlet([
      "serve", "--models", models, "--profiles", host.profiles, "--port", "0", "--json", "--shared-memory", "--profile-budget", String(profileBudgetMs), ...host.serve, "--planner", system.planner, "--isolation", system.isolation ?? "auto",
      // A server for each model needs no more processes to read what it is asked.
      ...(system.apart === true ? ["--fronts", "0"] : []),
      ...scenario.models.flatMap(({ class: serviceClass, maxBatch, name, sloMs }) => [
        "--max-batch", `${name}=${maxBatch}`, "--class", `${name}=${serviceClass}`,
        ...(sloMs === undefined ? [] : ["--slo", `${name}=${sloMs}`]),
        "--rate", `${name}=${rates.get(name) ?? 0}`
      ])
    ], { onLine: (line) => Deferred.unsafeDone(ready, Effect.succeed(line)), onMessage: host.log })
    const line = yield* Deferred.await(ready).pipe(
      Effect.raceFirst(server.ended.pipe(Effect.flatMap((code) => Effect.fail(new CliError({ reason: "failed", problem: `the server ended with ${code}: ${server.lastMessages().at(-1) ?? ""}` }))))),
      Effect.timeoutFail({ duration: host.readyWithinMs, onTimeout: () => new CliError({ reason: "failed", problem: `the server was not ready within ${host.readyWithinMs / 1000} s` }) })
    )
    const { models: all, modelsReady, url } = yield* Schema.decodeUnknown(Schema.parseJson(ReadyLine))(line).pipe(
      Effect.mapError(() => new CliError({ reason: "failed", problem: `the server said something else than that it is ready: ${line.slice(0, 200)}` }))
    )
    if (modelsReady < all) return yield* new CliError({ reason: "failed", problem: `only ${modelsReady} of ${all} models are served: ${server.lastMessages().at(-1) ?? ""}` })
    return yield* targetOf(url)
  })

/** Starts the system with plans for a multiple of the scenario's load. */
export const startSystem = (host: SuiteHost, system: SuiteSystem, scenario: Scenario, factor: number): Effect.Effect<ServedSystem, CliError, Scope.Scope> => {
  if (system.apart !== true) {
    return Effect.map(startServer(host, system, scenario, factor), (target) => ({ targetOf: () => target, targets: [target] }))
  }
  const [first, ...others] = scenario.models
  const alone = [first, ...others].map((model): Scenario => ({ ...scenario, models: [model] }))
  return Effect.forEach(alone, (each) => Effect.map(startServer(host, system, each, factor), (target) => [each.models[0].name as string, target] as const)).pipe(
    Effect.map((entries) => {
      const targets = new Map(entries)
      return { targetOf: (model: string) => targets.get(model)!, targets: [...targets.values()] }
    })
  )
}
