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
import { fill } from "../../../core/internal/sampleInputs.js"
import { dynamicOutputs, warmBindings } from "../../../core/internal/batchAssembly.js"
import type { LoadRequest } from "../Engine.js"
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import { LoadFailure, textOf } from "../../../core/internal/loadFailure.js"
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
  /** What trials and launches are measured by, in ms. */
  readonly now: () => number
  /** The device is lost for this process. */
  readonly onFatal: (error: CudaError) => void
}

/** How a model is run. */
export interface ModelChoice {
  /** A session for every batch size. */
  readonly isPerSize: boolean
  /**
   * By batch size, whether channels-last is faster: what is not known is measured when a size is warmed, and noted here. Without convolutions
   * there is no choice.
   */
  readonly layouts: Map<number, boolean> | undefined
}

/** Sets of a size that exist at most: one computes while another is filled; small ones come and go faster than one can be filled. */
const setsOf = (size: BatchSize): number => bytesOfSet(size) < 1 << 20 ? 3 : 2
/** Sizes other than the warmed ones that are remembered; the one that was used longest ago goes first. */
const mostOtherSizes = 48
/** Batches of a size that was not warmed before its kernels are recorded. */
const recordAfterUses = 3
/** Graphs whose launch takes longer are launched by another thread, which costs some 0.02 ms and leaves this one free. */
const inlineLaunchMs = 0.1
/** The first launches of a graph are slow for reasons of their own. */
const judgedLaunches = 12
/**
 * A run without a graph launches its kernels one by one, which holds up the launches of all other glets of the process. That does not show where it is
 * tried alone: it must be so many times as fast as a graph to be taken.
 */
const launchedOneByOne = 2
/** Trial runs of a size; the median counts. */
const trialRuns = 9

/** Sizes to be ready for: those asked for and, where they cost little, some between, as a batch of another size runs as the next larger one. */
export const readySizes = (warmBatches: ReadonlyArray<number>): ReadonlyArray<number> => {
  const asked = [...new Set(warmBatches)].sort((a, b) => a - b)
  const largest = asked[asked.length - 1] ?? 0
  const between = asked.map((size) => 1.5 * size).filter((size) => Number.isInteger(size) && size < largest)
  return [...new Set([...asked, ...between])].sort((a, b) => a - b)
}

const keyOf = (items: number, bindings: ReadonlyArray<number>): string => bindings.length === 0 ? String(items) : `${items}:${bindings.join(",")}`

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
  /** Why no size can have a graph. */
  private readonly graphProblem: string | undefined
  /** A graph has given what a run without it gives. */
  private isVerified = false
  private readonly sizes = new Map<string, BatchSize>()
  /** Sizes that are ready, ascending. */
  private ready: ReadonlyArray<BatchSize> = []

  private constructor(
    private readonly runtime: CudaRuntime,
    private readonly request: LoadRequest,
    readonly layout: SlotLayout,
    /** A session that no size has yet, or that all have. */
    private spare: { readonly session: OrtCSession; readonly nhwc: boolean } | undefined,
    /** All its kernels run here, one batch after the other. */
    readonly stream: Handle,
    readonly choice: ModelChoice
  ) {
    this.dynamicOutputs = dynamicOutputs(layout)
    this.graphProblem = this.dynamicOutputs.length > 0 ? "the shape of an output depends on data" : undefined
  }

  /** Creates a session in the glet's context. Rejects with `LoadFailure`. */
  static async open(runtime: CudaRuntime, context: GletContext, request: LoadRequest, choice: ModelChoice): Promise<CudaModel> {
    const { driver } = runtime
    const layout = makeSlotLayout(request.signature)
    const stream = context.createStream()
    try {
      const nhwc = choice.layouts?.get(Math.max(1, ...request.warmBatches)) ?? false
      const session = await runtime.openSession(request, { stream, nhwc, memoryLimitBytes: driver.freeBytes() })
      return new CudaModel(runtime, request, layout, { session, nhwc }, stream, choice)
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
    set.size.session ??= await this.takeSession(set.size)
    if (this.isToBeRecorded(set)) await this.record(set)
  }

  private isToBeRecorded({ graph, size }: BufferSet): boolean {
    return graph === undefined && this.graphProblemOf(size) === undefined && this.isVerified && size.uses >= recordAfterUses
  }

  private graphProblemOf(size: BatchSize): string | undefined {
    return this.graphProblem ?? size.graphProblem
  }

  private async takeSession({ nhwc }: BatchSize): Promise<OrtCSession> {
    const { spare } = this
    if (spare?.nhwc === nhwc) {
      if (this.choice.isPerSize) this.spare = undefined
      return spare.session
    }
    return this.runtime.openSession(this.request, { stream: this.stream, nhwc, memoryLimitBytes: this.runtime.driver.freeBytes() })
  }

  /** Records the kernels for a set; where that is not possible, for none of the size again. */
  private async record(set: BufferSet): Promise<void> {
    const { size } = set
    if (this.graphProblemOf(size) !== undefined) return
    size.graphProblem = await recordGraph(this.runtime.driver, size.session!, this.runtime.unsynchronized, set, this.stream)
  }

  /** Whether its launches fill the driver's queue: kernels one by one, or a graph so large that another thread launches it. */
  isHeavy({ graph, size }: BufferSet): boolean {
    return graph === undefined || (size.launches >= judgedLaunches && size.launchMs > inlineLaunchMs)
  }

  /** Starts the computation of a set; `onStarted` may be called at once. */
  compute(set: BufferSet, onStarted: (problem: string | undefined) => void): void {
    if (set.graph === undefined) {
      set.size.session!.runAsync(set.values, this.dynamicOutputs.length === 0 ? this.runtime.unsynchronized : null, onStarted)
      return
    }
    const { driver, now, onFatal } = this.runtime
    const { graph, size } = set
    if (this.isHeavy(set)) {
      driver.launchAsync(graph.executable, this.stream, (error) => {
        if (error?.isFatal === true) onFatal(error)
        onStarted(error?.message)
      })
      return
    }
    const start = now()
    driver.launch(graph.executable, this.stream)
    size.launchMs = Math.min(size.launchMs, now() - start)
    size.launches++
    onStarted(undefined)
  }

  /**
   * Makes sizes ready: runs each, records all its sets, compares, and keeps the faster layout where there is a choice, one with a graph before one without. Rejects with `LoadFailure`.
   * Where each has a session of its own the first runs, in which cuDNN compiles for seconds, go on side by side.
   */
  async warm(batches: ReadonlyArray<number>): Promise<void> {
    const { layout } = this
    const bindings = layout.isStatic ? [] : warmBindings(layout)
    const asked = batches.filter((items) => !this.isReady(items))
    const candidates = asked.map((items) => this.layoutsOf(items).map((nhwc) => this.candidate(items, bindings, nhwc)))
    try {
      const problems = await this.runAllFirst(candidates.flat())
      for (const sizes of candidates) {
        const able = sizes.filter((size) => !problems.has(size))
        if (able.length === 0) throw problems.get(sizes[0]!)
        for (const size of able) await this.recordSize(size)
        this.keep(able.length === 1 ? able[0]! : await this.fastest(able))
      }
    } catch (error) {
      if (error instanceof CudaError && error.isFatal) this.runtime.onFatal(error)
      // Where shapes have symbols the sizes are a guess, and that they do not fit says nothing about the model.
      if (layout.isStatic) throw error instanceof LoadFailure || error instanceof CudaError ? error : new LoadFailure("warm-up-failed", textOf(error))
    } finally {
      for (const size of candidates.flat()) if (this.sizes.get(size.key) !== size) this.freeSize(size)
    }
  }

  /** Layouts to try for a size. */
  private layoutsOf(items: number): ReadonlyArray<boolean> {
    const { isPerSize, layouts } = this.choice
    if (layouts === undefined) return [false]
    const known = layouts.get(items)
    return known === undefined && isPerSize ? [false, true] : [known ?? false]
  }

  private candidate(items: number, bindings: ReadonlyArray<number>, nhwc: boolean): BatchSize {
    return makeBatchSize(this.layout, keyOf(items, bindings), items, bindings, nhwc)
  }

  /** Runs each once. Gives what went wrong, by size. */
  private async runAllFirst(sizes: ReadonlyArray<BatchSize>): Promise<ReadonlyMap<BatchSize, unknown>> {
    const problems = new Map<BatchSize, unknown>()
    for (const part of partsOf(sizes, this.choice.isPerSize ? compilations : 1)) {
      await Promise.all(part.map((size) => this.runFirst(size).catch((error: unknown) => problems.set(size, error))))
    }
    return problems
  }

  private async fastest(sizes: ReadonlyArray<BatchSize>): Promise<BatchSize> {
    let best: { readonly size: BatchSize; readonly ms: number } | undefined
    for (const size of sizes) {
      const ms = (await this.trial(size)) * (size.free.some(({ graph }) => graph !== undefined) ? 1 : launchedOneByOne)
      if (best === undefined || ms < best.ms) best = { size, ms }
    }
    return best!.size
  }

  private keep(size: BatchSize): void {
    this.choice.layouts?.set(size.items, size.nhwc)
    this.sizes.set(size.key, size)
    if (this.layout.isStatic) this.ready = [...this.ready, size].sort((a, b) => a.items - b.items)
  }

  private async runFirst(size: BatchSize): Promise<void> {
    const set = this.takeSet(size)!
    try {
      size.session ??= await this.takeSession(size)
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
  async trial(size: BatchSize): Promise<number> {
    const { now } = this.runtime
    const set = this.takeSet(size)!
    try {
      const durations: Array<number> = []
      for (let i = 0; i < trialRuns; i++) {
        const start = now()
        await this.runOnce(set)
        durations.push(now() - start)
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
    this.spare?.session.release()
    driver.destroyStream(this.stream)
  }

  /** In words, for `glet status`. */
  get detail(): string {
    const isRecorded = ({ free }: BatchSize) => free.some(({ graph }) => graph !== undefined)
    const list = (sizes: ReadonlyArray<BatchSize>) => sizes.map(({ items }) => items).join(" ")
    const graphs = this.ready.filter(isRecorded)
    const others = this.ready.filter((size) => !isRecorded(size))
    const problem = this.graphProblem ?? others[0]?.graphProblem
    const nhwc = this.ready.filter((size) => size.nhwc)
    return [
      "ort-c, cuda",
      ...(nhwc.length === 0 ? [] : [nhwc.length === this.ready.length ? "nhwc" : `nhwc for ${list(nhwc)}`]),
      ...(graphs.length === 0 ? [] : [`graphs for ${list(graphs)}`]),
      ...(problem === undefined ? [] : [`no graphs${graphs.length === 0 ? "" : ` for ${list(others)}`} because ${problem}`]),
      ...(graphs.length === 0 && problem === undefined ? ["graphs when sizes recur"] : [])
    ].join(", ")
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
        set.size.graphProblem = "its outputs were others than those of a run without it"
      } else {
        this.isVerified = true
      }
    } finally {
      if (set.size.graphProblem === undefined) set.graph = graph
      driver.freeHost(host.address)
    }
  }

  private sizeOf(items: number, bindings: ReadonlyArray<number>): BatchSize {
    const key = keyOf(items, bindings)
    const known = this.sizes.get(key)
    if (known !== undefined) {
      // Used last, forgotten last.
      if (!this.ready.includes(known)) {
        this.sizes.delete(key)
        this.sizes.set(key, known)
      }
      return known
    }
    const size = this.candidate(items, bindings, this.layoutsOf(items)[0]!)
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

  /** Frees what a size has; no batch may use it. */
  private freeSize(size: BatchSize): void {
    for (const set of size.free.splice(0)) freeBufferSet(this.runtime.driver, set)
    if (size.session !== this.spare?.session) size.session?.release()
    size.session = undefined
  }
}
