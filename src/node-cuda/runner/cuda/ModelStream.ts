/** The stream on which all kernels of one model run, one batch after the other: as a graph, or launched one by one. */
import { LoadFailure } from "../../../core/internal/loadFailure.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import type { Handle, WaitCondition } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import { settled } from "./CudaRuntime.js"
import { PreemptionPoints, stepMs } from "./PreemptionPoints.js"
import { RunShapes } from "./RunShapes.js"

/** Graphs whose launch takes longer are launched by another thread, which costs some 0.03 ms of this one and leaves it free. */
const inlineLaunchMs = 0.05
/** Graphs whose launch takes longer have so many kernels that two of them fill the driver's queue. */
const heavyLaunchMs = 0.1
/** The first launches of a graph are slow for reasons of their own. */
const judgedLaunches = 12
/** Trial runs of a size; the median counts. */
const trialRuns = 9

export class ModelStream {
  readonly shapes = new RunShapes()

  /** `isSynchronized`: ONNX Runtime waits for the end of a run, as it must where the shapes of outputs depend on data. */
  constructor(
    private readonly runtime: CudaRuntime,
    readonly handle: Handle,
    private readonly isSynchronized: boolean,
    /** What kernels that are launched one by one wait for now and then, where they give way. */
    private readonly giveWay: WaitCondition | undefined,
    /** Whether all sizes are one session's. */
    private readonly isShared: boolean
  ) {}

  /** Whether its launches fill the driver's queue: kernels one by one, or a large graph. */
  isHeavy({ graph, size }: BufferSet): boolean {
    return graph === undefined || this.takes(size, heavyLaunchMs)
  }

  private takes({ launchMs, launches }: BatchSize, moreThanMs: number): boolean {
    return launches >= judgedLaunches && launchMs > moreThanMs
  }

  /** Starts the computation of a set; `onStarted` may be called at once. */
  compute(set: BufferSet, onStarted: (problem: string | undefined) => void): void {
    if (set.graph !== undefined || this.giveWay === undefined) return this.start(set, onStarted)
    const points = new PreemptionPoints(this.runtime.driver, this.handle, this.giveWay, stepMs)
    this.start(set, (problem) => {
      points.end()
      onStarted(problem)
    })
  }

  private start(set: BufferSet, onStarted: (problem: string | undefined) => void): void {
    const { driver, now, onFatal, unsynchronized } = this.runtime
    const { graph, size } = set
    if (graph === undefined) {
      if (this.isShared) this.shapes.note([size.items, ...size.bindings])
      size.session!.runAsync(set.values, this.isSynchronized ? null : unsynchronized, onStarted)
      return
    }
    if (this.takes(size, inlineLaunchMs)) {
      driver.launchAsync(graph.executable, this.handle, (error) => {
        if (error?.isFatal === true) onFatal(error)
        onStarted(error?.message)
      })
      return
    }
    const start = now()
    driver.launch(graph.executable, this.handle)
    size.launchMs = Math.min(size.launchMs, now() - start)
    size.launches++
    onStarted(undefined)
  }

  /** Computes a set, without giving way, and waits for its end. Rejects with `LoadFailure`. */
  async runOnce(set: BufferSet): Promise<void> {
    const { driver } = this.runtime
    const problem = await new Promise<string | undefined>((resolve) => this.start(set, resolve))
    driver.record(set.done, this.handle)
    await settled(driver, set.done)
    if (problem !== undefined) throw new LoadFailure("warm-up-failed", problem)
  }

  /** Duration of a batch on this set, in ms, copies not counted. */
  async durationOf(set: BufferSet): Promise<number> {
    const { now } = this.runtime
    const start = now()
    await this.runOnce(set)
    return now() - start
  }

  /** The median of some. */
  async trial(set: BufferSet): Promise<number> {
    const durations: Array<number> = []
    while (durations.length < trialRuns) durations.push(await this.durationOf(set))
    return durations.sort((a, b) => a - b)[trialRuns >> 1]!
  }
}

