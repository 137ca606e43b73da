/**
 * A discrete-event simulation of one host: the online service's own dispatcher, planner, rate estimate and policies, with simulated clients,
 * glets and time.
 *
 * What is simulated: arrivals; one execution at a time per glet, drawn from the profile's distribution and slowed down by what runs beside it
 * when it begins; best-effort batches that give way (`Gpu.preemptMs`); batches in flight; the way to the glet and back; the time to open, load and
 * warm up glets; deaths and restarts. What is not: the cost of the agent's own thread, and the slow-down that loading causes.
 *
 * Deterministic: the same input gives the same report, to the byte. Memory does not grow with the number of requests.
 *
 * @since 0.1.0
 */
import type { BatchEnd } from "../core/Executor.js"
import type { ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { DispatchedBatch } from "../scheduler/DispatchedBatch.js"
import { Dispatcher } from "../scheduler/Dispatcher.js"
import { sweepDelayMs } from "../scheduler/internal/sweepDelay.js"
import type { Ticket } from "../scheduler/internal/graph.js"
import { EventKind, EventQueue } from "./internal/eventQueue.js"
import { Fleet } from "./internal/fleet.js"
import { Planning } from "./internal/planning.js"
import { reportOf } from "./internal/report.js"
import type { RunApplication } from "./internal/requests.js"
import { ApplicationRequest, isModel, runApplication, SimulatedRequest } from "./internal/requests.js"
import type { SimulatedGlet } from "./internal/simulatedGlet.js"
import type { EndReason } from "./internal/statistics.js"
import { reasonOf, StreamStatistics } from "./internal/statistics.js"
import type { SimulationInput } from "./SimulationInput.js"
import type { SimulationReport } from "./SimulationReport.js"
import { TimelineRecorder } from "./Timeline.js"

/** Requests that no rule ends wait at most so long after the last arrival, ms. */
const drainMs = 60_000
/** A closed loop whose request was refused asks again no sooner, ms. */
const refusedPauseMs = 1

const ignore = (): void => {}
class Simulation {
  private nowMs = 0
  private readonly events = new EventQueue()
  private readonly dispatcher: Dispatcher
  private readonly fleet: Fleet
  private readonly planning: Planning
  private readonly models: ReadonlyArray<Model>
  private readonly indexOf: ReadonlyMap<ModelName, number>
  private readonly statistics: ReadonlyArray<StreamStatistics>
  private readonly applications: ReadonlyArray<RunApplication>
  /** By load: what it asks for, each time the same. */
  private readonly requests: ReadonlyArray<SimulatedRequest | RunApplication>
  private readonly timeline: TimelineRecorder
  private readonly sampledMs: Float64Array
  private sweepDue = false
  /** When requests that gather are looked at next. */
  private gatheredAtMs = Infinity
  private isOver = false
  private arrivals = 0
  private batches = 0

  constructor(private readonly input: SimulationInput) {
    const { durationMs, gpus, models } = input
    this.models = models
    this.indexOf = new Map(models.map(({ name }, index) => [name, index]))
    this.statistics = models.map((model) => new StreamStatistics(model.sloMs ?? Infinity))
    const applications = new Map(input.loads.flatMap(({ target }) => (isModel(target) ? [] : [target])).map((application) => [
      application, runApplication(application, new StreamStatistics(application.sloMs), (model) => this.indexOf.get(model)!)
    ]))
    this.applications = [...applications.values()]
    this.requests = input.loads.map(({ target }, load) =>
      isModel(target) ? new SimulatedRequest(target, this.indexOf.get(target)!, load, undefined, 0, undefined) : applications.get(target)!)
    this.timeline = new TimelineRecorder(
      models.map(({ name }) => name), gpus.map(({ id }) => id), durationMs, input.window ?? { fromMs: 0, toMs: 0 }
    )
    this.sampledMs = new Float64Array(gpus.length)
    this.dispatcher = new Dispatcher({ ...input.dispatcher, overheadMs: input.costs.overheadMs })
    this.fleet = new Fleet(input, this.dispatcher, this.events)
    this.planning = new Planning(input, this.dispatcher, this.fleet, this.events)
  }

  run(): SimulationReport {
    const { durationMs, loads } = this.input
    const { dispatcher, events } = this
    for (const model of this.models) dispatcher.setModel(model)
    this.planning.start()
    loads.forEach((load, index) => {
      if (load.kind === "open") this.scheduleArrival(index)
      else for (let client = 0; client < load.clients; client++) events.add(load.thinkMs * (client / load.clients), EventKind.arrival, index)
    })
    this.input.failures.forEach(({ atMs }, index) => events.add(atMs, EventKind.failure, index))
    if (this.input.replans) events.add(this.input.controlMs, EventKind.control, 0)
    events.add(this.timeline.intervalMs, EventKind.sample, 0)
    while (events.next()) {
      if (events.timeMs > durationMs && (dispatcher.view.pending === 0 || events.timeMs > durationMs + drainMs)) break
      this.nowMs = events.timeMs
      this.handle(events.kind, events.subject)
      if (dispatcher.ended.length > 0) this.account()
    }
    this.nowMs = Math.max(durationMs, this.nowMs)
    this.abandon()
    return this.report()
  }

  private handle(kind: EventKind, subject: number): void {
    const { nowMs } = this
    switch (kind) {
      case EventKind.arrival:
        this.arrive(subject)
        return
      case EventKind.batchEnd: {
        const glet = this.fleet.eventOf(subject)
        if (glet !== undefined) this.batchEnded(glet)
        return
      }
      case EventKind.gletTurn:
        this.fleet.eventOf(subject)?.turn(nowMs)
        return
      case EventKind.sweep:
        this.sweepDue = false
        this.sweep()
        return
      case EventKind.gathered:
        // An earlier one came between.
        if (nowMs < this.gatheredAtMs) return
        this.gatheredAtMs = Infinity
        this.startGathered()
        return
      case EventKind.control:
        this.planning.look(nowMs)
        if (nowMs + this.input.controlMs <= this.input.durationMs) this.events.add(nowMs + this.input.controlMs, EventKind.control, 0)
        return
      case EventKind.planned:
        this.planning.carryOut(nowMs)
        return
      case EventKind.switch:
        if (this.planning.switchOver(nowMs)) this.sweep()
        return
      case EventKind.gletReady: {
        const glet = this.fleet.eventOf(subject)
        if (glet === undefined || !this.fleet.opened(nowMs, glet)) return
        // Only a glet of the deployed plan; a new one gets its work with the switch.
        this.dispatcher.gletReady(glet.place.id, this.input.depth)
        this.sweep()
        return
      }
      case EventKind.gletReopen: {
        const glet = this.fleet.eventOf(subject)
        if (glet !== undefined) this.fleet.reopen(nowMs, glet)
        return
      }
      case EventKind.failure: {
        const failure = this.input.failures[subject]!
        const dead = this.fleet.fail(nowMs, failure)
        this.planning.note({ atMs: nowMs, kind: "failure", detail: `${this.input.gpus[failure.gpu]!.id}: ${dead.length === 0 ? "no glet" : dead.join(", ")} died` })
        this.dispatchAll()
        return
      }
      case EventKind.sample:
        this.sample()
        if (nowMs < this.input.durationMs) this.events.add(nowMs + this.timeline.intervalMs, EventKind.sample, 0)
        return
    }
  }

  private scheduleArrival(load: number): void {
    const source = this.input.loads[load]!
    if (source.kind !== "open") return
    const atMs = source.arrivals()
    if (atMs < this.input.durationMs) this.events.add(atMs, EventKind.arrival, load)
  }

  private arrive(load: number): void {
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

  private offerStep(whole: ApplicationRequest, step: number): void {
    const { application, models } = whole.run
    const model = this.models[models[step]!]!
    const leftMs = whole.arrivedMs + application.sloMs - this.nowMs
    // The step's own limit, within what is left of the whole's.
    const limitMs = Math.max(0, Math.min(model.sloMs ?? Infinity, leftMs))
    this.offer(new SimulatedRequest(model.name, models[step]!, whole.load, whole, step, Number.isFinite(limitMs) ? limitMs : undefined))
  }

  private offer(request: SimulatedRequest): void {
    const { dispatcher, nowMs } = this
    this.timeline.arrived(nowMs, request.modelIndex)
    if (this.isCounted(nowMs)) this.statistics[request.modelIndex]!.offered += 1
    const ticket = dispatcher.offer(nowMs, request, ignore)
    if (ticket.end !== undefined) return
    for (;;) {
      const batch = dispatcher.pullModel(nowMs, request.model)
      if (batch === undefined) break
      this.start(batch)
    }
    this.scheduleGathered()
    if (!this.sweepDue && dispatcher.view.isQueued(request.model)) this.scheduleSweep()
  }

  private start(batch: DispatchedBatch): void {
    const glet = this.fleet.glets.get(batch.glet.id)!
    this.batches += 1
    glet.give(this.nowMs, batch)
  }

  private batchEnded(glet: SimulatedGlet): void {
    const { batch, beganMs, durationMs } = glet.heard()
    const { gpu, id, sharePct } = glet.place
    if (this.timeline.inWindow(beganMs)) {
      this.timeline.ran({
        gpu, glet: id, sharePct, model: this.indexOf.get(batch.model.name)!, items: batch.items, startMs: beganMs, endMs: beganMs + durationMs
      })
    }
    const end: BatchEnd = Number.isNaN(durationMs)
      ? { ok: false, error: { _tag: "BatchFailed", detail: `no latency is known for batch ${batch.items} at ${sharePct} %` } }
      : { ok: true, inputMs: 0, inferMs: durationMs, outputMs: 0, outputBindings: undefined, overflow: undefined }
    this.dispatcher.batchEnded(this.nowMs, batch, end)
    if (glet.state === "closing" && glet.batches.length === 0) this.fleet.closed(this.nowMs, glet)
    else this.pump(glet)
    for (const other of this.dispatcher.view.besideOf(id)) {
      const beside = this.fleet.glets.get(other)
      if (beside?.state === "ready") this.pump(beside)
    }
    if (!end.ok) this.dispatchAll()
  }

  private pump(glet: SimulatedGlet): void {
    for (;;) {
      const batch = this.dispatcher.pull(this.nowMs, glet.place.id)
      if (batch === undefined) break
      this.start(batch)
    }
    this.scheduleGathered()
  }

  private startGathered(): void {
    for (;;) {
      const batch = this.dispatcher.pullGathered(this.nowMs)
      if (batch === undefined) break
      this.start(batch)
    }
    this.scheduleGathered()
  }

  private scheduleGathered(): void {
    const atMs = this.dispatcher.nextGatheredMs
    if (atMs >= this.gatheredAtMs) return
    this.gatheredAtMs = atMs
    this.events.add(atMs, EventKind.gathered, 0)
  }

  private dispatchAll(): void {
    for (const glet of this.fleet.glets.values()) if (glet.state === "ready") this.pump(glet)
    this.scheduleSweep()
  }

  private sweep(): void {
    this.dispatcher.sweep(this.nowMs)
    this.dispatchAll()
  }

  private scheduleSweep(): void {
    if (this.sweepDue) return
    const inMs = this.dispatcher.nextWakeMs(this.nowMs) - this.nowMs
    if (inMs === Infinity) return
    this.sweepDue = true
    this.events.add(this.nowMs + sweepDelayMs(inMs), EventKind.sweep, 0)
  }

  /** Takes in what ended. Steps that follow are offered at once, and may end at once. */
  private account(): void {
    const { ended } = this.dispatcher
    for (let i = 0; i < ended.length; i++) this.ended(ended[i]!)
    ended.length = 0
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

  private sample(): void {
    this.input.gpus.forEach((_, gpu) => {
      const busyMs = this.fleet.busyOnGpuMs(this.nowMs, gpu)
      this.timeline.sampled(this.nowMs, gpu, busyMs - this.sampledMs[gpu]!)
      this.sampledMs[gpu] = busyMs
    })
  }

  /** What nothing has ended when time is up: it is told, not forgotten. */
  private abandon(): void {
    this.isOver = true
    for (const { name } of this.models) this.dispatcher.removeModel(this.nowMs, name)
    this.account()
    for (const glet of this.fleet.glets.values()) {
      for (const batch of glet.batches) {
        for (const { request, times } of batch.tickets) {
          const { modelIndex, whole } = request as SimulatedRequest
          if (this.isCounted(times.arrivedMs)) this.statistics[modelIndex]!.notAnswered("unfinished")
          if (whole !== undefined) this.wholeEnded(whole, "unfinished")
        }
      }
    }
  }

  private report(): SimulationReport {
    const { arrivals: requests, batches, fleet, nowMs: endMs, planning, statistics, timeline } = this
    return reportOf(this.input, {
      endMs, requests, batches, statistics, applications: this.applications, planning, timeline,
      usedGpuMs: fleet.usedGpuMs(endMs), busyGpuMs: fleet.busyGpuMs(endMs)
    })
  }
}

/**
 * Runs a simulation.
 * @since 0.1.0
 * @category simulation
 */
export const simulate = (input: SimulationInput): SimulationReport => new Simulation(input).run()
