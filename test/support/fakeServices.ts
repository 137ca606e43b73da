/**
 * A scheduler and a catalog for tests of the server: every model copies its inputs to its outputs, one to one. What the scheduler does with a
 * request can be told per test.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ClientMemory } from "../../src/core/ClientMemory.js"
import { Executor } from "../../src/core/Executor.js"
import { type Gpu, type GpuInventory, layerStatic } from "../../src/core/Gpu.js"
import type { GletId, GpuId, ModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { emptyPlan } from "../../src/core/Plan.js"
import type { InferRequest, RequestEnd } from "../../src/core/Request.js"
import { type DropReason, ModelNotFound, RequestCanceled, RequestDropped, type RequestError } from "../../src/core/RequestError.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import type { DataType, Dim } from "../../src/core/Tensor.js"
import { makeHeapArena, type TensorArena } from "../../src/core/TensorArena.js"
import { Scheduler, type SchedulerObserver } from "../../src/scheduler/Scheduler.js"
import type { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { type CatalogEntry, type CatalogIndexEntry, type CatalogState, ModelCatalog } from "../../src/server/ModelCatalog.js"

export interface ModelDef {
  readonly name: string
  readonly inputs: ReadonlyArray<readonly [name: string, datatype: DataType, shape: ReadonlyArray<Dim>]>
  /** Those of the inputs, named `out_…`, where absent. */
  readonly outputs?: ReadonlyArray<readonly [name: string, datatype: DataType, shape: ReadonlyArray<Dim>]>
  /** Shapes of requests and answers, by tensor, where they are others. */
  readonly asked?: Readonly<Record<string, ReadonlyArray<Dim>>>
  /** Names of classes, by output. */
  readonly labels?: ReadonlyArray<ReadonlyArray<string>>
  readonly batchSymbol?: string
  readonly maxBatch?: number
  readonly sloMs?: number
  readonly state?: CatalogState
}

const askedOf = ({ asked }: ModelDef, name: string) => (asked?.[name] === undefined ? {} : { asked: asked[name] })

export const modelOf = (def: ModelDef): Model => ({
  name: def.name as ModelName,
  version: 1,
  path: `${def.name}.onnx`,
  signature: {
    inputs: def.inputs.map(([name, datatype, shape]) => ({ name, datatype, shape, ...askedOf(def, name) })),
    outputs: (def.outputs ?? def.inputs.map(([name, datatype, shape]) => [`out_${name}`, datatype, shape] as const))
      .map(([name, datatype, shape]) => ({ name, datatype, shape, ...askedOf(def, name) })),
    ...(def.batchSymbol === undefined ? {} : { batchSymbol: def.batchSymbol })
  },
  maxBatch: def.maxBatch ?? 8,
  serviceClass: "latency-critical",
  sloMs: def.sloMs ?? 100,
  ...(def.labels === undefined ? {} : { labels: def.labels }),
  expectedRateRps: 10,
  weightBytes: 1
})

export interface Fakes {
  /** Requests that are with the scheduler. */
  readonly pending: Set<InferRequest>
  readonly seen: Array<InferRequest>
  canceled: number
  /** What becomes of the next requests; by default they are answered in the next turn. */
  behaviour: (request: InferRequest, answer: (end?: RequestError) => void) => void
  /** How requests are dropped before they are read, while set. */
  refusal: DropReason | undefined
  readonly arena: TensorArena
  /** The executor's, where a test gives it one. */
  clientMemory: ClientMemory | undefined
  /** Why tensors in clients' memory could not be moved, while set. */
  directProblem: string | undefined
  /** The version that answers, while set: as when the catalog's is still coming. */
  answersAs: number | undefined
  readonly broken: Array<CatalogIndexEntry>
  drained: boolean
  /** Models are still loaded. */
  starting: boolean
  readonly observers: Set<SchedulerObserver>
  readonly catalogObservers: Set<(name: string) => Effect.Effect<void>>
}

/** What a model that copies would answer; `times` in ms of the given arrival. */
const answerOf = (request: InferRequest, { layout, model }: Pick<CatalogEntry, "layout" | "model">, { answersAs, directProblem }: Fakes): RequestEnd => {
  const placement = layout.placement(request.items, request.bindings)
  const { bytes } = request.slot
  const overflow: Array<Uint8Array | undefined> = []
  const outputBindings: Array<number> = []
  layout.signature.outputs.forEach((_, i) => {
    const size = placement.outputBytes[i] === 0 ? placement.inputBytes[i]! : Math.min(placement.inputBytes[i]!, placement.outputBytes[i]!)
    const input = bytes.slice(placement.inputOffsets[i]!, placement.inputOffsets[i]! + size)
    if (placement.outputBytes[i] === 0) {
      // The output's size depends on data: all its bytes come beside the slot.
      overflow[i] = input
      outputBindings.push(input.byteLength / 4)
    } else {
      bytes.set(input, placement.outputOffsets[i])
    }
  })
  const at = request.arrivedAtMs ?? 0
  return {
    ok: true,
    result: {
      version: answersAs ?? model.version,
      times: { arrivedMs: at, queuedMs: at, batchClosedMs: at + 1, startedMs: at + 1, endedMs: at + 3 },
      batchItems: request.items,
      outputBindings,
      overflow: overflow.length === 0 ? undefined : overflow,
      directProblem
    }
  }
}

export const makeFakes = (arenaBytes = 64 * 1024 * 1024, arena = makeHeapArena(arenaBytes)): Fakes => ({
  pending: new Set(),
  seen: [],
  canceled: 0,
  behaviour: (_, answer) => setImmediate(answer),
  refusal: undefined,
  arena,
  clientMemory: undefined,
  directProblem: undefined,
  answersAs: undefined,
  broken: [],
  starting: false,
  drained: false,
  observers: new Set(),
  catalogObservers: new Set()
})

const gpu: Gpu = { id: "cpu" as GpuId, type: "cpu", isolation: "threads", units: 2, memoryBytes: 1e9, sharesPct: [50, 100] }

const statusOf = (models: ReadonlyArray<Model>): SchedulerStatus => ({
  apiVersion: "glet/v1alpha1",
  kind: "Status",
  draining: false,
  executor: "fake",
  plan: { ...emptyPlan, generation: 3 },
  glets: [{ id: "cpu/1" as GletId, gpu: gpu.id, sharePct: 50, state: "ready", detail: "", restarts: 0, busyRatio: 0.25, assignments: [] }],
  models: models.map((model) => ({
    model: model.name, version: model.version, serviceClass: model.serviceClass, state: "ready", detail: "", rateRps: 7, plannedRps: 10, queued: 2,
    inFlight: 1, answered: 0, withinSlo: 0, dropped: [], failed: 0, canceled: 0, latency: { count: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0 }
  }))
})

const schedulerOf = (fakes: Fakes, entries: ReadonlyMap<string, CatalogEntry>): typeof Scheduler.Service => {
  let requests = 0
  const followers = new Set<Effect.Latch>()
  const offer = (request: InferRequest, onEnd: (end: RequestEnd) => void) => {
    const entry = entries.get(request.model)
    fakes.seen.push(request)
    if (entry === undefined) {
      onEnd({ ok: false, error: new ModelNotFound({ model: request.model }) })
      return () => {}
    }
    fakes.pending.add(request)
    const finish = (end: RequestEnd) => {
      if (!fakes.pending.delete(request)) return
      const at = request.arrivedAtMs ?? 0
      const times = end.ok ? end.result.times : { arrivedMs: at, queuedMs: at, batchClosedMs: 0, startedMs: 0, endedMs: at + 2 }
      requests++
      for (const observer of fakes.observers) {
        if (end.ok) {
          observer.batchEnded?.({
            batchId: requests, glet: "cpu/1" as GletId, gpu: gpu.id, model: entry.model, serviceClass: request.serviceClass ?? entry.model.serviceClass, items: request.items, requests: 1, ok: true,
            predictedMs: 2, inputMs: 0.5, inferMs: 1, outputMs: 0.5
          })
        }
        observer.requestEnded?.({
          request, model: entry.model, serviceClass: request.serviceClass ?? entry.model.serviceClass, end, times, sloMs: 100, glet: end.ok ? "cpu/1" as GletId : undefined, batchId: end.ok ? requests : 0
        })
      }
      onEnd(end)
    }
    fakes.behaviour(request, (error) => finish(error === undefined ? answerOf(request, entry, fakes) : { ok: false, error }))
    return () => {
      if (!fakes.pending.delete(request)) return
      fakes.canceled++
      onEnd({ ok: false, error: new RequestCanceled({ model: request.model }) })
    }
  }
  const status = Effect.sync(() => statusOf([...entries.values()].map(({ model }) => model)))
  return {
    nowMs: () => performance.now(),
    offer,
    wouldRefuse: (model) =>
      fakes.refusal === undefined || !entries.has(model) ? undefined : new RequestDropped({ model, reason: fakes.refusal, retryAfterMs: 1500 }),
    admissionEdge: (model) => {
      const arrivedMs = fakes.refusal === undefined || !entries.has(model) ? -Infinity : fakes.refusal === "queue-full" ? Infinity : performance.now() + 1500
      return { arrivedMs, retryAfterMs: 1500 }
    },
    refusedUnread: (name, arrivedMs, error) => {
      const times = { arrivedMs, queuedMs: arrivedMs, batchClosedMs: 0, startedMs: 0, endedMs: arrivedMs + 1 }
      for (const observer of fakes.observers) {
        observer.requestEnded?.({
          request: undefined, model: entries.get(name)!.model, serviceClass: "latency-critical", end: { ok: false, error }, times, sloMs: 100, glet: undefined, batchId: 0
        })
      }
    },
    submit: () => Effect.die("not used by the server"),
    register: () => Effect.die("not used by the server"),
    learn: () => Effect.die("not used by the server"),
    setGpus: () => Effect.die("not used by the server"),
    usePlanner: () => Effect.die("not used by the server"),
    amend: () => Effect.die("not used by the server"),
    unregister: () => Effect.die("not used by the server"),
    readiness: (name) => (entries.has(name) ? { state: "ready" } : undefined),
    plan: Effect.succeed({ ...emptyPlan, generation: 3 }),
    replan: (options) =>
      Effect.sync(() => {
        if (options?.dryRun !== true) for (const follower of followers) follower.unsafeOpen()
        return { ...emptyPlan, generation: options?.dryRun === true ? 3 : 4 }
      }),
    status,
    follow: Effect.map(
      Effect.tap(Effect.makeLatch(true), (follower) => Effect.sync(() => followers.add(follower))),
      (follower) => Effect.zipRight(follower.await, Effect.zipRight(follower.close, status))
    ),
    observe: (observer) =>
      Effect.acquireRelease(
        Effect.sync(() => void fakes.observers.add(observer)),
        () => Effect.sync(() => void fakes.observers.delete(observer))
      ),
    drain: Effect.suspend(() => {
      fakes.drained = true
      return Effect.repeat(Effect.sleep("5 millis"), { until: () => fakes.pending.size === 0 })
    })
  }
}

const changed = (fakes: Fakes, name: string): Effect.Effect<void> =>
  Effect.suspend(() => Effect.forEach([...fakes.catalogObservers], (tell) => tell(name), { discard: true }))

/** What a configuration changes of a model. */
interface FakeConfig {
  readonly max_batch_size?: number
  readonly version?: number
  /** The name of its first input. */
  readonly input?: string
}

const catalogOf = (fakes: Fakes, entries: Map<string, CatalogEntry>): typeof ModelCatalog.Service => ({
  index: () => [
    ...[...entries.values()].map(({ model, state }) => ({
      name: model.name, version: String(model.version), state, reason: state === "READY" ? "" : "unloaded"
    })),
    ...fakes.broken
  ],
  find: (name, version) => {
    const entry = entries.get(name)
    return entry !== undefined && (version === undefined || version === entry.model.version) ? entry : undefined
  },
  load: (name, config = "{}") =>
    Effect.suspend(() => {
      const entry = entries.get(name)
      if (entry === undefined) return Effect.fail(new ModelNotFound({ model: name }))
      const { input, max_batch_size: maxBatch = entry.model.maxBatch, version = entry.model.version } = JSON.parse(config) as FakeConfig
      const [first, ...others] = entry.model.signature.inputs
      const signature = input === undefined ? entry.model.signature : { ...entry.model.signature, inputs: [{ ...first!, name: input }, ...others] }
      const layout = input === undefined ? entry.layout : makeSlotLayout(signature)
      entries.set(name, { ...entry, model: { ...entry.model, maxBatch, version, signature }, layout, state: "READY" })
      return changed(fakes, name)
    }),
  unload: (name) =>
    Effect.suspend(() => {
      const entry = entries.get(name)
      if (entry === undefined) return Effect.fail(new ModelNotFound({ model: name }))
      entries.set(name, { ...entry, state: "UNAVAILABLE" })
      return changed(fakes, name)
    }),
  settled: Effect.void,
  isSettled: Effect.sync(() => !fakes.starting),
  observe: (changed) =>
    Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => fakes.catalogObservers.add(changed)),
      () => Effect.sync(() => fakes.catalogObservers.delete(changed))
    ))
})

/** All that the server needs, over the fakes. */
export const fakeLayer = (
  fakes: Fakes,
  defs: ReadonlyArray<ModelDef>
): Layer.Layer<Scheduler | ModelCatalog | Executor | GpuInventory> => {
  const entries = new Map(defs.map((def): [string, CatalogEntry] => {
    const model = modelOf(def)
    return [def.name, { model, layout: makeSlotLayout(model.signature), config: { name: def.name, max_batch_size: model.maxBatch }, state: def.state ?? "READY" }]
  }))
  return Layer.mergeAll(
    Layer.succeed(Scheduler, schedulerOf(fakes, entries)),
    Layer.succeed(ModelCatalog, catalogOf(fakes, entries)),
    Layer.succeed(Executor, {
      name: "fake", arena: fakes.arena, open: () => Effect.die("not used by the server"), ...(fakes.clientMemory === undefined ? {} : { clientMemory: fakes.clientMemory })
    }),
    layerStatic([gpu], Effect.succeed([{ gpu: gpu.id, utilizationRatio: 0.5, memoryUsedBytes: 10, memoryTotalBytes: 100 }]))
  )
}
