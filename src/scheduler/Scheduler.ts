/**
 * The online service: takes requests, answers them within their deadlines, and keeps plan and glets in step with the load.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ModelLoadFailed } from "../core/ExecutorError.js"
import type { Gpu } from "../core/Gpu.js"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import type { Model, ServiceClass } from "../core/Model.js"
import type { Plan } from "../core/Plan.js"
import type { ModelProfile } from "../core/Profile.js"
import type { InferRequest, InferResult, RequestEnd, RequestTimes } from "../core/Request.js"
import type { RequestDropped, RequestError } from "../core/RequestError.js"
import type { AdmissionEdge } from "./Dispatcher.js"
import type { ModelChange } from "./internal/registry.js"
import type { PlannerAlgorithm } from "./Planner.js"
import type { GletStatus, ModelStatus, SchedulerStatus } from "./SchedulerStatus.js"

/**
 * Where a registered model stands. `waiting`: known, no glet ready yet. `failed`: it could not be loaded or planned, with the reason. `notTaken`: why
 * what was registered last, in its place, does not serve; what was there before does.
 * @since 0.1.0
 * @category status
 */
export type ModelReadiness =
  | { readonly state: "ready"; readonly notTaken?: string }
  | { readonly state: "waiting" }
  | { readonly state: "failed"; readonly reason: string }

/**
 * Sees what happens, synchronously, on the hot path: implementations count and return. Metrics, logs and statistics are observers.
 * @since 0.1.0
 * @category observers
 */
export interface SchedulerObserver {
  /** A request ended. `times.startedMs` is 0 where it never ran. `sloMs` is the limit it was held to (Infinity: none). */
  readonly requestEnded?: (event: {
    /** Undefined where it was refused before anybody read it. */
    readonly request: InferRequest | undefined
    readonly model: Model
    /** What it was served as: the model's class, or `best-effort` where the request asked for that. */
    readonly serviceClass: ServiceClass
    readonly end: RequestEnd
    readonly times: RequestTimes
    readonly sloMs: number
    readonly glet: GletId | undefined
    /** Of the batch it ran in; 0 where it never ran. */
    readonly batchId: number
  }) => void
  readonly batchEnded?: (event: {
    readonly batchId: number
    readonly glet: GletId
    readonly gpu: GpuId
    readonly model: Model
    /** Of its requests, as above. */
    readonly serviceClass: ServiceClass
    readonly items: number
    readonly requests: number
    readonly ok: boolean
    /** Predicted duration when the batch was formed, ms. */
    readonly predictedMs: number
    readonly inputMs: number
    readonly inferMs: number
    readonly outputMs: number
  }) => void
  readonly planDeployed?: (event: {
    readonly plan: Plan
    readonly reason: string
    readonly planningMs: number
    readonly actions: ReadonlyArray<{ readonly kind: string; readonly ok: boolean }>
  }) => void
  /** A model could not be loaded on a glet that is open. */
  readonly loadFailed?: (event: { readonly glet: GletId; readonly gpu: GpuId; readonly model: Model; readonly error: ModelLoadFailed }) => void
  readonly gletExited?: (event: { readonly glet: GletId; readonly gpu: GpuId; readonly detail: string; readonly restarts: number }) => void
}

/**
 * The scheduler.
 * @since 0.1.0
 * @category services
 */
export class Scheduler extends Context.Tag("glet/scheduler/Scheduler")<Scheduler, {
  /** The scheduler's clock, monotonic ms: what `InferRequest.arrivedAtMs` is told in. */
  readonly nowMs: () => number
  /**
   * Offers a request; `onEnd` is called exactly once (possibly before `offer` returns, when it is rejected). Returns the cancellation: the
   * request leaves the queue, or where its batch already runs, its answer is discarded; either way `onEnd` gets `RequestCanceled`. After
   * `onEnd` of a canceled request whose batch still runs the slot must not be released by the caller: see `InferRequest.slot`; the scheduler
   * defers `onEnd` until the slot is free to reuse. The hot path: no Effect, no allocation beyond the request's own state.
   */
  readonly offer: (request: InferRequest, onEnd: (end: RequestEnd) => void) => () => void
  /**
   * Whether a request of which only the model is known, complete at `arrivedAtMs`, need not be read: how `offer` would drop the least request of
   * that model now (one item, no priority and no limit of its own); undefined where it would not. Changes nothing. Who then drops it says so
   * with `refusedUnread`. Under overload most requests end here: both together cost about a microsecond.
   */
  readonly wouldRefuse: (model: ModelName, arrivedAtMs: number) => RequestDropped | undefined
  /** Which arrivals `wouldRefuse` refuses now, for processes that cannot ask it per request; see `AdmissionEdge`. */
  readonly admissionEdge: (model: ModelName) => AdmissionEdge
  /** Counts a request as offered and dropped, as `wouldRefuse` said; observers are told of its end. */
  readonly refusedUnread: (model: ModelName, arrivedAtMs: number, error: RequestDropped) => void
  /** `offer` as an Effect; interruption cancels. */
  readonly submit: (request: InferRequest) => Effect.Effect<InferResult, RequestError>
  /**
   * Makes a model known, with what was measured of it per GPU type, and replans. Completes when the plan that follows is deployed. Registering a
   * name again replaces it without failing its requests: what was there serves until the new one does. `onTaken` is called, once, in the step from
   * which on requests of the name go to this model; never where it is not taken.
   */
  readonly register: (model: Model, profiles: ReadonlyMap<string, ModelProfile>, onTaken?: () => void) => Effect.Effect<ModelReadiness>
  /**
   * Changes objective, class or expected rate of a model while it is served: it stays loaded, its requests stay. Completes when the plan that
   * follows is deployed; false where no such model is registered.
   */
  readonly amend: (model: ModelName, change: ModelChange) => Effect.Effect<boolean>
  /**
   * What was measured of a model on further types of GPU: added to what it was registered with. It counts from the next plan on; false where no
   * such model is registered. Registering it again forgets it.
   */
  readonly learn: (model: ModelName, profiles: ReadonlyMap<string, ModelProfile>) => Effect.Effect<boolean>
  /**
   * The devices there are from now on, e.g. when one joins or leaves a host. Completes when the plan that follows is deployed. Glets of a device
   * that is gone close; what ran there runs again elsewhere as far as deadlines allow.
   */
  readonly setGpus: (gpus: ReadonlyArray<Gpu>) => Effect.Effect<void>
  /** Forgets a model: its queued requests end with `model-not-ready`, what runs may end. Completes when it is unloaded. */
  readonly unregister: (model: ModelName) => Effect.Effect<void>
  /** Where a model stands; undefined for names never registered. Cheap: callable per request. */
  readonly readiness: (model: ModelName) => ModelReadiness | undefined
  readonly plan: Effect.Effect<Plan>
  /** Plans by another algorithm from now on. Completes when its first plan is deployed, or the deployed one stays as it has none. */
  readonly usePlanner: (planner: PlannerAlgorithm) => Effect.Effect<void>
  /** Plans now, for the rates now estimated, and deploys what differs. `dryRun`: only answers. */
  readonly replan: (options?: { readonly reason?: string; readonly dryRun?: boolean }) => Effect.Effect<Plan>
  readonly status: Effect.Effect<SchedulerStatus>
  /**
   * Follows the status until the scope closes. What it answers completes with the status, the first time at once, then when plan, glets or states of
   * models have changed since. As a stream: `statusStream`.
   */
  readonly follow: Effect.Effect<Effect.Effect<SchedulerStatus>, never, Scope.Scope>
  /** Adds an observer until the scope closes. */
  readonly observe: (observer: SchedulerObserver) => Effect.Effect<void, never, Scope.Scope>
  /** Refuses new requests with `draining`, completes when all accepted ones have ended. */
  readonly drain: Effect.Effect<void>
}>() {}

export type { GletStatus, ModelChange, ModelStatus, SchedulerStatus, ServiceClass }
