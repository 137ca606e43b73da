/** From the shapes of a request's inputs to its number of items and the values of the model's symbols. */
import type { InvalidRequest } from "../../core/RequestError.js"
import { askedShape, type TensorSpec } from "../../core/Tensor.js"
import type { CompiledModel } from "./compiledModel.js"
import { invalid, isCount, shown } from "./jsonValue.js"

/** A declared shape as the protocol shows it: -1 for what a request decides. */
export const describe = (spec: TensorSpec): string => `[${askedShape(spec).map((dim) => (typeof dim === "number" ? dim : -1)).join(", ")}]`

/** Sizes that the request gives to the batch and to the model's symbols, collected over its inputs. */
export class ShapeBinder {
  items = 0
  readonly bindings: Array<number>

  constructor(readonly compiled: CompiledModel) {
    this.bindings = new Array<number>(compiled.layout.inputSymbols.length).fill(-1)
    if (compiled.layout.signature.batchSymbol === undefined) this.items = 1
  }

  bind(spec: TensorSpec, shape: unknown, field: string): InvalidRequest | undefined {
    if (!Array.isArray(shape)) return invalid(field, `must be an array of whole numbers, found ${shown(shape)}`)
    const declared = askedShape(spec)
    if (shape.length !== declared.length) {
      return invalid(field, `has ${shape.length} dimensions, input ${JSON.stringify(spec.name)} has ${declared.length}: ${describe(spec)}`)
    }
    const { batchSymbol } = this.compiled.layout.signature
    for (let i = 0; i < shape.length; i++) {
      const size: unknown = shape[i]
      const dim = declared[i]!
      if (!isCount(size)) return invalid(`${field}[${i}]`, `must be a whole number, found ${shown(size)}`)
      if (typeof dim === "number") {
        if (size !== dim) return invalid(`${field}[${i}]`, `is ${size}, the model expects ${dim}; its shape is ${describe(spec)}`)
        continue
      }
      // Nothing is a length too: of the past of a sequence that begins, say. Only a request without items is none.
      const least = dim === batchSymbol ? 1 : 0
      if (size < least || size > 0x7fffffff) return invalid(`${field}[${i}]`, `is ${size}, must be between ${least} and ${0x7fffffff}`)
      if (dim === batchSymbol) {
        if (size > this.compiled.model.maxBatch) {
          return invalid(`${field}[${i}]`, `a batch of ${size} is above the model's maximum of ${this.compiled.model.maxBatch}`)
        }
        if (this.items !== 0 && this.items !== size) return invalid(`${field}[${i}]`, `is ${size}, another input has a batch of ${this.items}`)
        this.items = size
      } else {
        const symbol = this.compiled.layout.inputSymbols.indexOf(dim)
        const known = this.bindings[symbol]!
        if (known >= 0 && known !== size) return invalid(`${field}[${i}]`, `is ${size}, but "${dim}" is ${known} elsewhere in this request`)
        this.bindings[symbol] = size
      }
    }
    return undefined
  }
}
