/** Which of a model's buffer sets have a graph of its kernels: recorded when it pays, compared once with a run without it. */
import { makeRandom } from "../../../core/internal/random.js"
import { fill } from "../../../core/internal/sampleInputs.js"
import type { ModelSignature } from "../../../core/Model.js"
import type { BatchSize, BufferSet, RunnableGraph } from "./BufferSets.js"
import { freeGraph } from "./BufferSets.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import { settled } from "./CudaRuntime.js"
import { differenceAllowed, differenceOf, recordGraph } from "./graphs.js"
import type { WaitCondition } from "./driver/CudaDriver.js"
import type { ModelStream } from "./ModelStream.js"

/** Batches of a size that was not warmed before its kernels are recorded. */
const recordAfterUses = 3

export class GraphRecorder {
  /** A graph has given what a run without it gives. */
  private isVerified = false

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly signature: ModelSignature,
    private readonly stream: ModelStream,
    /** Why no size can have a graph. */
    readonly problem: string | undefined,
    /** What graphs wait for between their steps, where they give way. */
    readonly giveWay: WaitCondition | undefined
  ) {}

  /** Whether it is time to record this set, and nothing keeps it waiting. */
  isDue({ graph, size }: BufferSet): boolean {
    return this.runtime.captures.isOpen && graph === undefined && this.problemOf(size) === undefined && this.isVerified && size.uses >= recordAfterUses
  }

  /** Records the kernels for a set that is due, so that it gives way where it is to. */
  async recordDue(set: BufferSet): Promise<void> {
    const { size } = set
    await this.record(set)
    if (this.giveWay === undefined || set.graph === undefined || set.graph.preemptMs !== undefined || !Number.isFinite(size.typicalMs)) return
    // Launched one by one kernels take longer than as a graph: steps come out shorter.
    size.whole ??= { runMs: size.typicalMs, recordMs: set.graph.recordMs }
    await this.divide(set)
  }

  /** Records the kernels for a set; where that is not possible, for none of the size again. Nothing else may use the stream meanwhile. */
  async record(set: BufferSet): Promise<void> {
    const { size } = set
    if (this.problemOf(size) !== undefined) return
    const { driver, unsynchronized } = this.runtime
    const giveWay = size.whole === undefined ? undefined : this.giveWay
    size.graphProblem = await recordGraph(driver, size.session!, unsynchronized, set, this.stream.handle, giveWay, this.stream.shapes.generation)
  }

  /** Records a set anew that has a graph: from now on it gives way. Where the driver cannot do that it keeps a graph that does not. */
  async divide(set: BufferSet): Promise<void> {
    const whole = set.graph
    if (whole === undefined || this.giveWay === undefined) return
    await this.record(set)
    if (set.graph === whole) {
      this.divideProblem = set.size.graphProblem
      set.size.graphProblem = undefined
      set.size.whole = undefined
    } else {
      freeGraph(this.runtime.driver, whole)
    }
  }

  /** Why graphs run to their end that were to give way. */
  divideProblem: string | undefined

  private problemOf(size: BatchSize): string | undefined {
    return this.problem ?? size.graphProblem
  }

  /** Compares a graph with a run without it, on inputs that it was not recorded with; forgets it where the outputs differ. */
  async verify(set: BufferSet): Promise<void> {
    const { driver } = this.runtime
    const { signature } = this
    const { placement } = set.size
    const host = driver.allocateHost(placement.totalBytes)
    const graph = set.graph!
    /** Runs with all the buffer as it stands in `host`, and gives it as it stands afterwards. */
    const run = async (graph: RunnableGraph | undefined): Promise<Uint8Array> => {
      set.graph = graph
      driver.copyIn(set.device, host.address, placement.totalBytes, this.stream.handle)
      await this.stream.runOnce(set)
      driver.copyOut(host.address, set.device, placement.totalBytes, this.stream.handle)
      driver.record(set.done, this.stream.handle)
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
      const difference = Math.max(...signature.outputs.map(({ datatype }, j) => {
        const part = (bytes: Uint8Array) => bytes.slice(placement.outputOffsets[j]!, placement.outputOffsets[j]! + placement.outputBytes[j]!)
        return differenceOf(datatype, part(expected), part(found))
      }))
      if (difference > differenceAllowed) {
        set.graph = undefined
        freeGraph(driver, graph)
        set.size.graphProblem = `its outputs were others than those of a run without it${Number.isFinite(difference) ? `, by up to ${(100 * difference).toPrecision(2)} %` : ""}`
      } else {
        this.isVerified = true
      }
    } finally {
      if (set.size.graphProblem === undefined) set.graph = graph
      driver.freeHost(host.address)
    }
  }
}
