/**
 * Devices, and the service that lists them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { GpuId } from "./Ids.js"

/**
 * How a glet's share is enforced: `mps` a process under a cap, `green` reserved SMs in one process, `stream` priority only, `threads` cores of
 * the CPU, `duty` slices of time, `emulated` a replayed profile.
 * @since 0.1.0
 * @category gpus
 */
export const Isolation = Schema.Literal("mps", "green", "stream", "threads", "duty", "emulated")
/** @since 0.1.0 @category gpus */
export type Isolation = typeof Isolation.Type

/**
 * One device of the inventory.
 * @since 0.1.0
 * @category gpus
 */
export const Gpu = Schema.Struct({
  id: GpuId,
  /** The key of its profiles, e.g. `h200`, `cpu`. */
  type: Schema.String,
  isolation: Isolation,
  /** SMs, or cores where the CPU is the GPU. */
  units: Schema.Int.pipe(Schema.positive()),
  memoryBytes: Schema.Positive,
  /** Shares a glet may have here, percent, ascending. A glet of share s gets `unitsOfShare` units. */
  sharesPct: Schema.NonEmptyArray(Schema.Int.pipe(Schema.between(1, 100))),
  /**
   * How soon a batch on a glet that gives way does (`GletSpec.givesWay`), typically, in ms; what a model really takes is in its `LoadReport`. Absent where
   * batches run to their end.
   */
  preemptMs: Schema.optionalWith(Schema.Positive, { exact: true }),
  /** Price of an hour, any currency; 1 where only the number of GPUs counts. */
  cost: Schema.optionalWith(Schema.Positive, { exact: true })
})
/** @since 0.1.0 @category gpus */
export type Gpu = typeof Gpu.Type

/** Whole units (SMs, cores) that a share stands for, at least one. @since 0.1.0 @category gpus */
export const unitsOfShare = (gpu: Pick<Gpu, "units">, sharePct: number): number =>
  Math.max(1, Math.round((gpu.units * sharePct) / 100))

/** What a device is doing now. @since 0.1.0 @category gpus */
export interface GpuTelemetry {
  readonly gpu: GpuId
  /** 0 to 1. */
  readonly utilizationRatio: number
  readonly memoryUsedBytes: number
  readonly memoryTotalBytes: number
  readonly powerWatts?: number
}

/**
 * Lists the devices of this host.
 * @since 0.1.0
 * @category services
 */
export class GpuInventory extends Context.Tag("glet/core/GpuInventory")<GpuInventory, {
  /** The devices, sorted by id; the list does not change while the process runs. */
  readonly gpus: ReadonlyArray<Gpu>
  /** One reading per device that can be read. */
  readonly telemetry: Effect.Effect<ReadonlyArray<GpuTelemetry>>
}>() {}

/** An inventory that is given. @since 0.1.0 @category layers */
export const layerStatic = (
  gpus: ReadonlyArray<Gpu>,
  telemetry: Effect.Effect<ReadonlyArray<GpuTelemetry>>
): Layer.Layer<GpuInventory> => Layer.succeed(GpuInventory, { gpus, telemetry })
