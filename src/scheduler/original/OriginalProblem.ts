/**
 * Planning problems made of the original's files.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Gpu } from "../../core/Gpu.js"
import type { LatencyModel } from "../../core/LatencyModel.js"
import { unsafeGpuId } from "../../core/Ids.js"
import type { Demand, PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import { defaultPlanOptions } from "../../core/PlanProblem.js"
import type { DeviceSpec, GpuCount, SchedConfig } from "./Configs.js"
import { largestBatch } from "./Models.js"
import type { LatencyTable } from "./Tables.js"

/** Rates are those to plan for. @since 0.1.0 @category problems */
export interface OriginalTask {
  readonly model: Demand["model"]
  readonly rateRps: number
  readonly sloMs: number
}

/** GPUs of a type, numbered from 0. @since 0.1.0 @category problems */
export const originalGpus = (
  { count, type }: GpuCount,
  memoryBytes: number,
  sharesPct: Gpu["sharesPct"]
): ReadonlyArray<Gpu> =>
  Array.from({ length: count }, (_, i) => ({
    id: unsafeGpuId(`${type}:${i}`), type, isolation: "mps", units: 100, memoryBytes, sharesPct
  }))

/** Parts that a latency table has for every one of its models, ascending. @since 0.1.0 @category problems */
export const partsOf = (table: LatencyTable): ReadonlyArray<number> => {
  const [first, ...others] = [...table.values()]
  return first === undefined ? [] : [...first.keys()].filter((part) => others.every((parts) => parts.has(part))).sort((a, b) => a - b)
}

/** The original's own options: its duty rule, and nothing that it does not have. @since 0.1.0 @category problems */
export const originalOptions = (config: Pick<SchedConfig, "interference" | "latencyRatio" | "maxModels">): PlanOptions => ({
  ...defaultPlanOptions,
  dutyRule: "strict",
  latencyHeadroom: config.latencyRatio,
  interference: config.interference,
  maxModelsPerGlet: config.maxModels,
  memoryFraction: 0.9
})

/** @since 0.1.0 @category problems */
export interface OriginalRequest {
  readonly devices: ReadonlyArray<DeviceSpec>
  readonly gpus: ReadonlyArray<GpuCount>
  /** Shares a glet may have. */
  readonly sharesPct: ReadonlyArray<number>
  /** Instead of what the devices have. */
  readonly memoryBytes?: number | undefined
  readonly tasks: ReadonlyArray<OriginalTask>
  readonly latency: LatencyModel
  readonly options: PlanOptions
}

/** GPUs are asked for that no device describes. @since 0.1.0 @category errors */
export class UnknownGpuType extends Schema.TaggedError<UnknownGpuType>()("UnknownGpuType", {
  type: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `no device is described for GPU type ${JSON.stringify(this.type)}; describe it in the device configuration, which has ${this.known.join(", ") || "none"}`
  }
}

/** The problem. @since 0.1.0 @category problems */
export const originalProblem = (request: OriginalRequest): Either.Either<PlanProblem, UnknownGpuType> => {
  const [least = 100, ...more] = [...request.sharesPct].sort((a, b) => a - b)
  const memory = new Map(request.devices.map(({ memoryBytes, type }) => [type, request.memoryBytes ?? memoryBytes]))
  const unknown = request.gpus.find(({ type }) => !memory.has(type))
  if (unknown !== undefined) return Either.left(new UnknownGpuType({ type: unknown.type, known: [...memory.keys()] }))
  return Either.right({
    gpus: request.gpus.flatMap((gpu) => originalGpus(gpu, memory.get(gpu.type)!, [least, ...more])),
    demands: request.tasks.map(({ model, rateRps, sloMs }): Demand => ({
      model, serviceClass: "latency-critical", rateRps, sloMs, maxBatch: largestBatch
    })),
    latency: request.latency,
    options: request.options
  })
}
