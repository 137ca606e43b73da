import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import type { Gpu } from "../../core/Gpu.js"
import { Isolation } from "../../core/Gpu.js"
import type { ModelName } from "../../core/Ids.js"
import { ModelName as ModelNameSchema, unsafeGpuId } from "../../core/Ids.js"
import { ServiceClass } from "../../core/Model.js"
import { DutyRule } from "../../core/Plan.js"
import { effortOf, PlanEffort } from "../../core/PlanEffort.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { defaultPlanOptions } from "../../core/PlanProblem.js"
import type { ModelProfile } from "../../core/Profile.js"
import { Profile } from "../../core/Profile.js"
import * as ProfileLatencyModel from "../../scheduler/ProfileLatencyModel.js"
import { CliError } from "../CliError.js"
import { parseJson, readText } from "./files.js"
import { schemaProblem } from "./schemaProblem.js"

const Share = Schema.Int.pipe(Schema.between(1, 100))
const Count = Schema.Int.pipe(Schema.positive())

const ProblemGpu = Schema.Struct({
  type: Schema.String.pipe(Schema.minLength(1)),
  count: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 10_000)), { default: () => 1 }),
  isolation: Schema.optionalWith(Isolation, { default: () => "mps" as const }),
  units: Count,
  memoryBytes: Schema.Positive.pipe(Schema.finite()),
  sharesPct: Schema.NonEmptyArray(Share),
  cost: Schema.optionalWith(Schema.Positive, { exact: true })
})

const ProblemModel = Schema.Struct({
  name: ModelNameSchema,
  class: Schema.optionalWith(ServiceClass, { default: () => "latency-critical" as const }),
  sloMs: Schema.optionalWith(Schema.Positive.pipe(Schema.finite()), { exact: true }),
  rateRps: Schema.optionalWith(Schema.NonNegative.pipe(Schema.finite()), { default: () => 0 }),
  maxBatch: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 65536)), { default: () => 32 })
}).pipe(Schema.filter((model) =>
  model.class === "best-effort" || model.sloMs !== undefined || { path: ["sloMs"], message: `is missing: the latency-critical model "${model.name}" needs one` }
))

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

const ProblemOptions = Schema.Struct({
  dutyRule: optional(DutyRule),
  latencyHeadroom: optional(Schema.Number.pipe(Schema.between(1, 100))),
  interference: optional(Schema.Boolean),
  memoryFraction: optional(Schema.Number.pipe(Schema.between(0.01, 1))),
  maxGletsPerGpu: optional(Count),
  maxModelsPerGlet: optional(Count),
  effort: optional(PlanEffort),
  seed: optional(Schema.Int)
})

/** The file behind `glet plan --problem`. */
const ProblemFile = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("PlanProblem"),
  gpus: Schema.NonEmptyArray(ProblemGpu),
  models: Schema.NonEmptyArray(ProblemModel),
  profiles: Schema.NonEmptyArray(Schema.Union(Schema.String, Profile)),
  options: Schema.optionalWith(ProblemOptions, { default: () => ({}) })
})

const decodeFile = <A, I>(schema: Schema.Schema<A, I>, file: string, what: string): Effect.Effect<A, CliError> =>
  readText(file, what).pipe(
    Effect.flatMap((text) => parseJson(text, file)),
    Effect.flatMap(Schema.decodeUnknown(schema, { onExcessProperty: "error" })),
    Effect.mapError((error) => error instanceof CliError ? error : new CliError({ reason: "input", problem: `${file}: ${schemaProblem(error)}` }))
  )

/** Models by GPU type; of two measurements of one model the later counts. */
const profilesByType = (profiles: ReadonlyArray<Profile>): ReadonlyMap<string, ReadonlyMap<ModelName, ModelProfile>> => {
  const byType = new Map<string, Map<ModelName, ModelProfile>>()
  for (const profile of profiles) {
    const models = byType.get(profile.gpuType) ?? new Map<ModelName, ModelProfile>()
    for (const model of profile.models) models.set(model.model, model)
    byType.set(profile.gpuType, models)
  }
  return byType
}

/** Reads a problem file and the profiles it names. */
export const readProblem = (file: string): Effect.Effect<PlanProblem, CliError> =>
  Effect.gen(function*() {
    const problem = yield* decodeFile(ProblemFile, file, "the problem")
    const names = problem.models.map((model) => model.name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) return yield* new CliError({ reason: "input", problem: `${file}: models: "${twice}" stands twice` })
    const folder = file === "-" ? process.cwd() : path.dirname(path.resolve(file))
    const profiles = yield* Effect.forEach(problem.profiles, (profile) =>
      typeof profile === "string" ? decodeFile(Profile, path.resolve(folder, profile), "the profile") : Effect.succeed(profile))
    const counted = new Map<string, number>()
    const gpus = problem.gpus.flatMap((gpu) =>
      Array.from({ length: gpu.count }, (): Gpu => {
        const number = counted.get(gpu.type) ?? 0
        counted.set(gpu.type, number + 1)
        const { count: _, ...rest } = gpu
        return { ...rest, id: unsafeGpuId(`${gpu.type}:${number}`) }
      })
    )
    const { effort, ...options } = problem.options
    return {
      gpus,
      demands: problem.models.map((model) => ({
        model: model.name,
        serviceClass: model.class,
        rateRps: model.rateRps,
        sloMs: model.class === "best-effort" ? Infinity : model.sloMs!,
        maxBatch: model.maxBatch
      })),
      latency: ProfileLatencyModel.makeFor(profilesByType(profiles), gpus),
      options: { ...defaultPlanOptions, ...options, ...(effort === undefined ? {} : { effort: effortOf[effort] }) }
    }
  })
