/**
 * One model on one glet's SMs: its sessions, its stream, its buffers and graphs by batch size.
 *
 * A convolution of ONNX Runtime holds cuDNN's plan for the shape that it ran last, and makes it anew for another: that takes up to tens of
 * milliseconds a convolution, and a graph that was recorded with the plan before would run kernels that are no longer there. So where a model
 * has convolutions every batch size has a session of its own; other models have one for all.
 */
import { makeRandom } from "../../../core/internal/random.js"
import type { SlotLayout } from "../../../core/SlotLayout.js"
import { makeSlotLayout } from "../../../core/SlotLayout.js"
import { fill } from "../../internal/sampleInputs.js"
import { dynamicOutputs, warmBindings } from "../assembly.js"
import type { LoadRequest, RunBatch } from "../Engine.js"
import { LoadFailure, textOf } from "../Engine.js"
import type { Ort } from "../OrtApi.js"
import type { OrtCSession } from "../OrtCSession.js"
import { dropMadeValues } from "../ortValues.js"
import type { BatchSize, BufferSet, RunnableGraph } from "./BufferSets.js"
import { bytesOfSet, freeBufferSet, freeGraph, makeBatchSize, makeBufferSet } from "./BufferSets.js"
import type { CudaSessionSettings } from "./cudaSession.js"
import type { CudaDriver, Handle } from "./CudaDriver.js"
import { CudaError } from "./CudaDriver.js"
import type { GletContext } from "./gletContext.js"
import { differs, recordGraph } from "./graphs.js"

/** What the models of a process share. */
export interface CudaRuntime {
  readonly driver: CudaDriver
  readonly ort: Ort
  /** OrtMemoryInfo of the device's memory. */
  readonly memoryInfo: bigint
  /** Rejects with `LoadFailure`. */
  readonly openSession: (request: LoadRequest, settings: CudaSessionSettings) => Promise<OrtCSession>
  /** OrtRunOptions: `Run` returns when all is on the stream, not when it has ended. */
  readonly unsynchronized: bigint
  /** The device is lost for this process. */
  readonly onFatal: (error: CudaError) => void
}

/** How a model is run. */
export interface ModelChoice {
  /** Convolutions on channels-last tensors. */
  readonly nhwc: boolean
  /** A session for every batch size. */
  readonly isPerSize: boolean
  readonly search?: CudaSessionSettings["search"]
}

/** Sets of a size that exist at most: one computes while another is filled; small ones come and go faster than one can be filled. */
const setsOf = (size: BatchSize): number => bytesOfSet(size) < 1 << 20 ? 3 : 2
/** Sizes other than the warmed ones that are remembered; the one that was used longest ago goes first. */
const mostOtherSizes = 48
/** Batches of a size that was not warmed before its kernels are recorded. */
const recordAfterUses = 3
/** Trial runs of a size; the median counts. */
const trialRuns = 9

/** Sizes to be ready for: those asked for and, where they cost little, some between, as a batch of another size runs as the next larger one. */
export const readySizes = (warmBatches: ReadonlyArray<number>): ReadonlyArray<number> => {
  const asked = [...new Set(warmBatches)].sort((a, b) => a - b)
  const largest = asked[asked.length - 1] ?? 0
  const between = asked.map((size) => 1.5 * size).filter((size) => Number.isInteger(size) && size < largest)
  return [...new Set([...asked, ...between])].sort((a, b) => a - b)
}

/** First runs at a time, each of which keeps a core busy. */
const compilations = 6

const partsOf = <A>(all: ReadonlyArray<A>, length: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / length) }, (_, i) => all.slice(i * length, (i + 1) * length))

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Waits for an event without holding the thread. */
export const settled = async (driver: CudaDriver, event: Handle): Promise<void> => {
  while (!driver.isDone(event)) await nextTurn()
}

export class CudaModel {
  readonly dynamicOutputs: ReadonlyArray<number>
  /** Why kernels are launched one by one; undefined where they are recorded. */
  graphProblem: string | undefined
  private isVerified = false
  private readonly sizes = new Map<string, BatchSize>()
  /** Sizes that are ready, ascending. */
  private ready: ReadonlyArray<BatchSize> = []

  private constructor(
    private readonly runtime: CudaRuntime,
    private readonly request: LoadRequest,
    readonly layout: SlotLayout,
    /** A session that no size has yet, or that all have. */
    private spare: OrtCSession | undefined,
    /** All its kernels run here, one batch after the other. */
    readonly stream: Handle,
    readonly choice: ModelChoice
  ) {
    this.dynamicOutputs = dynamicOutputs(layout)
    if (this.dynamicOutputs.length > 0) this.graphProblem = "the shape of an output depends on data"
  }

  /** Creates a session in the glet's context. Rejects with `LoadFailure`. */
  static async open(runtime: CudaRuntime, context: GletContext, request: LoadRequest, choice: ModelChoice): Promise<CudaModel> {
    const { driver } = runtime
    const layout = makeSlotLayout(request.signature)
    const stream = context.createStream()
    try {
      const session = await runtime.openSession(request, { ...choice, stream, memoryLimitBytes: driver.freeBytes() })
      return new CudaModel(runtime, request, layout, session, stream, choice)
    } catch (error) {
      driver.destroyStream(stream)
      throw error
    }
  }

  /** Whether a size was warmed. */
  isReady(items: number): boolean {
    return this.ready.some((size) => size.items === items)
  }

  /** The size that a batch runs as. */
  sizeFor(batch: RunBatch): BatchSize {
    if (this.layout.isStatic && this.dynamicOutputs.length === 0) {
      const ready = this.ready.find(({ items }) => items >= batch.items)
      if (ready !== undefined) return ready
    }
    return this.sizeOf(batch.items, batch.bindings)
  }

  /** A set that no batch has; undefined where all are taken. Throws where there is no memory for the first. */
  takeSet(size: BatchSize): BufferSet | undefined {
    // Sets that were recorded come first.
    return size.free.pop() ?? (size.made < setsOf(size) ? this.makeSet(size) : undefined)
  }

  putSet(set: BufferSet): void {
    set.size.free.push(set)
  }

  /** Whether something is to be done before the next batch on this set can run as it should. */
  isToBePrepared(set: BufferSet): boolean {
    return set.size.session === undefined || this.isToBeRecorded(set)
  }

  /** Opens the size's session, or records the set's kernels, if it is time. Nothing else may use the stream meanwhile. */
  async prepare(set: BufferSet): Promise<void> {
    set.size.session ??= await this.takeSession()
    if (this.isToBeRecorded(set)) await this.record(set)
  }

  private isToBeRecorded(set: BufferSet): boolean {
    return set.graph === undefined && this.graphProblem === undefined && this.isVerified && set.size.uses >= recordAfterUses
  }

  private async takeSession(): Promise<OrtCSession> {
    const { spare } = this
    if (spare !== undefined) {
      if (this.choice.isPerSize) this.spare = undefined
      return spare
    }
    const settings = { ...this.choice, stream: this.stream, memoryLimitBytes: this.runtime.driver.freeBytes() }
    return this.runtime.openSession(this.request, settings)
  }

  /** Records the kernels for a set; where that is not possible, never again. */
  private async record(set: BufferSet): Promise<void> {
    if (this.graphProblem !== undefined) return
    this.graphProblem = await recordGraph(this.runtime.driver, set.size.session!, this.runtime.unsynchronized, set, this.stream)
  }

  /** Starts the computation of a set; `onStarted` may be called at once. */
  compute(set: BufferSet, onStarted: (problem: string | undefined) => void): void {
    if (set.graph === undefined) {
      set.size.session!.runAsync(set.values, this.dynamicOutputs.length === 0 ? this.runtime.unsynchronized : null, onStarted)
      return
    }
    this.runtime.driver.launch(set.graph.executable, this.stream)
    onStarted(undefined)
  }

  /**
   * Makes sizes ready: runs each, records all its sets, compares. Rejects with `LoadFailure`. Where each has a session of its own the first runs,
   * in which cuDNN compiles for seconds, go on side by side.
   */
  async warm(batches: ReadonlyArray<number>): Promise<void> {
    const { layout } = this
    const bindings = layout.isStatic ? [] : warmBindings(layout)
    const sizes = batches.filter((items) => !this.isReady(items)).map((items) => this.sizeOf(items, bindings))
    try {
      for (const part of this.choice.isPerSize ? partsOf(sizes, compilations) : partsOf(sizes, 1)) {
        const ends = await Promise.allSettled(part.map((size) => this.runFirst(size)))
        for (const end of ends) if (end.status === "rejected") throw end.reason
      }
      for (const size of sizes) await this.recordSize(size)
      if (layout.isStatic) this.ready = [...this.ready, ...sizes].sort((a, b) => a.items - b.items)
    } catch (error) {
      if (error instanceof CudaError && error.isFatal) this.runtime.onFatal(error)
      // Where shapes have symbols the sizes are a guess, and that they do not fit says nothing about the model.
      if (layout.isStatic) throw error instanceof LoadFailure || error instanceof CudaError ? error : new LoadFailure("warm-up-failed", textOf(error))
    }
  }

  private async runFirst(size: BatchSize): Promise<void> {
    const set = this.takeSet(size)!
    try {
      size.session ??= await this.takeSession()
      await this.runOnce(set)
      dropMadeValues(this.runtime.ort, this.dynamicOutputs, set.values)
    } finally {
      this.putSet(set)
    }
  }

  private async recordSize(size: BatchSize): Promise<void> {
    const sets = [this.takeSet(size)!]
    try {
      const first = sets[0]!
      await this.record(first)
      if (first.graph !== undefined) await this.verify(first)
      while (first.graph !== undefined && size.made < setsOf(size)) {
        const another = this.makeSet(size)
        sets.push(another)
        await this.record(another)
      }
    } finally {
      for (const set of sets) this.putSet(set)
    }
  }

  /** Median duration of a batch of this size, in ms, copies not counted. */
  async trial(items: number): Promise<number> {
    const size = this.sizeOf(items, [])
    const set = this.takeSet(size)!
    try {
      const durations: Array<number> = []
      for (let i = 0; i < trialRuns; i++) {
        const start = performance.now()
        await this.runOnce(set)
        durations.push(performance.now() - start)
      }
      return durations.sort((a, b) => a - b)[trialRuns >> 1]!
    } finally {
      this.putSet(set)
    }
  }

  /** Frees everything. No batch may be in flight. */
  release(): void {
    const { driver } = this.runtime
    for (const size of this.sizes.values()) this.freeSize(size)
    this.sizes.clear()
    this.spare?.release()
    driver.destroyStream(this.stream)
  }

  /** In words, for `glet status`. */
  get detail(): string {
    const sizes = this.ready.filter(({ free }) => free.some(({ graph }) => graph !== undefined)).map(({ items }) => items)
    const graphs = this.graphProblem === undefined
      ? sizes.length === 0 ? "graphs when sizes recur" : `graphs for ${sizes.join(" ")}`
      : `${sizes.length === 0 ? "no graphs" : `graphs for ${sizes.join(" ")} only`} because ${this.graphProblem}`
    return `ort-c, cuda, ${this.choice.nhwc ? "nhwc" : "nchw"}, ${graphs}`
  }

  private async runOnce(set: BufferSet): Promise<void> {
    const problem = await new Promise<string | undefined>((resolve) => this.compute(set, resolve))
    this.runtime.driver.record(set.done, this.stream)
    await settled(this.runtime.driver, set.done)
    if (problem !== undefined) throw new LoadFailure("warm-up-failed", problem)
  }

  /** Compares a graph with a run without it, on inputs that it was not recorded with; forgets it where the outputs differ. */
  private async verify(set: BufferSet): Promise<void> {
    const { driver } = this.runtime
    const { layout: { signature } } = this
    const { placement } = set.size
    const host = driver.allocateHost(placement.totalBytes)
    const graph = set.graph!
    /** Runs with all the buffer as it stands in `host`, and gives it as it stands afterwards. */
    const run = async (graph: RunnableGraph | undefined): Promise<Uint8Array> => {
      set.graph = graph
      driver.copyIn(set.device, host.address, placement.totalBytes, this.stream)
      await this.runOnce(set)
      driver.copyOut(host.address, set.device, placement.totalBytes, this.stream)
      driver.record(set.done, this.stream)
      await settled(driver, set.done)
      return host.memory.slice()
    }
    try {
      const random = makeRandom(1)
      signature.inputs.forEach(({ datatype }, j) => {
        const start = placement.inputOffsets[j]!
        fill(host.memory.subarray(start, start + placement.inputBytes[j]!), datatype, { maxInteger: 1, random })
      })
      // A graph that leaves an output out leaves this there, which is not a number.
      const filled = host.memory.slice()
      signature.outputs.forEach((_, j) => filled.fill(0xff, placement.outputOffsets[j]!, placement.outputOffsets[j]! + placement.outputBytes[j]!))
      const expected = await run(undefined)
      host.memory.fill(0)
      await run(graph)
      host.memory.set(filled)
      const found = await run(graph)
      const isOther = signature.outputs.some(({ datatype }, j) => {
        const part = (bytes: Uint8Array) => bytes.slice(placement.outputOffsets[j]!, placement.outputOffsets[j]! + placement.outputBytes[j]!)
        return differs(datatype, part(expected), part(found))
      })
      if (isOther) {
        set.graph = undefined
        freeGraph(driver, graph)
        this.graphProblem = `a graph of batch ${set.size.items} gave other outputs than a run without it`
      } else {
        this.isVerified = true
      }
    } finally {
      if (this.graphProblem === undefined) set.graph = graph
      driver.freeHost(host.address)
    }
  }

  private sizeOf(items: number, bindings: ReadonlyArray<number>): BatchSize {
    const key = bindings.length === 0 ? String(items) : `${items}:${bindings.join(",")}`
    const known = this.sizes.get(key)
    if (known !== undefined) {
      // Used last, forgotten last.
      if (!this.ready.includes(known)) {
        this.sizes.delete(key)
        this.sizes.set(key, known)
      }
      return known
    }
    const size = makeBatchSize(this.layout, key, items, bindings)
    this.sizes.set(key, size)
    this.forgetOthers()
    return size
  }

  /** Frees sizes beyond what is remembered that no batch uses. */
  private forgetOthers(): void {
    let others = this.sizes.size - this.ready.length
    for (const [key, size] of this.sizes) {
      if (others <= mostOtherSizes) return
      if (this.ready.includes(size) || size.made === 0 || size.free.length < size.made) continue
      this.freeSize(size)
      this.sizes.delete(key)
      others--
    }
  }

  private makeSet(size: BatchSize): BufferSet {
    const { driver, memoryInfo, ort } = this.runtime
    return makeBufferSet(driver, ort, memoryInfo, this.layout, size)
  }

  private freeSize(size: BatchSize): void {
    for (const set of size.free.splice(0)) freeBufferSet(this.runtime.driver, set)
    if (size.session !== this.spare) size.session?.release()
    size.session = undefined
  }
}
