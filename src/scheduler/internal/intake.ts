/** What is decided of a request when it comes: whose it is, until when it must be answered, whether it may wait; and of one that its client gives up. */
import type { Model } from "../../core/Model.js"
import type { ModelName } from "../../core/Ids.js"
import type { InferRequest, RequestEnd } from "../../core/Request.js"
import type { RequestDropped } from "../../core/RequestError.js"
import { InvalidRequest, ModelNotFound } from "../../core/RequestError.js"
import type { Admission, AdmissionEdge } from "./admission.js"
import type { BestEffortTurns } from "./bestEffortTurns.js"
import type { DispatchedBatch, ModelLane, Ticket } from "./graph.js"
import type { Lanes } from "./lanes.js"
import type { RequestEnds } from "./requestEnds.js"
import { defaultPriority, TicketOf } from "./ticket.js"

interface IntakeParts {
  readonly lanes: Lanes
  readonly ends: RequestEnds
  readonly admission: Admission
  readonly turns: BestEffortTurns
}

export class Intake {
  private draining = false
  private sequence = 0

  constructor(private readonly parts: IntakeParts) {}

  drain(): void {
    this.draining = true
  }

  offer(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void): Ticket {
    const { admission, ends, lanes, turns } = this.parts
    const lane = this.laneFor(request)
    const ticket = this.ticketOf(nowMs, request, onEnd, lane)
    if (lane === undefined) return ends.refuse(nowMs, ticket, new ModelNotFound({ model: request.model }))
    const { items } = request
    if (!(Number.isInteger(items) && items >= 1 && items <= lane.model.maxBatch)) {
      return ends.refuse(nowMs, ticket, new InvalidRequest({
        field: "items", problem: `${items} items in one request; model "${lane.model.name}" takes 1 to ${lane.model.maxBatch}`
      }))
    }
    if (this.draining) return ends.refuse(nowMs, ticket, lane.refusals.unavailable("draining"))
    lane.countArrival(items)
    const error = admission.refusal(nowMs, lane, ticket)
    if (error !== undefined) {
      lanes.revision += 1
      if (error._tag === "RequestDropped" && error.reason === "deadline-unreachable" && lane.isIdle) lane.doubt(nowMs, ticket)
      return ends.refuse(nowMs, ticket, error)
    }
    ticket.admitted = true
    if (lane.queuedRequests === 0) turns.join(lane)
    const queue = lane.enqueue(ticket)
    // One more of many that wait for the gate, and for whom nobody waits, changes nothing.
    if (ticket.heapIndex === 0 || ticket.deadlineMs !== Infinity || queue.items - ticket.items < lane.enoughItems) lanes.revision += 1
    return ticket
  }

  wouldRefuse(nowMs: number, name: ModelName, arrivedAtMs: number): RequestDropped | undefined {
    const lane = this.parts.lanes.model(name)
    if (lane === undefined || this.draining) return undefined
    return this.parts.admission.wouldDrop(nowMs, lane, this.sequence, arrivedAtMs)
  }

  edge(nowMs: number, name: ModelName): AdmissionEdge {
    return this.parts.admission.edge(nowMs, this.draining ? undefined : this.parts.lanes.model(name), this.sequence)
  }

  refusedUnread(nowMs: number, name: ModelName, { reason }: RequestDropped): Model | undefined {
    const lane = this.parts.lanes.model(name)
    if (lane === undefined) return undefined
    this.parts.lanes.revision += 1
    lane.countUnreadArrival()
    lane.countDrop(nowMs, reason)
    lane.bound.observe(nowMs, false)
    return lane.model
  }

  cancel(nowMs: number, ticket: Ticket): void {
    if (ticket.end !== undefined || ticket.canceled) return
    this.parts.lanes.revision += 1
    ticket.canceled = true
    if (ticket.heapIndex < 0) return
    ticket.lane!.dequeue(ticket)
    this.parts.ends.cancel(nowMs, ticket)
  }

  private laneFor({ model, serviceClass }: InferRequest): ModelLane | undefined {
    const { lanes } = this.parts
    const lane = lanes.model(model)
    return lane === undefined || serviceClass === undefined || lane.model.serviceClass === serviceClass ? lane : lanes.fillOf(lane)
  }

  private ticketOf(nowMs: number, request: InferRequest, onEnd: (end: RequestEnd) => void, lane: ModelLane | undefined): Ticket {
    const arrivedMs = request.arrivedAtMs !== undefined && request.arrivedAtMs <= nowMs ? request.arrivedAtMs : nowMs
    const limitMs = request.timeoutMs ?? lane?.model.sloMs ?? Infinity
    const deadlineMs = this.parts.admission.deadlineMs(arrivedMs, limitMs)
    const priority = request.priority !== undefined && request.priority >= 1 ? request.priority : defaultPriority
    return new TicketOf<ModelLane, DispatchedBatch>(
      request, onEnd, lane, this.sequence++, priority, deadlineMs, limitMs,
      { arrivedMs, queuedMs: nowMs, batchClosedMs: 0, startedMs: 0, endedMs: 0 }
    )
  }
}
