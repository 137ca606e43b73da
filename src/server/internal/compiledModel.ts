/** What the infer path asks of a model, worked out once per version of it. */
import type { Model } from "../../core/Model.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { askedShape, type TensorSpec } from "../../core/Tensor.js"
import type { CatalogEntry } from "../ModelCatalog.js"
import type { BoundRequest } from "./boundRequest.js"

export interface CompiledModel {
  readonly model: Model
  readonly layout: SlotLayout
  readonly inputIndex: ReadonlyMap<string, number>
  readonly outputIndex: ReadonlyMap<string, number>
  /** The outputs with the shapes that answers have. */
  readonly answered: ReadonlyArray<TensorSpec>
  /** Names as people read them in errors. */
  readonly inputNames: string
  readonly outputNames: string
  /** `responseHeadOf` its own version, which most responses are of. */
  readonly responseHead: string
  /** JSON text of each output up to its shape's numbers. */
  readonly outputHeads: ReadonlyArray<string>
  /** What the JSON before binary data said last: clients send the same again and again. */
  readonly last: { json: Buffer; request: BoundRequest | undefined }
}

/** JSON text of a response up to its outputs, without the opening brace and the id. */
export const responseHeadOf = (name: string, version: number): string => `"model_name":${JSON.stringify(name)},"model_version":"${version}"`

const compile = (model: Model, layout: SlotLayout): CompiledModel => {
  const { inputs, outputs } = model.signature
  const names = (specs: ReadonlyArray<{ readonly name: string }>) => specs.map((spec) => JSON.stringify(spec.name)).join(", ")
  return {
    model,
    layout,
    inputIndex: new Map(inputs.map((spec, i) => [spec.name, i])),
    outputIndex: new Map(outputs.map((spec, i) => [spec.name, i])),
    answered: outputs.map((spec) => ({ ...spec, shape: askedShape(spec) })),
    inputNames: names(inputs),
    outputNames: names(outputs),
    responseHead: responseHeadOf(model.name, model.version),
    outputHeads: outputs.map((spec) => `{"name":${JSON.stringify(spec.name)},"datatype":"${spec.datatype}","shape":[`),
    last: { json: Buffer.alloc(0), request: undefined }
  }
}

const compiled = new WeakMap<SlotLayout, CompiledModel>()

export const compiledModel = (entry: CatalogEntry): CompiledModel => {
  const known = compiled.get(entry.layout)
  if (known !== undefined && known.model === entry.model) return known
  const made = compile(entry.model, entry.layout)
  compiled.set(entry.layout, made)
  return made
}
