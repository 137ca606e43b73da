/** Why a model does not load: checks and words that all engines on ONNX Runtime share. */
import type { ModelSignature } from "../Model.js"
import type { DataType, TensorSpec } from "../Tensor.js"
import { ortWords } from "./ortWords.js"

/** What an engine can say of a load; a `timeout` only its caller can. */
export type LoadFailureReason = "unreadable" | "invalid-model" | "unsupported" | "no-memory" | "warm-up-failed" | "changed"

/** A model cannot be loaded. */
export class LoadFailure extends Error {
  override readonly name = "LoadFailure"
  constructor(readonly reason: LoadFailureReason, detail: string) {
    super(detail)
  }
}

/** The text of whatever was thrown. */
export const textOf = (error: unknown): string => ortWords(error instanceof Error ? error.message : String(error))

/** Element types by the name of the tensor, in the engine's terms. */
interface FoundSignature<T> {
  readonly inputs: ReadonlyMap<string, T>
  readonly outputs: ReadonlyMap<string, T>
}

/** Throws where the file's inputs and outputs are not the declared ones. Outputs that are not declared are not computed. */
export const compareSignature = <T extends string | number>(
  signature: ModelSignature,
  found: FoundSignature<T>,
  typeOf: (datatype: DataType) => T
): void => {
  const compare = (side: string, specs: ReadonlyArray<TensorSpec>, types: ReadonlyMap<string, T>): void => {
    for (const spec of specs) {
      const type = types.get(spec.name)
      if (type === undefined) {
        throw new LoadFailure("invalid-model", `the file has no ${side} "${spec.name}"; it has ${[...types.keys()].map((name) => `"${name}"`).join(", ")}`)
      }
      if (type !== typeOf(spec.datatype)) {
        throw new LoadFailure("invalid-model", `${side} "${spec.name}" is declared as ${spec.datatype}, but the file's element type is ${type}`)
      }
    }
  }
  compare("input", signature.inputs, found.inputs)
  compare("output", signature.outputs, found.outputs)
  for (const name of found.inputs.keys()) {
    if (!signature.inputs.some((spec) => spec.name === name)) {
      throw new LoadFailure("invalid-model", `the file has an input "${name}" that is not declared`)
    }
  }
}

/** Sorts ONNX Runtime's words into our reasons; both its APIs use the same. */
export const loadFailureOf = (error: unknown): LoadFailure => {
  if (error instanceof LoadFailure) return error
  const text = textOf(error)
  if (/no such file|file doesn't exist|cannot open|open file .* failed|permission denied/i.test(text)) return new LoadFailure("unreadable", text)
  if (/bad_alloc|failed to allocate|out of memory/i.test(text)) return new LoadFailure("no-memory", text)
  if (/not implemented|could not find an implementation/i.test(text)) return new LoadFailure("unsupported", text)
  return new LoadFailure("invalid-model", text)
}
