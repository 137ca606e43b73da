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
import { InvalidRequest, ModelNotFound } from "../core/RequestError.js"
import type { BestEffortGate } from "./BestEffortGate.js"
import { defaultGate } from "./BestEffortGate.js"
import type { DelayBoundOptions } from "./DelayBound.js"
import { defaultDelayBoundOptions } from "./DelayBound.js"
import type { GletRoutes } from "./GletRoutes.js"
import type { MeasuredGlet, Outcomes } from "./InterferenceWatch.js"
import type { AdmissionEdge } from "./internal/admission.js"
import { Admission } from "./internal/admission.js"
import { BatchForming } from "./internal/batchForming.js"
import { BestEffortTurns } from "./internal/bestEffortTurns.js"
import { Expiry } from "./internal/expiry.js"
import { Gathering } from "./internal/gathering.js"
import type { DispatchedBatch, ModelLane, Ticket } from "./internal/graph.js"
import { Lanes } from "./internal/lanes.js"
import type { LaneCounters } from "./internal/modelLane.js"
import { Pulling } from "./internal/pulling.js"
import { RequestEnds } from "./internal/requestEnds.js"
import { Retries } from "./internal/retries.js"
import { defaultPriority, TicketOf } from "./internal/ticket.js"

export type { AdmissionEdge }

/** What the dispatcher holds requests to. @since 0.1.0 @category dispatching */
export interface DispatcherOptions {
  /** Requests that may wait for one model; more are refused with `queue-full`. */
  readonly maxQueued: number
  /** Executions that may die under a request before it is given up: a request that kills its glet must not kill them all. */
  readonly maxAttempts: number
  /** Kept free before a deadline for the answer's way to the client, in ms; never more than a twentieth of the limit. */
  readonly answerMs: number
  /** First guess of what a batch takes besides its execution, in ms; then it is measured. */
  readonly overheadMs: number
  readonly gate: BestEffortGate
  /**
   * Whether latency-critical requests gather for larger batches, as far as their objectives allow, while best-effort work that gives way can use the
   * GPU; else each starts as soon as a glet is free.
   */
  readonly gather: boolean
  /** How the bound on delays by best-effort work is searched. */
  readonly delayBound: DelayBoundOptions
}

/** What the online service dispatches by. @since 0.1.0 @category dispatching */
export const defaultDispatcherOptions: DispatcherOptions = {
  maxQueued: 4096, maxAttempts: 2, answerMs: 0.5, overheadMs: 0.2, gate: defaultGate, gather: true, delayBound: defaultDelayBoundOptions
}

const noBindings: ReadonlyArray<number> = []
const noGlets: ReadonlyArray<GletId> = []

/** What became of a model's requests, and where the others are. @since 0.1.0 @category dispatching */
export type LaneState = LaneCounters & { readonly queued: number; readonly inFlight: number }

const stateOf = (lane: ModelLane | undefined): LaneState | undefined =>
  lane === undefined ? undefined : { ...lane.counters, queued: lane.queuedRequests, inFlight: lane.inFlightRequests }

/** Takes requests, gives batches to glets, ends every request exactly once. @since 0.1.0 @category dispatching */
export class Dispatcher {
  private readonly lanes: Lanes
  private readonly ends = new RequestEnds()
  private readonly expiry = new Expiry(this.ends)
  private readonly retries: Retries
  private readonly admission: Admission
  private readonly gathering: Gathering
  private readonly pulling: Pulling
  private readonly turns = new BestEffortTurns()
  private draining = false
  private sequence = 0

  constructor(options: Partial<DispatcherOptions> = {}) {
    const all = { ...defaultDispatcherOptions, ...options }
    this.lanes = new Lanes(all.overheadMs, all.delayBound)
    this.retries = new Retries(all.maxAttempts, this.ends)
    this.admission = new Admission(all.maxQueued, all.answerMs)
    this.gathering = new Gathering(all.gather)
    const forming = new BatchForming(all.gate, this.gathering, (nowMs, ticket) => this.expiry.giveUp(nowMs, ticket))
    this.pulling = new Pulling({ lanes: this.lanes, forming, gathering: this.gathering, turns: this.turns })
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
    this.lanes.add(model)
  }

  /** Another objective or class of a model that is there: queue, counters and routes stay; routes go by it once they are set anew. */
  amendModel(model: Model): void {
    const lane = this.lanes.model(model.name)
    lane?.amend(model)
  }

  /** Forgets a model: its queued requests end with `model-not-ready`. */
  removeModel(nowMs: number, name: ModelName): void {
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
    this.lanes.setRoutes(glets)
  }

  /** A glet can take batches, at least `depth` at once. */
  gletReady(id: GletId, depth: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    glet.ready = true
    glet.depth = Math.max(1, depth)
  }

  /** A glet takes nothing now; `backAtMs` is when it is expected again. What runs there goes on. */
  gletUnready(id: GletId, backAtMs: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    glet.ready = false
    glet.backAtMs = backAtMs
  }

  /** A glet died, and all that ran there at once: it is queued again where the deadline allows, and was not tried too often. */
  gletLost(nowMs: number, id: GletId, backAtMs: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    glet.ready = false
    glet.backAtMs = backAtMs
    for (const batch of glet.running.splice(0)) {
      this.turns.end(nowMs, batch)
      this.retries.batchDied(nowMs, batch, true)
    }
    this.lanes.forgetGlet(glet)
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
    this.draining = true
  }

  /** Queues a request, or refuses it: then it stands in `ended` at once. */
  offer(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void): Ticket {
    const lane = this.laneFor(request)
    const ticket = this.ticketOf(nowMs, request, onEnd, lane)
    if (lane === undefined) return this.ends.refuse(nowMs, ticket, new ModelNotFound({ model: request.model }))
    const { items } = request
    if (!(Number.isInteger(items) && items >= 1 && items <= lane.model.maxBatch)) {
      return this.ends.refuse(nowMs, ticket, new InvalidRequest({
        field: "items", problem: `${items} items in one request; model "${lane.model.name}" takes 1 to ${lane.model.maxBatch}`
      }))
    }
    if (this.draining) return this.ends.refuse(nowMs, ticket, lane.refusals.unavailable("draining"))
    lane.countArrival(items)
    const error = this.admission.refusal(nowMs, lane, ticket)
    if (error !== undefined) {
      if (error._tag === "RequestDropped" && error.reason === "deadline-unreachable" && lane.isIdle) lane.doubt(nowMs, ticket)
      return this.ends.refuse(nowMs, ticket, error)
    }
    ticket.admitted = true
    if (lane.queuedRequests === 0) this.turns.join(lane)
    lane.enqueue(ticket)
    return ticket
  }

  private laneFor({ model, serviceClass }: InferRequest): ModelLane | undefined {
    const lane = this.lanes.model(model)
    return lane === undefined || serviceClass === undefined || lane.model.serviceClass === serviceClass ? lane : this.lanes.fillOf(lane)
  }

  /**
   * How `offer` would drop the least request of a model now: one item, no priority and no limit of its own, of which the last byte came at
   * `arrivedAtMs`. Undefined where it would queue it, or answer otherwise. Nothing changes by asking. What an idle glet could make by its profile is
   * always offered to it: what it measured may be wrong, and only trying tells.
   */
  wouldRefuse(nowMs: number, name: ModelName, arrivedAtMs: number): RequestDropped | undefined {
    const lane = this.lanes.model(name)
    if (lane === undefined || this.draining) return undefined
    return this.admission.wouldDrop(nowMs, lane, this.sequence, arrivedAtMs)
  }

  /**
   * The edge of what `wouldRefuse` refuses, for processes that cannot ask it for every request. It holds until something changes: a request is
   * queued, a batch ends, a glet comes or goes. Nothing changes by asking.
   */
  admissionEdge(nowMs: number, name: ModelName): AdmissionEdge {
    return this.admission.edge(nowMs, this.draining ? undefined : this.lanes.model(name), this.sequence)
  }

  /** A request was dropped as `wouldRefuse` said, unread: counts it as offered and dropped. Answers its model. */
  refusedUnread(nowMs: number, name: ModelName, { reason }: RequestDropped): Model | undefined {
    const lane = this.lanes.model(name)
    if (lane === undefined) return undefined
    lane.countUnreadArrival()
    lane.counters.dropped[reason] += 1
    lane.bound.observe(nowMs, false)
    return lane.model
  }

  /** The client went away: a queued request ends now, a running one when its batch does. */
  cancel(nowMs: number, ticket: Ticket): void {
    if (ticket.end !== undefined || ticket.canceled) return
    ticket.canceled = true
    if (ticket.heapIndex < 0) return
    ticket.lane!.dequeue(ticket)
    this.ends.cancel(nowMs, ticket)
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
    if (batch.abandoned) return
    const { glet, route } = batch
    const serviceMs = glet.finish(nowMs, batch)
    this.turns.end(nowMs, batch, serviceMs)
    this.lanes.forgetGlet(glet)
    if (end.ok) {
      const executionMs = end.inputMs + end.inferMs + end.outputMs
      route.observe(nowMs, batch.items, executionMs, serviceMs)
      glet.observeOverhead(Math.max(0, serviceMs - executionMs), batch.startMs > batch.pulledMs)
      this.answer(nowMs, batch, end)
    } else if (end.error._tag === "BatchFailed") {
      this.retries.batchFailed(nowMs, batch, end.error.detail)
    } else {
      // Nothing more for it; `gletLost` tells when it will be back.
      glet.ready = false
      glet.backAtMs = nowMs
      this.retries.batchDied(nowMs, batch, end.unstarted !== true)
    }
    this.lanes.forget(route.lane)
  }

  private answer(nowMs: number, { items, startMs, tickets }: DispatchedBatch, end: BatchEnd & { readonly ok: true }): void {
    for (let i = 0; i < tickets.length; i++) {
      const ticket = tickets[i]!
      ticket.lane!.inFlightRequests -= 1
      ticket.times.startedMs = startMs
      ticket.times.endedMs = nowMs
      if (ticket.canceled) {
        this.ends.cancel(nowMs, ticket)
        continue
      }
      this.ends.finish(nowMs, ticket, {
        ok: true,
        result: {
          times: ticket.times,
          batchItems: items,
          outputBindings: end.outputBindings?.[i] ?? noBindings,
          overflow: end.overflow?.[i]
        }
      })
    }
  }

  /** What ran on each glet since the last call, for `watchInterference`. */
  takeMeasured(): ReadonlyArray<MeasuredGlet> {
    return this.lanes.takeMeasured()
  }

  /** Glets whose gate what ended on this one may have opened. */
  besideOf(id: GletId): ReadonlyArray<GletId> {
    return this.lanes.glet(id)?.beside ?? noGlets
  }

  /** By how much best-effort work may delay a latency-critical model now, as a fraction of its SLO; undefined for others. */
  delayFractionOf(nowMs: number, name: ModelName): number | undefined {
    const lane = this.lanes.model(name)
    return lane?.model.sloMs === undefined ? undefined : lane.bound.fraction(nowMs)
  }

  /** Ends the requests that can no longer make their deadlines. */
  sweep(nowMs: number): void {
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

  /** How many requests of a model ended, canceled ones left out, and how many of them were answered in time. */
  outcomesOf(name: ModelName): Outcomes {
    const counters = this.lanes.model(name)?.counters
    if (counters === undefined) return { ended: 0, kept: 0 }
    const { answered, dropped, failed, withinSlo } = counters
    return { ended: answered + failed + Object.values(dropped).reduce((sum, count) => sum + count, 0), kept: withinSlo }
  }

  /** The same of those requests of a latency-critical model that were asked for as best-effort work; undefined where there were none. */
  fillCountersOf(name: ModelName): LaneState | undefined {
    return stateOf(this.lanes.model(name)?.fill)
  }

  private ticketOf(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void, lane: ModelLane | undefined): Ticket {
    const arrivedMs = request.arrivedAtMs !== undefined && request.arrivedAtMs <= nowMs ? request.arrivedAtMs : nowMs
    const limitMs = request.timeoutMs ?? lane?.model.sloMs ?? Infinity
    const deadlineMs = this.admission.deadlineMs(arrivedMs, limitMs)
    const priority = request.priority !== undefined && request.priority >= 1 ? request.priority : defaultPriority
    return new TicketOf<ModelLane, DispatchedBatch>(
      request, onEnd, lane, this.sequence++, priority, deadlineMs, limitMs,
      { arrivedMs, queuedMs: nowMs, batchClosedMs: 0, startedMs: 0, endedMs: 0 }
    )
  }
}
