/**
 * What a dispatcher tells of itself: what waits and runs, what became of requests, what glets took. Nothing is decided here.
 *
 * @since 0.1.0
 */
import type { GletId, ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { MeasuredGlet, Outcomes } from "./InterferenceWatch.js"
import type { ModelLane } from "./internal/graph.js"
import type { Lanes } from "./internal/lanes.js"
import type { LaneCounters } from "./internal/modelLane.js"

const noGlets: ReadonlyArray<GletId> = []

/** What became of a model's requests, and where the others are. @since 0.1.0 @category dispatching */
export type LaneState = LaneCounters & { readonly queued: number; readonly inFlight: number }

const stateOf = (lane: ModelLane | undefined): LaneState | undefined =>
  lane === undefined ? undefined : { ...lane.counters, queued: lane.queuedRequests, inFlight: lane.inFlightRequests }

/** @since 0.1.0 @category dispatching */
export class DispatcherView {
  constructor(private readonly lanes: Lanes) {}

  /** Requests that wait or run. */
  get pending(): number {
    let pending = 0
    this.lanes.each((lane) => pending += lane.queuedRequests + lane.inFlightRequests)
    return pending
  }

  /** Whether requests of this name wait. */
  isQueued(name: ModelName): boolean {
    const lane = this.lanes.model(name)
    return lane !== undefined && (lane.queuedRequests > 0 || (lane.fill?.queuedRequests ?? 0) > 0)
  }

  /** Whether requests of this model, also of a replaced one, wait or run. */
  isBusy(model: Model): boolean {
    return this.lanes.laneOf(model)?.isBusy === true
  }

  /** Whether a glet that is ready serves the model. */
  isServed(name: ModelName): boolean {
    return this.lanes.model(name)?.hasReadyGlet ?? false
  }

  /** Counters and queue lengths of a model, without the requests that `fillCountersOf` counts. */
  countersOf(name: ModelName): LaneState | undefined {
    return stateOf(this.lanes.model(name))
  }

  /** The same of those requests of a latency-critical model that were asked for as best-effort work; undefined where there were none. */
  fillCountersOf(name: ModelName): LaneState | undefined {
    return stateOf(this.lanes.model(name)?.fill)
  }

  /** How many requests of a model ended, canceled ones left out, and how many of them were answered in time. */
  outcomesOf(name: ModelName): Outcomes {
    const counters = this.lanes.model(name)?.counters
    if (counters === undefined) return { ended: 0, kept: 0 }
    const { answered, dropped, failed, withinSlo } = counters
    return { ended: answered + failed + Object.values(dropped).reduce((sum, count) => sum + count, 0), kept: withinSlo }
  }

  /** By how much best-effort work may delay a latency-critical model now, as a fraction of its SLO; undefined for others. */
  delayFractionOf(nowMs: number, name: ModelName): number | undefined {
    const lane = this.lanes.model(name)
    return lane?.model.sloMs === undefined ? undefined : lane.bound.fraction(nowMs)
  }

  /** What a batch takes besides its execution, almost always, ms: on the glet where that is most. In steps of a quarter, for plans are made by it. */
  get wayMs(): number {
    return this.lanes.safeWayMs
  }

  /** Glets whose gate what ended on this one may have opened. */
  besideOf(id: GletId): ReadonlyArray<GletId> {
    return this.lanes.glet(id)?.beside ?? noGlets
  }

  /** What ran on each glet since the last call, for `watchInterference`. */
  takeMeasured(): ReadonlyArray<MeasuredGlet> {
    return this.lanes.takeMeasured()
  }
}
