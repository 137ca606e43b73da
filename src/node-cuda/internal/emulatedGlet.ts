/**
 * One emulated glet: a serial server whose service times come from a profile. Plain callbacks, as real glets have them on the hot path.
 *
 * Time is virtual between batches that follow each other without a gap: the next begins where the one before was due, not where the timer
 * fired, so the errors of timers do not add up.
 */
import type { Batch, BatchEnd, GletSpec } from "../../core/Executor.js"
import type { GletExited } from "../../core/ExecutorError.js"
import type { PreemptibleGpu } from "../../core/internal/preemption.js"
import type { Execution, LatencyModel } from "../../core/LatencyModel.js"
import type { Model } from "../../core/Model.js"
import { modelKey } from "../../core/Model.js"
import type { ModelProfile } from "../../core/Profile.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import type { LatencyDistribution } from "../../scheduler/LatencyDistribution.js"
import { distributionOf, quantileMs } from "../../scheduler/LatencyDistribution.js"
import { makeComputing, makeGivingWay } from "./emulatedComputing.js"
import type { PreciseTimer } from "./preciseTimer.js"

/** Batches a glet holds at most; the scheduler keeps `depth` of them outstanding. */
const queueBound = 4096

interface LoadedModel {
  readonly model: Model
  readonly layout: SlotLayout
  readonly profile: ModelProfile
  /** By batch size, as they are asked for; null where unknown. */
  readonly distributions: Map<number, LatencyDistribution | null>
}

interface Pending {
  readonly batch: Batch
  readonly execution: Execution
  readonly loaded: LoadedModel
  readonly distribution: LatencyDistribution
  readonly queuedMs: number
  readonly onEnd: (end: BatchEnd) => void
}

interface Waiter {
  /** The model's key; undefined where all are meant. */
  readonly key: string | undefined
  readonly done: () => void
}

interface EmulatedGletOptions {
  readonly spec: GletSpec
  readonly latency: LatencyModel
  readonly timer: PreciseTimer
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** What the other glets of the GPU run now, one group per glet; undefined where glets do not slow each other down. */
  readonly neighbours: (() => ReadonlyArray<ReadonlyArray<Execution>>) | undefined
  /** Its GPU, where batches can give way. */
  readonly preemptible: PreemptibleGpu | undefined
}

export interface EmulatedGlet {
  readonly spec: GletSpec
  readonly start: (batch: Batch, onEnd: (end: BatchEnd) => void) => void
  readonly isLoaded: (model: Model) => boolean
  readonly add: (model: Model, profile: ModelProfile) => void
  readonly remove: (model: Model) => void
  /** What others see of it: what computes now. */
  readonly running: () => Execution | undefined
  /** What computes now takes so much longer, ms: a batch that gives way had a step. */
  readonly holdUp: (ms: number) => void
  /** Calls `done` when no batch of the model, or of any where none is given, is left: at once where there is none. */
  readonly whenIdle: (model: Model | undefined, done: () => void) => void
  /** Ends everything that has not ended with this error, and all that comes. */
  readonly die: (error: GletExited) => void
  /** Fails all batches that come. */
  readonly close: () => void
  /** Closed and idle, it is gone from its GPU. */
  readonly leave: () => void
  readonly stats: () => { readonly batches: number; readonly items: number; readonly busyMs: number }
}

const failed = (detail: string): BatchEnd => ({ ok: false, error: { _tag: "BatchFailed", detail } })

/** The answer to a batch that computed nothing: zeros, and zero for the sizes of outputs that depend on data. */
const writeZeros = ({ batch, loaded: { layout } }: Pending): void => {
  for (const { bindings, items, slot } of batch.entries) {
    const { outputBytes, outputOffsets } = layout.placement(items, bindings)
    for (let i = 0; i < outputOffsets.length; i++) slot.bytes.fill(0, outputOffsets[i]!, outputOffsets[i]! + outputBytes[i]!)
    const symbols = 4 * layout.inputSymbols.length
    slot.bytes.fill(0, symbols, symbols + 4 * layout.outputSymbols.length)
  }
}

export const makeEmulatedGlet = ({ latency, neighbours, preemptible, random, spec, timer }: EmulatedGletOptions): EmulatedGlet => {
  const models = new Map<string, LoadedModel>()
  const queue: Array<Pending> = []
  let current: Pending | undefined
  let waiting: Array<Waiter> = []
  let closed = false
  let exited: GletExited | undefined
  /** When the batch before ended: where the next begins if it was waiting. */
  let freeMs = 0
  let batches = 0
  let items = 0
  let busyMs = 0
  const options = {
    timer, sharePct: spec.sharePct,
    slowdown: (execution: Execution) => (neighbours === undefined ? 1 : latency.slowdown(execution, neighbours()))
  }
  const computing = preemptible !== undefined && spec.givesWay === true
    ? makeGivingWay(options, preemptible, random)
    : makeComputing(options, preemptible)

  const distribution = (loaded: LoadedModel, execution: Execution): LatencyDistribution | undefined => {
    let known = loaded.distributions.get(execution.batch)
    if (known === undefined) {
      known = distributionOf(latency, loaded.profile, execution) ?? null
      loaded.distributions.set(execution.batch, known)
    }
    return known ?? undefined
  }

  const wake = (): void => {
    if (waiting.length === 0) return
    const left = new Set<string | undefined>((current === undefined ? queue : [current, ...queue]).map((one) => modelKey(one.batch.model)))
    if (left.size > 0) left.add(undefined)
    const done = waiting.filter(({ key }) => !left.has(key))
    waiting = waiting.filter(({ key }) => left.has(key))
    for (const waiter of done) waiter.done()
  }

  const begin = (): void => {
    const next = queue.shift()
    if (next === undefined) return computing.idle(freeMs)
    current = next
    const beganMs = Math.max(next.queuedMs, freeMs)
    const writingMs = performance.now()
    writeZeros(next)
    const writtenMs = performance.now() - writingMs
    const { batch, gpuType, model } = next.execution
    const aloneMs = quantileMs(next.distribution, random()) + (beganMs > next.queuedMs ? 0 : latency.overlapMs?.(gpuType, model, batch) ?? 0)
    computing.begin(beganMs, next.execution, aloneMs, (endMs, computedMs) => {
      freeMs = endMs
      current = undefined
      batches++
      items += next.batch.items
      busyMs += computedMs
      const outputMs = Math.min(endMs - beganMs, writtenMs)
      const { outputSymbols } = next.loaded.layout
      begin()
      next.onEnd({
        ok: true,
        inputMs: 0,
        inferMs: endMs - beganMs - outputMs,
        outputMs,
        outputBindings: outputSymbols.length === 0 ? undefined : next.batch.entries.map(() => outputSymbols.map(() => 0)),
        overflow: undefined
      })
      wake()
    })
  }

  const start = (batch: Batch, onEnd: (end: BatchEnd) => void): void => {
    const refuse = (end: BatchEnd) => queueMicrotask(() => onEnd(end))
    if (exited !== undefined) return refuse({ ok: false, error: exited, unstarted: true })
    const { name } = batch.model
    if (closed) return refuse(failed(`glet ${spec.id} is closed`))
    const loaded = models.get(modelKey(batch.model))
    if (loaded === undefined) return refuse(failed(`model "${name}" is not loaded on glet ${spec.id}`))
    if (queue.length >= queueBound) return refuse(failed(`glet ${spec.id} holds ${queueBound} batches already`))
    const execution: Execution = { gpuType: spec.gpu.type, model: name, sharePct: spec.sharePct, batch: batch.items }
    const known = distribution(loaded, execution)
    if (known === undefined) {
      return refuse(failed(`the profile of "${name}" on ${spec.gpu.type} says nothing of batch ${batch.items} at ${spec.sharePct} %`))
    }
    queue.push({ batch, execution, loaded, distribution: known, queuedMs: timer.nowMs(), onEnd })
    if (current === undefined) begin()
  }

  return {
    spec,
    start,
    isLoaded: (model) => models.has(modelKey(model)),
    add: (model, profile) => {
      models.set(modelKey(model), { model, profile, layout: makeSlotLayout(model.signature), distributions: new Map() })
    },
    remove: (model) => {
      models.delete(modelKey(model))
    },
    running: computing.seen,
    holdUp: computing.holdUp,
    whenIdle: (model, done) => {
      waiting.push({ key: model === undefined ? undefined : modelKey(model), done })
      wake()
    },
    die: (error) => {
      exited = error
      const lost = current === undefined ? [...queue] : [current, ...queue]
      queue.length = 0
      current = undefined
      computing.leave(timer.nowMs())
      for (const { onEnd } of lost) onEnd({ ok: false, error })
      wake()
    },
    close: () => {
      closed = true
    },
    leave: () => computing.leave(timer.nowMs()),
    stats: () => ({ batches, items, busyMs })
  }
}
