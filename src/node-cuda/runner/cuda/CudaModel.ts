/** One model on one glet's SMs: its sessions, its stream, its buffers and graphs by batch size. */
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import { dynamicOutputs } from "../../../core/internal/batchAssembly.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { SlotLayout } from "../../../core/SlotLayout.js"
import { makeSlotLayout } from "../../../core/SlotLayout.js"
import type { LoadRequest } from "../Engine.js"
import { BatchSizes } from "./BatchSizes.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import { freeGraph } from "./BufferSets.js"
import type { Handle, WaitCondition } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import type { GletContext } from "./gletContext.js"
import { GraphRecorder } from "./GraphRecorder.js"
import { ModelSessions } from "./ModelSessions.js"
import { ModelStream } from "./ModelStream.js"
import { stepMs } from "./PreemptionPoints.js"
import { warmUp } from "./warmUp.js"

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

export class CudaModel {
  readonly dynamicOutputs: ReadonlyArray<number>
  private readonly sizes: BatchSizes
  private readonly computing: ModelStream
  private readonly recorder: GraphRecorder
  private readonly givesWayLaunching: boolean

  private constructor(
    private readonly runtime: CudaRuntime,
    readonly layout: SlotLayout,
    private readonly sessions: ModelSessions,
    /** All its kernels run here, one batch after the other. */
    readonly stream: Handle,
    readonly choice: ModelChoice,
    { giveWay, givesWayLaunching }: Pick<GletContext, "giveWay" | "givesWayLaunching">
  ) {
    this.dynamicOutputs = dynamicOutputs(layout)
    this.givesWayLaunching = givesWayLaunching
    const isDynamic = this.dynamicOutputs.length > 0
    this.computing = new ModelStream(runtime, stream, isDynamic, givesWayLaunching ? giveWay : undefined, !choice.isPerSize)
    this.recorder = new GraphRecorder(runtime, layout.signature, this.computing, isDynamic ? "the shape of an output depends on data" : undefined, giveWay)
    this.sizes = new BatchSizes(runtime, layout, !isDynamic, (items) => this.layoutsOf(items)[0]!, (size) => sessions.release(size))
  }

  /** Creates a session in the glet's context. Rejects with `LoadFailure`. */
  static async open(runtime: CudaRuntime, context: GletContext, request: LoadRequest, choice: ModelChoice): Promise<CudaModel> {
    const layout = makeSlotLayout(request.signature)
    const stream = context.createStream()
    try {
      const nhwc = choice.layouts?.get(Math.max(1, ...request.warmBatches)) ?? false
      return new CudaModel(runtime, layout, await ModelSessions.open(runtime, request, stream, choice.isPerSize, nhwc), stream, choice, context)
    } catch (error) {
      runtime.driver.destroyStream(stream)
      throw error
    }
  }

  /** The size that a batch runs as. */
  sizeFor(batch: RunBatch): BatchSize {
    return this.sizes.of(batch)
  }

  /** A set that no batch has; undefined where all are taken. Throws where there is no memory for the first. */
  takeSet(size: BatchSize): BufferSet | undefined {
    return this.sizes.takeSet(size)
  }

  putSet(set: BufferSet): void {
    this.sizes.putSet(set)
  }

  /** Whether something is to be done before the next batch on this set can run as it should. */
  isToBePrepared(set: BufferSet): boolean {
    this.dropStale(set)
    return set.size.session === undefined || this.recorder.isDue(set)
  }

  /** Opens the size's session, or records the set's kernels, if it is time. Nothing else may use the stream meanwhile. */
  async prepare(set: BufferSet): Promise<void> {
    await this.sessions.provide(set.size)
    if (this.recorder.isDue(set)) await this.runtime.captures.capture(() => this.recorder.recordDue(set))
  }

  /** Whether its launches fill the driver's queue. */
  isHeavy(set: BufferSet): boolean {
    return this.computing.isHeavy(set)
  }

  /** Starts the computation of a set; `onStarted` may be called at once. */
  compute(set: BufferSet, onStarted: (problem: string | undefined) => void): void {
    this.dropStale(set)
    if (set.graph !== undefined || set.size.uses > 1) return this.computing.compute(set, onStarted)
    const { captures, onFatal } = this.runtime
    captures.firstRun(() => new Promise<string | undefined>((resolve) => this.computing.compute(set, resolve))).then(onStarted, (error: unknown) => {
      if (error instanceof CudaError && error.isFatal) onFatal(error)
      onStarted(textOf(error))
    })
  }

  /** A graph that was recorded before the session ran something larger is recorded anew. */
  private dropStale(set: BufferSet): void {
    const { graph } = set
    if (graph === undefined || graph.generation === this.computing.shapes.generation) return
    set.graph = undefined
    freeGraph(this.runtime.driver, graph)
  }

  /** Makes batch sizes ready. Rejects with `LoadFailure`, or with `CudaError`. */
  warm(batches: ReadonlyArray<number>): Promise<void> {
    const { dynamicOutputs, layout, recorder, runtime, sessions, sizes } = this
    return warmUp({
      dynamicOutputs, layout, recorder, runtime, sessions, sizes, stream: this.computing,
      layoutsOf: (items) => this.layoutsOf(items),
      onChosen: ({ items, nhwc }) => this.choice.layouts?.set(items, nhwc)
    }, batches)
  }

  /** Median duration of a batch of this size, in ms, copies not counted. */
  async trial(size: BatchSize): Promise<number> {
    const set = this.takeSet(size)!
    try {
      return await this.computing.trial(set)
    } finally {
      this.putSet(set)
    }
  }

  /** Frees everything. No batch may be in flight. */
  release(): void {
    this.sizes.clear()
    this.sessions.close()
    this.runtime.driver.destroyStream(this.stream)
  }

  /** What a batch on this set waits for, where it gives way. */
  giveWayOf({ graph }: BufferSet): WaitCondition | undefined {
    const { divideProblem, giveWay } = this.recorder
    const isSo = graph === undefined ? this.givesWayLaunching && divideProblem === undefined : graph.preemptMs !== undefined
    return isSo ? giveWay : undefined
  }

  /** About how long its batches compute before they give way, in ms; undefined where some run to their end. */
  get preemptMs(): number | undefined {
    const { divideProblem, giveWay, problem } = this.recorder
    if (giveWay === undefined || divideProblem !== undefined || (problem !== undefined && !this.givesWayLaunching)) return undefined
    let longest = stepMs
    for (const { free, graphProblem } of this.sizes.all) {
      if (graphProblem !== undefined && !this.givesWayLaunching) return undefined
      for (const { graph } of free) longest = Math.max(longest, graph?.preemptMs ?? 0)
    }
    return longest
  }

  /** In words, for `glet status`. */
  get detail(): string {
    const isRecorded = ({ free }: BatchSize) => free.some(({ graph }) => graph !== undefined)
    const list = (sizes: ReadonlyArray<BatchSize>) => sizes.map(({ items }) => items).join(" ")
    const { preemptMs, recorder } = this
    const { ready } = this.sizes
    const graphs = ready.filter(isRecorded)
    const others = ready.filter((size) => !isRecorded(size))
    const problem = this.recorder.problem ?? others[0]?.graphProblem
    const nhwc = ready.filter((size) => size.nhwc)
    return [
      "ort-c, cuda",
      ...(nhwc.length === 0 ? [] : [nhwc.length === ready.length ? "nhwc" : `nhwc for ${list(nhwc)}`]),
      ...(graphs.length === 0 ? [] : [`graphs for ${list(graphs)}`]),
      ...(problem === undefined ? [] : [`no graphs${graphs.length === 0 ? "" : ` for ${list(others)}`} because ${problem}`]),
      ...(graphs.length === 0 && problem === undefined ? ["graphs when sizes recur"] : []),
      ...(preemptMs === undefined ? [] : [`gives way within ${preemptMs.toFixed(2)} ms`]),
      ...(recorder.divideProblem === undefined ? [] : [`runs to its end because ${recorder.divideProblem}`])
    ].join(", ")
  }

  /** Layouts of convolutions to try for a size: whether channels-last. */
  private layoutsOf(items: number): ReadonlyArray<boolean> {
    const { isPerSize, layouts } = this.choice
    if (layouts === undefined) return [false]
    const known = layouts.get(items)
    return known === undefined && isPerSize ? [false, true] : [known ?? false]
  }
}
