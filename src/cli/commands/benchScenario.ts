import * as Effect from "effect/Effect"
import type { PeakTry } from "../../simulator/PeakLoad.js"
import type { Scenario } from "../../simulator/Scenario.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { requestBodies } from "../internal/requestBodies.js"
import { targetOf, urlOf } from "../internal/serverClient.js"
import { readScenario } from "../internal/simulationFiles.js"
import { bold, colourOut, ms, out, percent, rps, table } from "../internal/terminal.js"
import type { Target } from "../load/HttpConnection.js"
import { makeHttpRequest } from "../load/InferRequests.js"
import type { Played } from "../load/playScenario.js"
import { usualThreads } from "../load/LoadThreads.js"
import { findPeakInRealTime, playScenario } from "../load/playScenario.js"
import { checkServers } from "../load/silence.js"
import { closedLoads } from "../load/ScenarioLoad.js"
import type { bench } from "../specs/bench.js"

type ScenarioBenchArgs = ParsedArgs<typeof bench> & { readonly scenario: string }

const defaultDurationS = 10
/** Batches of many items wait in flight. */
const defaultConnections = 1024

const playedTable = ({ loads }: Pick<Played, "loads">): string =>
  table(["", "SLO ms", "asked/s", "good/s", "kept", "p50 ms", "p99 ms", "not answered"], loads.map((load) => [
    load.name, load.sloMs === undefined ? "-" : ms(load.sloMs), rps(load.offeredRps), rps(load.goodputRps), load.sloKept === null ? "-" : percent(load.sloKept),
    ms(load.latencyMs.p50Ms), ms(load.latencyMs.p99Ms), Object.entries({ ...load.dropped, ...load.failed }).map(([reason, count]) => `${reason} ${count}`).join(", ")
  ]), { align: "lrrrrrrl", colour: colourOut() })

/** Requests for every model of the scenario, from the metadata of the server. */
const requestsOf = (target: Target, scenario: Scenario, args: ScenarioBenchArgs) =>
  Effect.forEach(scenario.models, ({ name }) =>
    requestBodies(target, name, { batch: args.batch, shapes: new Map(), format: args.body, seed: args.seed }).pipe(
      Effect.map((bodies) => [name as string, { requests: bodies.map((body) => makeHttpRequest(target, name, body)) }] as const),
      Effect.mapError((error) => error.reason === "refused" ? new CliError({ reason: "refused", problem: error.problem, hint: `the scenario's models must be served by their names, as "${name}" is here` }) : error)
    )).pipe(Effect.map((entries) => new Map(entries)))

/** `glet bench --scenario` */
export const benchScenario = (args: ScenarioBenchArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    for (const [flag, given] of [["--rate", args.rate], ["--rate-file", args.rateFile], ["--trace", args.trace], ["--clients", args.clients], ["--deadline", args.deadline], ["--n", args.n], ["--slo", args.slo], ["--input", args.input], ["--csv", args.csv]] as const) {
      if (given !== undefined) return yield* usageError(`${flag} and --scenario exclude each other: the scenario says it`)
    }
    if (args.shape.length > 0) return yield* usageError("--shape and --scenario exclude each other")
    const scenario = yield* readScenario(args.scenario)
    const closed = closedLoads(scenario)
    if (closed.length > 0) return yield* new CliError({ reason: "input", problem: `clients of ${closed.join(", ")} wait for answers, and the generator is open-loop`, hint: "give the load a rate, or use glet simulate" })
    const target = yield* targetOf(args.server)
    const requests = yield* requestsOf(target, scenario, args)
    const durationMs = 1000 * (args.duration ?? defaultDurationS)
    const warmUpMs = 1000 * args.warmUp
    const play = ({ factor, replication }: PeakTry) =>
      playScenario(scenario, {
        target, connections: args.connections ?? defaultConnections, timeoutMs: 1000 * args.timeout,
        threads: args.threads ?? usualThreads(), factor, seed: args.seed + replication, warmUpMs, durationMs, requests
      })

    const server = urlOf(target)
    const head = { apiVersion: "glet/v1alpha1", server, scenario: args.scenario, seed: args.seed, durationMs, warmUpMs }
    if (!args.findPeak) {
      const { silent, ...played } = yield* play({ factor: args.loadFactor, replication: 0 })
      if (args.json) out(JSON.stringify({ ...head, kind: "ScenarioBenchReport", ...played }))
      else out(`${playedTable(played)}\n${bold(`worst: ${percent(played.missed)} missed`, colourOut())} at ${played.loadFactor} times the load`)
      return yield* checkServers(silent)
    }
    const { best, peak: { factor, trials } } = yield* findPeakInRealTime((asked) => Effect.tap(play(asked), ({ silent }) => checkServers(silent)), { limit: args.limit / 100, replications: 1, precision: args.precision / 100, startFactor: args.loadFactor })
    if (args.json) out(JSON.stringify({ ...head, kind: "ScenarioPeak", limit: args.limit / 100, factor, trials, best }))
    else out(`${bold(`peak at ${Number(factor.toPrecision(4))} times the scenario's load`, colourOut())} (${trials.length} loads played, to ${args.precision} %)${best === undefined ? "" : `\n${playedTable(best)}`}`)
  }).pipe(Effect.scoped)
