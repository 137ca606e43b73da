/**
 * Planning problems made of the original's files.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Gpu } from "../../core/Gpu.js"
import { unsafeGpuId } from "../../core/Ids.js"
import type { Demand, PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import { defaultPlanOptions } from "../../core/PlanProblem.js"
import type { GpuCount, SchedConfig } from "./Configs.js"
import { largestBatch } from "./Models.js"
import type { OriginalResource } from "./Resource.js"

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

/** The original's own options: its duty rule, and nothing that it does not have. @since 0.1.0 @category problems */
export const originalOptions = (config: Pick<SchedConfig, "interference" | "latencyRatio" | "maxModels">): PlanOptions => ({
  ...defaultPlanOptions,
  dutyRule: "strict",
  latencyHeadroom: config.latencyRatio,
  interference: config.interference,
  maxModelsPerGlet: config.maxModels,
  memoryFraction: 0.9
})

/** What gpulet is asked: its tasks with their rates, and its configuration. @since 0.1.0 @category problems */
export interface OriginalRequest {
  readonly resource: OriginalResource
  readonly gpus: ReadonlyArray<GpuCount>
  /** Shares a glet may have, of those that were measured. All of them where it is left out. */
  readonly sharesPct?: ReadonlyArray<number>
  /** Instead of what the devices have. */
  readonly memoryBytes?: number | undefined
  readonly tasks: ReadonlyArray<OriginalTask>
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

/** No share that is asked for was measured. @since 0.1.0 @category errors */
export class NoSharesMeasured extends Schema.TaggedError<NoSharesMeasured>()("NoSharesMeasured", {
  type: Schema.String,
  asked: Schema.Array(Schema.Number),
  measured: Schema.Array(Schema.Number)
}) {
  override get message(): string {
    return `none of the shares ${this.asked.join(", ")} % was measured on ${this.type}; ask for some of those that its latency table has: ${this.measured.join(", ")}`
  }
}

/** The problem. @since 0.1.0 @category problems */
export const originalProblem = (request: OriginalRequest): Either.Either<PlanProblem, UnknownGpuType | NoSharesMeasured> =>
  Either.gen(function*() {
    const { devices, latency, partsByType } = request.resource
    const gpus: Array<Gpu> = []
    for (const asked of request.gpus) {
      const device = devices.find(({ type }) => type === asked.type)
      if (device === undefined) return yield* Either.left(new UnknownGpuType({ type: asked.type, known: devices.map(({ type }) => type) }))
      const measured = partsByType.get(device.type) ?? []
      const [least, ...more] = measured.filter((share) => request.sharesPct?.includes(share) ?? true)
      if (least === undefined) return yield* Either.left(new NoSharesMeasured({ type: device.type, asked: request.sharesPct ?? [], measured }))
      gpus.push(...originalGpus(asked, request.memoryBytes ?? device.memoryBytes, [least, ...more]))
    }
    return {
      gpus,
      demands: request.tasks.map(({ model, rateRps, sloMs }): Demand => ({
        model, serviceClass: "latency-critical", rateRps, sloMs, maxBatch: largestBatch
      })),
      latency,
      options: request.options
    }
  })
