/** A glet as the dispatcher sees it: what runs on it, when it is free, what it may run. */
import type { GletId, GpuId } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import { Estimate } from "./estimate.js"

/** Most batches on their way to a glet and back. */
const mostPlaces = 16

/** How long the parts of a glet's time that its models may count on stay as computed, in ms. */
const refreshMs = 5

/** What a glet asks of the routes that lead to it. */
interface RouteOfGlet {
  readonly spec: { readonly bestEffort: boolean; readonly fraction: number }
  readonly lane: { readonly model: Model; readonly queuedItems: number; readonly boundMs: (nowMs: number) => number }
  readonly safeOverheadMs: number
  readonly safeMs: (items: number) => number
  readonly utilization: (nowMs: number) => number
  readonly refresh: (fraction: number, left?: number) => void
}

/** What a glet asks of the batches that it has. */
interface BatchOfGlet {
  startMs: number
  readonly pulledMs: number
  readonly predictedMs: number
  readonly typicalMs: number
  readonly deadlineMs: number
  readonly route: { readonly spec: { readonly bestEffort: boolean } }
}

export class GletLaneOf<R extends RouteOfGlet, B extends BatchOfGlet> {
  ready = false
  /** When it is expected to be ready, while it is not. */
  backAtMs = Infinity
  /** Batches it wants at once, so that it never waits for the next. */
  depth = 1
  /** Latency-critical routes, then best-effort ones. */
  critical: ReadonlyArray<R> = []
  bestEffort: ReadonlyArray<R> = []
  /** Oldest first; executions are serial, what is behind the first is there to overlap copies. */
  readonly running: Array<B> = []
  /** Other glets of the GPU that have best-effort work: what ends here may open the gate there. */
  beside: ReadonlyArray<GletId> = []
  /** Glets of the GPU whose best-effort batches go on whenever this one leaves the GPU to them. */
  over: ReadonlyArray<GletLaneOf<R, B>> = []
  /** When, and as of which revision, nothing was to start on it. */
  nothingAtMs = -Infinity
  nothingAsOf = -1
  /** When best-effort work last had the glet. */
  bestEffortAtMs = -Infinity
  /** By how much best-effort batches on their way can still delay its latency-critical work, ms, and how many those are. */
  intrusionMs = 0
  private intruders = 0
  private readonly overhead: Estimate
  private readonly way: Estimate
  private refreshedAtMs = -Infinity
  private lastEndMs = -Infinity

  constructor(readonly id: GletId, readonly gpu: GpuId, overheadMs: number) {
    this.overhead = new Estimate(overheadMs, 2 * overheadMs, 0, 50)
    this.way = new Estimate(overheadMs, 2 * overheadMs, 0, 50)
  }

  /** What a batch takes besides its execution where nothing hides it: it was given to a glet that had none. */
  get wayMs(): number {
    return this.way.meanValue
  }

  get safeWayMs(): number {
    return this.way.upperValue
  }

  /** What a batch takes besides its execution: descriptors to the runner and back. */
  get overheadMs(): number {
    return this.overhead.meanValue
  }

  get safeOverheadMs(): number {
    return this.overhead.upperValue
  }

  /**
   * Batches of this duration to keep on their way: what hides the way to the runner and back behind executions (bandwidth times delay). More
   * than `depth` where the agent is slow to take up what ended, as it is when HTTP alone keeps it busy.
   */
  placesFor(executionMs: number): number {
    if (this.depth === 1) return 1
    return Math.min(mostPlaces, Math.max(this.depth, 1 + Math.ceil(this.overheadMs / executionMs)))
  }

  get isFull(): boolean {
    const { running } = this
    return running.length >= this.depth && running.length >= this.placesFor(running[0]!.typicalMs)
  }

  availableAtMs(nowMs: number): number {
    return this.ready ? nowMs : this.backAtMs
  }

  /** When a batch given now would begin to run. */
  freeAtMs(nowMs: number): number {
    if (this.running.length === 0) return this.ready ? nowMs : Math.max(nowMs, this.backAtMs)
    const first = this.running[0]!
    let freeAt = Math.max(nowMs, first.startMs + first.typicalMs + this.overheadMs)
    for (let i = 1; i < this.running.length; i++) freeAt += this.running[i]!.typicalMs
    return freeAt
  }

  setRoutes(routes: ReadonlyArray<R>): void {
    this.critical = routes.filter((route) => !route.spec.bestEffort)
    this.bestEffort = routes.filter((route) => route.spec.bestEffort)
    this.refreshedAtMs = -Infinity
  }

  begin(batch: B): void {
    batch.startMs = this.running.length === 0 ? batch.pulledMs : Infinity
    this.running.push(batch)
  }

  /** Takes the batch off; answers how long the glet was busy with it alone, in ms. */
  finish(nowMs: number, batch: B): number {
    const at = this.running.indexOf(batch)
    this.running.splice(at, 1)
    const begunMs = at === 0 ? batch.startMs : Math.max(batch.pulledMs, this.lastEndMs)
    batch.startMs = Math.min(begunMs, nowMs)
    this.lastEndMs = nowMs
    if (at === 0 && this.running.length > 0) this.running[0]!.startMs = nowMs
    return nowMs - batch.startMs
  }

  /** A best-effort batch that can delay its latency-critical work by `ms` starts. */
  intrude(ms: number): void {
    this.intruders += 1
    this.intrusionMs += ms
  }

  /** The batch ended. */
  leave(ms: number): void {
    this.intruders -= 1
    this.intrusionMs = this.intruders === 0 ? 0 : this.intrusionMs - ms
  }

  /** Whether latency-critical work runs here or waits for it. */
  get isWanted(): boolean {
    for (const { lane } of this.critical) if (lane.queuedItems > 0) return true
    for (const { route } of this.running) if (!route.spec.bestEffort) return true
    return false
  }

  /** Whether best-effort work can use what this glet leaves of the GPU now: it runs, waits or is paused there. */
  get leavesTime(): boolean {
    for (const { bestEffort, running } of this.over) {
      if (running.length > 0) return true
      for (const { lane } of bestEffort) if (lane.queuedItems > 0) return true
    }
    return false
  }

  /** By how much its latency-critical work may be delayed, ms, all best-effort work together. */
  boundMs(nowMs: number): number {
    let least = Infinity
    for (const { lane } of this.critical) least = Math.min(least, lane.boundMs(nowMs))
    return least
  }

  /**
   * How long best-effort work may hold the glet up for a request that arrives right after it starts to make its SLO: the wait, what the others
   * ask for meanwhile, its own execution.
   */
  leftForBestEffortMs(nowMs: number): number {
    let used = 0
    for (const route of this.critical) used += route.utilization(nowMs)
    let least = Infinity
    for (const route of this.critical) {
      const { sloMs } = route.lane.model
      if (sloMs !== undefined) least = Math.min(least, (sloMs - route.safeOverheadMs - route.safeMs(1)) / (1 + used))
    }
    return Math.max(0, least)
  }

  /** By how much the latency-critical batches that run may be delayed for all of their requests to make their deadlines, ms. */
  runningSlackMs(nowMs: number): number {
    let endMs = nowMs
    let least = Infinity
    for (const batch of this.running) {
      endMs = Math.max(endMs, batch.startMs === Infinity ? 0 : batch.startMs) + batch.predictedMs
      if (!batch.route.spec.bestEffort) least = Math.min(least, batch.deadlineMs - endMs - this.safeOverheadMs)
    }
    return Math.max(0, least)
  }

  /** A batch took so much besides its execution; `hidden`: another ran when it was given. */
  observeOverhead(ms: number, hidden: boolean): void {
    this.overhead.observe(ms)
    if (!hidden) this.way.observe(ms)
  }

  doubtOverhead(): void {
    this.overhead.doubt()
  }

  /**
   * Divides its time: a model may count on the part that the plan gives it, and on what the others leave. Cheap when called often.
   */
  refresh(nowMs: number): void {
    if (nowMs - this.refreshedAtMs < refreshMs) return
    this.refreshedAtMs = nowMs
    if (this.critical.length === 1) {
      this.critical[0]!.refresh(1)
    } else {
      let used = 0
      for (const route of this.critical) used += route.utilization(nowMs)
      for (const route of this.critical) {
        const left = 1 - (used - route.utilization(nowMs))
        route.refresh(Math.min(1, Math.max(0.01, route.spec.fraction, left)), left)
      }
    }
    for (const route of this.bestEffort) route.refresh(1)
  }
}
