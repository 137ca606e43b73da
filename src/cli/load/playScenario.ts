/**
 * Plays a scenario against servers, and searches for the highest load at which it keeps its SLOs.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Peak, PeakOptions, PeakTry } from "../../simulator/PeakLoad.js"
import { searchPeak } from "../../simulator/PeakLoad.js"
import type { Scenario } from "../../simulator/Scenario.js"
import { CliError } from "../CliError.js"
import { makeProgress, ms, note, percent } from "../internal/terminal.js"
import type { Target } from "./HttpConnection.js"
import type { Silence } from "./ServerPool.js"
import { runThreads } from "./LoadThreads.js"
import { untilSignal } from "./untilSignal.js"
import type { LoadReport, ScenarioLoadOptions } from "./ScenarioLoad.js"
import { loadReports, worstMissed } from "./ScenarioLoad.js"

/** A client that sends so late at the 99th percentile is part of what it measures, ms. @since 0.1.0 @category scenarios */
export const lateMs = 1

/** One load that was played. @since 0.1.0 @category scenarios */
export interface Played {
  readonly loadFactor: number
  /** Part of the requests that missed, of the load that fared worst. */
  readonly missed: number
  readonly loads: ReadonlyArray<LoadReport>
  readonly sendLagP99Ms: number
  /** Servers that answered nothing any more at its end. */
  readonly silent: ReadonlyArray<Silence>
}

/** @since 0.1.0 @category scenarios */
export interface PlayOptions extends Omit<ScenarioLoadOptions, "share" | "requestsFor"> {
  readonly target: Target
  readonly connections: number
  readonly timeoutMs: number
  /** Threads that send. */
  readonly threads: number
  /** Whole HTTP requests by model, and where it is served if not with the others. */
  readonly requests: ReadonlyMap<string, ReturnType<ScenarioLoadOptions["requestsFor"]>>
}

/** Plays a scenario once; says on stderr where the client was the limit. @since 0.1.0 @category scenarios */
export const playScenario = (scenario: Scenario, options: PlayOptions): Effect.Effect<Played, CliError> =>
  Effect.suspend(() => {
    const { connections, durationMs, factor, requests, target, threads, timeoutMs } = options
    const progress = makeProgress(5000)
    return untilSignal(async (signal) => {
      const result = await runThreads({
        scenario, threads, factor, requests, signal, seed: options.seed, warmUpMs: options.warmUpMs, durationMs, options: { target, connections, timeoutMs },
        onProgress: (elapsedMs, done) => progress.show(`${factor.toPrecision(3)} times the load, ${(elapsedMs / 1000).toFixed(0)} s: ${done} requests ended`)
      })
      return { result, isWhole: !signal.aborted }
    }).pipe(
      Effect.ensuring(Effect.sync(() => progress.clear())),
      Effect.flatMap(({ isWhole, result }) => {
        if (!isWhole) return Effect.fail(new CliError({ reason: "failed", problem: "it was ended before it was measured" }))
        const loads = loadReports(scenario, result, durationMs)
        const sendLagP99Ms = result.sendLag.summary().p99Ms
        if (sendLagP99Ms > lateMs) note(`note: the client itself sent late (99th percentile ${ms(sendLagP99Ms)} ms): it had too little processor time, and its lateness is part of the latencies`)
        if (result.waited > 0) note(`note: ${result.waited} requests waited for a free connection; the wait is part of their latency (more with --connections)`)
        return Effect.succeed({ loadFactor: factor, missed: worstMissed(loads), loads, sendLagP99Ms, silent: result.silent })
      })
    )
  })

/** The peak, and the highest load that kept its SLOs as it was played. @since 0.1.0 @category scenarios */
export const findPeakInRealTime = <E>(
  play: (asked: PeakTry) => Effect.Effect<Played, E>,
  options: PeakOptions
): Effect.Effect<{ readonly peak: Peak; readonly best: Played | undefined }, E> =>
  Effect.gen(function*() {
    const search = searchPeak(options)
    let best: Played | undefined
    let asked = search.next()
    while (asked.done !== true) {
      const played = yield* play(asked.value)
      note(`${Number(played.loadFactor.toPrecision(4))} times the load: ${percent(played.missed)} missed`)
      if (played.missed <= options.limit && played.loadFactor > (best?.loadFactor ?? 0)) best = played
      asked = search.next(played.missed)
    }
    return { peak: asked.value, best }
  })
