/**
 * A scenario of the simulator as load on servers, in real time: the same requests at the same times for the same seed.
 *
 * @since 0.1.0
 */
import type { ArrivalSchedule } from "../../simulator/ArrivalSchedule.js"
import type { Scenario } from "../../simulator/Scenario.js"
import { arrivalsOfLoad } from "../../simulator/ScenarioArrivals.js"
import type { Target } from "./HttpConnection.js"
import type { LoadResult, LoadStream } from "./LoadGenerator.js"
import type { StatsReport } from "./StreamStats.js"

/** A part of all requests: every `of`-th, from the one of number `index` on. @since 0.1.0 @category scenarios */
export interface Share {
  readonly index: number
  readonly of: number
}

/** @since 0.1.0 @category scenarios */
export interface ScenarioLoadOptions {
  /** All where it is left out. */
  readonly share?: Share
  readonly factor: number
  readonly seed: number
  readonly warmUpMs: number
  readonly durationMs: number
  /** Whole HTTP requests for a model, and where it is served if not with the others. */
  readonly requestsFor: (model: string) => { readonly requests: ReadonlyArray<Buffer>; readonly target?: Target }
}

/** What became of the requests of one load of a scenario. @since 0.1.0 @category scenarios */
export interface LoadReport extends StatsReport {
  /** Of the model or application. */
  readonly name: string
  readonly sloMs: number | undefined
  readonly offeredRps: number
  readonly goodputRps: number
}

/** Loads that cannot be played: their clients wait for answers, and the generator is open-loop. @since 0.1.0 @category scenarios */
export const closedLoads = (scenario: Scenario): ReadonlyArray<string> =>
  scenario.loads.flatMap(({ application, arrivals, model }) => (arrivals.process === "closed" ? [model ?? application!] : []))

const targetOfLoad = (scenario: Scenario, { application, model }: Scenario["loads"][number]) =>
  model === undefined
    ? scenario.applications.find(({ name }) => name === application)!
    : { name: model, sloMs: scenario.models.find(({ name }) => name === model)?.sloMs, steps: [{ id: model, model, after: [] }] }

const shareOf = (schedule: ArrivalSchedule, { index, of }: Share): ArrivalSchedule => {
  let skip = index
  return () => {
    for (; skip > 0; skip--) schedule()
    skip = of - 1
    return schedule()
  }
}

/** The streams of a scenario, in the order of its loads. @since 0.1.0 @category scenarios */
export const scenarioStreams = (scenario: Scenario, options: ScenarioLoadOptions): ReadonlyArray<LoadStream> =>
  scenario.loads.flatMap((load, i) => {
    const all = arrivalsOfLoad(load.arrivals, i, options.factor, options.seed)
    if (all === undefined) return []
    const schedule = options.share === undefined ? all : shareOf(all, options.share)
    const { sloMs, steps } = targetOfLoad(scenario, load)
    return [{
      steps: steps.map(({ after, model }) => ({ ...options.requestsFor(model), after: after.map((id) => steps.findIndex((step) => step.id === id)) })),
      schedule, sloMs, warmUpMs: options.warmUpMs, endMs: options.warmUpMs + options.durationMs, maxRequests: Infinity
    }]
  })

/** Reports by load, in the order of the streams. @since 0.1.0 @category scenarios */
export const loadReports = (scenario: Scenario, result: LoadResult, durationMs: number): ReadonlyArray<LoadReport> =>
  scenario.loads.filter(({ arrivals }) => arrivals.process !== "closed").map((load, i) => {
    const { name, sloMs } = targetOfLoad(scenario, load)
    const report = result.streams[i]!.stats.report()
    return { name, sloMs, offeredRps: (1000 * report.requests) / durationMs, goodputRps: (1000 * report.withinSlo) / durationMs, ...report }
  })

/** The part of requests that missed, of the load that fared worst. @since 0.1.0 @category scenarios */
export const worstMissed = (reports: ReadonlyArray<LoadReport>): number =>
  reports.reduce((worst, { sloKept }) => (sloKept === null ? worst : Math.max(worst, 1 - sloKept)), 0)
