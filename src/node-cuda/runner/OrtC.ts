/**
 * The engine on ONNX Runtime's C API. A glet runs one batch at a time with the threads of its share, on a thread that is not JavaScript's;
 * meanwhile the inputs of the next batch are gathered, and the outputs of the last are scattered when the next already runs.
 */
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import type { Loaded, Opened } from "../internal/control.js"
import type { DynamicOutput, RunBatch } from "../../core/internal/batchAssembly.js"
import { batchProblem, dynamicOutputs, gather, mustRunZeros, scatter, scatterDynamic, warmBindings } from "../../core/internal/batchAssembly.js"
import type { Engine, EngineGlet, EngineModel, LoadRequest, RunEnd } from "./Engine.js"
import type { ExternalWeights } from "./externalWeights.js"
import { withExternalWeights } from "./externalWeights.js"
import { LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import type { Ort } from "./OrtApi.js"
import { loadOrt } from "./OrtApi.js"
import type { BatchBuffers } from "./OrtCBuffers.js"
import { OrtCBufferPool } from "./OrtCBuffers.js"
import type { OrtCSession } from "./OrtCSession.js"
import { createSession } from "./OrtCSession.js"
import { dropMadeValues, readValue } from "./ortValues.js"

/**
 * A short batch is run on the JavaScript thread itself, which saves handing it to another thread and back. Round trips side by side on two busy
 * cores, against never doing so: LeNet batch 1 took 0.4 to 0.6 of the time, batch 8 (0.2 ms) 0.8; at batch 32 (0.7 ms) no difference stood out
 * of the noise. While the process has one glet only control messages wait for that thread; where it has more, none may have work at that
 * moment, and the limit is what a neighbour's batch that comes in meanwhile may wait.
 */
const inlineBelowMs = { alone: 0.25, amongOthers: 0.1 }
/** What handing over adds to a measured run: taken off, so that a short batch that was handed over still counts as short. */
const handOverMs = 0.035
/** A request that runs alone is bound where it stands from this size on; below, copying is cheaper than making OrtValues (3 µs). */
const bindSlotFromBytes = 64 << 10

/**
 * Models that run this fast at batch 1 are tried with one thread too: to wake a second one costs them more than it saves, LeNet at all batch
 * sizes up to 32.
 */
const tryOneThreadBelowMs = 0.5
/** Runs of each size in such a trial; the median counts. */
const trialRuns = 15

/** Where slots stand in this process. */
export interface SegmentMemory {
  readonly bytes: Uint8Array
  readonly address: bigint
}

interface Job {
  readonly model: LoadedModel
  readonly batch: RunBatch
  readonly onEnd: (end: RunEnd) => void
  /** Undefined until its inputs are gathered. */
  buffers: BatchBuffers | undefined
  inputMs: number
}

interface LoadedModel {
  readonly layout: SlotLayout
  /** Outputs whose shape depends on data. */
  readonly dynamicOutputs: ReadonlyArray<number>
  readonly session: OrtCSession
  readonly pool: OrtCBufferPool
}

/** What the glets of a process know of each other. */
interface GletsOfProcess {
  open: number
  /** Those that run something on another thread. */
  busy: number
}

class OrtCGlet implements EngineGlet {
  private readonly queue: Array<Job> = []
  private running: Job | undefined
  /** Between a batch run inline and the next turn of the event loop. */
  private pausing = false

  readonly opened: Opened

  constructor(
    private readonly ort: Ort,
    private readonly memory: SegmentMemory,
    private readonly threads: number,
    private readonly peers: GletsOfProcess
  ) {
    peers.open++
    this.opened = { units: threads }
  }

  async load(request: LoadRequest): Promise<{ readonly model: EngineModel; readonly loaded: Loaded }> {
    const before = process.memoryUsage.rss()
    const { model, threads } = await withExternalWeights(request.files ?? [], (weights) => this.choose(request, weights))
    return {
      model: {
        run: (batch, onEnd) => this.submit({ model, batch, onEnd, buffers: undefined, inputMs: 0 }),
        release: () => {
          release(model)
          return Promise.resolve()
        }
      },
      loaded: {
        memoryBytes: Math.max(0, process.memoryUsage.rss() - before),
        detail: `ort-c, ${threads} ${threads === 1 ? "thread" : "threads"}`
      }
    }
  }

  /** With as many threads as it has, or with one where that is faster. */
  private async choose(request: LoadRequest, weights: ReadonlyArray<ExternalWeights>): Promise<{ readonly model: LoadedModel; readonly threads: number }> {
    const model = await this.open(request, this.threads, weights)
    const all = { model, threads: this.threads }
    if (this.threads === 1 || !model.layout.isStatic || await this.trial(model, 1) >= tryOneThreadBelowMs) return all
    const single = await this.open(request, 1, weights)
    const keepSingle = await this.isFaster(single, model, request.warmBatches)
    release(keepSingle ? model : single)
    return keepSingle ? { model: single, threads: 1 } : all
  }

  /** Creates a session and runs the batch sizes it is to be ready for. */
  private async open(request: LoadRequest, threads: number, weights: ReadonlyArray<ExternalWeights>): Promise<LoadedModel> {
    const layout = makeSlotLayout(request.signature)
    const session = await createSession(this.ort, request.path, request.signature, { threads, weights })
    const model: LoadedModel = { layout, dynamicOutputs: dynamicOutputs(layout), session, pool: new OrtCBufferPool(this.ort, layout) }
    try {
      for (const items of request.warmBatches) await this.warm(model, items)
      return model
    } catch (error) {
      release(model)
      throw new LoadFailure("warm-up-failed", textOf(error))
    }
  }

  /** Whether `one` is faster than `other` at batch 1 and no slower at the largest batch. */
  private async isFaster(one: LoadedModel, other: LoadedModel, batches: ReadonlyArray<number>): Promise<boolean> {
    if (await this.trial(one, 1) >= await this.trial(other, 1)) return false
    const largest = Math.max(1, ...batches)
    return await this.trial(one, largest) <= 1.1 * await this.trial(other, largest)
  }

  /** Median duration of a batch of zeros on this thread, in ms. Other glets' messages are taken in between. */
  private async trial(model: LoadedModel, items: number): Promise<number> {
    const buffers = model.pool.take(items, [])
    const durations: Array<number> = []
    for (let i = 0; i < trialRuns; i++) {
      const start = performance.now()
      model.session.run(buffers, null)
      durations.push(performance.now() - start)
      dropMadeValues(this.ort, model.dynamicOutputs, buffers)
      await new Promise((resolve) => setImmediate(resolve))
    }
    model.pool.put(buffers)
    return durations.sort((a, b) => a - b)[trialRuns >> 1]!
  }

  close(): Promise<void> {
    this.peers.open--
    return Promise.resolve()
  }

  /** Runs zeros. Where shapes have symbols the sizes are a guess, and so are integers: that they do not fit says nothing about the model. */
  private async warm(model: LoadedModel, items: number): Promise<void> {
    const buffers = model.pool.take(items, warmBindings(model.layout))
    try {
      const start = performance.now()
      await new Promise<void>((resolve, reject) => {
        model.session.runAsync(buffers, null, (problem) => problem === undefined ? resolve() : reject(new Error(problem)))
      })
      note(buffers, performance.now() - start - handOverMs)
      dropMadeValues(this.ort, model.dynamicOutputs, buffers)
    } catch (error) {
      if (mustRunZeros(model.layout)) throw error
    } finally {
      model.pool.put(buffers)
    }
  }

  private submit(job: Job): void {
    const problem = batchProblem(job.model.layout, job.batch, this.memory.bytes.length)
    if (problem !== undefined) return job.onEnd({ ok: false, detail: problem })
    if (this.running === undefined && !this.pausing) return this.start(job)
    this.queue.push(job)
    if (this.queue.length === 1 && this.running !== undefined) this.prepare(job)
  }

  /** Gathers the inputs. False where that failed and the job has ended. */
  private prepare(job: Job): boolean {
    if (job.buffers !== undefined) return true
    const { batch, model: { layout, pool } } = job
    const start = performance.now()
    try {
      const offset = batch.offsets[0]!
      if (batch.direct === undefined && batch.offsets.length === 1 && layout.placement(batch.items, batch.bindings).totalBytes >= bindSlotFromBytes) {
        job.buffers = pool.onSlot(batch.items, batch.bindings, this.memory.address + BigInt(offset))
      } else {
        const buffers = pool.take(batch.items, batch.bindings)
        gather(layout, this.memory.bytes, batch, buffers.bytes!, buffers.placement)
        job.buffers = buffers
      }
      job.inputMs = performance.now() - start
      return true
    } catch (error) {
      const at = this.queue.indexOf(job)
      if (at >= 0) this.queue.splice(at, 1)
      job.onEnd({ ok: false, detail: textOf(error) })
      return false
    }
  }

  private start(job: Job): void {
    if (!this.prepare(job)) return this.next()
    this.running = job
    const buffers = job.buffers!
    const start = performance.now()
    const { open } = this.peers
    if (this.peers.busy === 0 && buffers.timing.inferMs < (open === 1 ? inlineBelowMs.alone : inlineBelowMs.amongOthers)) {
      const problem = job.model.session.run(buffers, null)
      const inferMs = performance.now() - start
      this.running = undefined
      note(buffers, inferMs)
      this.finish(job, inferMs, problem)
      // The answer leaves, and what has come in is read, before the next batch: else a chain of them would starve the connection.
      this.pausing = true
      setImmediate(() => {
        this.pausing = false
        this.next()
      })
      return
    }
    this.peers.busy++
    job.model.session.runAsync(buffers, null, (problem) => {
      const inferMs = performance.now() - start
      this.running = undefined
      this.peers.busy--
      note(buffers, inferMs - handOverMs)
      this.next()
      this.finish(job, inferMs, problem)
    })
  }

  private next(): void {
    if (this.running !== undefined || this.pausing) return
    const job = this.queue.shift()
    if (job === undefined) return
    this.start(job)
    const following = this.queue[0]
    if (this.running !== undefined && following !== undefined) this.prepare(following)
  }

  /** Outputs to their places, buffers back, and the answer. */
  private finish(job: Job, inferMs: number, problem: string | undefined): void {
    const { batch, model } = job
    const buffers = job.buffers!
    let end: RunEnd
    try {
      if (problem === undefined) {
        const start = performance.now()
        if (buffers.bytes !== undefined) scatter(model.layout, this.memory.bytes, batch, buffers.bytes, buffers.placement)
        const dynamic = this.takeDynamic(model, batch, buffers)
        end = {
          ok: true,
          inputMs: job.inputMs,
          inferMs,
          outputMs: performance.now() - start,
          outputBindings: dynamic?.outputBindings ?? [],
          overflow: dynamic?.overflow
        }
      } else {
        end = { ok: false, detail: problem }
      }
    } catch (error) {
      end = { ok: false, detail: textOf(error) }
    }
    dropMadeValues(this.ort, model.dynamicOutputs, buffers)
    model.pool.put(buffers)
    job.onEnd(end)
  }

  /** Copies outputs that the run made. */
  private takeDynamic(model: LoadedModel, batch: RunBatch, buffers: BatchBuffers): ReturnType<typeof scatterDynamic> | undefined {
    if (model.dynamicOutputs.length === 0) return undefined
    const outputs = model.layout.signature.outputs.map((): DynamicOutput | undefined => undefined)
    for (const j of model.dynamicOutputs) outputs[j] = readValue(this.ort, model.layout, j, buffers.outputValues[j]!)
    return scatterDynamic(model.layout, this.memory.bytes, batch, outputs)
  }

}

const release = ({ pool, session }: LoadedModel): void => {
  pool.clear()
  session.release()
}

/** Follows how long a size takes. The first run of a size is slow for reasons of its own and does not count. */
const note = ({ timing }: BatchBuffers, inferMs: number): void => {
  timing.runs++
  if (timing.runs === 1) return
  timing.inferMs = timing.runs === 2 ? inferMs : timing.inferMs + (inferMs - timing.inferMs) / 4
}

/** Loads the library. Throws where it does not load. */
export const makeOrtC = (memory: SegmentMemory): Engine => {
  const ort = loadOrt()
  const glets: GletsOfProcess = { open: 0, busy: 0 }
  return { name: "ort-c", clientMemory: { by: "files" }, openGlet: ({ units }) => Promise.resolve(new OrtCGlet(ort, memory, units, glets)) }
}
