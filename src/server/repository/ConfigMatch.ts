/**
 * The configuration against the ONNX file: what contradicts it, what narrows it, and the completed configuration that clients ask for.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Model } from "../../core/Model.js"
import { askedShape, type DataType, type Dim, type TensorSpec } from "../../core/Tensor.js"
import { suggest } from "../../core/internal/suggest.js"
import type { OnnxDim, OnnxFile, OnnxValue } from "./OnnxModel.js"
import type { RepositoryError } from "./RepositoryError.js"
import { dataTypeOf } from "./Signature.js"
import type { TritonConfig, TritonTensor } from "./TritonConfig.js"

const tritonType = (type: DataType): string => `TYPE_${type === "BYTES" ? "STRING" : type}`

const shapeText = (shape: ReadonlyArray<OnnxDim>): string => `[${shape.map((dim) => (typeof dim === "number" ? dim : -1)).join(", ")}]`

/**
 * The file as its configuration narrows it: a size in place of a free dimension, wherever the same symbol stands; a shape where the file has
 * none; outputs that it leaves out are not served. What contradicts the file is an error, as in Triton.
 * @since 0.1.0
 * @category configuration
 */
export const narrowToConfig = (onnx: OnnxFile, config: TritonConfig): Either.Either<OnnxFile, RepositoryError> =>
  Either.gen(function*() {
    const sizes = new Map<string, number>()
    const inputs = yield* narrowAll("input", onnx.inputs, config, sizes)
    const outputs = yield* narrowAll("output", onnx.outputs, config, sizes)
    const bind = (value: OnnxValue): OnnxValue => ({
      ...value,
      shape: value.shape?.map((dim) => (typeof dim === "string" ? sizes.get(dim) ?? dim : dim))
    })
    const unlisted = unlistedOutputs(onnx, config)
    return { ...onnx, inputs: inputs.map(bind), outputs: outputs.filter(({ name }) => !unlisted.includes(name)).map(bind) }
  })

/** Outputs of the file that are not served: as in Triton, a configuration that names some means those alone. @since 0.1.0 @category configuration */
export const unlistedOutputs = (onnx: OnnxFile, config: TritonConfig): ReadonlyArray<string> => {
  const listed = config.fields.output ?? []
  return listed.length === 0 ? [] : onnx.outputs.map(({ name }) => name).filter((name) => !listed.some((output) => output.name === name))
}

const narrowAll = (
  role: "input" | "output",
  values: ReadonlyArray<OnnxValue>,
  config: TritonConfig,
  sizes: Map<string, number>
): Either.Either<ReadonlyArray<OnnxValue>, RepositoryError> =>
  Either.gen(function*() {
    const narrowed = new Map(values.map((value) => [value.name, value]))
    const seen = new Set<string>()
    for (const [i, tensor] of (config.fields[role] ?? []).entries()) {
      const path = `${role}[${i}]`
      const name = tensor.name ?? ""
      const value = narrowed.get(name)
      if (value === undefined) {
        const near = suggest(name, narrowed.keys())
        const hint = near === undefined ? `its ${role}s are ${[...narrowed.keys()].map((known) => `"${known}"`).join(", ")}` : `did you mean "${near}"?`
        return yield* Either.left(config.error(`${path}.name`, "mismatch", `the model has no ${role} "${name}"; ${hint}`))
      }
      if (seen.has(name)) return yield* Either.left(config.error(`${path}.name`, "invalid", `${role} "${name}" is given twice`))
      seen.add(name)
      narrowed.set(name, yield* narrow(path, tensor, value, config, sizes))
    }
    return [...narrowed.values()]
  })

const narrow = (
  path: string,
  tensor: TritonTensor,
  value: OnnxValue,
  config: TritonConfig,
  sizes: Map<string, number>
): Either.Either<OnnxValue, RepositoryError> => {
  const mismatch = (field: string, detail: string) => Either.left(config.error(`${path}.${field}`, "mismatch", detail))
  const type = dataTypeOf(value.elemType)
  if (tensor.data_type !== undefined && type !== undefined && tensor.data_type !== tritonType(type)) {
    return mismatch("data_type", `is ${tensor.data_type}, "${value.name}" is ${tritonType(type)} in the model`)
  }
  // Where requests have another shape than the model, that of the model is what the file can be held against.
  const field = tensor.reshape === undefined ? "dims" : "reshape"
  const given = tensor.reshape === undefined ? tensor.dims : tensor.reshape.shape ?? []
  if (given === undefined) return Either.right(value)
  const wrong = [...given, ...tensor.dims ?? []].find((dim) => dim < -1)
  if (wrong !== undefined) return Either.left(config.error(`${path}.${field}`, "invalid", `${wrong} is no size; -1 stands for any`))
  const batches = (config.fields.max_batch_size ?? 0) > 0
  const dims = batches ? [-1, ...given] : given
  const shape = value.shape ?? dims.map(() => undefined)
  if (shape.length !== dims.length) {
    const batch = batches ? ` (a batch dimension and ${field})` : shape.length === dims.length + 1 ? "; is max_batch_size missing?" : ""
    return mismatch(field, `gives ${dims.length} dimensions${batch}, "${value.name}" has ${shape.length} in the model: ${shapeText(shape)}`)
  }
  const bound: Array<OnnxDim> = []
  for (const [i, dim] of shape.entries()) {
    const declared = dims[i]!
    if (typeof dim === "number") {
      // The batch dimension is judged with the signature, which knows more to say.
      if (declared !== dim && !(batches && i === 0)) return mismatch(field, `${shapeText(dims)} contradicts ${shapeText(shape)} of "${value.name}" in the model`)
    } else if (declared >= 0 && dim !== undefined) {
      const other = sizes.get(dim)
      if (other !== undefined && other !== declared) return mismatch(field, `makes "${dim}" ${declared}, elsewhere it is ${other}`)
      sizes.set(dim, declared)
    }
    bound.push(dim ?? (declared < 0 ? undefined : declared))
  }
  return Either.right({ ...value, shape: bound })
}

/** Triton's configuration of a model as JSON: what its file says, completed by what is served. @since 0.1.0 @category configuration */
export const completeConfig = (model: Model, config: TritonConfig, fileName: string): Readonly<Record<string, unknown>> => {
  const batches = model.signature.batchSymbol !== undefined
  const parameter = (value: string | number) => ({ string_value: String(value) })
  const sizes = (shape: ReadonlyArray<Dim>) => (batches ? shape.slice(1) : shape).map((dim) => (typeof dim === "number" ? dim : -1))
  const tensor = (spec: TensorSpec) => ({
    name: spec.name,
    data_type: tritonType(spec.datatype),
    dims: sizes(askedShape(spec)),
    ...(spec.asked === undefined ? {} : { reshape: { shape: sizes(spec.shape) } })
  })
  const given = (role: "input" | "output", spec: TensorSpec): TritonTensor => config.fields[role]?.find(({ name }) => name === spec.name) ?? {}
  return {
    ...config.fields,
    name: model.name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    version_policy: config.fields.version_policy ?? { latest: { num_versions: 1 } },
    max_batch_size: batches ? model.maxBatch : 0,
    input: model.signature.inputs.map((spec) => ({
      ...tensor(spec), format: given("input", spec).format ?? "FORMAT_NONE", is_shape_tensor: false, allow_ragged_batch: false, optional: false
    })),
    output: model.signature.outputs.map((spec) => ({
      ...tensor(spec), label_filename: given("output", spec).label_filename ?? "", is_shape_tensor: false
    })),
    ...(batches ? { dynamic_batching: config.fields.dynamic_batching ?? {} } : {}),
    default_model_filename: fileName,
    parameters: {
      ...config.fields.parameters,
      "glet.class": parameter(model.serviceClass),
      ...(model.sloMs === undefined ? {} : { "glet.slo_ms": parameter(model.sloMs) }),
      ...(model.weight === undefined ? {} : { "glet.weight": parameter(model.weight) }),
      "glet.rate_rps": parameter(model.expectedRateRps)
    }
  }
}
