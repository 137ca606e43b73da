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
import type { DispatchedBatch } from "../scheduler/DispatchedBatch.js"
import { Dispatcher } from "../scheduler/Dispatcher.js"
import { sweepDelayMs } from "../scheduler/internal/sweepDelay.js"
import { Clients } from "./internal/clients.js"
import { EventKind, EventQueue } from "./internal/eventQueue.js"
import { Fleet } from "./internal/fleet.js"
import { Planning } from "./internal/planning.js"
import { reportOf } from "./internal/report.js"
import type { SimulatedGlet } from "./internal/simulatedGlet.js"
import type { SimulationInput } from "./SimulationInput.js"
import type { SimulationReport } from "./SimulationReport.js"
import { TimelineRecorder } from "./Timeline.js"

/** Requests that no rule ends wait at most so long after the last arrival, ms. */
const drainMs = 60_000

class Simulation {
  private nowMs = 0
  private readonly events = new EventQueue()
  private readonly dispatcher: Dispatcher
  private readonly fleet: Fleet
  private readonly planning: Planning
  private readonly clients: Clients
  private readonly indexOf: ReadonlyMap<ModelName, number>
  private readonly timeline: TimelineRecorder
  private readonly sampledMs: Float64Array
  private sweepDue = false
  /** When requests that gather are looked at next. */
  private gatheredAtMs = Infinity
  private batches = 0

  constructor(private readonly input: SimulationInput) {
    const { durationMs, gpus, models } = input
    this.indexOf = new Map(models.map(({ name }, index) => [name, index]))
    this.timeline = new TimelineRecorder(
      models.map(({ name }) => name), gpus.map(({ id }) => id), durationMs, input.window ?? { fromMs: 0, toMs: 0 }
    )
    this.sampledMs = new Float64Array(gpus.length)
    this.dispatcher = new Dispatcher({ ...input.dispatcher, overheadMs: input.costs.overheadMs })
    this.fleet = new Fleet(input, this.dispatcher, this.events)
    this.planning = new Planning(input, this.dispatcher, this.fleet, this.events)
    this.clients = new Clients(input, this.dispatcher, this.events, this.timeline, (model) => this.queued(model))
  }

  run(): SimulationReport {
    const { durationMs, models } = this.input
    const { clients, dispatcher, events } = this
    for (const model of models) dispatcher.setModel(model)
    this.planning.start()
    clients.begin()
    this.input.failures.forEach(({ atMs }, index) => events.add(atMs, EventKind.failure, index))
    if (this.input.replans) events.add(this.input.controlMs, EventKind.control, 0)
    events.add(this.timeline.intervalMs, EventKind.sample, 0)
    while (events.next()) {
      if (events.timeMs > durationMs && (dispatcher.view.pending === 0 || events.timeMs > durationMs + drainMs)) break
      this.nowMs = events.timeMs
      this.handle(events.kind, events.subject)
      if (dispatcher.ended.length > 0) clients.account(events.timeMs)
    }
    this.nowMs = Math.max(durationMs, this.nowMs)
    this.abandon()
    return this.report()
  }

  private handle(kind: EventKind, subject: number): void {
    const { nowMs } = this
    switch (kind) {
      case EventKind.arrival:
        this.clients.arrive(nowMs, subject)
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

  /** A request was queued: it may start, or let others start. */
  private queued(model: ModelName): void {
    const { dispatcher, nowMs } = this
    for (;;) {
      const batch = dispatcher.pullModel(nowMs, model)
      if (batch === undefined) break
      this.start(batch)
    }
    this.scheduleGathered()
    if (!this.sweepDue && dispatcher.view.isQueued(model)) this.scheduleSweep()
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

  private sample(): void {
    this.input.gpus.forEach((_, gpu) => {
      const busyMs = this.fleet.busyOnGpuMs(this.nowMs, gpu)
      this.timeline.sampled(this.nowMs, gpu, busyMs - this.sampledMs[gpu]!)
      this.sampledMs[gpu] = busyMs
    })
  }

  /** What nothing has ended when time is up: it is told, not forgotten. */
  private abandon(): void {
    for (const { name } of this.input.models) this.dispatcher.removeModel(this.nowMs, name)
    this.clients.abandon(this.nowMs, [...this.fleet.glets.values()].flatMap(({ batches }) => batches))
  }

  private report(): SimulationReport {
    const { batches, clients: { applications, arrivals: requests, statistics }, fleet, nowMs: endMs, planning, timeline } = this
    return reportOf(this.input, {
      endMs, requests, batches, statistics, applications, planning, timeline,
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
