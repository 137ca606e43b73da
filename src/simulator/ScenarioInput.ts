/**
 * A scenario on some hardware, as the input of a simulation.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { PlanOptions } from "../core/PlanProblem.js"
import type { DispatcherOptions } from "../scheduler/DispatcherOptions.js"
import type { PlannerAlgorithm } from "../scheduler/Planner.js"
import type { Hardware } from "./Hardware.js"
import { aliased } from "./Hardware.js"
import type { Arrivals, Scenario } from "./Scenario.js"
import { arrivalsOfLoad } from "./ScenarioArrivals.js"
import type { Application, Load, SimulationInput } from "./SimulationInput.js"
import { defaultSimulation } from "./SimulationInput.js"

/** @since 0.1.0 @category input */
export interface ScenarioOptions {
  readonly planner: PlannerAlgorithm
  readonly seed: number
  /** Instead of the scenario's own. */
  readonly gpus?: number | undefined
  readonly durationMs?: number | undefined
  readonly warmUpMs?: number | undefined
  /** Multiplies all rates, and the speed of traces. */
  readonly loadFactor?: number | undefined
  readonly replans?: boolean | undefined
  readonly plan?: Partial<PlanOptions> | undefined
  readonly dispatcher?: Partial<DispatcherOptions> | undefined
  readonly overheadMs?: number | undefined
  readonly window?: SimulationInput["window"] | undefined
}

/** The hardware was never measured with a model of the scenario. @since 0.1.0 @category errors */
export class ModelNotMeasured extends Schema.TaggedError<ModelNotMeasured>()("ModelNotMeasured", {
  model: Schema.String,
  gpuType: Schema.String,
  measured: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `model ${JSON.stringify(this.model)} was not measured on ${this.gpuType}; measured are ${this.measured.join(", ")}; the scenario's "profile" of a model says which of them it is`
  }
}

/** The way to the runner and back, where nothing else is said; see docs/simulator.md. */
const defaultOverheadMs = 0.2
/** A plan of a handful of models takes some milliseconds. */
const planningMs = 10

/** Requests per second at the start. */
const startRps = (arrivals: Arrivals): number => {
  switch (arrivals.process) {
    case "closed":
      return 0
    case "trace": {
      const times = arrivals.timesMs ?? [0]
      const spanMs = arrivals.repeatMs ?? times[times.length - 1]!
      return spanMs > 0 ? (1000 * times.length) / spanMs : 0
    }
    default:
      return arrivals.rateRps ?? arrivals.ratesRps?.[0] ?? 0
  }
}

/** Clients of a closed loop are as many as they are: a factor changes their number, to the next whole one. */
const loadOf = (target: Load["target"], arrivals: Arrivals, index: number, factor: number, seed: number): Load =>
  arrivals.process === "closed"
    ? { target, kind: "closed", clients: Math.max(1, Math.round(arrivals.clients * factor)), thinkMs: arrivals.thinkMs }
    : { target, kind: "open", arrivals: arrivalsOfLoad(arrivals, index, factor, seed)! }

/**
 * Requests per second that each model of a scenario is asked for at the start.
 * @since 0.1.0
 * @category input
 */
export const expectedRates = (scenario: Scenario, loadFactor: number): ReadonlyMap<ModelName, number> => {
  const rates = new Map<ModelName, number>()
  for (const { application, arrivals, model } of scenario.loads) {
    const models = model !== undefined ? [model] : scenario.applications.find(({ name }) => name === application)!.steps.map((step) => step.model)
    for (const each of models) rates.set(each, (rates.get(each) ?? 0) + loadFactor * startRps(arrivals))
  }
  return rates
}

/**
 * The input. Arrivals are consumed by a simulation: make an input for each.
 * @since 0.1.0
 * @category input
 */
export const scenarioInput = (scenario: Scenario, hardware: Hardware, options: ScenarioOptions): Either.Either<SimulationInput, ModelNotMeasured> => {
  const { loadFactor = 1, seed } = options
  const profiles = new Map(scenario.models.map(({ name, profile }) => [name, profile ?? name]))
  for (const profile of profiles.values()) {
    if (!hardware.models.includes(profile)) return Either.left(new ModelNotMeasured({ model: profile, gpuType: hardware.gpuType, measured: [...hardware.models].sort() }))
  }
  const isAliased = [...profiles].some(([name, profile]) => name !== profile)
  const named = isAliased ? aliased(hardware, (model) => profiles.get(model) ?? model) : hardware
  const applications = new Map(scenario.applications.map(({ name, sloMs, steps }): [string, Application] => [name, {
    name, sloMs,
    steps: steps.map(({ after, model }) => ({ model, after: after.map((id) => steps.findIndex((step) => step.id === id)) }))
  }]))
  const expectedRps = expectedRates(scenario, loadFactor)
  const models = scenario.models.map((model): Model => ({
    name: model.name, version: 1, path: "", signature: { inputs: [], outputs: [], batchSymbol: "batch" }, maxBatch: model.maxBatch,
    serviceClass: model.class, expectedRateRps: expectedRps.get(model.name) ?? 0, weightBytes: 0,
    ...(model.sloMs === undefined ? {} : { sloMs: model.sloMs })
  }))
  const durationMs = options.durationMs ?? scenario.durationMs
  return Either.right({
    ...defaultSimulation,
    gpus: hardware.gpus(options.gpus ?? scenario.gpus),
    models,
    latency: named.latency,
    distribution: named.distribution,
    slowdown: named.latency.slowdown,
    ...(named.latency.interference === undefined ? {} : { interference: named.latency.interference }),
    loads: scenario.loads.map(({ application, arrivals, model }, i) =>
      loadOf(model ?? applications.get(application!)!, arrivals, i, loadFactor, seed)),
    failures: scenario.failures,
    planner: options.planner,
    planOptions: { ...defaultSimulation.planOptions, ...options.plan },
    dispatcher: { ...defaultSimulation.dispatcher, ...options.dispatcher },
    replans: options.replans ?? true,
    costs: { overheadMs: options.overheadMs ?? defaultOverheadMs, openMs: hardware.openMs, loadMs: named.loadMs, planningMs },
    durationMs,
    warmUpMs: Math.min(options.warmUpMs ?? scenario.warmUpMs, durationMs),
    seed,
    ...(options.window === undefined ? {} : { window: options.window })
  })
}
