/**
 * The deterministic core of the online service, and of the simulator: queues, admission, batch forming, drops, requests of dead glets.
 *
 * Mutable for speed, but without clock, randomness or effects: every call is told the time. What ended is left in `ended` for the caller, who
 * tells the clients; so nothing is called back in the middle of a decision.
 *
 * @since 0.1.0
 */
import type { BatchEnd } from "../core/Executor.js"
import type { GletId, ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { InferRequest, RequestEnd } from "../core/Request.js"
import type { DropReason, ModelUnavailable, RequestDropped, RequestError, UnavailableReason } from "../core/RequestError.js"
import { ExecutionFailed, InvalidRequest, ModelNotFound } from "../core/RequestError.js"
import type { BestEffortGate } from "./BestEffortGate.js"
import { defaultGate } from "./BestEffortGate.js"
import type { DelayBoundOptions } from "./DelayBound.js"
import { defaultDelayBoundOptions } from "./DelayBound.js"
import { DispatchedBatch } from "./DispatchedBatch.js"
import type { GletRoutes } from "./GletRoutes.js"
import { Admission } from "./internal/admission.js"
import { BatchForming } from "./internal/batchForming.js"
import type { GletLane } from "./internal/gletLane.js"
import { Lanes } from "./internal/lanes.js"
import type { LaneCounters, ModelLane } from "./internal/modelLane.js"
import type { Asked } from "./internal/ticket.js"
import { defaultPriority, Ticket } from "./internal/ticket.js"

/** @since 0.1.0 @category dispatching */
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
  /** How the bound on delays by best-effort work is searched. */
  readonly delayBound: DelayBoundOptions
}

/** @since 0.1.0 @category dispatching */
export const defaultDispatcherOptions: DispatcherOptions = {
  maxQueued: 4096, maxAttempts: 2, answerMs: 0.5, overheadMs: 0.2, gate: defaultGate, delayBound: defaultDelayBoundOptions
}

const noBindings: ReadonlyArray<number> = []
const noGlets: ReadonlyArray<GletId> = []

/** How often the gate is asked again while best-effort work waits and nothing else happens, ms. */
const gateRetryMs = 20

/**
 * Which requests of a model `wouldRefuse` refuses, as far as it can be said once for all of them.
 * @since 0.1.0
 * @category dispatching
 */
export interface AdmissionEdge {
  /**
   * The least request that arrived before is refused: with `queue-full` where this is Infinity, else with `deadline-unreachable`, to be tried
   * again after what it is too early by. -Infinity where nothing can be said: ask for each.
   */
  readonly arrivedMs: number
  /** When to try again where the queue is full. */
  readonly retryAfterMs: number
}

const noEdge: AdmissionEdge = { arrivedMs: -Infinity, retryAfterMs: 0 }
/** Steps in search of an edge; more are hardly ever needed, and without one requests are only asked about one by one. */
const edgeSteps = 4
/** What counts as just before, in ms: more than a time since 1970 is rounded by. */
const justBeforeMs = 0.001

/** What became of a model's requests, and where the others are. @since 0.1.0 @category dispatching */
export type LaneState = LaneCounters & { readonly queued: number; readonly inFlight: number }

const stateOf = (lane: ModelLane | undefined): LaneState | undefined =>
  lane === undefined ? undefined : { ...lane.counters, queued: lane.queuedRequests, inFlight: lane.inFlightRequests }

/** @since 0.1.0 @category dispatching */
export class Dispatcher {
  /** Requests that ended, in order, with `end` set; the caller empties it. */
  readonly ended: Array<Ticket> = []
  private readonly options: DispatcherOptions
  private readonly lanes: Lanes
  private readonly admission = new Admission()
  private readonly forming: BatchForming
  private taken: Array<Ticket> = []
  /** Asked about by `wouldRefuse`. */
  private readonly least: { -readonly [K in keyof Asked]: Asked[K] } = {
    priority: defaultPriority, deadlineMs: 0, sloMs: 0, seq: 0, items: 1
  }
  private draining = false
  private sequence = 0
  private batches = 0
  /** Turn of the best-effort model that was last served: who comes back from having nothing to do begins there. */
  private turnMs = 0

  constructor(options: Partial<DispatcherOptions> = {}) {
    this.options = { ...defaultDispatcherOptions, ...options }
    this.lanes = new Lanes(this.options.overheadMs, this.options.delayBound)
    this.forming = new BatchForming(this.options.gate, (nowMs, ticket) => this.giveUp(nowMs, ticket))
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
    this.sweepLane(nowMs, lane)
    if (lane.fill !== undefined) this.sweepLane(nowMs, lane.fill)
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

  /** A glet died: what ran there is queued again where the deadline allows, and was not tried too often. */
  gletLost(nowMs: number, id: GletId, backAtMs: number): void {
    const glet = this.lanes.glet(id)
    if (glet === undefined) return
    glet.ready = false
    glet.backAtMs = backAtMs
    for (const batch of glet.running.splice(0)) {
      this.release(nowMs, batch)
      this.abandon(nowMs, batch)
    }
    this.lanes.forgetGlet(glet)
    for (const route of [...glet.critical, ...glet.bestEffort]) this.sweepLane(nowMs, route.lane)
  }

  /** Refuses all that is offered from now with `draining`. */
  drain(): void {
    this.draining = true
  }

  /** Queues a request, or refuses it: then it stands in `ended` at once. */
  offer(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void): Ticket {
    const lane = this.laneFor(request)
    const ticket = this.ticketOf(nowMs, request, onEnd, lane)
    if (lane === undefined) return this.refuse(nowMs, ticket, new ModelNotFound({ model: request.model }))
    const { items } = request
    if (!(Number.isInteger(items) && items >= 1 && items <= lane.model.maxBatch)) {
      return this.refuse(nowMs, ticket, new InvalidRequest({
        field: "items", problem: `${items} items in one request; model "${lane.model.name}" takes 1 to ${lane.model.maxBatch}`
      }))
    }
    if (this.draining) return this.refuse(nowMs, ticket, lane.refusals.unavailable("draining"))
    lane.countArrival(items)
    const error = this.refusal(nowMs, lane, ticket)
    if (error !== undefined) {
      if (error._tag === "RequestDropped" && error.reason === "deadline-unreachable" && lane.isIdle) lane.doubt(nowMs, ticket)
      return this.refuse(nowMs, ticket, error)
    }
    ticket.admitted = true
    if (lane.queuedRequests === 0 && lane.model.serviceClass === "best-effort") lane.turnMs = Math.max(lane.turnMs, this.turnMs)
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
    const least = this.least
    least.seq = this.sequence
    least.sloMs = lane.model.sloMs ?? Infinity
    least.deadlineMs = this.deadlineMs(Math.min(arrivedAtMs, nowMs), least.sloMs)
    if (lane.isIdle && lane.mayDoubt(nowMs, least)) return undefined
    const error = this.refusal(nowMs, lane, least)
    return error?._tag === "RequestDropped" ? error : undefined
  }

  /**
   * The edge of what `wouldRefuse` refuses, for processes that cannot ask it for every request. It holds until something changes: a request is
   * queued, a batch ends, a glet comes or goes. Nothing changes by asking.
   */
  admissionEdge(nowMs: number, name: ModelName): AdmissionEdge {
    const lane = this.lanes.model(name)
    if (lane === undefined || this.draining || lane.routes.length === 0) return noEdge
    const least = this.least
    least.seq = this.sequence
    least.sloMs = lane.model.sloMs ?? Infinity
    const limitMs = this.deadlineMs(0, least.sloMs)
    least.deadlineMs = nowMs + limitMs
    if (lane.queuedRequests >= this.options.maxQueued) {
      return { arrivedMs: Infinity, retryAfterMs: this.admission.predictedEndMs(nowMs, lane, least, lane.queuedItems) - nowMs }
    }
    if (limitMs === Infinity || !lane.hasReadyGlet) return noEdge
    const nowEdgeMs = this.readyMs(nowMs, lane, least) - limitMs
    if (nowEdgeMs > nowMs) return this.edgeOf(nowMs, lane, limitMs, nowEdgeMs)
    // One that arrives now is taken: the edge lies before. The more urgent a request, the fewer go before it, so its end falls in steps: down
    // from end to end, until a request just before is refused.
    for (let step = 0, edgeMs = nowEdgeMs; step < edgeSteps; step++) {
      least.deadlineMs = edgeMs - justBeforeMs + limitMs
      const readyMs = this.readyMs(nowMs, lane, least)
      if (readyMs > least.deadlineMs) return this.edgeOf(nowMs, lane, limitMs, edgeMs)
      edgeMs = readyMs - limitMs
    }
    return noEdge
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
    this.finish(nowMs, ticket, { ok: false, error: ticket.lane!.refusals.canceled })
  }

  /** The batch that a glet should start now, if any. */
  pull(nowMs: number, id: GletId): DispatchedBatch | undefined {
    const glet = this.lanes.glet(id)
    return glet === undefined ? undefined : this.pullFor(nowMs, glet)
  }

  /** The next batch that the arrival of requests of a model allows on any glet. */
  pullModel(nowMs: number, name: ModelName): DispatchedBatch | undefined {
    const lane = this.lanes.model(name)
    return lane === undefined ? undefined : this.pullLane(nowMs, lane) ?? (lane.fill === undefined ? undefined : this.pullLane(nowMs, lane.fill))
  }

  private pullLane(nowMs: number, lane: ModelLane): DispatchedBatch | undefined {
    if (lane.queuedRequests === 0) return undefined
    for (const route of lane.routes) {
      if (route.glet.running.length > 0) continue
      const batch = this.pullFor(nowMs, route.glet)
      if (batch !== undefined) return batch
    }
    if (lane.queuedItems < lane.leastFullBatch) return undefined
    for (const route of lane.routes) {
      if (route.glet.running.length === 0) continue
      const batch = this.pullFor(nowMs, route.glet)
      if (batch !== undefined) return batch
    }
    return undefined
  }

  /** A batch ended. */
  batchEnded(nowMs: number, batch: DispatchedBatch, end: BatchEnd): void {
    if (batch.abandoned) return
    const { glet, route } = batch
    const serviceMs = glet.finish(nowMs, batch)
    this.release(nowMs, batch)
    if (route.spec.bestEffort) route.lane.turnMs += (serviceMs - batch.typicalMs) / (route.lane.model.weight ?? 1)
    this.lanes.forgetGlet(glet)
    if (end.ok) {
      const executionMs = end.inputMs + end.inferMs + end.outputMs
      route.observe(nowMs, batch.items, executionMs, serviceMs)
      glet.observeOverhead(Math.max(0, serviceMs - executionMs))
      for (let i = 0; i < batch.tickets.length; i++) {
        const ticket = batch.tickets[i]!
        ticket.lane!.inFlightRequests -= 1
        ticket.times.startedMs = batch.startMs
        ticket.times.endedMs = nowMs
        this.finish(nowMs, ticket, ticket.canceled
          ? { ok: false, error: ticket.lane!.refusals.canceled }
          : {
            ok: true,
            result: {
              times: ticket.times,
              batchItems: batch.items,
              outputBindings: end.outputBindings?.[i] ?? noBindings,
              overflow: end.overflow?.[i]
            }
          })
      }
    } else if (end.error._tag === "BatchFailed") {
      const { detail } = end.error
      for (const ticket of batch.tickets) {
        if (batch.tickets.length > 1 && !ticket.canceled) ticket.alone = true
        this.again(nowMs, ticket, batch.tickets.length > 1, () => new ExecutionFailed({ model: batch.model.name, detail }))
      }
    } else {
      // Nothing more for it; `gletLost` tells when it will be back.
      glet.ready = false
      glet.backAtMs = nowMs
      this.abandon(nowMs, batch)
    }
    this.lanes.forget(route.lane)
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
      this.sweepLane(nowMs, lane)
      this.lanes.forget(lane)
    })
  }

  /** When `sweep` may have something to do; Infinity where nothing waits. */
  nextWakeMs(nowMs: number): number {
    let wakeMs = Infinity
    this.lanes.each((lane) => wakeMs = Math.min(wakeMs, this.wakeOf(nowMs, lane)))
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

  /** The same of those requests of a latency-critical model that were asked for as best-effort work; undefined where there were none. */
  fillCountersOf(name: ModelName): LaneState | undefined {
    return stateOf(this.lanes.model(name)?.fill)
  }

  private ticketOf(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void, lane: ModelLane | undefined): Ticket {
    const arrivedMs = request.arrivedAtMs !== undefined && request.arrivedAtMs <= nowMs ? request.arrivedAtMs : nowMs
    const limitMs = request.timeoutMs ?? lane?.model.sloMs ?? Infinity
    const deadlineMs = this.deadlineMs(arrivedMs, limitMs)
    const priority = request.priority !== undefined && request.priority >= 1 ? request.priority : defaultPriority
    return new Ticket(
      request, onEnd, lane, this.sequence++, priority, deadlineMs, limitMs,
      { arrivedMs, queuedMs: nowMs, batchClosedMs: 0, startedMs: 0, endedMs: 0 }
    )
  }

  private deadlineMs(arrivedMs: number, limitMs: number): number {
    return arrivedMs + limitMs - Math.min(this.options.answerMs, limitMs / 20)
  }

  /** Why a request cannot be queued now; undefined where it can. */
  private refusal(nowMs: number, lane: ModelLane, asked: Asked): RequestDropped | ModelUnavailable | undefined {
    if (lane.routes.length === 0) return this.unavailable(lane)
    if (lane.queuedRequests >= this.options.maxQueued) {
      return lane.refusals.dropped("queue-full", this.admission.predictedEndMs(nowMs, lane, asked, lane.queuedItems) - nowMs)
    }
    if (asked.deadlineMs === Infinity) return lane.earliestEndMs(nowMs, asked.items) === Infinity ? this.unavailable(lane) : undefined
    const readyMs = this.readyMs(nowMs, lane, asked)
    if (readyMs <= asked.deadlineMs) return undefined
    return lane.hasReadyGlet ? lane.refusals.dropped("deadline-unreachable", readyMs - asked.deadlineMs) : this.unavailable(lane)
  }

  /** When a request would be answered if it were queued now, and how far that can be trusted. */
  private readyMs(nowMs: number, lane: ModelLane, asked: Asked): number {
    const endMs = this.admission.predictedEndMs(nowMs, lane, asked, lane.itemsBefore(asked))
    // Where it can run at once there is no queue to be wrong about; and the margin could never be unlearnt if it closed an idle glet.
    return lane.isIdle ? endMs : endMs + lane.marginMs(asked.sloMs)
  }

  /** What an idle glet could make by its profile is never refused unasked. */
  private edgeOf(nowMs: number, lane: ModelLane, limitMs: number, edgeMs: number): AdmissionEdge {
    const arrivedMs = lane.isIdle ? Math.min(edgeMs, lane.profiledEndMs(nowMs, 1) - limitMs) : edgeMs
    return Number.isFinite(arrivedMs) ? { arrivedMs, retryAfterMs: 0 } : noEdge
  }

  private pullFor(nowMs: number, glet: GletLane): DispatchedBatch | undefined {
    if (!glet.ready || glet.isFull) return undefined
    const tickets = this.taken
    const route = this.forming.next(nowMs, glet, tickets)
    if (route === undefined) return undefined
    // The batch keeps them.
    this.taken = []
    const entries = new Array<InferRequest>(tickets.length)
    let items = 0
    for (let i = 0; i < tickets.length; i++) {
      const request = tickets[i]!.request
      entries[i] = request
      items += request.items
    }
    let deadlineMs = Infinity
    for (const ticket of tickets) deadlineMs = Math.min(deadlineMs, ticket.deadlineMs)
    const batch = new DispatchedBatch(
      ++this.batches, route.lane.served, entries, items, tickets, route, nowMs, route.safeMs(items), route.typicalMs(items), deadlineMs
    )
    for (const ticket of tickets) {
      ticket.batch = batch
      ticket.times.batchClosedMs = nowMs
    }
    route.lane.inFlightRequests += tickets.length
    glet.begin(batch)
    if (route.spec.bestEffort) this.intrude(nowMs, batch)
    return batch
  }

  /** A best-effort batch starts: it may delay others, and its model has had its turn. */
  private intrude(nowMs: number, { glet, predictedMs, route, typicalMs }: DispatchedBatch): void {
    for (const { glet: victim, perMs } of route.victims) victim.intrude(perMs * predictedMs)
    glet.bestEffortAtMs = nowMs
    const { lane } = route
    this.turnMs = Math.max(this.turnMs, lane.turnMs)
    lane.turnMs += typicalMs / (lane.model.weight ?? 1)
  }

  private release(nowMs: number, { glet, predictedMs, route }: DispatchedBatch): void {
    if (!route.spec.bestEffort) return
    for (const { glet: victim, perMs } of route.victims) victim.leave(perMs * predictedMs)
    glet.bestEffortAtMs = nowMs
  }


  private abandon(nowMs: number, batch: DispatchedBatch): void {
    batch.abandoned = true
    for (const ticket of batch.tickets) {
      ticket.attempts += 1
      this.again(nowMs, ticket, ticket.attempts < this.options.maxAttempts, () =>
        ticket.lane!.refusals.unavailable("glet-exited", `glet ${batch.glet.id}`))
    }
  }

  /** Queues a request that ran without an answer again, or ends it: canceled, not allowed, or too late. */
  private again(nowMs: number, ticket: Ticket, allowed: boolean, error: () => RequestError): void {
    const lane = ticket.lane!
    lane.inFlightRequests -= 1
    if (ticket.canceled) {
      this.finish(nowMs, ticket, { ok: false, error: ticket.lane!.refusals.canceled })
    } else if (allowed && lane.earliestEndMs(nowMs, ticket.request.items) <= ticket.deadlineMs) {
      ticket.batch = undefined
      lane.enqueue(ticket)
    } else {
      this.finish(nowMs, ticket, { ok: false, error: error() })
    }
  }

  private sweepLane(nowMs: number, lane: ModelLane): void {
    if (lane.queuedRequests === 0) return
    if (lane.routes.length > 0 && lane.earliestEndMs(nowMs, 1) <= lane.earliestDeadlineMs) return
    let earliestMs = Infinity
    for (const ticket of lane.queued()) {
      if (lane.routes.length === 0 || lane.earliestEndMs(nowMs, ticket.request.items) > ticket.deadlineMs) this.giveUp(nowMs, ticket)
      else if (ticket.deadlineMs < earliestMs) earliestMs = ticket.deadlineMs
    }
    lane.earliestDeadlineMs = earliestMs
  }

  private wakeOf(nowMs: number, lane: ModelLane): number {
    if (lane.queuedRequests === 0) return Infinity
    const latestMs = lane.earliestDeadlineMs - (lane.earliestEndMs(nowMs, 1) - nowMs)
    for (const { victims } of lane.routes) if (victims.length > 0) return Math.min(latestMs, nowMs + gateRetryMs)
    return latestMs
  }

  /** Ends a queued request that nothing can answer in time. */
  private giveUp(nowMs: number, ticket: Ticket): void {
    const lane = ticket.lane!
    lane.dequeue(ticket)
    if (lane.hasReadyGlet) this.drop(nowMs, ticket, "expired", lane.earliestEndMs(nowMs, ticket.request.items) - nowMs)
    else this.refuse(nowMs, ticket, this.unavailable(lane))
  }

  private drop(nowMs: number, ticket: Ticket, reason: DropReason, retryAfterMs: number): Ticket {
    return this.refuse(nowMs, ticket, ticket.lane!.refusals.dropped(reason, retryAfterMs))
  }

  private refuse(nowMs: number, ticket: Ticket, error: RequestError): Ticket {
    this.finish(nowMs, ticket, { ok: false, error })
    return ticket
  }

  private unavailable(lane: ModelLane): ModelUnavailable {
    const { detail, reason } = (lane.base ?? lane).unavailable
    return lane.routes.length === 0
      ? lane.refusals.unavailable(reason, detail)
      : lane.refusals.unavailable("glet-exited")
  }

  private finish(nowMs: number, ticket: Ticket, end: RequestEnd): void {
    ticket.end = end
    ticket.times.endedMs = nowMs
    this.ended.push(ticket)
    const counters = ticket.lane?.counters
    if (counters === undefined) return
    // A death says nothing of how well queueing is predicted.
    const died = ticket.attempts > 0 || (!end.ok && end.error._tag === "ModelUnavailable")
    if (ticket.admitted && !ticket.canceled && !died) ticket.lane!.learnMargin(end.ok && nowMs <= ticket.deadlineMs)
    // A client's own shorter limit is not what the bound is to keep.
    if (!died && ticket.sloMs >= (ticket.lane!.model.sloMs ?? Infinity)) {
      if (end.ok) ticket.lane!.bound.observe(nowMs, nowMs - ticket.times.arrivedMs <= ticket.sloMs)
      else if (end.error._tag === "RequestDropped") ticket.lane!.bound.observe(nowMs, false)
    }
    if (end.ok) {
      counters.answered += 1
      if (nowMs - ticket.times.arrivedMs <= ticket.sloMs) counters.withinSlo += 1
    } else if (end.error._tag === "RequestDropped") {
      counters.dropped[end.error.reason] += 1
    } else if (end.error._tag === "RequestCanceled") {
      counters.canceled += 1
    } else {
      counters.failed += 1
    }
  }
}
