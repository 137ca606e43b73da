/**
 * A glet on the GPU. Two or three batches are in flight: while one computes, the inputs of the next are copied in and the outputs of the last
 * are copied out, on streams of their own. A batch that comes when nothing is in flight has all its steps on one stream, which spares it
 * the hand-overs. All kernels of a glet run one batch after the other, whichever model they belong to.
 */
import type { Loaded, Opened } from "../../internal/control.js"
import { batchProblem, gather, scatter, scatterDynamic } from "../../../core/internal/batchAssembly.js"
import type { DynamicOutput, RunBatch } from "../../../core/internal/batchAssembly.js"
import type { EngineGlet, EngineModel, LoadRequest, RunEnd } from "../Engine.js"
import { LoadFailure, textOf } from "../../../core/internal/loadFailure.js"
import type { SegmentMemory } from "../OrtC.js"
import { dropMadeValues, readValue } from "../ortValues.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import { inputsOf, outputsOf } from "./BufferSets.js"
import type { CompletionPoll, Pollable } from "./CompletionPoll.js"
import { napMs } from "./CompletionPoll.js"
import type { Side } from "./copies.js"
import { isWhole, listCopies, mostPieces } from "./copies.js"
import type { CopyList, Handle } from "./CudaDriver.js"
import { CudaError, makeCopyList } from "./CudaDriver.js"
import { HeldTime } from "./HeldTime.js"
import type { CudaModel } from "./CudaModel.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import type { GletContext } from "./gletContext.js"
import type { Manners } from "./preemption.js"

/** Batches that the agent is to keep outstanding: one computes, one is copied, one is on its way here. */
const depth = 3

/** Copies that take longer to be put on a stream are put there by another thread, which costs some 0.03 ms of this one and leaves it free. */
const inlineCopyMs = 0.05
/** The first ones are slow for reasons of their own. */
const judgedCopies = 12

/** So long after its expected end a batch that gives way is taken to have been held up. */
const overdueMs = 1

interface Job {
  readonly model: CudaModel
  readonly batch: RunBatch
  readonly onEnd: (end: RunEnd) => void
  readonly size: BatchSize
  /** Undefined until its inputs are on their way. */
  set: BufferSet | undefined
  /** The stream that copies them, where it is not the model's own. */
  apart: boolean
  inputMs: number
  startedMs: number
  /** Its end is on the stream, `set.done` tells of it. */
  isStarted: boolean
  problem: string | undefined
}

/** Loads a model on a glet; `CudaLoader` is the one there is. */
type LoadModel = (context: GletContext, request: LoadRequest) => Promise<{ readonly model: CudaModel; readonly loaded: Loaded }>

export class CudaGlet implements EngineGlet, Pollable {
  readonly opened: Opened
  readonly held = new HeldTime()
  private readonly copyInStream: Handle
  private readonly copyOutStream: Handle
  private readonly queue: Array<Job> = []
  /** Started and not ended, in order. */
  private readonly inFlight: Array<Job> = []
  /** The first of the queue, whose inputs another thread is just putting on a stream. */
  private copying: Job | undefined
  /** Its kernels are just being launched, by another thread. */
  private launching: Job | undefined
  private lastModel: CudaModel | undefined
  private lastComputed: Handle | undefined
  private lastEndMs = 0
  private outstanding = 0
  private copies: CopyList = makeCopyList(256)
  /** What another thread reads. */
  private copiesApart: CopyList = makeCopyList(0)
  private readonly segmentAddress: number

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly memory: SegmentMemory,
    private readonly poller: CompletionPoll,
    private readonly context: GletContext,
    private readonly loadModel: LoadModel,
    private readonly manners: Manners
  ) {
    this.segmentAddress = Number(memory.address)
    this.opened = { units: context.units, depth }
    this.copyInStream = context.createStream()
    this.copyOutStream = context.createStream()
  }

  async load(request: LoadRequest): Promise<{ readonly model: EngineModel; readonly loaded: Loaded }> {
    try {
      const { loaded, model } = await this.loadModel(this.context, request)
      return {
        loaded,
        model: {
          run: (batch, onEnd) => this.held.during(() => this.submit(model, batch, onEnd)),
          release: () => {
            if (this.lastModel === model) {
              this.lastModel = undefined
              this.lastComputed = undefined
            }
            model.release()
            return Promise.resolve()
          }
        }
      }
    } catch (error) {
      if (!(error instanceof CudaError)) throw error
      if (error.isFatal) this.runtime.onFatal(error)
      throw new LoadFailure(error.isOutOfMemory ? "no-memory" : "warm-up-failed", error.message)
    }
  }

  close(): Promise<void> {
    this.runtime.driver.destroyStream(this.copyInStream)
    this.runtime.driver.destroyStream(this.copyOutStream)
    this.context.close()
    return Promise.resolve()
  }

  poll(nowMs: number): number | undefined {
    const first = this.inFlight[0]
    // Asking is not counted as held: the thread is free for others between two questions.
    if (first !== undefined && this.hasEnded(first)) {
      this.held.during(() => {
        for (let job: Job | undefined = first; job !== undefined && (job === first || this.hasEnded(job)); job = this.inFlight[0]) {
          this.inFlight.shift()
          this.finish(job)
        }
        this.pump()
      })
    }
    const head = this.inFlight[0]
    return head === undefined ? undefined : this.expectedEndMs(head, nowMs)
  }

  private expectedEndMs(job: Job, nowMs: number): number {
    const { typicalMs } = job.size
    const expectedMs = Number.isFinite(typicalMs) ? Math.max(job.startedMs, this.lastEndMs) + typicalMs : nowMs
    // What waits for others ends nobody knows when: asking in every turn would take a core that their processes may want.
    const givesWay = job.set !== undefined && job.model.giveWayOf(job.set) !== undefined
    return givesWay && (this.manners.isHeld() || nowMs > expectedMs + overdueMs) ? Math.max(expectedMs, nowMs + napMs) : expectedMs
  }

  private hasEnded(job: Job): boolean {
    if (!job.isStarted) return false
    try {
      return this.runtime.driver.isDone(job.set!.done)
    } catch (error) {
      this.fault(job, error)
      return true
    }
  }

  /** What a failure means: for the process, or for this batch only. */
  private fault(job: Job, error: unknown): void {
    if (error instanceof CudaError && error.isFatal) this.runtime.onFatal(error)
    job.problem ??= textOf(error)
  }

  private submit(model: CudaModel, batch: RunBatch, onEnd: (end: RunEnd) => void): void {
    const problem = batchProblem(model.layout, batch, this.memory.bytes.length)
    if (problem !== undefined) return onEnd({ ok: false, detail: problem })
    this.hold(1)
    this.queue.push({
      model, batch, onEnd, size: model.sizeFor(batch), set: undefined, apart: true, inputMs: 0, startedMs: 0,
      isStarted: false, problem: undefined
    })
    this.pump()
  }

  /** Starts what can be started, and copies the inputs of what cannot yet. */
  private pump(): void {
    for (let job = this.queue[0]; job !== undefined; job = this.queue[0]) {
      if (!this.prepare(job) || this.copying !== undefined) return
      if (job.problem !== undefined) {
        this.queue.shift()
        this.finish(job)
        continue
      }
      if (this.launching !== undefined || this.wouldCrowd(job)) return
      this.queue.shift()
      this.start(job)
    }
  }

  /**
   * Whether its launches would wait behind others as heavy. A stream holds a thousand launches; whoever adds one more waits, and all other calls
   * of the process with it: beside DenseNet-161 on 48 SMs a neighbour's batches waited for one of its batches each.
   */
  private wouldCrowd({ model, set }: Job): boolean {
    if (this.manners.launchesSingly) return this.inFlight.length > 0
    return set !== undefined && model.isHeavy(set) &&
      this.inFlight.some((other) => other.isStarted && other.set !== undefined && other.model.isHeavy(other.set))
  }

  /** Takes buffers and puts the copies of the inputs on a stream. False where all buffers of the size are taken. */
  private prepare(job: Job): boolean {
    if (job.set !== undefined || job.problem !== undefined) return true
    const { batch, model, size } = job
    const { driver, mover, now } = this.runtime
    const startMs = performance.now()
    try {
      const set = model.takeSet(size)
      if (set === undefined) return false
      job.set = set
      job.apart = this.inFlight.length > 0 || this.launching !== undefined
      const stream = job.apart ? this.copyInStream : model.stream
      // Copies of images are long, and others' wait behind them.
      const giveWay = model.giveWayOf(set)
      if (giveWay !== undefined) driver.waitUntil(stream, giveWay)
      const by = isWhole(batch, size.items) ? "engine" : size.inputsBy
      if (by === "host") {
        const { bytes, start } = inputsOf(size)
        const { address, memory } = set.staging!
        gather(model.layout, this.memory.bytes, batch, memory, size.placement, size.items)
        driver.copyIn(set.device + start, address + start, bytes, stream)
      } else if (by === "mover") {
        mover!.moveIn(this.list(job, set, "inputs", mover!.segment), stream)
      } else if (size.copied >= judgedCopies && size.copyMs > inlineCopyMs) {
        this.copyApart(job, set, stream, startMs)
        return true
      } else {
        const list = this.list(job, set, "inputs")
        const beganMs = now()
        driver.copyAllIn(list, stream)
        size.copyMs = Math.min(size.copyMs, now() - beganMs)
        size.copied++
      }
      if (job.apart) driver.record(set.copiedIn, stream)
    } catch (error) {
      this.fault(job, error)
    }
    job.inputMs = this.held.since(startMs, "inputs") - startMs
    return true
  }

  /** Lets another thread put the copies on the stream; nothing behind them starts before that. */
  private copyApart(job: Job, set: BufferSet, stream: Handle, startMs: number): void {
    const { driver } = this.runtime
    const most = mostPieces(job.model.layout, job.batch, "inputs")
    if (2 * most > this.copiesApart.host.length) this.copiesApart = makeCopyList(2 * most)
    this.copying = job
    let isAsync = false
    driver.copyAllInAsync(this.list(job, set, "inputs", this.segmentAddress, this.copiesApart), stream, (error) => {
      this.copying = undefined
      job.inputMs = performance.now() - startMs
      this.held.during(() => {
        try {
          // A thread of the pool that has no context yet cannot; this one can.
          if (error !== undefined) driver.copyAllIn(this.copiesApart, stream)
          if (job.apart) driver.record(set.copiedIn, stream)
        } catch (failed) {
          this.fault(job, failed)
        }
        if (isAsync) this.pump()
      })
    })
    isAsync = true
    this.held.since(startMs, "inputs")
  }

  private list({ batch, model: { layout }, size }: Job, set: BufferSet, side: Side, segment: number = this.segmentAddress, list?: CopyList): CopyList {
    const most = mostPieces(layout, batch, side)
    if (list === undefined && 2 * most > this.copies.host.length) this.copies = makeCopyList(2 * most)
    const into = list ?? this.copies
    listCopies(into, side, layout, batch, segment, size.placement, size.items, set.device)
    return into
  }

  private start(job: Job): void {
    const { driver } = this.runtime
    const { model, set, size } = job
    size.uses++
    job.startedMs = performance.now()
    this.inFlight.push(job)
    try {
      if (job.apart) driver.wait(model.stream, set!.copiedIn)
      if (this.lastModel !== model && this.lastComputed !== undefined) driver.wait(model.stream, this.lastComputed)
      this.launching = job
      if (model.isToBePrepared(set!)) {
        model.prepare(set!).then(() => this.held.during(() => {
          this.launch(job)
          this.pump()
        }), (error: unknown) => this.started(job, textOf(error)))
      } else {
        this.launch(job)
      }
    } catch (error) {
      this.fault(job, error)
      this.started(job, job.problem)
    }
  }

  private launch(job: Job): void {
    let isAsync = false
    const startMs = performance.now()
    try {
      job.model.compute(job.set!, (problem) => {
        if (!isAsync) {
          this.held.since(startMs, "launch")
          return this.started(job, problem)
        }
        this.held.during(() => {
          this.started(job, problem)
          this.pump()
        })
      })
    } catch (error) {
      this.fault(job, error)
      this.started(job, job.problem)
    }
    isAsync = true
  }

  /** Its kernels are on the stream: the copies of the outputs follow. */
  private started(job: Job, problem: string | undefined): void {
    const { driver, mover } = this.runtime
    const { batch, model, size } = job
    const set = job.set!
    const startMs = performance.now()
    this.launching = undefined
    job.isStarted = true
    job.problem ??= problem
    try {
      driver.record(set.computed, model.stream)
      this.lastModel = model
      this.lastComputed = set.computed
      // Outputs of a batch with others behind it must not hold up their kernels.
      const apart = job.apart || this.queue.length > 0
      const stream = apart ? this.copyOutStream : model.stream
      if (apart) driver.wait(stream, set.computed)
      if (job.problem === undefined) {
        const by = isWhole(batch, size.items) ? "engine" : size.outputsBy
        if (by === "host") {
          const { bytes, start } = outputsOf(size)
          if (bytes > 0) driver.copyOut(set.staging!.address + start, set.device + start, bytes, stream)
        } else if (by === "mover") {
          mover!.moveOut(this.list(job, set, "outputs", mover!.segment), stream)
        } else {
          driver.copyAllOut(this.list(job, set, "outputs"), stream)
        }
      }
      driver.record(set.done, stream)
    } catch (error) {
      this.fault(job, error)
    }
    this.held.since(startMs, "outputs")
    this.poller.watch(this)
  }

  /** Outputs to their places, buffers back, and the answer. */
  private finish(job: Job): void {
    const { batch, model, set, size } = job
    const nowMs = performance.now()
    const inferMs = nowMs - Math.max(job.startedMs, this.lastEndMs)
    let end: RunEnd = { ok: false, detail: job.problem ?? "" }
    if (job.problem === undefined) {
      this.lastEndMs = nowMs
      size.typicalMs = this.typicalAfter(size.typicalMs, inferMs)
      try {
        if (size.outputsBy === "host" && !isWhole(batch, size.items)) {
          scatter(model.layout, this.memory.bytes, batch, set!.staging!.memory, size.placement, size.items)
        }
        const dynamic = this.takeDynamic(job)
        end = {
          ok: true,
          inputMs: job.inputMs,
          inferMs,
          outputMs: this.held.since(nowMs, "scatter") - nowMs,
          outputBindings: dynamic?.outputBindings ?? [],
          overflow: dynamic?.overflow
        }
      } catch (error) {
        end = { ok: false, detail: textOf(error) }
      }
    }
    if (set !== undefined) {
      dropMadeValues(this.runtime.ort, model.dynamicOutputs, set.values)
      model.putSet(set)
    }
    this.hold(-1)
    const answerMs = performance.now()
    job.onEnd(end)
    this.held.since(answerMs, "answer")
  }

  private typicalAfter(typicalMs: number, inferMs: number): number {
    if (!Number.isFinite(typicalMs)) return inferMs
    // What gave way took as long as others let it: the shortest of late tells how long it takes.
    return this.manners.giveWay === undefined ? typicalMs + (inferMs - typicalMs) / 4 : Math.min(1.05 * typicalMs, inferMs)
  }

  /** A batch came, or went. */
  private hold(change: 1 | -1): void {
    this.outstanding += change
    if (this.outstanding === (change > 0 ? 1 : 0)) this.manners.onBusy(change > 0)
  }

  /** Outputs whose shape only the run knew. */
  private takeDynamic({ batch, model, set }: Job): ReturnType<typeof scatterDynamic> | undefined {
    if (model.dynamicOutputs.length === 0) return undefined
    const outputs = model.layout.signature.outputs.map((): DynamicOutput | undefined => undefined)
    for (const j of model.dynamicOutputs) outputs[j] = readValue(this.runtime.ort, model.layout, j, set!.values.outputValues[j]!)
    return scatterDynamic(model.layout, this.memory.bytes, batch, outputs)
  }
}
