/** Puts the copies of batches' outputs on a stream, and takes what is there to its places when they have ended. */
import type { DynamicOutput } from "../../../core/internal/batchAssembly.js"
import { scatter, scatterDynamic } from "../../../core/internal/batchAssembly.js"
import type { SegmentMemory } from "../OrtC.js"
import { readValue } from "../ortValues.js"
import type { BatchJob } from "./BatchJob.js"
import { BatchPieces } from "./BatchPieces.js"
import type { BufferSet } from "./BufferSets.js"
import { outputsOf } from "./BufferSets.js"
import { isWhole } from "./copies.js"
import type { Handle } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"

export class BatchOutputs {
  private readonly segmentAddress: number
  private readonly pieces = new BatchPieces("outputs", 256)

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly memory: SegmentMemory,
    private readonly stream: Handle
  ) {
    this.segmentAddress = Number(memory.address)
  }

  /** Copies them once they are computed, unless the batch has failed, and records that the batch is done. */
  copy(job: BatchJob, set: BufferSet, isApart: boolean): void {
    const { driver, mover } = this.runtime
    const { batch, model, size } = job
    const stream = isApart ? this.stream : model.stream
    if (isApart) driver.wait(stream, set.computed)
    if (job.problem === undefined) {
      const by = isWhole(batch, size.items) ? "engine" : size.outputsBy
      if (by === "host") {
        const { bytes, start } = outputsOf(size)
        if (bytes > 0) driver.copyOut(set.staging!.address + start, set.device + start, bytes, stream)
      } else if (by === "mover") {
        mover!.moveOut(this.pieces.of(job, set, mover!.segment), stream)
      } else {
        driver.copyAllOut(this.pieces.of(job, set, this.segmentAddress), stream)
      }
    }
    driver.record(set.done, stream)
  }

  /** Writes what the host is to write. Gives what only the run knew: undefined where the shapes of all outputs were known. */
  deliver(job: BatchJob, set: BufferSet): ReturnType<typeof scatterDynamic> | undefined {
    const { batch, model, size } = job
    if (size.outputsBy === "host" && !isWhole(batch, size.items)) {
      scatter(model.layout, this.memory.bytes, batch, set.staging!.memory, size.placement, size.items)
    }
    if (model.dynamicOutputs.length === 0) return undefined
    const outputs = model.layout.signature.outputs.map((): DynamicOutput | undefined => undefined)
    for (const j of model.dynamicOutputs) outputs[j] = readValue(this.runtime.ort, model.layout, j, set.values.outputValues[j]!)
    return scatterDynamic(model.layout, this.memory.bytes, batch, outputs)
  }
}
