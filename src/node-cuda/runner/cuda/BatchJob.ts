/** A batch of a glet on the GPU, from when it comes until it is answered. */
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { RunEnd } from "../Engine.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { CudaModel } from "./CudaModel.js"
import type { CudaRuntime } from "./CudaRuntime.js"

export interface BatchJob {
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

/** What a failure means: for the process, or for this batch only. */
export const failJob = (runtime: CudaRuntime, job: BatchJob, error: unknown): void => {
  if (error instanceof CudaError && error.isFatal) runtime.onFatal(error)
  job.problem ??= textOf(error)
}
