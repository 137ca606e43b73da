/**
 * Reads an ONNX model that is already in memory: no file system, so it runs in browsers too.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { walkOnnx } from "./internal/onnxWalk.js"
import { WalkError } from "./internal/protoWalk.js"
import type { OnnxFile } from "./OnnxModel.js"
import { RepositoryError } from "./RepositoryError.js"

/** What is wrong with the file, as a typed error; undefined where something else is. @since 0.1.0 @category onnx */
export const walkErrorOf = (file: string, cause: unknown): RepositoryError | undefined =>
  cause instanceof RepositoryError
    ? cause
    : cause instanceof WalkError
    ? new RepositoryError({
      file, reason: cause.kind, offset: cause.offset, detail: cause.message, ...(cause.field === undefined ? {} : { field: `tensor "${cause.field}"` })
    })
    : undefined

/** Reads an ONNX model; `file` names it in errors. @since 0.1.0 @category onnx */
export const parseOnnx = (bytes: Uint8Array, file = "model.onnx"): Either.Either<OnnxFile, RepositoryError> => {
  try {
    const walk = walkOnnx(bytes.length)
    let step = walk.next()
    while (step.done !== true) step = walk.next(bytes.subarray(step.value.offset, step.value.offset + step.value.length))
    return Either.right(step.value)
  } catch (cause) {
    const error = walkErrorOf(file, cause)
    if (error === undefined) throw cause
    return Either.left(error)
  }
}
