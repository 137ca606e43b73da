/**
 * GPUs that are not there: glets take the time that a profile says, in real time, and answer zeros. For capacity tests of the server on a
 * machine without the GPUs, and for failure tests, as glets can be killed.
 *
 * What is emulated: latency by model, share and batch with the profile's percentiles (seeded, so runs repeat); one batch at a time per glet;
 * the slow-down by what the other glets of the GPU run when a batch begins; batches that give way, where the GPU says how soon (`preemptMs`);
 * loading time; device memory. What is not: copies to the device
 * (profiles contain them) and the results. Batches end some microseconds after their time where a core is free (bench/emulated.ts); polling for
 * that keeps up to one core busy while batches run.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { GletHandle, GletSpec, LoadReport } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import { GletExited, GletOpenFailed, ModelLoadFailed } from "../core/ExecutorError.js"
import type { Gpu } from "../core/Gpu.js"
import { GpuInventory, layerStatic } from "../core/Gpu.js"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { Execution, LatencyModel } from "../core/LatencyModel.js"
import type { Model } from "../core/Model.js"
import { modelKey } from "../core/Model.js"
import type { ModelProfile, Profile } from "../core/Profile.js"
import { PreemptibleGpu } from "../core/internal/preemption.js"
import { makeHeapArena } from "../core/TensorArena.js"
import { makeRandom } from "../core/internal/random.js"
import type { ProfileLatencyOptions } from "../scheduler/ProfileLatencyModel.js"
import * as ProfileLatencyModel from "../scheduler/ProfileLatencyModel.js"
import { makeDeviceMemory } from "./internal/deviceMemory.js"
import type { EmulatedGlet } from "./internal/emulatedGlet.js"
import { makeEmulatedGlet } from "./internal/emulatedGlet.js"
import { makePreciseTimer } from "./internal/preciseTimer.js"

/** What is replayed, and how long opening and loading take. @since 0.1.0 @category options */
export interface EmulatedOptions {
  /** What is replayed: one profile per GPU type. */
  readonly profiles: ReadonlyArray<Profile>
  /** Slow-down between glets and memory per glet; none by default. */
  readonly latency?: ProfileLatencyOptions
  /** Memory for requests' tensors, in bytes; 256 MiB by default. */
  readonly arenaBytes?: number
  /** Equal seeds give each glet the same sequence of latencies; 1 by default. */
  readonly seed?: number
}

/**
 * What an emulated GPU can do that a real one cannot.
 * @since 0.1.0
 * @category services
 */
export class EmulatedControl extends Context.Tag("glet/node-cuda/EmulatedControl")<EmulatedControl, {
  /** Kills a glet as SIGKILL would kill its process. False where no such glet is open. */
  readonly kill: (glet: GletId) => Effect.Effect<boolean>
}>() {}

/** The GPUs that are emulated. @since 0.1.0 @category options */
export interface EmulatedGpuOptions {
  /** Number of GPUs. */
  readonly count: number
  /** Device memory of each in bytes; 16 GiB by default. */
  readonly memoryBytes?: number
  /** Shares a glet may have; those measured by default. */
  readonly sharesPct?: readonly [number, ...ReadonlyArray<number>]
  /** How soon best-effort batches give way (`Gpu.preemptMs`), in ms; they run to their end by default. */
  readonly preemptMs?: number
  /** Price of an hour of each. */
  readonly cost?: number
}

/**
 * GPUs of a profile's type: `h200:0`, `h200:1`, … .
 * @since 0.1.0
 * @category gpus
 */
export const emulatedGpus = (profile: Profile, options: EmulatedGpuOptions): ReadonlyArray<Gpu> => {
  const measured = new Set(profile.models.flatMap((model) => model.points.map((point) => point.sharePct)))
  const [first = 100, ...others] = [...measured].sort((a, b) => a - b)
  return Array.from({ length: options.count }, (_, i): Gpu => ({
    id: unsafeGpuId(`${profile.gpuType}:${i}`),
    type: profile.gpuType,
    isolation: "emulated",
    units: profile.units,
    memoryBytes: options.memoryBytes ?? 16 * 2 ** 30,
    sharesPct: options.sharesPct ?? [first, ...others],
    ...(options.preemptMs === undefined ? {} : { preemptMs: options.preemptMs }),
    ...(options.cost === undefined ? {} : { cost: options.cost })
  }))
}

/** An inventory of emulated GPUs. It has no telemetry: there is no device to read. @since 0.1.0 @category layers */
export const layerInventory = (profile: Profile, options: EmulatedGpuOptions): Layer.Layer<GpuInventory> =>
  layerStatic(emulatedGpus(profile, options), Effect.succeed([]))

const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

const latencyModelOf = (options: EmulatedOptions): { readonly latency: LatencyModel; readonly find: (type: string, model: Model) => ModelProfile | undefined } => {
  const types = new Map<string, ReadonlyMap<ModelName, ModelProfile>>(
    options.profiles.map((profile) => [profile.gpuType, new Map(profile.models.map((model) => [model.model, model]))])
  )
  return { latency: ProfileLatencyModel.make(types, options.latency), find: (type, { name }) => types.get(type)?.get(name) }
}

/** An executor that replays a profile in real time. @since 0.1.0 @category constructors */
export const make = Effect.fnUntraced(function*(options: EmulatedOptions) {
  const inventory = yield* GpuInventory
  const { find, latency } = latencyModelOf(options)
  const timer = yield* Effect.acquireRelease(Effect.sync(makePreciseTimer), (timer) => Effect.sync(timer.close))
  const open = new Map<GletId, { readonly glet: EmulatedGlet; readonly die: (error: GletExited) => void }>()
  const holdUp = (gpu: GpuId, ms: number): void => {
    for (const { glet } of open.values()) if (glet.spec.gpu.id === gpu) glet.holdUp(ms)
  }
  const preemptible = new Map(inventory.gpus.flatMap(({ id, preemptMs }) =>
    preemptMs === undefined ? [] : [[id, new PreemptibleGpu(preemptMs, (_, ms) => holdUp(id, ms))] as const]))
  const memory = new Map(inventory.gpus.map((gpu) => [gpu.id, makeDeviceMemory(gpu.memoryBytes)]))

  const neighbours = (of: GletSpec) => (): ReadonlyArray<ReadonlyArray<Execution>> => {
    const groups: Array<ReadonlyArray<Execution>> = []
    for (const { glet } of open.values()) {
      const running = glet.spec.gpu.id === of.gpu.id && glet.spec.id !== of.id ? glet.running() : undefined
      if (running !== undefined) groups.push([running])
    }
    return groups
  }

  const refuseOpen = (spec: GletSpec, reason: GletOpenFailed["reason"], detail: string) =>
    new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason, detail })
  const refusal = (spec: GletSpec): GletOpenFailed | undefined => {
    const gpu = inventory.gpus.find((gpu) => gpu.id === spec.gpu.id)
    if (gpu === undefined) return refuseOpen(spec, "device-missing", `the inventory has ${inventory.gpus.map((one) => one.id).join(", ") || "no GPU"}`)
    if (!gpu.sharesPct.includes(spec.sharePct)) {
      return refuseOpen(spec, "share-unsupported", `${spec.sharePct} % is not one of ${gpu.sharesPct.join(", ")}`)
    }
    return open.has(spec.id) ? refuseOpen(spec, "spawn-failed", "a glet of this id is open") : undefined
  }

  const openGlet = Effect.fnUntraced(function*(spec: GletSpec) {
    const refused = refusal(spec)
    if (refused !== undefined) return yield* refused
    const exited = yield* Deferred.make<GletExited>()
    const held = memory.get(spec.gpu.id)!()
    const glet = makeEmulatedGlet({
      spec,
      latency,
      timer,
      preemptible: preemptible.get(spec.gpu.id),
      random: makeRandom((options.seed ?? 1) ^ hash(spec.id)),
      neighbours: options.latency?.interference === undefined ? undefined : neighbours(spec)
    })
    const idle = (model: Model | undefined) => Effect.async<void>((resume) => glet.whenIdle(model, () => resume(Effect.void)))
    const die = (error: GletExited): void => {
      open.delete(spec.id)
      held.dropAll()
      glet.die(error)
      Deferred.unsafeDone(exited, Effect.succeed(error))
    }

    yield* Effect.acquireRelease(
      Effect.suspend(() => {
        if (!held.hold("glet", latency.gletMemoryBytes(spec.gpu.type))) {
          return refuseOpen(spec, "no-memory", "its memory is taken: close glets or unload models")
        }
        open.set(spec.id, { glet, die })
        return Effect.void
      }),
      () => Effect.gen(function*() {
        glet.close()
        yield* idle(undefined)
        glet.leave()
        if (open.get(spec.id)?.glet === glet) open.delete(spec.id)
        held.dropAll()
      })
    )

    // One load at a time, as in a process.
    const loading = yield* Effect.makeSemaphore(1)
    const load = Effect.fnUntraced(function*(model: Model, warmBatches: ReadonlyArray<number>) {
      const refuse = (reason: ModelLoadFailed["reason"], detail: string) =>
        new ModelLoadFailed({ model: model.name, glet: spec.id, reason, detail })
      const profile = find(spec.gpu.type, model)
      if (profile === undefined) {
        return yield* refuse("unsupported", `no profile of it on ${spec.gpu.type} is replayed: add one to the emulated profiles`)
      }
      const { loadMs, memoryBytes } = profile
      const preemptMs = spec.givesWay === true ? preemptible.get(spec.gpu.id)?.preemptMs : undefined
      const report: LoadReport = { loadMs, memoryBytes, detail: "emulated", ...(preemptMs === undefined ? {} : { preemptMs }) }
      if (glet.isLoaded(model)) return report
      const warmMs = warmBatches.reduce((sum, batch) => {
        const ms = latency.typicalMs({ gpuType: spec.gpu.type, model: model.name, sharePct: spec.sharePct, batch })
        return Number.isFinite(ms) ? sum + ms : sum
      }, 0)
      if (!held.hold(modelKey(model), memoryBytes)) {
        return yield* refuse("no-memory", `${memoryBytes} bytes are not free on ${spec.gpu.id}`)
      }
      yield* Effect.sleep(Duration.millis(loadMs + warmMs)).pipe(Effect.onInterrupt(() => Effect.sync(() => held.drop(modelKey(model)))))
      glet.add(model, profile)
      return report
    })

    const handle: GletHandle = {
      spec,
      depth: 2,
      load: (model, warmBatches) =>
        // The death comes first, so that a dead glet answers for nothing.
        Effect.raceFirst(Effect.flatMap(Deferred.await(exited), Effect.fail), loading.withPermits(1)(load(model, warmBatches))),
      unload: (model) =>
        Effect.suspend(() => {
          glet.remove(model)
          return idle(model)
        }).pipe(Effect.andThen(Effect.sync(() => held.drop(modelKey(model))))),
      start: glet.start,
      exited: Deferred.await(exited),
      stats: Effect.sync(glet.stats)
    }
    return handle
  })

  const kill = (id: GletId): Effect.Effect<boolean> =>
    Effect.sync(() => {
      const found = open.get(id)
      found?.die(new GletExited({ glet: id, signal: "SIGKILL", detail: "killed by EmulatedControl" }))
      return found !== undefined
    })

  const executor = Executor.of({ name: "emulated", arena: makeHeapArena(options.arenaBytes ?? 256 * 2 ** 20), open: openGlet })
  return Context.make(Executor, executor).pipe(Context.add(EmulatedControl, { kill }))
})

/**
 * The `emulated` executor over the GPUs of the inventory, with the means to kill its glets.
 *
 * @example
 * ```ts
 * import { Emulated } from "glet-orion/node-cuda"
 * import * as Layer from "effect/Layer"
 *
 * const layer = (profile: Profile) =>
 *   Layer.provideMerge(Emulated.layer({ profiles: [profile] }), Emulated.layerInventory(profile, { count: 4 }))
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: EmulatedOptions): Layer.Layer<Executor | EmulatedControl, never, GpuInventory> =>
  Layer.scopedContext(make(options))
