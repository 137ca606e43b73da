/**
 * A model: an ONNX file with what the system must know to serve it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ModelName } from "./Ids.js"
import { ModelFile } from "./ModelFile.js"
import { TensorSpec } from "./Tensor.js"

/**
 * `latency-critical` work has an SLO and is planned for; `best-effort` work has none and fills what is left.
 * @since 0.1.0
 * @category models
 */
export const ServiceClass = Schema.Literal("latency-critical", "best-effort")
/** @since 0.1.0 @category models */
export type ServiceClass = typeof ServiceClass.Type

/**
 * What goes in and out of a model.
 *
 * `batchSymbol` names the leading dimension that all inputs and outputs share; requests are joined along it. Undefined: the model takes one
 * request at a time.
 * @since 0.1.0
 * @category models
 */
export const ModelSignature = Schema.Struct({
  inputs: Schema.Array(TensorSpec),
  outputs: Schema.Array(TensorSpec),
  batchSymbol: Schema.optionalWith(Schema.String, { exact: true })
})
/** @since 0.1.0 @category models */
export type ModelSignature = typeof ModelSignature.Type

/**
 * A model as the repository found it and the configuration made it.
 * @since 0.1.0
 * @category models
 */
export const Model = Schema.Struct({
  name: ModelName,
  /** Triton's version: the number of its folder; 1 for a plain file. */
  version: Schema.Int.pipe(Schema.greaterThanOrEqualTo(1)),
  /** Where the ONNX file is; opaque to all but executors. */
  path: Schema.String,
  /** That file and those with its weights, as they were when it was loaded: what is not so any more is not this model. Absent: nobody looked. */
  files: Schema.optionalWith(Schema.Array(ModelFile), { exact: true }),
  signature: ModelSignature,
  /** Largest number of items in one execution; 1 where the model cannot batch. */
  maxBatch: Schema.Int.pipe(Schema.between(1, 65536)),
  serviceClass: ServiceClass,
  /** Latency objective in ms, from arrival to answer. Only latency-critical models have one. */
  sloMs: Schema.optionalWith(Schema.Positive.pipe(Schema.finite()), { exact: true }),
  /** Best-effort: its part of the time that is left, in proportion to the weights of the others; 1 where absent. */
  weight: Schema.optionalWith(Schema.Positive.pipe(Schema.lessThanOrEqualTo(1000)), { exact: true }),
  /** Rate to plan for before any was seen, items per second. */
  expectedRateRps: Schema.NonNegative.pipe(Schema.finite()),
  /** It may run on edge nodes: machines of others, to which its weights and its requests go. Default: it may not. */
  edge: Schema.optionalWith(Schema.Boolean, { exact: true }),
  /** Names of classes, by output and place in it, for clients that ask for the highest ones; an empty list where an output has none. */
  labels: Schema.optionalWith(Schema.Array(Schema.Array(Schema.String)), { exact: true }),
  /** Bytes of weights (the file and its external data): a first guess of memory until a profile knows better. */
  weightBytes: Schema.NonNegativeInt
})
/** @since 0.1.0 @category models */
export type Model = typeof Model.Type

/**
 * The model with requests taken one at a time, whatever their leading dimension is: what to do where they get other answers together.
 * @since 0.1.0
 * @category models
 */
export const oneAtATime = (model: Model): Model => {
  const { batchSymbol: _, ...signature } = model.signature
  return { ...model, signature, maxBatch: 1 }
}

/** Identity of the loaded artifact: `name` alone names the model, the version its weights. @since 0.1.0 @category models */
export const modelKey = (model: Pick<Model, "name" | "version">): string => `${model.name}@${model.version}`
