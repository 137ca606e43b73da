/** From an ended request to the parts of its HTTP response. */
import type { DirectTensor } from "../../core/ClientMemory.js"
import { ExecutionFailed, InvalidRequest } from "../../core/RequestError.js"
import type { InferResult } from "../../core/Request.js"
import { boundShape } from "../../core/SlotLayout.js"
import type { TensorSlot } from "../../core/TensorArena.js"
import { bytesPerElement } from "../../core/Tensor.js"
import { type CompiledModel, responseHeadOf } from "./compiledModel.js"
import type { BoundRequest, RequestedOutput } from "./boundRequest.js"
import type { SharedCopy } from "./sharedCopies.js"
import { tensorText } from "./tensorText.js"
import { stringBytes, topClasses } from "./topClasses.js"

export interface InferResponse {
  /** The JSON part. */
  readonly json: string
  /** Binary outputs in order: views on the slot, or on buffers of their own. Empty where all outputs are JSON. */
  readonly binary: ReadonlyArray<Uint8Array>
  readonly binaryBytes: number
  /** Outputs to be written into their client's regions before the response is sent. */
  readonly shared: ReadonlyArray<SharedCopy>
}

/** Tensors in a client's memory were not moved: its doing, since nobody else can shrink it. */
export const directFailure = (problem: string): InvalidRequest => new InvalidRequest({ field: "shared_memory_region", problem })

const noBinary: ReadonlyArray<Uint8Array> = []
const noShared: ReadonlyArray<SharedCopy> = []

/** Copied where they do not stand as typed arrays want them. */
const aligned = (bytes: Uint8Array): Uint8Array => bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()

/** Numbers of a JSON-form output. */
const outputText = (compiled: CompiledModel, index: number, bytes: Uint8Array, count: number): string =>
  tensorText(compiled.model.signature.outputs[index]!.datatype, aligned(bytes), 0, count) ?? "[]"

/** The highest values of an output as strings, and the shape of those: per item where the model's items are counted by its leading dimension. */
const outputClasses = ({ model }: CompiledModel, { classes, index }: RequestedOutput, bytes: Uint8Array, shape: ReadonlyArray<number>, count: number) => {
  const isBatch = model.signature.batchSymbol !== undefined
  const items = isBatch ? shape[0]! : 1
  const elements = items === 0 ? 0 : count / items
  const texts = topClasses(model.signature.outputs[index]!.datatype, aligned(bytes), items, elements, classes, model.labels?.[index] ?? [])
  const each = Math.min(classes, elements)
  return { texts, shape: isBatch ? [items, each] : [each] }
}

/** Builds the response, or says why the model's answer cannot be used. */
export const makeResponse = (
  compiled: CompiledModel,
  request: BoundRequest,
  slot: TensorSlot,
  result: Pick<InferResult, "outputBindings" | "overflow" | "version">,
  /** Those that the glet has moved itself. */
  direct: ReadonlyArray<DirectTensor>
): InferResponse | ExecutionFailed | InvalidRequest => {
  const specs = compiled.answered
  let json = request.id === undefined ? "{" : `{"id":${JSON.stringify(request.id)},`
  json += `${result.version === compiled.model.version ? compiled.responseHead : responseHeadOf(compiled.model.name, result.version)},"outputs":[`
  let binary: Array<Uint8Array> | undefined
  let binaryBytes = 0
  let shared: Array<SharedCopy> | undefined
  for (let i = 0; i < request.outputs.length; i++) {
    const output = request.outputs[i]!
    const spec = specs[output.index]!
    const shape = boundShape(compiled.layout, spec, request.items, request.bindings, result.outputBindings)
    if (shape === undefined) {
      return new ExecutionFailed({ model: compiled.model.name, detail: `the size of output "${spec.name}" did not come back from the glet` })
    }
    let count = 1
    for (const size of shape) count *= size
    const byteLength = count * bytesPerElement(spec.datatype)
    const beside = result.overflow?.[output.index]
    const offset = request.placement.outputOffsets[output.index]!
    if ((beside === undefined ? request.placement.outputBytes[output.index]! : beside.byteLength) < byteLength) {
      return new ExecutionFailed({ model: compiled.model.name, detail: `output "${spec.name}" came back with fewer bytes than its shape says` })
    }
    const bytes = beside === undefined ? slot.bytes.subarray(offset, offset + byteLength) : beside.subarray(0, byteLength)
    if (i > 0) json += ","
    if (output.classes > 0) {
      const { shape: classShape, texts } = outputClasses(compiled, output, bytes, shape, count)
      json += `{"name":${JSON.stringify(spec.name)},"datatype":"BYTES","shape":[${classShape.join()}],`
      if (!output.binary) {
        json += `"data":${JSON.stringify(texts)}}`
        continue
      }
      const strings = stringBytes(texts)
      json += `"parameters":{"binary_data_size":${strings.length}}}`
      binary ??= []
      binary.push(strings)
      binaryBytes += strings.length
      continue
    }
    json += `${compiled.outputHeads[output.index]!}${shape.join()}],`
    if (output.shared !== undefined) {
      const { byteLength: room, offset, region } = output.shared
      if (room < byteLength) {
        const problem = `is ${room}, output ${JSON.stringify(spec.name)} has ${byteLength} bytes`
        return new InvalidRequest({ field: `outputs[${i}].parameters.shared_memory_byte_size`, problem })
      }
      json += `"parameters":{"shared_memory_region":${JSON.stringify(region.status.name)},"shared_memory_offset":${offset},"shared_memory_byte_size":${byteLength}}}`
      if (direct.some((tensor) => tensor.side === "outputs" && tensor.index === output.index)) continue
      shared ??= []
      shared.push({ range: output.shared, bytes, field: `outputs[${i}]` })
    } else if (output.binary) {
      json += `"parameters":{"binary_data_size":${byteLength}}}`
      binary ??= []
      binary.push(bytes)
      binaryBytes += byteLength
    } else {
      json += `"data":${outputText(compiled, output.index, bytes, count)}}`
    }
  }
  return { json: `${json}]}`, binary: binary ?? noBinary, binaryBytes, shared: shared ?? noShared }
}
