/**
 * What is simulated: GPUs and models, who asks for what and when, what goes wrong, and by which rules it is planned and served.
 *
 * @since 0.1.0
 */
import type { Gpu } from "../core/Gpu.js"
import type { ModelName } from "../core/Ids.js"
import type { Execution, LatencyModel, LinearInterference } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"
import type { PlanOptions } from "../core/PlanProblem.js"
import { onlinePlanOptions } from "../core/PlanProblem.js"
import { defaultControlMs } from "../scheduler/ControlWatch.js"
import type { DispatcherOptions } from "../scheduler/DispatcherOptions.js"
import { defaultDispatcherOptions } from "../scheduler/DispatcherOptions.js"
import type { InterferenceWatchOptions } from "../scheduler/InterferenceWatch.js"
import { defaultInterferenceWatch } from "../scheduler/InterferenceWatch.js"
import type { LatencyDistribution } from "../scheduler/LatencyDistribution.js"
import type { PlannerAlgorithm } from "../scheduler/Planner.js"
import type { ReplanOptions } from "../scheduler/ReplanPolicy.js"
import { defaultReplanOptions } from "../scheduler/ReplanPolicy.js"
import type { RestartOptions } from "../scheduler/RestartPolicy.js"
import { defaultRestartOptions } from "../scheduler/RestartPolicy.js"
import type { ArrivalSchedule } from "./ArrivalSchedule.js"

/** Several models for one request: a step begins when all steps before it are answered. @since 0.1.0 @category input */
export interface Application {
  readonly name: string
  /** From the request's arrival to the answer of its last step, ms. */
  readonly sloMs: number
  /** In an order in which every step comes after those it waits for. */
  readonly steps: ReadonlyArray<{ readonly model: ModelName; readonly after: ReadonlyArray<number> }>
}

/**
 * Who asks. `arrivals` is asked once per request; an open loop does not wait for answers. A closed loop of `clients` asks again `thinkMs` after
 * each answer. Each request of a model brings `items`, one where it is left out; steps of applications bring one.
 * @since 0.1.0
 * @category input
 */
export type Load = { readonly target: ModelName | Application; readonly items?: number } & (
  | { readonly kind: "open"; readonly arrivals: ArrivalSchedule }
  | { readonly kind: "closed"; readonly clients: number; readonly thinkMs: number }
)

/** A glet, or all glets of a GPU, die; `forMs`: and nothing can be opened there for so long. @since 0.1.0 @category input */
export interface Failure {
  readonly atMs: number
  /** Index of the GPU. */
  readonly gpu: number
  /** Index of the glet among those then open on the GPU; all where it is absent. */
  readonly glet?: number
  readonly forMs: number
}

/**
 * How long things take that a profile does not know, in ms.
 * @since 0.1.0
 * @category input
 */
export interface SimulatedCosts {
  /** From the agent to the glet and back, per batch; hidden where another batch is in flight. */
  readonly overheadMs: number
  /** Making a glet, before any model is loaded. */
  readonly openMs: number
  readonly loadMs: (model: ModelName) => number
  /** Making a plan. */
  readonly planningMs: number
}

/** @since 0.1.0 @category input */
export interface SimulationInput {
  readonly gpus: ReadonlyArray<Gpu>
  readonly models: ReadonlyArray<Model>
  /** What planners, admission and batch forming go by. */
  readonly latency: LatencyModel
  /** How long an execution really takes alone; undefined where it is not known, which fails the batch. */
  readonly distribution: (execution: Execution) => LatencyDistribution | undefined
  /** By which factor those that really run beside it slow an execution down. */
  readonly slowdown: (execution: Execution, running: ReadonlyArray<ReadonlyArray<Execution>>) => number
  /** What `slowdown` is made of, where it is made so and is to be reckoned from that, which is many times faster than asking. */
  readonly interference?: LinearInterference
  readonly loads: ReadonlyArray<Load>
  readonly failures: ReadonlyArray<Failure>
  readonly planner: PlannerAlgorithm
  readonly planOptions: PlanOptions
  readonly dispatcher: DispatcherOptions
  readonly replan: ReplanOptions
  readonly restart: RestartOptions
  /** False: the plan for the expected rates stays. */
  readonly replans: boolean
  readonly controlMs: number
  /** How interference is learned from what runs, where it replans; undefined: not at all. */
  readonly learning: InterferenceWatchOptions | undefined
  /** Batches a glet has outstanding. */
  readonly depth: number
  readonly costs: SimulatedCosts
  /** Requests arrive until then, ms. */
  readonly durationMs: number
  /** Requests that arrive before are served and not counted, ms. */
  readonly warmUpMs: number
  readonly seed: number
  /** Told of every request of a model that ends, warm-up included; times in ms. */
  readonly onRequestEnd?: (model: ModelName, arrivedMs: number, endedMs: number, answered: boolean) => void
  /** Batches that begin between these times are kept for the timeline, ms. */
  readonly window?: { readonly fromMs: number; readonly toMs: number }
}

/** What is the same nearly always: the online service's own options. @since 0.1.0 @category input */
export const defaultSimulation = {
  failures: [],
  planOptions: onlinePlanOptions,
  dispatcher: defaultDispatcherOptions,
  replan: defaultReplanOptions,
  restart: defaultRestartOptions,
  replans: true,
  controlMs: defaultControlMs,
  learning: defaultInterferenceWatch,
  depth: 2,
  durationMs: 30_000,
  warmUpMs: 2_000,
  seed: 1
} as const satisfies Partial<SimulationInput>
