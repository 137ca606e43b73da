/**
 * Tensor types and shapes, in the names of the Open Inference Protocol.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** Element types of the Open Inference Protocol. `BYTES` elements have no fixed size. @since 0.1.0 @category tensors */
export const DataType = Schema.Literal(
  "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES"
)
/** @since 0.1.0 @category tensors */
export type DataType = typeof DataType.Type

export { bytesPerElement } from "./ElementSize.js"

/**
 * One dimension of a declared shape: a fixed size, or the name of a symbol that a request binds (`"batch"`, `"sequence"`).
 * @since 0.1.0
 * @category tensors
 */
export const Dim = Schema.Union(Schema.NonNegativeInt, Schema.String)
/** @since 0.1.0 @category tensors */
export type Dim = typeof Dim.Type

/** A declared input or output: its whole shape, the batch dimension included, row-major. @since 0.1.0 @category tensors */
export const TensorSpec = Schema.Struct({
  name: Schema.String,
  datatype: DataType,
  shape: Schema.Array(Dim),
  /** The shape that requests and answers have, where the configuration gives them another one for the same elements. */
  asked: Schema.optionalWith(Schema.Array(Dim), { exact: true })
})
/** @since 0.1.0 @category tensors */
export type TensorSpec = typeof TensorSpec.Type

/** The shape that requests and answers have. @since 0.1.0 @category tensors */
export const askedShape = (spec: TensorSpec): ReadonlyArray<Dim> => spec.asked ?? spec.shape
