/**
 * Forms the batch a glet asks for: of its models the one with the least laxity (the part of its SLO that its first request has left), unless that can wait for a full batch of another; of that the
 * largest batch whose predicted end keeps the earliest deadline in it and does not make another model's next request miss, where that can be
 * avoided. Where it would make one of several miss that wait for each other, and can itself wait for them, they go first.
 */
import type { BestEffortGate, GateState } from "../BestEffortGate.js"
import { mayFollow, mayHaveFollower } from "./following.js"
import type { Gathering } from "./gathering.js"
import type { GletLane, Queue, Route, Ticket } from "./graph.js"
import type { Lanes } from "./lanes.js"
import { laxityOf } from "./laxity.js"

/** Requests passed over, for a faster glet, before a slow one gives up looking in a queue. */
const passedOverLimit = 64

/**
 * Whether another glet of the model, or its successor after a death, may still answer in time; `behind`: behind what it runs, by prediction.
 */
const anotherCanMake = (nowMs: number, ticket: Ticket, here: GletLane, behind = false): boolean => {
  for (const route of ticket.lane!.routes) {
    const glet = route.glet
    if (glet === here) continue
    const free = behind ? glet.freeAtMs(nowMs) : Math.max(nowMs, glet.availableAtMs(nowMs))
    if (free + glet.overheadMs + route.typicalMs(ticket.request.items) <= ticket.deadlineMs) return true
  }
  return false
}

/**
 * Whether a part of a batch almost surely makes its deadline behind a full batch of another model. Then the full one goes first: the other grows
 * meanwhile, and the glet does more with its time. By laxity alone the model of the shortest SLO would take it in many small batches, even where
 * glets of its own could have served them.
 */
const canWaitFor = (startMs: number, full: Route, fullQueue: Queue, part: Route, partQueue: Queue): boolean => {
  if (partQueue.items >= part.steadyBatch) return false
  const fullMs = full.safeOverheadMs + full.safeMs(Math.min(fullQueue.items, full.batchLimit))
  return startMs + fullMs + part.safeOverheadMs + part.safeMs(partQueue.items) <= partQueue.head!.deadlineMs - part.sparedFrom(full)
}

interface Waiting {
  readonly route: Route
  readonly queue: Queue
}

export class BatchForming {
  private readonly passedOver: Array<Ticket> = []
  private readonly waiting: Array<Waiting> = []
  private readonly gateState: GateState

  /** `expire` takes a request that no glet can answer in time off its lane. */
  constructor(
    private readonly lanes: Pick<Lanes, "revision">, private readonly gate: BestEffortGate, private readonly gathering: Gathering,
    private readonly expire: (nowMs: number, ticket: Ticket) => void
  ) {
    this.gateState = {
      nowMs: 0, glet: "" as GateState["glet"], gpu: "" as GateState["gpu"], model: "" as GateState["model"],
      wanted: false, withinBoundMs: 0, withinSlackMs: 0, plannedMs: 0, waitedMs: 0
    }
  }

  /** Takes the next batch for `glet` off its queues into `taken`; answers its route, or undefined where nothing should start now. */
  next(nowMs: number, glet: GletLane, taken: Array<Ticket>): Route | undefined {
    if (glet.running.length > 0 && !mayHaveFollower(nowMs, glet)) return undefined
    const startMs = glet.freeAtMs(nowMs)
    // Before latency-critical work that waits the gate lets through only what would starve.
    const route = (this.mayStarve(glet) ? this.nextBestEffort(nowMs, startMs, glet, taken) : undefined)
      ?? this.nextCritical(nowMs, startMs, glet, taken) ?? this.nextBestEffort(nowMs, startMs, glet, taken)
    const { passedOver } = this
    if (passedOver.length > 0) {
      for (const ticket of passedOver) ticket.lane!.enqueue(ticket)
      passedOver.length = 0
    }
    return route
  }

  private nextCritical(nowMs: number, startMs: number, glet: GletLane, taken: Array<Ticket>): Route | undefined {
    let chosen: Route | undefined
    let chosenQueue: Queue | undefined
    let leastLaxity = Infinity
    let full: Route | undefined
    let fullQueue: Queue | undefined
    let fullLaxity = Infinity
    for (const route of glet.critical) {
      // From the end: a queue that becomes empty leaves its place to the last.
      for (let i = route.lane.queues.length - 1; i >= 0; i--) {
        const queue = route.lane.queues[i]!
        const head = this.headFor(nowMs, startMs, route, queue)
        if (head === undefined || this.gathering.holds(nowMs, route, queue, head)) continue
        const laxity = laxityOf(startMs, route.typicalMs(head.request.items), head.deadlineMs, head.sloMs)
        if (chosen === undefined || laxity < leastLaxity) {
          chosen = route
          chosenQueue = queue
          leastLaxity = laxity
        }
        if (queue.items >= route.steadyBatch && laxity < fullLaxity) {
          full = route
          fullQueue = queue
          fullLaxity = laxity
        }
      }
    }
    if (chosen === undefined || chosenQueue === undefined) return undefined
    if (full !== undefined && full !== chosen && canWaitFor(startMs, full, fullQueue!, chosen, chosenQueue)) {
      chosen = full
      chosenQueue = fullQueue!
    }
    if (glet.critical.length > 1) {
      const first = this.wouldMissBehind(nowMs, startMs, glet, chosen, chosenQueue.head!)
      if (first !== undefined) {
        chosen = first.route
        chosenQueue = first.queue
      }
    }
    return this.start(nowMs, startMs, glet, chosen, chosenQueue, taken, Infinity)
  }

  /**
   * The most urgent of the other models' first requests, where a batch of `chosen` would make some of them miss that could all be served before it, and it still
   * make its deadline then, or the glet owes the other its time. They are served one after the other, so each waits for those before it too.
   */
  private wouldMissBehind(nowMs: number, startMs: number, glet: GletLane, chosen: Route, head: Ticket): Waiting | undefined {
    const { waiting } = this
    waiting.length = 0
    const overheadMs = chosen.safeOverheadMs
    const ownMs = chosen.safeMs(head.request.items)
    // Most often all of them together are served before the first is due.
    let allMs = startMs + overheadMs + ownMs
    let soonestMs = Infinity
    for (const route of glet.critical) {
      if (route === chosen || route.lane.queuedItems === 0) continue
      for (const queue of route.lane.queues) {
        if (queue.head === undefined) continue
        allMs += route.safeMs(Math.min(queue.items, route.steadyBatch))
        if (queue.head.deadlineMs < soonestMs) soonestMs = queue.head.deadlineMs
      }
    }
    if (allMs <= soonestMs) return undefined
    for (const route of glet.critical) {
      if (route === chosen) continue
      for (const queue of route.lane.queues) {
        const { head: ticket } = queue
        if (ticket === undefined) continue
        let at = waiting.length
        while (at > 0 && waiting[at - 1]!.queue.head!.deadlineMs > ticket.deadlineMs) at -= 1
        waiting.splice(at, 0, { route, queue })
      }
    }
    let sumMs = 0
    let isHarmed = false
    for (const { queue, route } of waiting) {
      const ticket = queue.head!
      sumMs += route.safeMs(Math.min(queue.items, route.steadyBatch))
      const endMs = startMs + sumMs + overheadMs
      if (endMs > ticket.deadlineMs) break
      if (endMs + ownMs > ticket.deadlineMs) isHarmed = true
      if (isHarmed) return endMs + ownMs <= head.deadlineMs || waiting[0]!.route.isOwed(nowMs, chosen) ? waiting[0] : undefined
    }
    return undefined
  }

  /** Takes the batch, unless it would have to go behind one that runs and may not. */
  private start(
    nowMs: number, startMs: number, glet: GletLane, route: Route, queue: Queue, taken: Array<Ticket>, budgetMs: number
  ): Route | undefined {
    if (glet.running.length > 0 && !mayFollow(nowMs, startMs, route, queue)) return undefined
    this.take(nowMs, startMs, glet, route, queue, taken, budgetMs)
    return route
  }

  private mayStarve(glet: GletLane): boolean {
    if (glet.bestEffort.length === 0 || glet.critical.length === 0 || glet.running.length > 0) return false
    for (const { lane } of glet.bestEffort) if (lane.queuedItems > 0) return glet.isWanted
    return false
  }

  /** Of the models that the gate lets through the one that had least time for its weight. */
  private nextBestEffort(nowMs: number, startMs: number, glet: GletLane, taken: Array<Ticket>): Route | undefined {
    let chosen: Route | undefined
    let chosenQueue: Queue | undefined
    let chosenBudgetMs = 0
    let firstSeq = Infinity
    for (const route of glet.bestEffort) {
      const { turnMs } = route.lane
      if (chosen !== undefined && turnMs > chosen.lane.turnMs) continue
      for (let i = route.lane.queues.length - 1; i >= 0; i--) {
        const queue = route.lane.queues[i]!
        const head = this.headFor(nowMs, startMs, route, queue)
        if (head === undefined) continue
        if (chosen !== undefined && turnMs === chosen.lane.turnMs && head.seq >= firstSeq) continue
        const budgetMs = this.budgetMs(nowMs, glet, route, head)
        if (!(route.safeMs(head.request.items) <= budgetMs)) {
          if (budgetMs > 0 && route.doubtUnused(nowMs)) this.lanes.revision += 1
          continue
        }
        chosen = route
        chosenQueue = queue
        chosenBudgetMs = budgetMs
        firstSeq = head.seq
      }
    }
    if (chosen === undefined || chosenQueue === undefined) return undefined
    return this.start(nowMs, startMs, glet, chosen, chosenQueue, taken, chosenBudgetMs)
  }

  /** The first request of a queue that this glet can answer in time. Those before it are expired, or passed over for a faster glet. */
  private headFor(nowMs: number, startMs: number, route: Route, queue: Queue): Ticket | undefined {
    const passedOverBefore = this.passedOver.length
    for (;;) {
      const head = queue.head
      if (head === undefined) return undefined
      if (startMs + route.glet.overheadMs + route.typicalMs(head.request.items) <= head.deadlineMs) return head
      if (anotherCanMake(nowMs, head, route.glet)) {
        if (this.passedOver.length - passedOverBefore === passedOverLimit) return undefined
        route.lane.dequeue(head, queue)
        this.passedOver.push(head)
      } else if (startMs > nowMs && nowMs + route.glet.overheadMs + route.typicalMs(head.request.items) <= head.deadlineMs) {
        // Too late behind what runs by prediction; that may still end sooner.
        return undefined
      } else {
        this.lanes.revision += 1
        this.expire(nowMs, head)
      }
    }
  }

  /** How long a batch of this route may take by the gate, ms. */
  private budgetMs(nowMs: number, glet: GletLane, route: Route, head: Ticket): number {
    const state = this.gateState
    state.nowMs = nowMs
    state.glet = glet.id
    state.gpu = glet.gpu
    state.model = route.lane.model.name
    state.wanted = glet.isWanted
    state.withinBoundMs = Infinity
    state.withinSlackMs = Infinity
    for (const { givesWay, glet: victim, perMs } of route.victims) {
      state.withinBoundMs = Math.min(state.withinBoundMs, Math.max(0, victim.boundMs(nowMs) - victim.intrusionMs) / perMs)
      if (victim === glet) state.withinBoundMs = Math.min(state.withinBoundMs, glet.leftForBestEffortMs(nowMs))
      else if (givesWay && victim.isWanted) state.withinSlackMs = 0
      else state.withinSlackMs = Math.min(state.withinSlackMs, victim.runningSlackMs(nowMs) / perMs)
    }
    // The plan's slack is in the profile's milliseconds: where executions take longer here, what it allowed is a batch, not a time.
    state.plannedMs = route.spec.slackMs * Math.max(1, route.safeMs(1) / route.profiledMs(1)) * (1 + 1e-9)
    state.waitedMs = Math.max(0, nowMs - Math.max(glet.bestEffortAtMs, head.times.queuedMs))
    return this.gate.budgetMs(state)
  }

  /**
   * Latest end of a batch of `chosen` for which every other model's first request still makes its deadline, less what its plan spares, where it could at all. Of a model
   * that loses requests while this one loses none also the request that comes right after the batch began: where executions take longer than planned, batches of the
   * planned size may leave a short objective no time.
   */
  private latestForOthersMs(nowMs: number, startMs: number, glet: GletLane, chosen: Route, head: Ticket, budgetMs: number): number {
    let latest = startMs + chosen.safeOverheadMs + budgetMs
    if (glet.critical.length < 2) return latest
    const soonestMs = startMs + chosen.safeMs(head.request.items)
    for (const other of glet.critical) {
      if (other === chosen) continue
      if (other.losesTo(nowMs, chosen)) {
        const mustEndMs = startMs + (other.lane.model.sloMs ?? Infinity) - other.safeOverheadMs - other.typicalMs(other.fullBatch)
        if (mustEndMs >= soonestMs && mustEndMs < latest) latest = mustEndMs
      }
      for (const queue of other.lane.queues) {
        const waiting = queue.head
        if (waiting === undefined) continue
        const mustEndMs = waiting.deadlineMs - other.sparedFrom(chosen) - other.safeOverheadMs - other.safeMs(waiting.request.items)
        if (mustEndMs >= soonestMs && mustEndMs < latest) latest = mustEndMs
      }
    }
    return latest
  }

  private take(
    nowMs: number, startMs: number, glet: GletLane, route: Route, queue: Queue, taken: Array<Ticket>, budgetMs: number
  ): void {
    const beginMs = startMs + route.safeOverheadMs
    const othersMs = this.latestForOthersMs(nowMs, startMs, glet, route, queue.head!, budgetMs) - beginMs
    for (;;) {
      const first = queue.head!
      const items = this.fill(beginMs, othersMs, route, queue, taken)
      const next = queue.head
      if (next === undefined || this.passedOver.length >= passedOverLimit || !this.isTooSmall(beginMs, othersMs, route, queue, first, next, items)) return
      for (const ticket of taken) route.lane.enqueue(ticket)
      taken.length = 0
      if (anotherCanMake(nowMs, first, glet, true)) {
        route.lane.dequeue(first, queue)
        this.passedOver.push(first)
      } else {
        this.expire(nowMs, first)
      }
    }
  }

  /**
   * Whether the first request's deadline keeps the batch so small that those behind it would miss theirs. Under a standing load this feeds on
   * itself: small batches carry less, so more come too late, so batches become smaller still. The one request is left to another glet that will be
   * free in time, or else given up for the many.
   */
  private isTooSmall(
    beginMs: number, othersMs: number, route: Route, queue: Queue, first: Ticket, next: Ticket, items: number
  ): boolean {
    const wanted = Math.min(route.steadyBatch, items + queue.items)
    if (items >= wanted || first.deadlineMs - beginMs >= Math.min(othersMs, route.safeMs(wanted)) || next.priority !== first.priority || first.alone) {
      return false
    }
    return beginMs + route.typicalMs(items) + route.safeMs(Math.min(route.steadyBatch, queue.items)) > next.deadlineMs
  }

  /** Moves what one batch can take from the queue to `taken`, the first request in any case; answers its items. */
  private fill(beginMs: number, othersMs: number, route: Route, queue: Queue, taken: Array<Ticket>): number {
    let limit = Math.min(route.batchLimit, queue.items)
    let budgetMs = Infinity
    let items = 0
    for (;;) {
      const ticket = queue.head
      if (ticket === undefined) return items
      const together = items + ticket.request.items
      if (items > 0 && ticket.alone) return items
      // Requests of lower priority may have earlier deadlines.
      const allowedMs = Math.min(ticket.deadlineMs - beginMs, othersMs)
      if (allowedMs < budgetMs) {
        budgetMs = allowedMs
        limit = route.batchWithin(budgetMs, limit)
      }
      if (items > 0 && together > limit) return items
      route.lane.dequeue(ticket, queue)
      taken.push(ticket)
      items = together
      if (ticket.alone) return items
    }
  }
}
