/** Drives a Dispatcher through simulated time: Poisson arrivals, glets with known latencies, deterministic for a seed. */
import type { BatchEnd } from "../../src/core/Executor.js"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { InferRequest } from "../../src/core/Request.js"
import type { TensorSlot } from "../../src/core/TensorArena.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import type { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import type { GletRoutes, ModelRoute } from "../../src/scheduler/GletRoutes.js"

export const random = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export const noSlot: TensorSlot = { bytes: new Uint8Array(0), offset: 0, release: () => {} }

export const makeModel = (name: string, options: Partial<Model> = {}): Model => ({
  name: unsafeModelName(name), version: 1, path: `${name}.onnx`, signature: { inputs: [], outputs: [], batchSymbol: "n" }, maxBatch: 16,
  serviceClass: "latency-critical", expectedRateRps: 0, weightBytes: 0, ...options
})

export const request = (model: Model, options: Partial<InferRequest> = {}): InferRequest => ({
  model: model.name, slot: noSlot, items: 1, bindings: [], ...options
})

export const linear = (baseMs: number, itemMs: number, maxBatch: number): Float64Array =>
  Float64Array.from({ length: maxBatch + 1 }, (_, items) => baseMs + itemMs * items)

export const route = (model: Model, latencyMs: Float64Array, options: Partial<ModelRoute> = {}): ModelRoute => ({
  model, bestEffort: model.serviceClass === "best-effort", planBatch: 8, batchLimit: model.maxBatch, fraction: 1, slackMs: Infinity, latencyMs,
  typicalRatio: 0.9, ...options
})

export const glet = (id: string, models: ReadonlyArray<ModelRoute>): GletRoutes => ({ id: unsafeGletId(id), gpu: unsafeGpuId("gpu"), models })

export const done = (inferMs: number): BatchEnd => ({ ok: true, inputMs: 0, inferMs, outputMs: 0, outputBindings: undefined, overflow: undefined })

export interface Load {
  readonly model: Model
  readonly rateRps: number
}

export interface SimulationOptions {
  readonly loads: ReadonlyArray<Load>
  readonly glets: ReadonlyArray<string>
  readonly durationMs: number
  readonly seed: number
  /** True duration of a batch. */
  readonly truthMs: (batch: DispatchedBatch, random: () => number) => number
  readonly depth?: number
  readonly overheadMs?: number
}

export interface Tally {
  offered: number
  good: number
  late: number
  refused: number
  expired: number
  failed: number
  items: number
  batches: number
}

/** Runs the load to its end and until nothing is pending. */
export const simulate = (dispatcher: Dispatcher, options: SimulationOptions): { readonly byModel: Map<string, Tally>; readonly total: Tally } => {
  const rng = random(options.seed)
  const newTally = (): Tally => ({ offered: 0, good: 0, late: 0, refused: 0, expired: 0, failed: 0, items: 0, batches: 0 })
  const byModel = new Map<string, Tally>(options.loads.map((load) => [load.model.name, newTally()]))
  const overheadMs = options.overheadMs ?? 0.1
  const arrivals = options.loads.map((load) => ({ load, atMs: (-Math.log(1 - rng()) * 1000) / load.rateRps }))
  const lanes = new Map(options.glets.map((id) => [id, { free: 0, ends: [] as Array<{ atMs: number; batch: DispatchedBatch; inferMs: number }> }]))
  for (const id of options.glets) dispatcher.gletReady(unsafeGletId(id), options.depth ?? 2)
  let now = 0

  const start = (batch: DispatchedBatch) => {
    const lane = lanes.get(batch.glet.id)!
    const inferMs = options.truthMs(batch, rng)
    lane.free = Math.max(now + overheadMs, lane.free) + inferMs
    lane.ends.push({ atMs: lane.free, batch, inferMs })
    const tally = byModel.get(batch.model.name)!
    tally.batches += 1
    tally.items += batch.items
  }
  const pump = (id: string) => {
    for (;;) {
      const batch = dispatcher.pull(now, unsafeGletId(id))
      if (batch === undefined) return
      start(batch)
    }
  }
  const account = () => {
    for (const ticket of dispatcher.ended) {
      const tally = byModel.get(ticket.request.model)!
      const end = ticket.end!
      if (end.ok) {
        if (now - ticket.times.arrivedMs <= ticket.sloMs) tally.good += 1
        else tally.late += 1
      } else if (end.error._tag === "RequestDropped") {
        if (end.error.reason === "expired") tally.expired += 1
        else tally.refused += 1
      } else {
        tally.failed += 1
      }
    }
    dispatcher.ended.length = 0
  }

  for (;;) {
    let next = Infinity
    for (const arrival of arrivals) if (arrival.atMs <= options.durationMs) next = Math.min(next, arrival.atMs)
    for (const lane of lanes.values()) if (lane.ends.length > 0) next = Math.min(next, lane.ends[0]!.atMs)
    const wake = dispatcher.nextWakeMs(now)
    if (next === Infinity && wake === Infinity) break
    // A timer is not exact either.
    now = Math.max(now, Math.min(next, Math.max(wake, now) + 0.5))
    dispatcher.sweep(now)
    for (const arrival of arrivals) {
      if (arrival.atMs > now || arrival.atMs > options.durationMs) continue
      byModel.get(arrival.load.model.name)!.offered += 1
      dispatcher.offer(now, request(arrival.load.model), () => {})
      for (;;) {
        const batch = dispatcher.pullModel(now, arrival.load.model.name)
        if (batch === undefined) break
        start(batch)
      }
      arrival.atMs += (-Math.log(1 - rng()) * 1000) / arrival.load.rateRps
    }
    for (const [id, lane] of lanes) {
      while (lane.ends.length > 0 && lane.ends[0]!.atMs <= now) {
        const ended = lane.ends.shift()!
        dispatcher.batchEnded(now, ended.batch, done(ended.inferMs))
        pump(id)
      }
    }
    account()
  }
  const total = newTally()
  for (const tally of byModel.values()) for (const key of Object.keys(total) as Array<keyof Tally>) total[key] += tally[key]
  return { byModel, total }
}
