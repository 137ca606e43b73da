/**
 * Measured latencies by (GPU type, isolation, model, share, batch), and the service that keeps them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Isolation } from "./Gpu.js"
import { ModelName } from "./Ids.js"

const Milliseconds = Schema.Positive.pipe(Schema.finite())

/**
 * Latency distribution of one (share, batch) by itself, from execution start to end, copies included, without queueing.
 * @since 0.1.0
 * @category profiles
 */
export const ProfilePoint = Schema.Struct({
  sharePct: Schema.Int.pipe(Schema.between(1, 100)),
  batch: Schema.Int.pipe(Schema.positive()),
  meanMs: Milliseconds,
  p50Ms: Milliseconds,
  p90Ms: Milliseconds,
  p99Ms: Milliseconds,
  /** Number of executions measured. */
  count: Schema.Int.pipe(Schema.positive()),
  /** Median time that a batch takes where others go before and after it without a gap: their copies overlap its execution. Absent where not measured. */
  followedMs: Schema.optionalWith(Milliseconds, { exact: true })
})
/** @since 0.1.0 @category profiles */
export type ProfilePoint = typeof ProfilePoint.Type

/**
 * Share of time in operators of each kind; the three sum to 1. The label (compute-bound, memory-bound, balanced) is derived.
 * @since 0.1.0
 * @category profiles
 */
export const WorkloadType = Schema.Struct({
  compute: Schema.Number.pipe(Schema.between(0, 1)),
  memory: Schema.Number.pipe(Schema.between(0, 1)),
  other: Schema.Number.pipe(Schema.between(0, 1))
})
/** @since 0.1.0 @category profiles */
export type WorkloadType = typeof WorkloadType.Type

const Part = Schema.Number.pipe(Schema.between(0, 1))
const Amount = Schema.NonNegative.pipe(Schema.finite())

/**
 * The type of one batch, with what it was made of.
 * @since 0.1.0
 * @category profiles
 */
export const TypeVector = Schema.Struct({
  batch: Schema.Int.pipe(Schema.positive()),
  sharePct: Schema.Int.pipe(Schema.between(1, 100)),
  /** Shares of time in compute-bound, memory-bound and other operators, by the roofline; they sum to 1. */
  ...WorkloadType.fields,
  /** Of one execution, by its operators' shapes. */
  flop: Amount,
  bytes: Amount,
  /** Achieved. */
  flopPerS: Amount,
  bytesPerS: Amount,
  /** The same as parts of what the device can do. */
  computeDemand: Part,
  memoryDemand: Part,
  /** The part of the time that more units would shorten, by the slope of latency against share. */
  scaling: Schema.optionalWith(Part, { exact: true }),
  /** Slow-downs beside a stressor of arithmetic and one of memory bandwidth. */
  stressed: Schema.optionalWith(Schema.Struct({ compute: Schema.Positive, memory: Schema.Positive }), { exact: true })
})
/** @since 0.1.0 @category profiles */
export type TypeVector = typeof TypeVector.Type

/** What runs on another glet of the GPU. @since 0.1.0 @category profiles */
export const Neighbour = Schema.Struct({
  model: ModelName,
  batch: Schema.Int.pipe(Schema.positive()),
  sharePct: Schema.Int.pipe(Schema.between(1, 100))
})
/** @since 0.1.0 @category profiles */
export type Neighbour = typeof Neighbour.Type

/** How neighbours that always run slowed a batch down: its median latency over its median alone on the same share. @since 0.1.0 @category profiles */
export const CoRun = Schema.Struct({
  batch: Schema.Int.pipe(Schema.positive()),
  sharePct: Schema.Int.pipe(Schema.between(1, 100)),
  neighbours: Schema.NonEmptyArray(Neighbour),
  slowdown: Schema.Positive.pipe(Schema.finite()),
  /** Executions measured. */
  count: Schema.Int.pipe(Schema.positive())
})
/** @since 0.1.0 @category profiles */
export type CoRun = typeof CoRun.Type

/** What is known of one model on one GPU type. @since 0.1.0 @category profiles */
export const ModelProfile = Schema.Struct({
  model: ModelName,
  /** SHA-256 of the ONNX file, hexadecimal: a profile of other weights or another architecture does not count. */
  sha256: Schema.optionalWith(Schema.String, { exact: true }),
  /** Largest batch that was to be measured: where no point has it, time or memory did not suffice. */
  maxBatch: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true }),
  /** Device memory one loaded copy takes, in bytes. */
  memoryBytes: Schema.NonNegative,
  loadMs: Schema.NonNegative,
  workloadType: Schema.optionalWith(WorkloadType, { exact: true }),
  /** The type by batch; `workloadType` is that of the largest. */
  types: Schema.optionalWith(Schema.Array(TypeVector), { exact: true }),
  /** How others on the GPU slow it down, where that was measured. */
  coRuns: Schema.optionalWith(Schema.Array(CoRun), { exact: true }),
  points: Schema.NonEmptyArray(ProfilePoint)
})
/** @since 0.1.0 @category profiles */
export type ModelProfile = typeof ModelProfile.Type

/**
 * All profiles of one GPU type and isolation: one file of `resource/profiles/<gpuType>/`.
 * @since 0.1.0
 * @category profiles
 */
export const Profile = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Profile"),
  gpuType: Schema.String,
  isolation: Isolation,
  /** SMs or cores of the device measured. */
  units: Schema.Int.pipe(Schema.positive()),
  /** The command that made it, and on what. */
  provenance: Schema.optionalWith(Schema.String, { exact: true }),
  models: Schema.Array(ModelProfile)
})
/** @since 0.1.0 @category profiles */
export type Profile = typeof Profile.Type

/** A profile cannot be read, written or used. @since 0.1.0 @category errors */
export class ProfileError extends Schema.TaggedError<ProfileError>()("ProfileError", {
  reason: Schema.Literal("unreadable", "invalid", "unwritable", "missing"),
  /** The file, or the model and GPU type. */
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `profile ${this.subject} is ${this.reason}: ${this.detail}`
  }
}

/**
 * Reads and writes profiles.
 * @since 0.1.0
 * @category services
 */
export class ProfileStore extends Context.Tag("glet/core/ProfileStore")<ProfileStore, {
  /**
   * The model's profile on that GPU type; none where it was never measured, or measured with another file than `sha256` or on a device of
   * another number of `units`. Where several count, the newest; one of another name with the same `sha256` where there is none of this.
   */
  readonly get: (
    key: {
      readonly gpuType: string
      readonly isolation: Isolation
      readonly units?: number
      readonly model: ModelName
      readonly sha256?: string
    }
  ) => Effect.Effect<Option.Option<ModelProfile>, ProfileError>
  /** Adds or replaces one model's profile. */
  readonly put: (
    key: { readonly gpuType: string; readonly isolation: Isolation; readonly units: number },
    profile: ModelProfile
  ) => Effect.Effect<void, ProfileError>
}>() {}
