/**
 * Measures models on an `Executor`, whichever it is.
 *
 * **What is measured**: gathering the inputs, running, scattering the outputs, as the executor reports them, for batches of requests of one
 * item, one batch at a time. The way to the runner and back is not part of it: the scheduler learns that by itself.
 *
 * **In what company.** On a GPU with enforced shares the glet runs alone, for its neighbours' effect is predicted apart
 * (`LatencyModel.slowdown`). On the CPU (`threads`) nothing divides caches, memory bandwidth and clocks, and a core is never only the glet's, so
 * a share is measured beside a second glet on the rest of the cores that runs the same model all the time: slower than a quiet machine, about
 * as slow as a busy server. Plans made from it hold under load. The whole of the cores has no neighbour and is measured alone.
 *
 * **Batches that follow each other** overlap on a GPU: copies of one go on while another computes. So each size is also measured with as many batches on
 * their way as a server under load has, on the largest share.
 *
 * **Loading.** A runner on a GPU may spend far longer on compiling kernels than on being measured, and a glet of another share is another process that
 * compiles them again. Where caps let glets of all shares be open at once (`mps`), they load beside one another, and are measured one after the other;
 * where that fails, for memory say, one is closed before the next is opened, as everywhere else. A device tells how much of its memory is free, not who
 * has it: of glets that load beside one another each takes an equal part of what all took.
 *
 * **Time.** The budget is divided among the shares; what one leaves goes to the next. Every share has at least its smallest batch measured,
 * whatever that takes, and the larger ones of which the model's objective allows use, as far as all of the budget would carry on that share alone: so it can
 * take several times as long where executions are long. Other sizes for which the time does not suffice are not measured, hence not planned with.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Batch, GletHandle, LoadReport } from "./Executor.js"
import { Executor, runBatch } from "./Executor.js"
import type { GletExited } from "./ExecutorError.js"
import { ModelLoadFailed } from "./ExecutorError.js"
import type { Gpu } from "./Gpu.js"
import type { GletId } from "./Ids.js"
import { unsafeGletId } from "./Ids.js"
import type { Model } from "./Model.js"
import type { ModelProfile, ProfilePoint } from "./Profile.js"
import type { CoRunRequest, ProfileRequest } from "./Profiler.js"
import { Profiler } from "./Profiler.js"
import type { SlotLayout } from "./SlotLayout.js"
import { makeSlotLayout } from "./SlotLayout.js"
import { measureCoRuns } from "./internal/coRuns.js"
import { firstBatches } from "./internal/batchSizes.js"
import { pointOf } from "./internal/latencyStatistics.js"
import { withFollowed } from "./internal/measureFollowed.js"
import { measureShare } from "./internal/measureShare.js"
import { fitRecipe, hasRoom, noRoom, samplesOf } from "./internal/fitSamples.js"
import { joinedDifference } from "./internal/joinedAnswers.js"
import type { SampleRequests } from "./internal/sampleInputs.js"
import type { SampleRecipe } from "./internal/sampleRecipes.js"
import { sampleRecipes } from "./internal/sampleRecipes.js"
import { sliceOf } from "./internal/timeSlices.js"

/** How much is measured; every field has a default. @since 0.1.0 @category options */
export interface ProfilerOptions {
  /** Size to measure with of dimensions that requests choose, such as a sequence's length; 128 by default. Others are tried where the model does not take it. */
  readonly symbolSize?: number
  /** The same by symbol. */
  readonly symbolSizes?: ReadonlyMap<string, number>
  /** Integer inputs are drawn from 0 to this, 1 by default: they may be indices into a table of unknown length. All 0, and all 1, are tried next. */
  readonly maxInteger?: number
  /** Measure beside a busy neighbour. By default where the GPU's isolation is `threads`. */
  readonly busyNeighbour?: boolean
  /** Shares to measure at most where a request names none, 6 by default: the smallest, the largest and some between. */
  readonly maxShares?: number
  /**
   * Measure every share also where shares are turns and follow from the whole device: where part of a latency is no turn, as the way to an edge
   * node is not. No by default.
   */
  readonly everyShare?: boolean
  /** Of the inputs; 1 by default. */
  readonly seed?: number
}

/**
 * Runs of a batch size before it is measured. On GPUs kernels of a shape that recurs are recorded after some runs, which take several times as long, and
 * what loading prepares are the shapes that follow from the number of items alone.
 */
const warmRunsOf = (layout: SlotLayout, gpu: Gpu): number => (isDevice(gpu) && !layout.isStatic ? 8 : 1)

/** Whether it has engines for copies, which work while others compute. */
const isDevice = ({ isolation }: Gpu): boolean => isolation === "mps" || isolation === "green" || isolation === "stream"

/** What copies take depends on what is copied, not on the share: it is measured on the largest, where that takes least time. */
const measuresOverlap = ({ batches, gpu }: ProfileRequest, sharePct: number): boolean =>
  batches === undefined && isDevice(gpu) && sharePct === Math.max(...gpu.sharesPct)

/** Glets of as many shares are open at once at most, where they may be. */
const mostAtOnce = 8

/** The largest part of the arena that measuring may take from those who serve. */
const arenaPart = 1 / 8
/** The same for all models that are measured beside each other. */
const coRunsPart = 1 / 2

/** Up to `most` shares of a grid, spaced by equal factors: latency is nearly linear in 1/share, so small shares matter most. */
const spread = (ascending: ReadonlyArray<number>, most: number): ReadonlyArray<number> => {
  if (ascending.length <= most) return ascending
  const [least, largest] = [ascending[0]!, ascending[ascending.length - 1]!]
  const wanted = Array.from({ length: Math.max(2, most) }, (_, i) => least * (largest / least) ** (i / Math.max(1, most - 1)))
  const nearest = (share: number) => ascending.reduce((best, one) => Math.abs(one - share) < Math.abs(best - share) ? one : best)
  return [...new Set(wanted.map(nearest))]
}

/** Sample requests for a model, on the first glet that has it. */
type SamplesOn = (handle: GletHandle) => Effect.Effect<SampleRequests, ModelLoadFailed | GletExited>

/** Does it until it has succeeded, and gives what came of it from then on. */
const onceThatSucceeds = <A, B, E>(make: (input: A) => Effect.Effect<B, E>): (input: A) => Effect.Effect<B, E> => {
  let done: { readonly value: B } | undefined
  return (input) => done === undefined ? Effect.map(make(input), (value) => (done = { value }).value) : Effect.succeed(done.value)
}

/** The largest share that fits beside another one; undefined where none does. */
const shareBeside = (gpu: Gpu, sharePct: number): number | undefined => gpu.sharesPct.findLast((share) => share <= 100 - sharePct)

/** Sizes to load with: a GPU runs others as the next larger one of these, as it will when it serves. */
const warmBatches = ({ gpu, model }: ProfileRequest): ReadonlyArray<number> => gpu.isolation === "threads" ? [1] : firstBatches(model.maxBatch)

/** Resident memory that the loaded copies took each, where the executor can tell. */
const growthBytes = Effect.fnUntraced(function*(handle: GletHandle, neighbour: GletHandle | undefined, beforeBytes: number | undefined) {
  const after = yield* handle.stats
  if (beforeBytes === undefined || after.residentBytes === undefined) return 0
  const copies = neighbour !== undefined && (yield* neighbour.stats).pid === after.pid ? 2 : 1
  return Math.max(0, after.residentBytes - beforeBytes) / copies
})

/** The profiler on the executor that is there. @since 0.1.0 @category constructors */
export const make = Effect.fnUntraced(function*(options: ProfilerOptions = {}) {
  const executor = yield* Executor
  // Two measurements at a time would measure each other.
  const measuring = yield* Effect.makeSemaphore(1)
  let glets = 0
  const nextId = (gpu: Gpu): GletId => unsafeGletId(`${gpu.id}/profile-${glets++}`)

  const sourceOf = (model: Model, part: number) => ({
    arena: executor.arena, model, count: model.maxBatch, arenaPart: part, seed: options.seed ?? 1, symbolSizes: options.symbolSizes
  })
  const recipesOf = (model: Model) => sampleRecipes(makeSlotLayout(model.signature), { size: options.symbolSize ?? 128, maxInteger: options.maxInteger ?? 1 })
  /** By file: what it was found to take. */
  const fitted = new Map<string, SampleRecipe>()

  const samplesFor = (model: Model, gpu: Gpu, part = arenaPart) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const made = samplesOf(sourceOf(model, part), fitted.get(model.path) ?? recipesOf(model)[0])
        return made === undefined
          ? Effect.fail(new ModelLoadFailed({ model: model.name, glet: nextId(gpu), reason: "no-memory", detail: noRoom }))
          : Effect.succeed(made)
      }),
      (made) => Effect.sync(made.release)
    )
  /** Sample requests that the model takes on a glet where it is loaded; whether they may be joined is tried too. */
  const fittingSamples = Effect.fnUntraced(function*({ batches, beside, gpu, mayJoin, model }: ProfileRequest, handle: GletHandle) {
    fitted.set(model.path, yield* fitRecipe(handle, sourceOf(model, arenaPart), recipesOf(model)))
    const samples = yield* samplesFor(model, gpu)
    if (mayJoin === true || beside !== undefined || batches !== undefined || model.maxBatch === 1) return samples
    const output = yield* joinedDifference(handle, model, samples.entries(2))
    if (output === undefined) return samples
    const detail = `requests that are joined into a batch get other answers than alone (output "${output}")`
    return yield* new ModelLoadFailed({ model: model.name, glet: handle.spec.id, reason: "items-depend", detail })
  })
  const batchesOf = (model: Model, samples: SampleRequests) => (items: number): Batch => ({ model, entries: samples.entries(items), items })

  const open = (gpu: Gpu, sharePct: number) => executor.open({ id: nextId(gpu), gpu, sharePct, priority: 0 })

  /** Glets with the model loaded, all at the same time. */
  const prepare = Effect.fnUntraced(function*(request: ProfileRequest, samplesOn: SamplesOn, sharesPct: ReadonlyArray<number>) {
    const { gpu, model } = request
    const atOnce = { concurrency: "unbounded" } as const
    const opened = yield* Effect.forEach(sharesPct, (sharePct) => open(gpu, sharePct), atOnce)
    const before = yield* Effect.forEach(opened, ({ stats }) => stats)
    const reports = yield* Effect.forEach(opened, (handle) => handle.load(model, request.batches ?? warmBatches(request)), atOnce)
    const freeBytes = before[0]?.freeDeviceBytes
    const leftBytes = freeBytes === undefined || opened.length === 1 ? undefined : (yield* opened[0]!.stats).freeDeviceBytes
    const samples = yield* samplesOn(opened[0]!)
    const partBytes = freeBytes === undefined || leftBytes === undefined ? undefined : Math.max(0, freeBytes - leftBytes) / opened.length
    return opened.map((handle, i) => ({
      sharePct: sharesPct[i]!, handle, residentBytes: before[i]!.residentBytes, batchOf: batchesOf(model, samples),
      report: partBytes === undefined ? reports[i]! : { ...reports[i]!, memoryBytes: Math.ceil(partBytes) }
    }))
  })

  /** A glet that is ready to be measured. */
  interface Prepared {
    readonly sharePct: number
    readonly handle: GletHandle
    readonly report: LoadReport
    /** Before the model was loaded. */
    readonly residentBytes: number | undefined
    readonly batchOf: (items: number) => Batch
  }

  const measure = Effect.fnUntraced(function*(request: ProfileRequest, { batchOf, handle, report, residentBytes, sharePct }: Prepared, budgetMs: number) {
    const { gpu, model } = request
    const isBusy = request.beside === undefined ? options.busyNeighbour ?? gpu.isolation === "threads" : request.beside !== "nothing"
    const beside = request.beside === undefined || request.beside === "nothing" ? undefined : request.beside
    const besidePct = isBusy ? shareBeside(gpu, sharePct) : undefined
    const other = beside === undefined ? request : { ...request, model: beside.model }
    const neighbour = besidePct === undefined ? undefined : yield* Effect.gen(function*() {
      // Released after the glet is closed, hence after all it ran.
      const samples = yield* samplesFor(other.model, gpu)
      const handle = yield* open(gpu, besidePct)
      yield* handle.load(other.model, beside === undefined ? warmBatches(other) : [beside.batch])
      return { handle, batchOf: batchesOf(other.model, samples) }
    })

    let size = beside?.batch ?? 1
    const startedMs = yield* Clock.currentTimeMillis
    const samples = yield* Effect.gen(function*() {
      if (neighbour !== undefined) {
        yield* Effect.forkScoped(Effect.repeat(Effect.suspend(() => runBatch(neighbour.handle, neighbour.batchOf(size))), { while: (end) => end.ok }))
      }
      return yield* measureShare({
        maxBatch: model.maxBatch,
        budgetMs,
        warmRuns: warmRunsOf(makeSlotLayout(model.signature), gpu),
        // A batch that takes more than half of the objective leaves no time to wait for it.
        useful: model.sloMs === undefined ? undefined : { withinMs: model.sloMs / 2, forMs: request.budgetMs },
        batches: request.batches,
        run: (items) =>
          Effect.suspend(() => {
            size = beside?.batch ?? items
            return runBatch(handle, batchOf(items))
          }),
        failed: ({ error }): GletExited | ModelLoadFailed =>
          error._tag === "GletExited"
            ? error
            : new ModelLoadFailed({ model: model.name, glet: handle.spec.id, reason: "warm-up-failed", detail: error.detail })
      })
    }).pipe(Effect.scoped)
    const points = samples.map(({ batch, durationsMs }) => pointOf(sharePct, batch, durationsMs))
    return {
      points: neighbour === undefined && measuresOverlap(request, sharePct) ? yield* withFollowed(handle, points, batchOf, budgetMs) : points,
      spentMs: (yield* Clock.currentTimeMillis) - startedMs,
      loadMs: report.loadMs,
      memoryBytes: Math.max(report.memoryBytes, yield* growthBytes(handle, neighbour?.handle, residentBytes))
    }
  })

  const profile = Effect.fnUntraced(function*(request: ProfileRequest) {
    const { budgetMs, gpu, model, onProgress, sha256 } = request
    if (!hasRoom(sourceOf(model, arenaPart), recipesOf(model))) {
      return yield* new ModelLoadFailed({ model: model.name, glet: nextId(gpu), reason: "no-memory", detail: noRoom })
    }
    const asked = request.sharesPct ?? []
    const follow = asked.length === 0 && request.beside === undefined && gpu.isolation === "duty" && options.everyShare !== true
    const shares = follow
      ? gpu.sharesPct.slice(-1)
      : asked.length === 0 ? spread(gpu.sharesPct, options.maxShares ?? 6) : [...new Set(asked)].sort((a, b) => a - b)
    const planned = firstBatches(model.maxBatch).length
    const points: Array<ProfilePoint> = []
    let left = shares.length
    let leftMs = budgetMs
    let loadMs = 0
    let memoryBytes = model.weightBytes
    // Of the whole profile: released after the glets are closed, hence after all they ran.
    const scope = yield* Effect.scope
    const samplesOn = onceThatSucceeds((handle: GletHandle) => Scope.extend(fittingSamples(request, handle), scope))
    const measureOne = (prepared: Prepared) =>
      Effect.map(Effect.scoped(measure(request, prepared, leftMs / left)), (measured) => {
        left -= 1
        leftMs = Math.max(0, leftMs - measured.spentMs)
        loadMs = Math.max(loadMs, measured.loadMs)
        memoryBytes = Math.max(memoryBytes, measured.memoryBytes)
        const total = points.length + measured.points.length + left * planned
        for (const point of measured.points) {
          points.push(point)
          onProgress?.(points.length, total, point)
        }
      })
    const oneByOne = (some: ReadonlyArray<number>) =>
      Effect.forEach(some, (sharePct) => Effect.scoped(Effect.flatMap(prepare(request, samplesOn, [sharePct]), ([only]) => measureOne(only!))), { discard: true })
    /** False where they could not be open at once. */
    const together = (some: ReadonlyArray<number>) =>
      prepare(request, samplesOn, some).pipe(
        Effect.tapError((error) => Effect.logDebug(`shares of ${model.name} are loaded one by one: ${error.message}`)),
        Effect.option,
        Effect.flatMap((prepared) => Option.isNone(prepared) ? Effect.succeed(false) : Effect.as(Effect.forEach(prepared.value, measureOne, { discard: true }), true)),
        Effect.scoped
      )
    for (const some of Arr.chunksOf(shares, gpu.isolation === "mps" ? mostAtOnce : 1)) {
      if (some.length === 1 || !(yield* together(some))) yield* oneByOne(some)
    }
    const slices = follow ? gpu.sharesPct.slice(0, -1).flatMap((sharePct) => points.map((point) => sliceOf(point, sharePct))) : []
    const [first, ...others] = [...slices, ...points]
    if (first === undefined) return yield* Effect.dieMessage("a share was measured without a point")
    const result: ModelProfile = { model: model.name, maxBatch: model.maxBatch, memoryBytes, loadMs, points: [first, ...others] }
    return sha256 === undefined ? result : { ...result, sha256 }
  })

  const coRuns = <E>(request: CoRunRequest<E>) =>
    measureCoRuns(request, {
      open: (sharePct) => open(request.gpu, sharePct),
      samplesFor: (model) => samplesFor(model, request.gpu, Math.min(arenaPart, coRunsPart / request.models.length))
    })

  return Profiler.of({
    profile: (request) => measuring.withPermits(1)(Effect.scoped(profile(request))),
    coRuns: (request) => measuring.withPermits(1)(coRuns(request))
  })
})

/**
 * The profiler over the executor.
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: ProfilerOptions = {}): Layer.Layer<Profiler, never, Executor> => Layer.effect(Profiler, make(options))
