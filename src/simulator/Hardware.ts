/**
 * What GPUs of a type can do, as far as a simulation needs it: from a measured profile, or from the tables of the original.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Gpu } from "../core/Gpu.js"
import { Isolation } from "../core/Gpu.js"
import type { ModelName } from "../core/Ids.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { Execution, LatencyModel } from "../core/LatencyModel.js"
import type { Profile } from "../core/Profile.js"
import type { LatencyDistribution } from "../scheduler/LatencyDistribution.js"
import { distributionOf } from "../scheduler/LatencyDistribution.js"
import { tableName } from "../scheduler/original/Models.js"
import type { OriginalResource } from "../scheduler/original/Resource.js"
import * as ProfileLatencyModel from "../scheduler/ProfileLatencyModel.js"

/**
 * What a profile does not say of its GPU: `resource/profiles/<type>/hardware.json`.
 * @since 0.1.0
 * @category hardware
 */
export const HardwareDescription = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Hardware"),
  gpuType: Schema.String,
  isolation: Isolation,
  provenance: Schema.optionalWith(Schema.String, { exact: true }),
  memoryBytes: Schema.Positive.pipe(Schema.finite()),
  /** Taken by a glet before any model is loaded. */
  gletMemoryBytes: Schema.NonNegative.pipe(Schema.finite()),
  /** Making a glet, before any model is loaded. */
  openMs: Schema.NonNegative.pipe(Schema.finite()),
  /** How soon a best-effort batch gives way, in ms (`Gpu.preemptMs`); absent: batches run to their end. */
  preemptMs: Schema.optionalWith(Schema.Positive.pipe(Schema.finite()), { exact: true }),
  /** Slow-down between glets of a GPU, before what the profile's co-runs say; see ProfileLatencyModel. */
  interference: Schema.optionalWith(Schema.Struct({
    memory: Schema.NonNegative, compute: Schema.NonNegative, presence: Schema.NonNegative
  }), { exact: true })
})
/** @since 0.1.0 @category hardware */
export type HardwareDescription = typeof HardwareDescription.Type

/** @since 0.1.0 @category hardware */
export interface Hardware {
  readonly gpuType: string
  readonly gpus: (count: number) => ReadonlyArray<Gpu>
  readonly latency: LatencyModel
  readonly distribution: (execution: Execution) => LatencyDistribution | undefined
  readonly openMs: number
  readonly loadMs: (model: ModelName) => number
  /** Models that are measured. */
  readonly models: ReadonlyArray<string>
}

const numbered = (count: number, gpu: Omit<Gpu, "id">): ReadonlyArray<Gpu> =>
  Array.from({ length: count }, (_, i): Gpu => ({ ...gpu, id: unsafeGpuId(`${gpu.type}:${i}`) }))

const ascending = (shares: Iterable<number>): Gpu["sharesPct"] => {
  const [first = 100, ...others] = [...new Set(shares)].sort((a, b) => a - b)
  return [first, ...others]
}

/** Where nothing describes the GPU: the memory that emulated GPUs have, and how long a process takes to start. */
const undescribed = { memoryBytes: 16 * 2 ** 30, gletMemoryBytes: 0, openMs: 500, interference: undefined, preemptMs: undefined }

/**
 * GPUs of a measured profile. Every multiple of `gridPct` between the shares that were measured may be a glet's, by interpolation; without it
 * only the measured ones.
 * @since 0.1.0
 * @category hardware
 */
export const profileHardware = (profile: Profile, description?: HardwareDescription, gridPct?: number): Hardware => {
  const { gletMemoryBytes, interference, memoryBytes, openMs, preemptMs } = description ?? undescribed
  const { gpuType } = profile
  const models = new Map(profile.models.map((model) => [model.model, model]))
  const latency = ProfileLatencyModel.make(new Map([[gpuType, models]]), {
    ...(interference === undefined ? {} : { interference: new Map([[gpuType, interference]]) }),
    unmeasured: ProfileLatencyModel.unmeasuredOf([{ type: gpuType, isolation: profile.isolation }]),
    gletMemoryBytes: new Map([[gpuType, gletMemoryBytes]])
  })
  const measured = ascending(profile.models.flatMap(({ points }) => points.map(({ sharePct }) => sharePct)))
  const grid = gridPct === undefined ? [] : Array.from({ length: Math.floor(100 / gridPct) }, (_, i) => (i + 1) * gridPct)
  return {
    gpuType,
    gpus: (count) => numbered(count, {
      type: gpuType, isolation: profile.isolation, units: profile.units, memoryBytes,
      sharesPct: ascending([...measured, ...grid.filter((share) => share > measured[0])]),
      ...(preemptMs === undefined ? {} : { preemptMs })
    }),
    latency,
    distribution: (execution) => distributionOf(latency, models.get(execution.model), execution),
    openMs,
    loadMs: (model) => models.get(model)?.loadMs ?? 0,
    models: [...models.keys()]
  }
}

/** Starting a process and loading a model into it took the original about as long. */
const originalOpenMs = 500
const originalLoadMs = 100

/**
 * GPUs of the original's tables. They have no distributions: an execution takes what the table says, times its interference.
 * @since 0.1.0
 * @category hardware
 */
export const originalHardware = (resource: OriginalResource, gpuType: string): Hardware | undefined => {
  const device = resource.devices.find(({ type }) => type === gpuType)
  if (device === undefined) return undefined
  const { latency } = resource
  return {
    gpuType,
    gpus: (count) => numbered(count, {
      type: gpuType, isolation: "mps", units: 100, memoryBytes: device.memoryBytes, sharesPct: ascending(resource.partsByType.get(gpuType) ?? [])
    }),
    latency,
    distribution: (execution) => distributionOf(latency, undefined, execution),
    openMs: originalOpenMs,
    loadMs: () => originalLoadMs,
    models: [...resource.proxies.keys()].filter((model) => Number.isFinite(latency.tableMs({ gpuType, model: tableName(model) as ModelName, sharePct: 100, batch: 1 })))
  }
}

/**
 * The same hardware whose best-effort batches give way within `preemptMs`, in ms; undefined: they run to their end.
 * @since 0.1.0
 * @category hardware
 */
export const withPreemption = (hardware: Hardware, preemptMs: number | undefined): Hardware => ({
  ...hardware,
  gpus: (count) => hardware.gpus(count).map(({ preemptMs: _, ...gpu }) => (preemptMs === undefined ? gpu : { ...gpu, preemptMs }))
})

/** The same hardware where models go by other names. @since 0.1.0 @category hardware */
export const aliased = (hardware: Hardware, profileOf: (model: ModelName) => ModelName): Hardware => {
  const { latency } = hardware
  const { interference, latenciesMs, overlapMs } = latency
  const real = (execution: Execution): Execution => ({ ...execution, model: profileOf(execution.model) })
  return {
    ...hardware,
    latency: {
      latencyMs: (execution) => latency.latencyMs(real(execution)),
      typicalMs: (execution) => latency.typicalMs(real(execution)),
      slowdown: (execution, neighbours) => latency.slowdown(real(execution), neighbours.map((group) => group.map(real))),
      ...(latenciesMs === undefined ? {} : { latenciesMs: (type, model, sharePct, upTo) => latenciesMs(type, profileOf(model), sharePct, upTo) }),
      ...(overlapMs === undefined ? {} : { overlapMs: (type, model, batch) => overlapMs(type, profileOf(model), batch) }),
      ...(interference === undefined ? {} : {
        interference: {
          ...interference,
          pressure: (execution) => interference.pressure(real(execution)),
          sensitivity: (execution) => interference.sensitivity(real(execution))
        }
      }),
      memoryBytes: (type, model) => latency.memoryBytes(type, profileOf(model)),
      gletMemoryBytes: latency.gletMemoryBytes
    },
    distribution: (execution) => hardware.distribution(real(execution)),
    loadMs: (model) => hardware.loadMs(profileOf(model))
  }
}
