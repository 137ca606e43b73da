/**
 * What goes in and out of a model, and whether requests can be joined into batches: read from the ONNX file, narrowed by a configuration.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { ModelSignature } from "../../core/Model.js"
import type { DataType, Dim, TensorSpec } from "../../core/Tensor.js"
import type { OnnxFile, OnnxValue } from "./OnnxModel.js"
import { RepositoryError } from "./RepositoryError.js"

/** @since 0.1.0 @category signatures */
export interface SignatureOptions {
  /**
   * `auto`: batch where the file shows that it is safe. `on`: the configuration says that the leading dimension is the batch. `off`: one
   * request at a time.
   */
  readonly batching: "auto" | "on" | "off"
}

/** @since 0.1.0 @category signatures */
export interface SignatureReading {
  readonly signature: ModelSignature
  /** Why requests are not joined; absent where they are. */
  readonly notBatchable?: string
}

const types = new Map<number, DataType>([
  [1, "FP32"], [2, "UINT8"], [3, "INT8"], [4, "UINT16"], [5, "INT16"], [6, "INT32"], [7, "INT64"], [9, "BOOL"], [10, "FP16"], [11, "FP64"],
  [12, "UINT32"], [13, "UINT64"], [16, "BF16"]
])
const otherTypes = new Map([
  [8, "strings"], [14, "complex64"], [15, "complex128"], [17, "float8e4m3fn"], [18, "float8e4m3fnuz"], [19, "float8e5m2"], [20, "float8e5m2fnuz"],
  [21, "uint4"], [22, "int4"], [23, "float4e2m1"]
])

/** The type of a `TensorProto.DataType`; undefined where it cannot be served. @since 0.1.0 @category signatures */
export const dataTypeOf = (elemType: number): DataType | undefined => types.get(elemType)

interface ReadTensor {
  readonly name: string
  readonly datatype: DataType
  readonly shape: ReadonlyArray<number | string | undefined>
}

const readTensor = (file: string, role: string, value: OnnxValue): Either.Either<ReadTensor, RepositoryError> => {
  const fail = (reason: "invalid" | "unsupported", detail: string) =>
    Either.left(new RepositoryError({ file, reason, offset: value.offset, field: `${role} "${value.name}"`, detail }))
  if (value.name === "") return fail("invalid", "has no name")
  if (value.kind !== "tensor") return fail("unsupported", value.kind === "untyped" ? "has no type" : `is ${/^[aeiou]/.test(value.kind) ? "an" : "a"} ${value.kind}; only dense tensors can be served`)
  const datatype = dataTypeOf(value.elemType)
  if (datatype === undefined) {
    const name = otherTypes.get(value.elemType) ?? `element type ${value.elemType}`
    return fail("unsupported", `holds ${name}; supported are ${[...types.values()].join(", ")}`)
  }
  if (value.shape === undefined) return fail("unsupported", "declares no shape; give its dims in config.pbtxt or run onnx.shape_inference over the file")
  return Either.right({ name: value.name, datatype, shape: value.shape })
}

/**
 * Whether the leading dimension of all tensors is one and the same free dimension, and its symbol.
 *
 * Unnamed leading dimensions count as the batch, with one exception: where the inputs' is named, an unnamed one of an output may well depend
 * on data (what a detector found), so it does not.
 */
const findBatch = (inputs: ReadonlyArray<ReadTensor>, outputs: ReadonlyArray<ReadTensor>, trusted: boolean): Either.Either<string, string> => {
  const names = new Set<string>()
  for (const [role, tensors] of [["input", inputs], ["output", outputs]] as const) {
    for (const tensor of tensors) {
      const lead = tensor.shape[0]
      if (tensor.shape.length === 0) return Either.left(`${role} "${tensor.name}" is a scalar`)
      if (typeof lead === "number") return Either.left(`the leading dimension of ${role} "${tensor.name}" is fixed at ${lead}`)
      if (lead !== undefined) names.add(lead)
      if (tensor.shape.some((dim, i) => i > 0 && dim !== undefined && dim === lead)) {
        return Either.left(`"${lead}" stands twice in the shape of ${role} "${tensor.name}"`)
      }
    }
  }
  const inputNames = inputs.flatMap(({ shape }) => (typeof shape[0] === "string" ? [shape[0]] : []))
  const symbol = inputNames[0] ?? [...names][0] ?? "batch"
  if (!trusted) {
    if (names.size > 1) return Either.left(`the leading dimensions have different names: ${[...names].map((name) => `"${name}"`).join(", ")}`)
    const unnamed = outputs.find((tensor) => tensor.shape[0] === undefined)
    if (unnamed !== undefined && inputNames.length > 0) {
      return Either.left(`the leading dimension of output "${unnamed.name}" has no name and may depend on data`)
    }
  }
  const elsewhere = [...inputs, ...outputs].find((tensor) => tensor.shape.some((dim, i) => i > 0 && dim === symbol))
  if (elsewhere !== undefined) return Either.left(`"${symbol}" is not only the leading dimension of "${elsewhere.name}"`)
  return Either.right(symbol)
}

/**
 * The signature of a model.
 * @since 0.1.0
 * @category signatures
 */
export const readSignature = (file: string, onnx: OnnxFile, options: SignatureOptions): Either.Either<SignatureReading, RepositoryError> =>
  Either.gen(function*() {
    const fail = (reason: "invalid" | "unsupported" | "mismatch", detail: string) => Either.left(new RepositoryError({ file, reason, detail }))
    if (onnx.inputs.length === 0) return yield* fail("unsupported", "the model takes no inputs")
    if (onnx.outputs.length === 0) return yield* fail("invalid", "the model has no outputs")
    const inputs = yield* Either.all(onnx.inputs.map((value) => readTensor(file, "input", value)))
    const declared = yield* Either.all(onnx.outputs.map((value) => readTensor(file, "output", value)))
    // A name that stands on both sides is one value: what is known of the input is known of the output.
    const outputs = declared.map((output) => inputs.find(({ name }) => name === output.name) ?? output)
    for (const [role, tensors] of [["inputs", inputs], ["outputs", outputs]] as const) {
      if (new Set(tensors.map(({ name }) => name)).size < tensors.length) return yield* fail("invalid", `two ${role} have the same name`)
    }
    const batch: Either.Either<string, string> = options.batching === "off"
      ? Either.left("its configuration sets max_batch_size 0")
      : findBatch(inputs, outputs, options.batching === "on")
    if (Either.isLeft(batch) && options.batching === "on") {
      return yield* fail("mismatch", `the configuration allows batches, but ${batch.left}; set the maximum batch to 0`)
    }
    const taken = new Set([...inputs, ...outputs].flatMap(({ shape }) => shape.filter((dim) => typeof dim === "string")))
    const symbol = Either.getOrUndefined(batch)
    if (symbol !== undefined) taken.add(symbol)
    const unique = (wanted: string): string => {
      let name = wanted
      while (taken.has(name)) name += "_"
      taken.add(name)
      return name
    }
    const spec = (tensor: ReadTensor): TensorSpec => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: tensor.shape.map((dim, i): Dim => (i === 0 && symbol !== undefined ? symbol : dim ?? unique(`${tensor.name}_dim${i}`)))
    })
    const specs = new Map(inputs.map((tensor) => [tensor, spec(tensor)]))
    return {
      signature: { inputs: [...specs.values()], outputs: outputs.map((tensor) => specs.get(tensor) ?? spec(tensor)), ...(symbol === undefined ? {} : { batchSymbol: symbol }) },
      ...(Either.isLeft(batch) ? { notBatchable: batch.left } : {})
    }
  })
