/** A model as the dispatcher sees it: its queues, its routes, its counters. */
import type { Model } from "../../core/Model.js"
import type { DropReason, UnavailableReason } from "../../core/RequestError.js"
import type { DelayBoundOptions } from "../DelayBound.js"
import { DelayBound } from "../DelayBound.js"
import { Refusals } from "./refusals.js"
import type { Asked, Queueable } from "./requestQueue.js"
import { goesBefore, RequestQueue } from "./requestQueue.js"

/** Requests counted since the model was registered. */
export interface LaneCounters {
  /** Items offered, refused ones included: what the rate is estimated from. Not whole where requests were refused unread. */
  arrivedItems: number
  /** The same items, each counted as often as its request has items: over `arrivedItems`, how many come at once. */
  arrivedTogether: number
  answered: number
  withinSlo: number
  failed: number
  canceled: number
  readonly dropped: Record<DropReason, number>
}

const keyOf = (bindings: ReadonlyArray<number>): string => (bindings.length === 0 ? "" : bindings.join(","))

/** Weight of one request in the means of items and of their squares. */
const itemsWeight = 1 / 64
const missedPart = 0.01
const marginStep = 0.01
const largestMargin = 1 / 3

/** Sets of bindings whose queue is kept though nobody waits there: such as come again and again. */
const keptQueues = 64

/** How long the bound on gathering stays as computed, ms. */
const gatheringRefreshMs = 5

const asBestEffort = ({ sloMs: _, ...model }: Model): Model => ({ ...model, serviceClass: "best-effort" })

/** What a model's lane asks of the routes that lead from it. */
interface RouteOfLane {
  readonly glet: { readonly ready: boolean; readonly running: { readonly length: number }; readonly availableAtMs: (nowMs: number) => number; readonly boundMs: (nowMs: number) => number }
  readonly typicalMs: (items: number) => number
  readonly profiledMs: (items: number) => number
  readonly doubt: () => void
}

/** What it asks of the requests that wait in it. */
interface TicketOfLane extends Queueable {
  readonly request: { readonly bindings: ReadonlyArray<number> }
}

export class ModelLaneOf<R extends RouteOfLane, T extends TicketOfLane> {
  /** Queues with requests, one per set of bindings. The queue of no bindings stays when it is empty. */
  readonly queues: Array<RequestQueue<T>> = []
  routes: ReadonlyArray<R> = []
  /** Of best-effort work: items in a queue beyond which further ones change nothing. */
  enoughItems = Infinity
  queuedItems = 0
  queuedRequests = 0
  inFlightRequests = 0
  /** At most the earliest deadline of its queued requests. */
  earliestDeadlineMs = Infinity
  /** The part of a request's limit that admission keeps free before its deadline, besides its prediction, where whole batches of its model go before it. */
  private margin = 0
  /** The last place in its order that was given to a request since the queue was empty: who comes after it need not look for a place. */
  private last: T | undefined = undefined
  /** The free glet that its requests wait for, as of a time. */
  first: R | undefined = undefined
  firstAtMs = -Infinity
  private gatheringBoundMs = Infinity
  private gatheringAtMs = -Infinity
  /** When a request of it was last dropped. */
  lostAtMs = -Infinity
  /** Why there are no routes. */
  unavailable: { readonly reason: UnavailableReason; readonly detail: string } = { reason: "no-glet", detail: "" }
  readonly counters: LaneCounters = {
    arrivedItems: 0, arrivedTogether: 0, answered: 0, withinSlo: 0, failed: 0, canceled: 0,
    dropped: { "queue-full": 0, "deadline-unreachable": 0, expired: 0, "memory-full": 0 }
  }
  /** Also of bindings that nobody waits with now. */
  private readonly byKey = new Map<string, RequestQueue<T>>()
  private meanItems = 1
  private meanSquare = 1

  readonly refusals: Refusals
  /** By how much best-effort work may delay it, if it is latency-critical. */
  readonly bound: DelayBound
  /** Best-effort: glet time it was given over its weight, ms; who has least is next. */
  turnMs = 0

  /** Of a latency-critical model: its requests that are asked for as best-effort work, once there was one. */
  fill: ModelLaneOf<R, T> | undefined = undefined

  /** `base`: the lane of the same model whose best-effort requests these are; `model` is then the best-effort model that it would be. */
  constructor(public model: Model, private readonly options: DelayBoundOptions, readonly base?: ModelLaneOf<R, T>) {
    this.refusals = new Refusals(model.name)
    this.bound = new DelayBound(options)
  }

  /** The model as it was registered. */
  get served(): Model {
    return this.base?.model ?? this.model
  }

  /** Another objective or class; or none, for requests that are asked for so. */
  amend(model: Model): void {
    this.model = model
    if (this.fill !== undefined) this.fill.model = asBestEffort(model)
  }

  /** The lane for requests that are asked for as best-effort work. It has no routes yet. */
  makeFill(): ModelLaneOf<R, T> {
    return this.fill = new ModelLaneOf<R, T>(asBestEffort(this.model), this.options, this)
  }

  get isBusy(): boolean {
    return this.queuedRequests + this.inFlightRequests > 0 || this.fill?.isBusy === true
  }

  /** By how much best-effort work may delay it, ms; Infinity where it has no SLO. */
  boundMs(nowMs: number): number {
    const { sloMs } = this.model
    return sloMs === undefined ? Infinity : this.bound.fraction(nowMs) * sloMs
  }

  /** How long its requests may gather, ms: by what the models on its glets can bear, each of which may have to wait for the larger batches. */
  gatheringMs(nowMs: number): number {
    if (nowMs - this.gatheringAtMs >= gatheringRefreshMs) {
      this.gatheringAtMs = nowMs
      this.gatheringBoundMs = Infinity
      for (const { glet } of this.routes) this.gatheringBoundMs = Math.min(this.gatheringBoundMs, glet.boundMs(nowMs))
    }
    return this.gatheringBoundMs
  }

  /** Counts a request that was offered. */
  countArrival(items: number): void {
    const square = items * items
    this.counters.arrivedItems += items
    this.counters.arrivedTogether += square
    this.meanItems += itemsWeight * (items - this.meanItems)
    this.meanSquare += itemsWeight * (square - this.meanSquare)
  }

  /** Counts a request that nobody read as what requests of this model are on average: the rate must not depend on how they are refused. */
  countUnreadArrival(): void {
    this.counters.arrivedItems += this.meanItems
    this.counters.arrivedTogether += this.meanSquare
  }

  /** Counts a request that was dropped. */
  countDrop(nowMs: number, reason: DropReason): void {
    this.counters.dropped[reason] += 1
    this.lostAtMs = nowMs
  }

  /** Answers the queue in which it waits. */
  enqueue(ticket: T): RequestQueue<T> {
    const key = keyOf(ticket.request.bindings)
    let queue = this.byKey.get(key)
    if (queue === undefined) {
      queue = new RequestQueue<T>(key)
      this.byKey.set(key, queue)
      this.queues.push(queue)
    } else if (queue.heap.length === 0 && key !== "") {
      this.queues.push(queue)
    }
    queue.push(ticket)
    this.queuedItems += ticket.items
    this.queuedRequests += 1
    if (ticket.deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = ticket.deadlineMs
    if (this.last === undefined || !goesBefore(ticket, this.last)) this.last = ticket
    return queue
  }

  dequeue(ticket: T, queue = this.byKey.get(keyOf(ticket.request.bindings))!): void {
    queue.remove(ticket)
    this.queuedItems -= ticket.items
    this.queuedRequests -= 1
    if (this.queuedRequests === 0) {
      this.earliestDeadlineMs = Infinity
      this.last = undefined
    }
    if (queue.heap.length === 0 && queue.key !== "") {
      // Mostly the same come again; a Map that is filled and emptied all the time keeps the collector busy (link/numbered.ts).
      if (this.byKey.size > keptQueues) this.byKey.delete(queue.key)
      this.queues[this.queues.indexOf(queue)] = this.queues[this.queues.length - 1]!
      this.queues.pop()
    }
  }

  /**
   * Learns from the end of an admitted request how far admission's predictions can be trusted: the margin settles where one in a hundred
   * misses its deadline, and at nothing where none does.
   */
  learnMargin(made: boolean): void {
    if (this.model.sloMs === undefined) return
    const margin = made ? this.margin - marginStep * missedPart : this.margin + marginStep * (1 - missedPart)
    this.margin = Math.min(Math.max(margin, 0), largestMargin)
  }

  /** The margin of a request of this limit, in ms. In proportion: requests whose limit is far below the SLO must stay possible. */
  marginMs(limitMs: number): number {
    return this.margin * Math.min(limitMs, this.model.sloMs ?? Infinity)
  }

  /** Items of queued requests that would run before this one. */
  itemsBefore(asked: Asked): number {
    if (this.last === undefined || goesBefore(this.last, asked)) return this.queuedItems
    let items = 0
    for (const queue of this.queues) items += queue.itemsBefore(asked)
    return items
  }

  /** Every queued request, in no order. */
  queued(): Array<T> {
    return this.queues.flatMap((queue) => queue.heap)
  }

  /** When an execution begun now, or when a glet is back, would end at best; Infinity where none is to come back. */
  earliestEndMs(nowMs: number, items: number): number {
    let best = Infinity
    for (const route of this.routes) {
      const end = Math.max(nowMs, route.glet.availableAtMs(nowMs)) + route.typicalMs(items)
      if (end < best) best = end
    }
    return best
  }

  /** A request was refused by idle glets because of what they measured: that counts less from now, or it could never be measured again. */
  doubt(nowMs: number, asked: Asked): void {
    for (const route of this.routes) if (this.couldMake(nowMs, asked, route)) route.doubt()
  }

  /** Whether refusing this request would be for `doubt` to learn from. */
  mayDoubt(nowMs: number, { deadlineMs, items }: Asked): boolean {
    return this.profiledEndMs(nowMs, items) <= deadlineMs
  }

  /** When an execution begun now would end by its profile; Infinity where no glet is ready. */
  profiledEndMs(nowMs: number, items: number): number {
    let best = Infinity
    for (const route of this.routes) if (route.glet.ready) best = Math.min(best, nowMs + route.profiledMs(items))
    return best
  }

  /** By its profile. */
  private couldMake(nowMs: number, { deadlineMs, items }: Asked, route: R): boolean {
    return route.glet.ready && nowMs + route.profiledMs(items) <= deadlineMs
  }

  /** Nothing waits and a glet is free: a request would run at once. */
  get isIdle(): boolean {
    return this.queuedRequests === 0 && this.hasIdleGlet
  }

  private get hasIdleGlet(): boolean {
    for (const route of this.routes) if (route.glet.ready && route.glet.running.length === 0) return true
    return false
  }

  get hasReadyGlet(): boolean {
    for (const route of this.routes) if (route.glet.ready) return true
    return false
  }
}
