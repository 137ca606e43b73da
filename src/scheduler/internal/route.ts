/** One model on one glet: predictions from the profile, corrected by what is measured here. */
import type { Model } from "../../core/Model.js"
import type { ModelRoute } from "../GletRoutes.js"
import { Estimate } from "./estimate.js"

/**
 * The part of an SLO that the way to the runner and back may take in predictions. An agent that is busy measures more, but it is as busy with
 * refusing requests: counting all of it would refuse what could be answered in time, and go on doing so.
 */
const overheadPart = 1 / 3

/** An estimate by which nothing ran for so long is doubted, in ms, and again after as long. */
const unusedMs = 100

/** A glet whose other models take all of its time is still one that a model may have to go to. */
const leastLeft = 0.01

/** Objectives up to so many times each other are alike. */
const alike = 2

/** Time constant of a route's utilisation, in ms. */
const utilizationMs = 500

/** What a route asks of its model's lane. */
interface LaneOfRoute {
  readonly model: Model
  readonly lostAtMs: number
}

/** What a route asks of its glet. */
interface GletOfRoute {
  readonly overheadMs: number
  readonly safeOverheadMs: number
  readonly placesFor: (executionMs: number) => number
  readonly doubtOverhead: () => void
}

/** A glet whose latency-critical work best-effort batches delay. */
export interface Victim<G> {
  readonly glet: G
  /** By how many ms for each that such a batch takes. */
  readonly perMs: number
  /** Nothing starts while the glet has latency-critical work. */
  readonly givesWay: boolean
}

const noVictims: ReadonlyArray<never> = []

/** An execution of no time at all, by a coarse clock, has a logarithm too. */
const leastRatio = 1e-3

interface Tally {
  executions: number
  /** Sum of the logarithms of measured over typical alone. */
  logRatios: number
  busyMs: number
}

export class RouteOf<L extends LaneOfRoute, G extends GletOfRoute> {
  /** Largest batch formed while others share the glet, or while the profile knows no more. */
  readonly batchLimit: number
  /** Items of a batch that may be given behind one that still runs. */
  readonly fullBatch: number
  /** Items of a batch under a standing load, and how often one such batch can run, in ms. */
  steadyBatch = 1
  periodMs = 0
  /** What its largest batches could do in the time that the glet's other models leave. */
  spareItemsPerMs = 0
  private readonly predicted: Float64Array
  /** Measured over predicted. Bounded: beyond these factors the profile is of another machine, and that is for the planner. */
  private readonly ratio: Estimate
  /** When it was last corrected, or doubted for not being so. */
  private taughtAtMs = -Infinity
  private busyMs = 0
  private servedItems = 0
  private busyAtMs = 0
  /** What ended since it was last taken. */
  private tally: Tally
  /** Of best-effort work. */
  victims: ReadonlyArray<Victim<G>> = noVictims

  constructor(readonly spec: ModelRoute, readonly lane: L, readonly glet: G, previous: RouteOf<L, G> | undefined) {
    this.predicted = spec.latencyMs
    this.batchLimit = Math.max(1, Math.min(spec.batchLimit, lane.model.maxBatch, spec.latencyMs.length - 1))
    this.fullBatch = Math.min(spec.planBatch, this.batchLimit)
    this.ratio = previous?.ratio ?? new Estimate(Math.min(1, spec.typicalRatio), 1, 0.25, 8)
    this.busyMs = previous?.busyMs ?? 0
    this.servedItems = previous?.servedItems ?? 0
    this.busyAtMs = previous?.busyAtMs ?? 0
    this.tally = previous?.tally ?? { executions: 0, logRatios: 0, busyMs: 0 }
    this.refresh(1)
  }

  /** Expected duration of a batch, in ms. */
  typicalMs(items: number): number {
    return this.tabulated(items) * this.ratio.meanValue
  }

  /** Duration that few batches exceed, in ms. */
  safeMs(items: number): number {
    return this.tabulated(items) * this.ratio.upperValue
  }

  /** What plans count with, in ms: profile, neighbours and the plan's head-room. */
  profiledMs(items: number): number {
    return this.tabulated(items)
  }

  /** What a batch of so many items takes longer where the glet was idle when it came, in ms. */
  overlapMs(items: number): number {
    const { overlapMs } = this.spec
    return overlapMs === undefined ? 0 : overlapMs[Math.min(items, overlapMs.length - 1)]!
  }

  doubt(): void {
    this.ratio.doubt()
    this.glet.doubtOverhead()
  }

  /**
   * A batch was not started for how long it would take. Where none runs nothing corrects the estimate: one slow execution would be the last. So one above the
   * profile goes a step back to it whenever it has not been used for a while; one below would only keep more from running. Answers whether it did.
   */
  doubtUnused(nowMs: number): boolean {
    if (this.ratio.upperValue <= 1 || nowMs - this.taughtAtMs < unusedMs) return false
    this.taughtAtMs = nowMs
    this.ratio.doubt()
    return true
  }

  /** What few batches exceed besides their execution, in ms. */
  get safeOverheadMs(): number {
    return this.bounded(this.glet.safeOverheadMs)
  }

  /**
   * By so much before their deadlines its requests are to end where batches of `other` could hold them up, in ms. Among models of like objectives nobody gives
   * up anything for another: each would wait for the others in smaller batches.
   */
  sparedFrom({ lane: { model } }: { readonly lane: LaneOfRoute }): number {
    const { sparedMs = 0 } = this.spec
    return sparedMs > 0 && (model.sloMs ?? Infinity) > alike * (this.lane.model.sloMs ?? Infinity) ? sparedMs : 0
  }

  /** Largest batch of at most `limit` items that almost surely ends within `budgetMs`; 0 where none does. */
  batchWithin(budgetMs: number, limit: number): number {
    if (this.safeMs(limit) <= budgetMs) return limit
    let fits = 0
    let tooLarge = limit
    while (tooLarge - fits > 1) {
      const middle = (fits + tooLarge) >> 1
      if (this.safeMs(middle) <= budgetMs) fits = middle
      else tooLarge = middle
    }
    return fits
  }

  /** A batch of this route ended: its execution took `executionMs`, the glet was its own for `serviceMs`. */
  observe(nowMs: number, items: number, executionMs: number, serviceMs: number): void {
    // What gave way took as long as others let it, and says nothing of what it takes.
    if (this.spec.preemptMs === undefined) {
      const ratio = executionMs / this.tabulated(items)
      this.ratio.observe(ratio)
      this.tally.executions += 1
      this.tally.logRatios += Math.log(Math.max(ratio / this.spec.typicalRatio, leastRatio))
    }
    this.taughtAtMs = nowMs
    this.tally.busyMs += serviceMs
    const left = this.leftOfPast(nowMs)
    this.servedItems = this.servedItems * left + items
    this.busyMs = this.busyMs * left + serviceMs
    this.busyAtMs = nowMs
  }

  /**
   * What ended since the last call: how many executions, by which factor they took longer than the profile's median alone (the geometric mean: of neighbours all
   * executions know, of a pause of the host one in a hundred, which takes thirty times as long as a LeNet), and the glet's time.
   */
  takeTally(): { readonly executions: number; readonly ratio: number; readonly busyMs: number } {
    const { busyMs, executions, logRatios } = this.tally
    this.tally = { executions: 0, logRatios: 0, busyMs: 0 }
    return { executions, ratio: executions === 0 ? 1 : Math.exp(logRatios / executions), busyMs }
  }

  /** The part of the glet's time it used lately. */
  utilization(nowMs: number): number {
    return (this.busyMs * this.leftOfPast(nowMs)) / utilizationMs
  }

  /**
   * Whether fewer of the items that the plan has the glet serve lately were served than of another of its models. Where one of the two must miss, the glet owes it
   * the time: by laxity alone a model whose queue stands at its limit would go before all others for ever, and one that asked a tenth too much took three fifths
   * from another.
   */
  isOwed(nowMs: number, other: RouteOf<L, G>): boolean {
    return this.servedPart(nowMs) < other.servedPart(nowMs)
  }

  /** Whether requests of its model were dropped lately, and none of the other's. */
  losesTo(nowMs: number, other: RouteOf<L, G>): boolean {
    return nowMs - this.lane.lostAtMs < utilizationMs && nowMs - other.lane.lostAtMs >= utilizationMs
  }

  /** Items served lately, by what the plan lets it serve. */
  private servedPart(nowMs: number): number {
    const plannedPerMs = (this.spec.fraction * this.fullBatch) / this.predicted[this.fullBatch]!
    return (this.servedItems * this.leftOfPast(nowMs)) / (utilizationMs * plannedPerMs)
  }

  /**
   * Sets what it can do under a standing load with `fraction` of the glet's time: the largest batch for which a request that just missed one
   * batch still makes its deadline with the next. `left`: the part of its time that the glet's other models leave lately.
   */
  refresh(fraction: number, left = 1): void {
    const sloMs = this.lane.model.sloMs ?? Infinity
    const overheadMs = this.bounded(this.glet.overheadMs)
    this.steadyBatch = Math.max(fraction < 1 ? this.fullBatch : 1, this.batchWithin(sloMs / (1 + 1 / fraction) - overheadMs, this.batchLimit))
    const executionMs = this.typicalMs(this.steadyBatch)
    const placesMs = (executionMs + overheadMs) / this.glet.placesFor(executionMs)
    this.periodMs = Math.max(executionMs, placesMs) / fraction
    this.spareItemsPerMs = (Math.max(leastLeft, left) * this.batchLimit) / this.typicalMs(this.batchLimit)
  }

  /** Beyond the profile every further item costs what the items of the largest known batch cost on average. */
  private tabulated(items: number): number {
    const known = this.predicted.length - 1
    return items <= known ? this.predicted[items]! : (this.predicted[known]! * items) / known
  }

  private bounded(overheadMs: number): number {
    return Math.min(overheadMs, overheadPart * (this.lane.model.sloMs ?? Infinity))
  }

  /** How much what it did until it last ended a batch still counts. */
  private leftOfPast(nowMs: number): number {
    return Math.exp((this.busyAtMs - nowMs) / utilizationMs)
  }
}
