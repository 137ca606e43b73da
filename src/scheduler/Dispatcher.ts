/**
 * The deterministic core of the online service, and of the simulator: queues, admission, batch forming, drops, requests of dead glets.
 *
 * Mutable for speed, but without clock, randomness or effects: every call is told the time. What ended is left in `ended` for the caller, who
 * tells the clients; so nothing is called back in the middle of a decision.
 *
 * @since 0.1.0
 */
import type { BatchEnd } from "../core/Executor.js"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { InferRequest, RequestEnd } from "../core/Request.js"
import type { RequestDropped, UnavailableReason } from "../core/RequestError.js"
import type { DispatcherOptions } from "./DispatcherOptions.js"
import { defaultDispatcherOptions } from "./DispatcherOptions.js"
import { DispatcherView } from "./DispatcherView.js"
import type { GletRoutes } from "./GletRoutes.js"
import type { AdmissionEdge } from "./internal/admission.js"
import { Admission } from "./internal/admission.js"
import { BatchEnds } from "./internal/batchEnds.js"
import { BatchForming } from "./internal/batchForming.js"
import { BestEffortTurns } from "./internal/bestEffortTurns.js"
import { Expiry } from "./internal/expiry.js"
import { Gathering } from "./internal/gathering.js"
import type { DispatchedBatch, Ticket } from "./internal/graph.js"
import { Intake } from "./internal/intake.js"
import { Lanes } from "./internal/lanes.js"
import { Pulling } from "./internal/pulling.js"
import { RequestEnds } from "./internal/requestEnds.js"
import { Retries } from "./internal/retries.js"

export type { AdmissionEdge }

/** Takes requests, gives batches to glets, ends every request exactly once. @since 0.1.0 @category dispatching */
export class Dispatcher {
  /** What it tells of itself. */
  readonly view: DispatcherView
  private readonly lanes: Lanes
  private readonly ends = new RequestEnds()
  private readonly expiry = new Expiry(this.ends)
  private readonly gathering: Gathering
  private readonly intake: Intake
  private readonly pulling: Pulling
  private readonly batchEnds: BatchEnds

  constructor(options: Partial<DispatcherOptions> = {}) {
    const all = { ...defaultDispatcherOptions, ...options }
    const { ends } = this
    const lanes = this.lanes = new Lanes(all.overheadMs, all.delayBound)
    const gathering = this.gathering = new Gathering(lanes, all.gather)
    const turns = new BestEffortTurns()
    const forming = new BatchForming(lanes, all.gate, gathering, (nowMs, ticket) => this.expiry.giveUp(nowMs, ticket))
    this.view = new DispatcherView(lanes)
    this.intake = new Intake({ lanes, ends, turns, admission: new Admission(all.maxQueued, all.answerMs) })
    this.pulling = new Pulling({ lanes, forming, gathering, turns })
    this.batchEnds = new BatchEnds({ lanes, ends, turns, retries: new Retries(all.maxAttempts, ends) })
  }

  /** Requests that ended, in order, with `end` set; the caller empties it. */
  get ended(): Array<Ticket> {
    return this.ends.ended
  }

  /**
   * Makes a model known. In place of another of that name: new requests go to the new one, those of the old one are answered by the old one
   * as long as it has routes.
   */
  setModel(model: Model): void {
    this.lanes.revision += 1
    this.lanes.add(model)
  }

  /** Another objective or class of a model that is there: queue, counters and routes stay; routes go by it once they are set anew. */
  amendModel(model: Model): void {
    this.lanes.revision += 1
    const lane = this.lanes.model(model.name)
    lane?.amend(model)
  }

  /** Forgets a model: its queued requests end with `model-not-ready`. */
  removeModel(nowMs: number, name: ModelName): void {
    this.lanes.revision += 1
    const lane = this.lanes.remove(name)
    if (lane === undefined) return
    lane.unavailable = { reason: "model-not-ready", detail: "it was unloaded" }
    this.expiry.sweep(nowMs, lane)
    if (lane.fill !== undefined) this.expiry.sweep(nowMs, lane.fill)
  }

  /** What to say of a model that has no routes. */
  setUnavailable(name: ModelName, reason: UnavailableReason, detail: string): void {
    const lane = this.lanes.model(name)
    if (lane !== undefined) lane.unavailable = { reason, detail }
  }

  /**
   * Sets what every glet runs, in one step. Glets that are new are not ready; glets left out take nothing more, what runs there ends. Requests
   * that have no way left end with the next `sweep`, so that the caller can say first which glets are ready.
   */
  setRoutes(glets: ReadonlyArray<GletRoutes>): void {
    this.lanes.revision += 1
    this.lanes.setRoutes(glets)
  }

  /** A glet can take batches, at least `depth` at once. */
  gletReady(id: GletId, depth: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    this.lanes.revision += 1
    glet.ready = true
    glet.depth = Math.max(1, depth)
  }

  /** A glet takes nothing now; `backAtMs` is when it is expected again. What runs there goes on. */
  gletUnready(id: GletId, backAtMs: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    this.lanes.revision += 1
    glet.ready = false
    glet.backAtMs = backAtMs
  }

  /** A glet died, and all that ran there at once: it is queued again where the deadline allows, and was not tried too often. */
  gletLost(nowMs: number, id: GletId, backAtMs: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    glet.ready = false
    glet.backAtMs = backAtMs
    this.lanes.revision += 1
    this.batchEnds.allDied(nowMs, glet)
    for (const route of [...glet.critical, ...glet.bestEffort]) this.expiry.sweep(nowMs, route.lane)
  }

  /**
   * Whether a GPU is to do one thing at a time: then a batch starts on one of its glets only while none runs on any, and when it ends they are to be
   * pulled for in turn (`turnsAfter`).
   */
  setSerial(gpu: GpuId, serial: boolean): void {
    this.pulling.setSerial(gpu, serial)
  }

  isSerial(gpu: GpuId): boolean {
    return this.pulling.isSerial(gpu)
  }

  /** The glets of the same GPU, this one last. */
  turnsAfter(id: GletId): ReadonlyArray<GletId> {
    return this.pulling.turnsAfter(id)
  }

  /** Lets nothing start on a GPU, until it is let go: it is used otherwise. */
  hold(gpu: GpuId, held: boolean): void {
    this.pulling.hold(gpu, held)
  }

  /** Whether a batch runs on some glet of the GPU. */
  isRunningOn(gpu: GpuId): boolean {
    return this.pulling.isRunningOn(gpu)
  }

  /** Refuses all that is offered from now with `draining`. */
  drain(): void {
    this.intake.drain()
  }

  /** Queues a request, or refuses it: then it stands in `ended` at once. */
  offer(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void): Ticket {
    return this.intake.offer(nowMs, request, onEnd)
  }

  /**
   * How `offer` would drop the least request of a model now: one item, no priority and no limit of its own, of which the last byte came at
   * `arrivedAtMs`. Undefined where it would queue it, or answer otherwise. Nothing changes by asking. What an idle glet could make by its profile is
   * always offered to it: what it measured may be wrong, and only trying tells.
   */
  wouldRefuse(nowMs: number, name: ModelName, arrivedAtMs: number): RequestDropped | undefined {
    return this.intake.wouldRefuse(nowMs, name, arrivedAtMs)
  }

  /**
   * The edge of what `wouldRefuse` refuses, for processes that cannot ask it for every request. It holds until something changes: a request is
   * queued, a batch ends, a glet comes or goes. Nothing changes by asking.
   */
  admissionEdge(nowMs: number, name: ModelName): AdmissionEdge {
    return this.intake.edge(nowMs, name)
  }

  /** A request was dropped as `wouldRefuse` said, unread: counts it as offered and dropped. Answers its model. */
  refusedUnread(nowMs: number, name: ModelName, dropped: RequestDropped): Model | undefined {
    return this.intake.refusedUnread(nowMs, name, dropped)
  }

  /** The client went away: a queued request ends now, a running one when its batch does. */
  cancel(nowMs: number, ticket: Ticket): void {
    this.intake.cancel(nowMs, ticket)
  }

  /**
   * The batch that a glet should start now, if any; else one to go behind what runs on another glet of its models, which is the next to be free now that
   * this one was given its own.
   */
  pull(nowMs: number, id: GletId): DispatchedBatch | undefined {
    return this.pulling.pull(nowMs, id)
  }

  /** The next batch that the arrival of requests of a model allows on any glet. */
  pullModel(nowMs: number, name: ModelName): DispatchedBatch | undefined {
    return this.pulling.pullModel(nowMs, name)
  }

  /** When requests that gather for a larger batch are due first; Infinity: none gather. Ask again after every offer and pull. */
  get nextGatheredMs(): number {
    return this.gathering.nextMs
  }

  /** The next batch of requests that have gathered long enough; undefined: all others may wait until `nextGatheredMs`. */
  pullGathered(nowMs: number): DispatchedBatch | undefined {
    return this.pulling.pullGathered(nowMs)
  }

  /** A batch ended. */
  batchEnded(nowMs: number, batch: DispatchedBatch, end: BatchEnd): void {
    this.lanes.revision += 1
    this.batchEnds.ended(nowMs, batch, end)
  }

  /** Ends the requests that can no longer make their deadlines. */
  sweep(nowMs: number): void {
    this.lanes.revision += 1
    this.lanes.each((lane) => {
      this.expiry.sweep(nowMs, lane)
      this.lanes.forget(lane)
    })
  }

  /** When `sweep` may have something to do; Infinity where nothing waits. */
  nextWakeMs(nowMs: number): number {
    let wakeMs = Infinity
    this.lanes.each((lane) => wakeMs = Math.min(wakeMs, this.expiry.wakeMs(nowMs, lane)))
    return wakeMs
  }
}
