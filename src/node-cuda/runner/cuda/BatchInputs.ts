/**
 * Puts the copies of batches' inputs on a stream: of a glet's own where another batch computes, so that they run meanwhile; of the model where none
 * does, which spares the hand-over.
 */
import { gather } from "../../../core/internal/batchAssembly.js"
import type { SegmentMemory } from "../OrtC.js"
import type { BatchJob } from "./BatchJob.js"
import { failJob } from "./BatchJob.js"
import { BatchPieces } from "./BatchPieces.js"
import type { BufferSet } from "./BufferSets.js"
import { inputsOf } from "./BufferSets.js"
import { isWhole } from "./copies.js"
import type { Handle } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import type { HeldTime } from "./HeldTime.js"

/** Copies that take longer to be put on a stream are put there by another thread, which costs some 0.03 ms of this one and leaves it free. */
const inlineCopyMs = 0.05
/** The first ones are slow for reasons of their own. */
const judgedCopies = 12

export class BatchInputs {
  /** Another thread is just putting the copies of a batch on a stream. */
  isCopying = false
  private readonly segmentAddress: number
  private readonly pieces = new BatchPieces("inputs", 256)
  /** What another thread reads. */
  private readonly piecesElsewhere = new BatchPieces("inputs", 0)

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly memory: SegmentMemory,
    private readonly held: HeldTime,
    private readonly stream: Handle,
    /** What another thread copied is on its stream. */
    private readonly onCopied: () => void
  ) {
    this.segmentAddress = Number(memory.address)
  }

  /** Takes buffers and puts the copies of the inputs on a stream. False where all buffers of the size are taken. */
  prepare(job: BatchJob, isApart: boolean): boolean {
    if (job.set !== undefined || job.problem !== undefined) return true
    const { batch, model, size } = job
    const { driver, mover, now } = this.runtime
    const startMs = performance.now()
    try {
      const set = model.takeSet(size)
      if (set === undefined) return false
      job.set = set
      job.apart = isApart
      const stream = isApart ? this.stream : model.stream
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
        mover!.moveIn(this.pieces.of(job, set, mover!.segment), stream)
      } else if (size.copied >= judgedCopies && size.copyMs > inlineCopyMs) {
        this.copyElsewhere(job, set, stream, startMs)
        return true
      } else {
        const list = this.pieces.of(job, set, this.segmentAddress)
        const beganMs = now()
        driver.copyAllIn(list, stream)
        size.copyMs = Math.min(size.copyMs, now() - beganMs)
        size.copied++
      }
      if (job.apart) driver.record(set.copiedIn, stream)
    } catch (error) {
      failJob(this.runtime, job, error)
    }
    job.inputMs = this.held.since(startMs, "inputs") - startMs
    return true
  }

  /** Lets another thread put the copies on the stream; nothing behind them starts before that. */
  private copyElsewhere(job: BatchJob, set: BufferSet, stream: Handle, startMs: number): void {
    const { driver } = this.runtime
    const list = this.piecesElsewhere.of(job, set, this.segmentAddress)
    this.isCopying = true
    let isAsync = false
    driver.copyAllInAsync(list, stream, (error) => {
      this.isCopying = false
      job.inputMs = performance.now() - startMs
      this.held.during(() => {
        try {
          // A thread of the pool that has no context yet cannot; this one can.
          if (error !== undefined) driver.copyAllIn(list, stream)
          if (job.apart) driver.record(set.copiedIn, stream)
        } catch (failed) {
          failJob(this.runtime, job, failed)
        }
        if (isAsync) this.onCopied()
      })
    })
    isAsync = true
    this.held.since(startMs, "inputs")
  }
}
