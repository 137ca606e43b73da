/**
 * Who asks in a simulation, and what became of what they asked: loads with their arrivals, clients that ask again, applications whose steps wait for each
 * other.
 */
import type { ModelName } from "../../core/Ids.js"
import type { Dispatcher } from "../../scheduler/Dispatcher.js"
import type { DispatchedBatch, Ticket } from "../../scheduler/internal/graph.js"
import type { SimulationInput } from "../SimulationInput.js"
import type { TimelineRecorder } from "../Timeline.js"
import type { EventQueue } from "./eventQueue.js"
import { EventKind } from "./eventQueue.js"
import type { RunApplication } from "./requests.js"
import { ApplicationRequest, isModel, runApplication, SimulatedRequest } from "./requests.js"
import type { EndReason } from "./statistics.js"
import { reasonOf, StreamStatistics } from "./statistics.js"

/** A closed loop whose request was refused asks again no sooner, ms. */
const refusedPauseMs = 1

const ignore = (): void => {}

export class Clients {
  /** Requests so far, those of steps left out. */
  arrivals = 0
  /** By model. */
  readonly statistics: ReadonlyArray<StreamStatistics>
  readonly applications: ReadonlyArray<RunApplication>
  /** By load: what it asks for, each time the same. */
  private readonly requests: ReadonlyArray<SimulatedRequest | RunApplication>
  private nowMs = 0
  private isOver = false

  /** `onQueued`: a request was queued. */
  constructor(
    private readonly input: SimulationInput, private readonly dispatcher: Dispatcher, private readonly events: EventQueue,
    private readonly timeline: TimelineRecorder, private readonly onQueued: (model: ModelName) => void
  ) {
    const { loads, models } = input
    const indexOf = new Map<ModelName, number>(models.map(({ name }, index) => [name, index]))
    this.statistics = models.map((model) => new StreamStatistics(model.sloMs ?? Infinity))
    const applications = new Map(loads.flatMap(({ target }) => (isModel(target) ? [] : [target])).map((application) => [
      application, runApplication(application, new StreamStatistics(application.sloMs), (model) => indexOf.get(model)!)
    ]))
    this.applications = [...applications.values()]
    this.requests = loads.map(({ items, target }, load) =>
      isModel(target) ? new SimulatedRequest(target, indexOf.get(target)!, load, undefined, 0, undefined, items) : applications.get(target)!)
  }

  /** The first arrivals of all. */
  begin(): void {
    this.input.loads.forEach((load, index) => {
      if (load.kind === "open") this.scheduleArrival(index)
      else for (let client = 0; client < load.clients; client++) this.events.add(load.thinkMs * (client / load.clients), EventKind.arrival, index)
    })
  }

  /** A load's next request, or one of its clients', comes. */
  arrive(nowMs: number, load: number): void {
    this.nowMs = nowMs
    this.scheduleArrival(load)
    const request = this.requests[load]!
    this.arrivals += 1
    if (request instanceof SimulatedRequest) {
      this.offer(request)
      return
    }
    if (this.isCounted(this.nowMs)) request.statistics.offered += 1
    const whole = new ApplicationRequest(request, load, this.nowMs)
    for (const step of request.first) this.offerStep(whole, step)
  }

  /** Takes in what the dispatcher says has ended. Steps that follow are offered at once, and may end at once. */
  account(nowMs: number): void {
    this.nowMs = nowMs
    const { ended } = this.dispatcher
    for (let i = 0; i < ended.length; i++) this.ended(ended[i]!)
    ended.length = 0
  }

  /** Time is up: what the dispatcher gives up and what still runs has not ended. */
  abandon(nowMs: number, running: Iterable<DispatchedBatch>): void {
    this.isOver = true
    this.account(nowMs)
    for (const batch of running) {
      for (const { request, times } of batch.tickets) {
        const { modelIndex, whole } = request as SimulatedRequest
        if (this.isCounted(times.arrivedMs)) this.statistics[modelIndex]!.notAnswered("unfinished")
        if (whole !== undefined) this.wholeEnded(whole, "unfinished")
      }
    }
  }

  private scheduleArrival(load: number): void {
    const source = this.input.loads[load]!
    if (source.kind !== "open") return
    const atMs = source.arrivals()
    if (atMs < this.input.durationMs) this.events.add(atMs, EventKind.arrival, load)
  }

  private offerStep(whole: ApplicationRequest, step: number): void {
    const { application, models } = whole.run
    const model = this.input.models[models[step]!]!
    const leftMs = whole.arrivedMs + application.sloMs - this.nowMs
    // The step's own limit, within what is left of the whole's.
    const limitMs = Math.max(0, Math.min(model.sloMs ?? Infinity, leftMs))
    this.offer(new SimulatedRequest(model.name, models[step]!, whole.load, whole, step, Number.isFinite(limitMs) ? limitMs : undefined))
  }

  private offer(request: SimulatedRequest): void {
    const { dispatcher, nowMs, onQueued, timeline } = this
    timeline.arrived(nowMs, request.modelIndex)
    if (this.isCounted(nowMs)) this.statistics[request.modelIndex]!.offered += 1
    const ticket = dispatcher.offer(nowMs, request, ignore)
    if (ticket.end === undefined) onQueued(request.model)
  }

  private ended(ticket: Ticket): void {
    const request = ticket.request as SimulatedRequest
    const end = ticket.end!
    const { arrivedMs } = ticket.times
    const statistics = this.statistics[request.modelIndex]!
    const isCounted = this.isCounted(arrivedMs)
    let isGood = false
    if (end.ok) {
      const latencyMs = ticket.times.endedMs - arrivedMs
      isGood = latencyMs <= statistics.sloMs
      if (isCounted) statistics.answered(latencyMs)
    } else if (isCounted) {
      statistics.notAnswered(this.isOver ? "unfinished" : reasonOf(end.error))
    }
    this.timeline.ended(this.nowMs, request.modelIndex, isGood)
    this.input.onRequestEnd?.(request.model, arrivedMs, ticket.times.endedMs, end.ok)
    if (request.whole !== undefined) this.stepEnded(request.whole, request.step, end.ok)
    else this.askAgain(request.load, end.ok)
  }

  private stepEnded(whole: ApplicationRequest, step: number, ok: boolean): void {
    if (!ok) return this.wholeEnded(whole, this.isOver ? "unfinished" : "step-failed")
    whole.left -= 1
    if (whole.left === 0) return this.wholeEnded(whole, undefined)
    for (const next of whole.run.followers[step]!) {
      whole.waiting[next]! -= 1
      if (whole.waiting[next] === 0 && !whole.ended) this.offerStep(whole, next)
    }
  }

  private wholeEnded(whole: ApplicationRequest, reason: EndReason | undefined): void {
    if (whole.ended) return
    whole.ended = true
    if (this.isCounted(whole.arrivedMs)) {
      if (reason === undefined) whole.run.statistics.answered(this.nowMs - whole.arrivedMs)
      else whole.run.statistics.notAnswered(reason)
    }
    this.askAgain(whole.load, reason === undefined)
  }

  /** The next request of a closed loop's client. */
  private askAgain(load: number, ok: boolean): void {
    const source = this.input.loads[load]!
    if (source.kind !== "closed") return
    const atMs = this.nowMs + (ok ? source.thinkMs : Math.max(refusedPauseMs, source.thinkMs))
    if (atMs < this.input.durationMs) this.events.add(atMs, EventKind.arrival, load)
  }

  private isCounted(arrivedMs: number): boolean {
    return arrivedMs >= this.input.warmUpMs
  }
}
