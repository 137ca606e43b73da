/**
 * What the page of `glet dev` and its workers say to each other: plain data that crosses threads.
 *
 * @since 0.1.0
 */
import type { ServiceClass } from "../core/Model.js"
import type { Plan } from "../core/Plan.js"
import type { ModelProfile } from "../core/Profile.js"
import type { PlanAnswer, PlanQuestion } from "../scheduler/PlanThread.js"

/** `device`: this browser's GPU, or its CPU through WebAssembly. `replay`: GPUs that only a measured profile knows, in slow motion. @since 0.1.0 */
export type WorldName = "device" | "replay"

/** What the sliders of a model say. @since 0.1.0 @category page */
export interface ModelControls {
  readonly serviceClass: ServiceClass
  /** Ignored for best-effort models, but kept. */
  readonly sloMs: number
  /** Requests of one item that the page's traffic sends, per second. */
  readonly rateRps: number
}

/** Addresses of the files of workers that the host worker starts. @since 0.1.0 @category messages */
export interface WorkerFiles {
  readonly planner: string
  readonly glet: string
}

/** From the page to the host worker. @since 0.1.0 @category messages */
export type ToHost =
  | { readonly kind: "start"; readonly world: WorldName; readonly planner: string; readonly traffic: boolean; readonly profiles: ReadonlyArray<StoredProfile>; readonly provider: "auto" | "webgpu" | "wasm"; readonly workers: WorkerFiles }
  | { readonly kind: "traffic"; readonly on: boolean }
  | { readonly kind: "planner"; readonly name: string }
  /** `final` false: while a slider is dragged, only the plan is asked for; true: it is deployed. */
  | { readonly kind: "controls"; readonly model: string; readonly controls: ModelControls; readonly final: boolean }
  | { readonly kind: "add"; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: "remove"; readonly model: string }
  /** One item of a model with one FP32 input and one FP32 output. */
  | { readonly kind: "infer"; readonly id: number; readonly model: string; readonly input: Float32Array }
  | { readonly kind: "compare" }
  | { readonly kind: "join"; readonly url: string; readonly token: string; readonly name: string }
  | { readonly kind: "leave" }

/** A profile that the page keeps between visits. @since 0.1.0 @category messages */
export interface StoredProfile {
  readonly gpuType: string
  readonly sha256: string
  readonly profile: ModelProfile
}

/** @since 0.1.0 @category page */
export interface DeviceView {
  /** E.g. `WebGPU, nvidia ampere` or `WebAssembly, 2 threads`. */
  readonly label: string
  /** Why it is not something faster; empty where it is what one expects. */
  readonly note: string
}

/** @since 0.1.0 @category page */
export interface ModelView {
  readonly name: string
  readonly controls: ModelControls
  readonly state: "measuring" | "waiting" | "ready" | "failed"
  /** Progress or what is wrong, for people. */
  readonly detail: string
  /** Items of one execution of a whole GPU at most, and how long one item takes there; undefined until measured. */
  readonly soloMs: number | undefined
  readonly largestRateRps: number
  /** What the deployed plan carries, items per second. */
  readonly plannedRps: number
  readonly removable: boolean
}

/** @since 0.1.0 @category page */
export interface GletView {
  readonly id: string
  readonly state: string
  readonly busyRatio: number
}

/** Where an edge node stands. @since 0.1.0 @category page */
export interface EdgeView {
  readonly state: "off" | "joining" | "joined" | "failed"
  readonly detail: string
  readonly glets: number
  readonly batches: number
}

/** Everything but what changes many times a second. @since 0.1.0 @category messages */
export interface HostState {
  readonly kind: "state"
  readonly world: WorldName
  readonly device: DeviceView | undefined
  /** Simulated time per real time. */
  readonly speed: number
  readonly models: ReadonlyArray<ModelView>
  readonly planner: string
  readonly plan: Plan
  readonly planReason: string
  readonly planningMs: number
  /** The plan for the sliders as they stand now, while it is not deployed. */
  readonly preview: Plan | undefined
  /** Why there is no plan for them. */
  readonly planProblem: string
  readonly glets: ReadonlyArray<GletView>
  readonly traffic: boolean
  readonly canAdd: boolean
  /** This device can be lent to a server. */
  readonly canJoin: boolean
  readonly edge: EdgeView
}

/** Numbers of a batch in `Frame.batches`: index of its glet and model in the frame's lists, items, start and end in ms. @since 0.1.0 @category messages */
export const batchStride = 5

/** One model over the last seconds. @since 0.1.0 @category messages */
export interface ModelFrame {
  readonly name: string
  /** By `latencyBins`. */
  readonly histogram: Uint32Array
  readonly answered: number
  readonly withinSlo: number
  /** Refused, dropped or failed. */
  readonly lost: number
  readonly offeredRps: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that could be checked, and those that were right. */
  readonly checked: number
  readonly right: number
}

/** What happened since the frame before, and the last seconds in numbers. @since 0.1.0 @category messages */
export interface Frame {
  readonly kind: "frame"
  /** Of the world's clock. */
  readonly nowMs: number
  readonly glets: ReadonlyArray<string>
  readonly models: ReadonlyArray<ModelFrame>
  readonly batches: Float64Array
}

/** How one planner would do with the models and rates as they are, by the simulator. @since 0.1.0 @category messages */
export interface Comparison {
  readonly planner: string
  readonly problem: string
  readonly gpus: number
  readonly glets: number
  readonly sloKept: number
  /** The largest factor on all rates at which 99 % of each model's requests keep the SLO; 0 where none was found. */
  readonly peakFactor: number
}

/** From the host worker to the page. @since 0.1.0 @category messages */
export type FromHost =
  | HostState
  | Frame
  | { readonly kind: "profiled"; readonly stored: StoredProfile }
  | { readonly kind: "inferred"; readonly id: number; readonly output: Float32Array | undefined; readonly problem: string; readonly latencyMs: number; readonly glet: string; readonly batchItems: number }
  | { readonly kind: "compared"; readonly row: Comparison; readonly done: number; readonly total: number }
  | { readonly kind: "broken"; readonly detail: string }

/** A simulation as data that crosses threads. @since 0.1.0 @category messages */
export interface SimulationQuestion {
  readonly planner: string
  readonly gpuType: string
  readonly isolation: "green" | "duty" | "threads" | "emulated"
  readonly units: number
  readonly memoryBytes: number
  readonly gpus: number
  /** Shares that a glet may have, besides the measured ones: multiples of this. */
  readonly gridPct: number
  readonly maxGletsPerGpu: number
  readonly profiles: ReadonlyArray<ModelProfile>
  readonly models: ReadonlyArray<{ readonly name: string; readonly controls: ModelControls; readonly maxBatch: number }>
  readonly seed: number
  readonly durationMs: number
  readonly loadFactor: number
}

/** What the planner worker is asked. @since 0.1.0 @category messages */
export type Task =
  | { readonly kind: "plan"; readonly question: PlanQuestion }
  /** Answered with the plan's text, as `encodePlan` writes it. */
  | { readonly kind: "plan-text"; readonly question: PlanQuestion }
  /** Answered with the report as JSON. */
  | { readonly kind: "simulate-text"; readonly question: SimulationQuestion }
  | { readonly kind: "compare"; readonly question: SimulationQuestion }

/** @since 0.1.0 @category messages */
export type TaskAnswer =
  | { readonly kind: "plan"; readonly answer: PlanAnswer }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "compare"; readonly row: Comparison }
  | { readonly kind: "failed"; readonly detail: string }
