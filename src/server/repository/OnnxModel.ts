/**
 * What serving needs to know of an ONNX file.
 *
 * @since 0.1.0
 */

/** A size, a symbol's name, or undefined where the file says nothing. @since 0.1.0 @category onnx */
export type OnnxDim = number | string | undefined

/** An input or output as the file declares it. @since 0.1.0 @category onnx */
export interface OnnxValue {
  readonly name: string
  readonly kind: "tensor" | "sequence" | "map" | "opaque" | "sparse tensor" | "optional" | "untyped"
  /** `TensorProto.DataType`; 0 where there is none. */
  readonly elemType: number
  /** Undefined: the file declares no shape, not even a rank. */
  readonly shape: ReadonlyArray<OnnxDim> | undefined
  /** Where it stands in the file. */
  readonly offset: number
}

/** A tensor whose data stands in another file. @since 0.1.0 @category onnx */
export interface OnnxExternalData {
  readonly tensor: string
  /** As written: relative to the model's folder, or an attempt to leave it. */
  readonly location: string
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** @since 0.1.0 @category onnx */
export interface OnnxFile {
  readonly irVersion: number
  readonly producer: string
  /** Version by domain; "" is ONNX's own. */
  readonly opsets: ReadonlyMap<string, number>
  /** Without those that an initializer gives a value. */
  readonly inputs: ReadonlyArray<OnnxValue>
  readonly outputs: ReadonlyArray<OnnxValue>
  readonly externalData: ReadonlyArray<OnnxExternalData>
  readonly sizeBytes: number
}
