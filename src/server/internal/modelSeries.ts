/** Counters of one version of a model, since the server started. Durations are sums over requests, as Triton counts them. */
import type { ModelLoadFailed } from "../../core/ExecutorError.js"
import type { GletId } from "../../core/Ids.js"
import type { Model, ServiceClass } from "../../core/Model.js"
import type { DropReason } from "../../core/RequestError.js"
import { batchBounds, Histogram, latencyBounds } from "./histogram.js"

/** Triton's reasons of failure. */
export type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER"
const failureReasons: ReadonlyArray<FailureReason> = ["REJECTED", "CANCELED", "BACKEND", "OTHER"]

/** One line of the statistics extension's `batch_stats`. */
interface BatchSeries {
  executions: number
  inputMs: number
  inferMs: number
  outputMs: number
}

/** Glets come and go with plans: the series of those long gone are dropped. */
const maxGlets = 64

export class ModelSeries {
  readonly name: string
  readonly version: number
  readonly serviceClass: string
  successes = 0
  failures = 0
  readonly failuresByReason = new Map<FailureReason, number>(failureReasons.map((reason) => [reason, 0]))
  readonly drops = new Map<DropReason, number>()
  items = 0
  executions = 0
  requestMs = 0
  failureMs = 0
  queueMs = 0
  inputMs = 0
  inferMs = 0
  outputMs = 0
  predictedMs = 0
  sloViolations = 0
  /** Of loads on a glet, by reason. */
  readonly loadFailures = new Map<ModelLoadFailed["reason"], number>()
  /** Unix time of the last request that ended, ms. */
  lastEndedMs = 0
  readonly batches = new Map<number, BatchSeries>()
  readonly duration: Histogram
  readonly queue: Histogram
  readonly batchSize: Histogram
  readonly executionByGlet = new Map<GletId, Histogram>()
  private readonly bounds: ReadonlyArray<number>

  /** `askedAs`: of requests that asked for another class than the model's. */
  constructor(model: Model, readonly askedAs?: ServiceClass) {
    this.name = model.name
    this.version = model.version
    this.serviceClass = askedAs ?? model.serviceClass
    this.bounds = latencyBounds(askedAs === undefined ? model.sloMs : undefined)
    this.duration = new Histogram(this.bounds)
    this.queue = new Histogram(this.bounds)
    this.batchSize = new Histogram(batchBounds(model.maxBatch))
  }

  failed(reason: FailureReason): void {
    this.failures++
    this.failuresByReason.set(reason, this.failuresByReason.get(reason)! + 1)
  }

  dropped(reason: DropReason): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1)
  }

  executionOf(glet: GletId): Histogram {
    const known = this.executionByGlet.get(glet)
    if (known !== undefined) return known
    if (this.executionByGlet.size >= maxGlets) this.executionByGlet.delete(this.executionByGlet.keys().next().value!)
    const made = new Histogram(this.bounds)
    this.executionByGlet.set(glet, made)
    return made
  }

  batchOf(items: number): BatchSeries {
    const known = this.batches.get(items)
    if (known !== undefined) return known
    const made = { executions: 0, inputMs: 0, inferMs: 0, outputMs: 0 }
    this.batches.set(items, made)
    return made
  }
}
