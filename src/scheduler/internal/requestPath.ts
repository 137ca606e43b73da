/** The hot path: requests in, batches to glets, answers out. No Effect per request; everything here is synchronous. */
import type { BatchEnd, GletHandle } from "../../core/Executor.js"
import type { GletId, GpuId, ModelName } from "../../core/Ids.js"
import type { InferRequest, RequestEnd, RequestTimes } from "../../core/Request.js"
import type { RequestDropped } from "../../core/RequestError.js"
import type { DispatchedBatch } from "../DispatchedBatch.js"
import type { AdmissionEdge, Dispatcher } from "../Dispatcher.js"
import type { SchedulerObserver } from "../Scheduler.js"
import type { CrashWatch } from "./crashWatch.js"
import { ExpectedTimes } from "./expectedTimes.js"
import { LatencyHistogram } from "./latencyHistogram.js"

/** Of the executions of a model on a glet; the weights are their items. */
export interface ExecutionTimes {
  readonly measured: LatencyHistogram
  /** What the plan lets expect of the very batches that ran. */
  readonly expected: ExpectedTimes
}

interface RequestPathOptions {
  readonly dispatcher: Dispatcher
  /** Told of what runs well and of what runs when a process dies. */
  readonly crashes: CrashWatch
  readonly nowMs: () => number
  /** Runs something a little later, so that requests that come together are batched together; undefined: at once. */
  readonly defer: ((run: () => void) => void) | undefined
  /** Requests wait: the sweeper is to watch their deadlines. */
  readonly onWaiting: () => void
  /** Requests gather for larger batches until so many monotonic ms: then `startGathered` is to be called. Told again whenever it may be sooner. */
  readonly onGathering: (untilMs: number) => void
  /** A client's or an observer's callback threw. */
  readonly onDefect: (defect: unknown) => void
}

export class RequestPath {
  readonly observers = new Set<SchedulerObserver>()
  /** Arrival to answer, by model. */
  readonly answers = new Map<ModelName, LatencyHistogram>()
  /** The same of requests that were asked for as best-effort work of a latency-critical model. */
  readonly fillAnswers = new Map<ModelName, LatencyHistogram>()
  /** Durations of executions, by glet and model. */
  readonly executions = new Map<GletId, Map<ModelName, ExecutionTimes>>()
  private readonly handles = new Map<GletId, GletHandle>()
  private arrived = new Set<ModelName>()
  private deferred = false
  private flushing = false
  private onIdle: Array<() => void> = []

  constructor(private readonly options: RequestPathOptions) {}

  readonly offer = (request: InferRequest, onEnd: (end: RequestEnd) => void): () => void => {
    const { defer, dispatcher, nowMs } = this.options
    const now = nowMs()
    const ticket = dispatcher.offer(now, request, onEnd)
    if (ticket.end !== undefined) {
      this.flush()
      return nothing
    }
    if (defer === undefined) {
      this.dispatchModel(now, request.model)
      this.flush()
    } else {
      this.arrived.add(request.model)
      if (!this.deferred) {
        this.deferred = true
        defer(this.dispatchArrived)
      }
    }
    return () => {
      dispatcher.cancel(nowMs(), ticket)
      this.flush()
    }
  }

  readonly wouldRefuse = (name: ModelName, arrivedAtMs: number): RequestDropped | undefined =>
    this.options.dispatcher.wouldRefuse(this.options.nowMs(), name, arrivedAtMs)

  readonly admissionEdge = (name: ModelName): AdmissionEdge => this.options.dispatcher.admissionEdge(this.options.nowMs(), name)

  readonly refusedUnread = (name: ModelName, arrivedAtMs: number, error: RequestDropped): void => {
    const now = this.options.nowMs()
    const model = this.options.dispatcher.refusedUnread(now, name, error)
    if (model === undefined) return
    const times: RequestTimes = { arrivedMs: arrivedAtMs, queuedMs: now, batchClosedMs: 0, startedMs: 0, endedMs: now }
    const end: RequestEnd = { ok: false, error }
    for (const observer of this.observers) {
      if (observer.requestEnded === undefined) continue
      this.guard(() =>
        observer.requestEnded!({
          request: undefined, model, serviceClass: model.serviceClass, end, times, sloMs: model.sloMs ?? Infinity, glet: undefined, batchId: 0
        }))
    }
  }

  /** The glet can run batches; `dispatchAll` gives it some. */
  setHandle(id: GletId, handle: GletHandle): void {
    this.handles.set(id, handle)
    this.options.dispatcher.gletReady(id, handle.depth)
  }

  /** A glet died. Its executor ends what was in flight there, and says what of it never started: that may come later than this. */
  gletLost(id: GletId, backAtMs: number): void {
    this.handles.delete(id)
    this.options.dispatcher.gletUnready(id, backAtMs)
    this.sweep()
  }

  /** Looks anew at whether a GPU is to do one thing at a time. */
  judge(gpu: GpuId): void {
    const { crashes, dispatcher, nowMs } = this.options
    dispatcher.setSerial(gpu, crashes.isAmbiguous(nowMs(), gpu))
  }

  /** It takes no more batches; what runs there may end. */
  gletClosing(id: GletId): void {
    this.handles.delete(id)
    this.options.dispatcher.gletUnready(id, Infinity)
    this.sweep()
  }

  /** It is gone, and its statistics with it. */
  gletClosed(id: GletId): void {
    this.handles.delete(id)
    this.executions.delete(id)
  }

  /** Ends what can no longer be answered in time, starts what can be started. Answers when to come again; Infinity where nothing waits. */
  sweep(): number {
    const now = this.options.nowMs()
    this.options.dispatcher.sweep(now)
    this.dispatchAll()
    return this.options.dispatcher.nextWakeMs(now) - now
  }

  /** Starts what has gathered long enough. */
  startGathered(): void {
    const { dispatcher, nowMs } = this.options
    const now = nowMs()
    for (;;) {
      const batch = dispatcher.pullGathered(now)
      if (batch === undefined) break
      this.start(batch)
    }
    this.watchGathering()
  }

  dispatchAll(): void {
    const now = this.options.nowMs()
    for (const id of this.handles.keys()) this.pump(now, id)
    this.flush()
    this.options.onWaiting()
  }

  /** Calls `done` once, when nothing waits or runs. */
  whenIdle(done: () => void): void {
    this.onIdle.push(done)
    this.flush()
  }

  private readonly dispatchArrived = (): void => {
    this.deferred = false
    const now = this.options.nowMs()
    const { arrived } = this
    // Not cleared: each clearing leaves a table that keeps the next one alive, until the whole heap is collected.
    this.arrived = new Set()
    for (const model of arrived) this.dispatchModel(now, model)
    this.flush()
  }

  private dispatchModel(now: number, model: ModelName): void {
    const { dispatcher } = this.options
    for (;;) {
      const batch = dispatcher.pullModel(now, model)
      if (batch === undefined) break
      this.start(batch)
    }
    this.watchGathering()
    if (dispatcher.view.isQueued(model)) this.options.onWaiting()
  }

  private pump(now: number, id: GletId): void {
    for (;;) {
      const batch = this.options.dispatcher.pull(now, id)
      if (batch === undefined) break
      this.start(batch)
    }
    this.watchGathering()
  }

  private watchGathering(): void {
    const { dispatcher, onGathering } = this.options
    const untilMs = dispatcher.nextGatheredMs
    if (untilMs < Infinity) onGathering(untilMs)
  }

  private start(batch: DispatchedBatch): void {
    // A glet without a handle is not ready, and the dispatcher gives it nothing.
    this.handles.get(batch.glet.id)!.start(batch, (end) => this.batchEnded(batch, end))
  }

  private batchEnded(batch: DispatchedBatch, end: BatchEnd): void {
    const now = this.options.nowMs()
    const { id, gpu } = batch.glet
    const { dispatcher } = this.options
    const inTurn = dispatcher.isSerial(gpu) ? dispatcher.turnsAfter(id) : undefined
    dispatcher.batchEnded(now, batch, end)
    this.weigh(now, gpu, batch.model.name, end)
    // The glet first, then the clients: it must not wait for answers to be written.
    if (inTurn === undefined) this.pump(now, id)
    for (const other of inTurn ?? dispatcher.view.besideOf(id)) if (this.handles.has(other)) this.pump(now, other)
    const executionMs = end.ok ? end.inputMs + end.inferMs + end.outputMs : 0
    if (end.ok) {
      const { expected, measured } = this.executionsOf(id, batch.model.name)
      measured.record(now, executionMs, batch.items)
      expected.record(now, batch.route.profiledMs(batch.items), batch.route.spec.medianRatio ?? 1, batch.overlapMs)
    }
    for (const observer of this.observers) {
      if (observer.batchEnded === undefined) continue
      const inputMs = end.ok ? end.inputMs : 0
      const inferMs = end.ok ? end.inferMs : 0
      const outputMs = end.ok ? end.outputMs : 0
      this.guard(() =>
        observer.batchEnded!({
          batchId: batch.id, glet: id, gpu, model: batch.model, serviceClass: batch.route.lane.model.serviceClass, items: batch.items, requests: batch.tickets.length, ok: end.ok,
          predictedMs: batch.predictedMs, inputMs, inferMs, outputMs
        }))
    }
    if (end.ok) this.flush()
    // Requests of a failed batch may have been queued again: for another glet too.
    else this.dispatchAll()
  }

  /** What the end of a batch says for or against its model. */
  private weigh(nowMs: number, gpu: GpuId, model: ModelName, end: BatchEnd): void {
    const { crashes } = this.options
    if (end.ok) {
      if (!crashes.isAlert) return
      crashes.succeeded(gpu, model, "running")
    } else {
      if (end.error._tag !== "GletExited" || end.error.process === undefined || end.unstarted === true) return
      crashes.died(gpu, { nowMs, process: end.error.process, involved: [{ model, doing: "running" }], placed: [] })
    }
    this.judge(gpu)
  }

  /** Tells clients and observers what ended. Those may offer again from within. */
  private flush(): void {
    if (this.flushing) return
    const { ended } = this.options.dispatcher
    this.flushing = true
    for (let i = 0; i < ended.length; i++) {
      const ticket = ended[i]!
      const end = ticket.end!
      if (ticket.lane !== undefined) {
        const answers = ticket.lane.base === undefined ? this.answers : this.fillAnswers
        if (end.ok) histogramIn(answers, ticket.request.model).record(ticket.times.endedMs, ticket.times.endedMs - ticket.times.arrivedMs, 1)
        for (const observer of this.observers) {
          if (observer.requestEnded === undefined) continue
          this.guard(() =>
            observer.requestEnded!({
              request: ticket.request, model: ticket.lane!.served, serviceClass: ticket.lane!.model.serviceClass, end, times: ticket.times, sloMs: ticket.sloMs,
              glet: ticket.batch?.glet.id, batchId: ticket.batch?.id ?? 0
            }))
        }
      }
      this.guard(() => ticket.onEnd(end))
    }
    ended.length = 0
    this.flushing = false
    if (this.onIdle.length > 0 && this.options.dispatcher.view.pending === 0) {
      const idle = this.onIdle
      this.onIdle = []
      for (const done of idle) done()
    }
  }

  private guard(call: () => void): void {
    try {
      call()
    } catch (defect) {
      this.options.onDefect(defect)
    }
  }

  private executionsOf(glet: GletId, model: ModelName): ExecutionTimes {
    let models = this.executions.get(glet)
    if (models === undefined) this.executions.set(glet, models = new Map())
    let times = models.get(model)
    if (times === undefined) models.set(model, times = { measured: new LatencyHistogram(), expected: new ExpectedTimes() })
    return times
  }
}

const histogramIn = (histograms: Map<ModelName, LatencyHistogram>, model: ModelName): LatencyHistogram => {
  let histogram = histograms.get(model)
  if (histogram === undefined) histograms.set(model, histogram = new LatencyHistogram())
  return histogram
}

const nothing = (): void => {}
