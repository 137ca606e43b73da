/**
 * The batches of a glet, in the order they come. Two or three are in flight: while one computes, the inputs of the next are copied in and the outputs
 * of the last are copied out, on streams of their own. A batch that comes when nothing is in flight has all its steps on one stream, which spares
 * it the hand-overs. All kernels of a glet run one batch after the other, whichever model they belong to.
 */
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import { batchProblem } from "../../../core/internal/batchAssembly.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { RunEnd } from "../Engine.js"
import type { SegmentMemory } from "../OrtC.js"
import { dropMadeValues } from "../ortValues.js"
import { BatchInputs } from "./BatchInputs.js"
import type { BatchJob } from "./BatchJob.js"
import { failJob } from "./BatchJob.js"
import { BatchOutputs } from "./BatchOutputs.js"
import type { CompletionPoll, Pollable } from "./CompletionPoll.js"
import type { Handle } from "./driver/CudaDriver.js"
import type { CudaModel } from "./CudaModel.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import { ExpectedEnds } from "./ExpectedEnds.js"
import type { HeldTime } from "./HeldTime.js"
import type { Manners } from "./preemption.js"

export class BatchPipeline implements Pollable {
  private readonly inputs: BatchInputs
  private readonly outputs: BatchOutputs
  private readonly expectedEnds: ExpectedEnds
  private readonly queue: Array<BatchJob> = []
  /** Started and not ended, in order. */
  private readonly inFlight: Array<BatchJob> = []
  /** Its kernels are just being launched, by another thread. */
  private launching: BatchJob | undefined
  private lastModel: CudaModel | undefined
  private lastComputed: Handle | undefined
  private outstanding = 0

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly memory: SegmentMemory,
    private readonly poller: CompletionPoll,
    private readonly manners: Manners,
    private readonly held: HeldTime,
    copyInStream: Handle,
    copyOutStream: Handle
  ) {
    this.inputs = new BatchInputs(runtime, memory, held, copyInStream, () => this.pump())
    this.outputs = new BatchOutputs(runtime, memory, copyOutStream)
    this.expectedEnds = new ExpectedEnds(manners)
  }

  submit(model: CudaModel, batch: RunBatch, onEnd: (end: RunEnd) => void): void {
    const problem = batchProblem(model.layout, batch, this.memory.bytes.length)
    if (problem !== undefined) return onEnd({ ok: false, detail: problem })
    this.hold(1)
    this.queue.push({
      model, batch, onEnd, size: model.sizeFor(batch), set: undefined, apart: true, inputMs: 0, startedMs: 0,
      isStarted: false, problem: undefined
    })
    this.pump()
  }

  /** The model is released: its events are no more. */
  forget(model: CudaModel): void {
    if (this.lastModel !== model) return
    this.lastModel = undefined
    this.lastComputed = undefined
  }

  poll(nowMs: number): number | undefined {
    const first = this.inFlight[0]
    // Asking is not counted as held: the thread is free for others between two questions.
    if (first !== undefined && this.hasEnded(first)) {
      this.held.during(() => {
        for (let job: BatchJob | undefined = first; job !== undefined && (job === first || this.hasEnded(job)); job = this.inFlight[0]) {
          this.inFlight.shift()
          this.finish(job)
        }
        this.pump()
      })
    }
    const head = this.inFlight[0]
    return head === undefined ? undefined : this.expectedEnds.of(head, nowMs)
  }

  private hasEnded(job: BatchJob): boolean {
    if (!job.isStarted) return false
    try {
      return this.runtime.driver.isDone(job.set!.done)
    } catch (error) {
      failJob(this.runtime, job, error)
      return true
    }
  }

  /** Starts what can be started, and copies the inputs of what cannot yet. */
  private pump(): void {
    for (let job = this.queue[0]; job !== undefined; job = this.queue[0]) {
      const isApart = this.inFlight.length > 0 || this.launching !== undefined
      if (!this.inputs.prepare(job, isApart) || this.inputs.isCopying) return
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
  private wouldCrowd({ model, set }: BatchJob): boolean {
    if (this.manners.launchesSingly) return this.inFlight.length > 0
    return set !== undefined && model.isHeavy(set) &&
      this.inFlight.some((other) => other.isStarted && other.set !== undefined && other.model.isHeavy(other.set))
  }

  private start(job: BatchJob): void {
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
      failJob(this.runtime, job, error)
      this.started(job, job.problem)
    }
  }

  private launch(job: BatchJob): void {
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
      failJob(this.runtime, job, error)
      this.started(job, job.problem)
    }
    isAsync = true
  }

  /** Its kernels are on the stream: the copies of the outputs follow. */
  private started(job: BatchJob, problem: string | undefined): void {
    const { model } = job
    const set = job.set!
    const startMs = performance.now()
    this.launching = undefined
    job.isStarted = true
    job.problem ??= problem
    try {
      this.runtime.driver.record(set.computed, model.stream)
      this.lastModel = model
      this.lastComputed = set.computed
      // Outputs of a batch with others behind it must not hold up their kernels.
      this.outputs.copy(job, set, job.apart || this.queue.length > 0)
    } catch (error) {
      failJob(this.runtime, job, error)
    }
    this.held.since(startMs, "outputs")
    this.poller.watch(this)
  }

  /** Outputs to their places, buffers back, and the answer. */
  private finish(job: BatchJob): void {
    const { model, set } = job
    const nowMs = performance.now()
    let end: RunEnd = { ok: false, detail: job.problem ?? "" }
    if (job.problem === undefined) {
      const inferMs = this.expectedEnds.note(job, nowMs)
      try {
        const dynamic = this.outputs.deliver(job, set!)
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

  /** A batch came, or went. */
  private hold(change: 1 | -1): void {
    this.outstanding += change
    if (this.outstanding === (change > 0 ? 1 : 0)) this.manners.onBusy(change > 0)
  }
}
