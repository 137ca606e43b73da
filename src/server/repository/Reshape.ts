/**
 * Shapes that requests and answers have where a configuration gives tensors others than the model has (`reshape`). Only names of sizes change: the
 * elements, and their order, are the same.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { ModelSignature } from "../../core/Model.js"
import type { TensorSpec } from "../../core/Tensor.js"
import type { RepositoryError } from "./RepositoryError.js"
import type { TritonConfig } from "./TritonConfig.js"

const product = (shape: ReadonlyArray<number>): number => shape.reduce((all, size) => all * size, 1)

/** The signature with the shapes that are asked with. @since 0.1.0 @category configuration */
export const withReshapes = (signature: ModelSignature, config: TritonConfig): Either.Either<ModelSignature, RepositoryError> =>
  Either.gen(function*() {
    const inputs = yield* Either.all(signature.inputs.map((spec) => reshaped("input", spec, config)))
    const outputs = yield* Either.all(signature.outputs.map((spec) => reshaped("output", spec, config)))
    return { ...signature, inputs, outputs }
  })

const reshaped = (role: "input" | "output", spec: TensorSpec, config: TritonConfig): Either.Either<TensorSpec, RepositoryError> => {
  const index = (config.fields[role] ?? []).findIndex(({ name }) => name === spec.name)
  const { dims, reshape } = config.fields[role]?.[index] ?? {}
  if (reshape === undefined) return Either.right(spec)
  const wrong = (reason: "invalid" | "unsupported", detail: string) => Either.left(config.error(`${role}[${index}].reshape`, reason, detail))
  if (dims === undefined) return wrong("invalid", "needs dims: the shape that requests have")
  const ofModel = reshape.shape ?? []
  // A batch stands before both; where the model takes one request at a time, an open leading size may as well.
  const isOpen = (config.fields.max_batch_size ?? 0) === 0 && dims[0] === -1 && ofModel[0] === -1
  const own = isOpen ? ofModel.slice(1) : ofModel
  const asked = isOpen ? dims.slice(1) : dims
  if ([...own, ...asked].some((size) => size < 0)) return wrong("unsupported", "is not supported where a size is -1")
  if (product(own) !== product(asked)) return wrong("invalid", `[${ofModel.join(", ")}] has ${product(own)} elements, dims [${dims.join(", ")}] ${product(asked)}`)
  return Either.right({ ...spec, asked: [...spec.shape.slice(0, spec.shape.length - own.length), ...asked] })
}
