/** From the JSON of an infer request to what it asks of the model: every name, type, shape and size is checked here. */
import type { DirectTensor } from "../../core/ClientMemory.js"
import { InvalidRequest } from "../../core/RequestError.js"
import type { Model } from "../../core/Model.js"
import type { SlotPlacement } from "../../core/SlotLayout.js"
import type { TensorSlot } from "../../core/TensorArena.js"
import { askedShape, bytesPerElement, type TensorSpec } from "../../core/Tensor.js"
import type { BoundInput, BoundRequest, RequestedOutput } from "./boundRequest.js"
import type { CompiledModel } from "./compiledModel.js"
import type { DataRange, ScannedRequest } from "./inferScan.js"
import { hasJsonForm, readNumbers } from "./jsonNumbers.js"
import { invalid, isCount, isObject, type Json, notImplemented, parametersOf, type RequestProblem, shown } from "./jsonValue.js"
import { requestedOutputs } from "./requestedOutputs.js"
import type { SharedCopy } from "./sharedCopies.js"
import { directTensor, sharedRange, type SharedRange, type SharedRegion, type SharedRegions } from "./sharedRegions.js"
import { describe, ShapeBinder } from "./shapeBinder.js"

const noRegions: ReadonlyArray<SharedRegion> = []

const regionsOf = (tensors: ReadonlyArray<{ readonly shared: SharedRange | undefined }>): ReadonlyArray<SharedRegion> =>
  tensors.flatMap(({ shared }) => shared?.region ?? [])

const noDirect: ReadonlyArray<DirectTensor> = []

/** The tensors that glets are to read and write in their client's memory. */
export const directTensors = ({ inputs, items, outputs, placement, regions }: BoundRequest): ReadonlyArray<DirectTensor> => {
  if (!regions.some(({ glets }) => glets?.isDirect === true)) return noDirect
  const ofSide = (side: DirectTensor["side"], tensors: ReadonlyArray<BoundInput | RequestedOutput>, bytes: ReadonlyArray<number>) =>
    tensors.flatMap(({ index, shared }) => directTensor(shared, side, index, bytes[index]!, items) ?? [])
  return [...ofSide("inputs", inputs, placement.inputBytes), ...ofSide("outputs", outputs, placement.outputBytes)]
}

/** The inputs that are to be copied from their client's memory into the slot: all but those that are left there. */
export const sharedInputs = (request: BoundRequest, slot: TensorSlot, direct: ReadonlyArray<DirectTensor>): ReadonlyArray<SharedCopy> =>
  request.inputs.flatMap(({ field, index, shared }) => {
    if (shared === undefined || direct.some((tensor) => tensor.side === "inputs" && tensor.index === index)) return []
    const from = request.placement.inputOffsets[index]!
    return { range: shared, bytes: slot.bytes.subarray(from, from + shared.byteLength), field }
  })

/** `timeout`, `priority`, `service-class` and what is refused clearly; other parameters pass. */
const checkParameters = (parameters: Json, { name, serviceClass: own }: Model): RequestProblem | undefined => {
  const { sequence_id: sequence, sequence_start: start, sequence_end: end, timeout, priority, binary_data_output: binary } = parameters
  if ((sequence !== undefined && sequence !== 0 && sequence !== "") || start === true || end === true) {
    return notImplemented("parameters.sequence_id", "sequences are not supported; send independent requests")
  }
  if (timeout !== undefined && !isCount(timeout)) {
    return invalid("parameters.timeout", `must be a whole number of microseconds, found ${shown(timeout)}`)
  }
  if (priority !== undefined && !isCount(priority)) {
    return invalid("parameters.priority", `must be a whole number (0 default, 1 highest), found ${shown(priority)}`)
  }
  const serviceClass = parameters["service-class"]
  if (serviceClass !== undefined && serviceClass !== "best-effort" && serviceClass !== "latency-critical") {
    return invalid("parameters.service-class", `must be "best-effort" or "latency-critical", found ${shown(serviceClass)}`)
  }
  if (serviceClass === "latency-critical" && own === "best-effort") {
    return invalid("parameters.service-class", `cannot be "latency-critical": model "${name}" is best-effort and has no objective to be held to`)
  }
  if (binary !== undefined && typeof binary !== "boolean") {
    return invalid("parameters.binary_data_output", `must be true or false, found ${shown(binary)}`)
  }
  return undefined
}

const product = (shape: ReadonlyArray<number>): number => {
  let n = 1
  for (const size of shape) n *= size
  return n
}

const inputData = (input: Json, spec: TensorSpec, range: DataRange | undefined, count: number, field: string): RequestProblem | undefined => {
  const parameters = parametersOf(input, `${field}.`)
  if (parameters instanceof InvalidRequest) return parameters
  const { binary_data_size: size } = parameters
  if (size === undefined) {
    if (range === undefined) {
      const data = input["data"]
      return invalid(`${field}.data`, data === undefined ? "is missing" : `must be an array of values, found ${shown(data)}`)
    }
    if (!hasJsonForm(spec.datatype)) return invalid(`${field}.data`, `${spec.datatype} has no JSON form; send it as binary data`)
    // Known before any memory is taken: n values need 2n + 1 characters.
    if (count > 0 && range.end - range.start < 2 * count + 1) {
      return invalid(`${field}.data`, `has fewer than the ${count} elements that its shape says`)
    }
    return undefined
  }
  if (range !== undefined) return invalid(`${field}.data`, "stands beside parameters.binary_data_size; send one of them")
  if (!isCount(size)) return invalid(`${field}.parameters.binary_data_size`, `must be a whole number of bytes, found ${shown(size)}`)
  const expected = count * bytesPerElement(spec.datatype)
  if (size !== expected) {
    return invalid(`${field}.parameters.binary_data_size`, `is ${size}, its shape and type ${spec.datatype} need ${expected} bytes`)
  }
  return undefined
}

/** The region that an input's bytes are in; undefined where they come with the request. */
const sharedInput = (
  input: Json, spec: TensorSpec, range: DataRange | undefined, count: number, field: string, regions: SharedRegions | undefined
): SharedRange | RequestProblem | undefined => {
  const parameters = parametersOf(input, `${field}.`)
  if (parameters instanceof InvalidRequest) return parameters
  const shared = sharedRange(regions, parameters, field, false)
  if (shared === undefined || !("region" in shared)) return shared
  if (range !== undefined || parameters["binary_data_size"] !== undefined) {
    return invalid(`${field}.parameters.shared_memory_region`, "stands beside data of the request; send one of them")
  }
  const expected = count * bytesPerElement(spec.datatype)
  return shared.byteLength === expected
    ? shared
    : invalid(
      `${field}.parameters.shared_memory_byte_size`, `is ${shared.byteLength}, its shape and type ${spec.datatype} need ${expected} bytes`
    )
}

const place = (compiled: CompiledModel, binder: ShapeBinder, capacityBytes: number): SlotPlacement | InvalidRequest => {
  const placement = compiled.layout.placement(binder.items, binder.bindings)
  return placement.totalBytes <= capacityBytes
    ? placement
    : invalid("inputs", `the tensors of this request need ${placement.totalBytes} bytes, the server has ${capacityBytes} in all`)
}

/**
 * Checks a request against its model. `binary` says that binary data follow the JSON; `capacityBytes` is the most that a slot can have;
 * `regions` are those that clients may name, undefined where shared memory is off.
 */
export const bindRequest = (
  compiled: CompiledModel,
  scanned: ScannedRequest,
  binary: boolean,
  capacityBytes: number,
  regions?: SharedRegions
): BoundRequest | RequestProblem => {
  const { json } = scanned
  if (!isObject(json)) return invalid("body", `must be a JSON object, found ${shown(json)}`)
  const { id, inputs } = json
  if (id !== undefined && typeof id !== "string") return invalid("id", `must be a string, found ${shown(id)}`)
  const parameters = parametersOf(json, "")
  if (parameters instanceof InvalidRequest) return parameters
  const problem = checkParameters(parameters, compiled.model)
  if (problem !== undefined) return problem
  const outputs = requestedOutputs(compiled, json, parameters["binary_data_output"] === true, regions)
  if (!Array.isArray(outputs)) return outputs
  if (!Array.isArray(inputs)) return invalid("inputs", inputs === undefined ? "is missing" : `must be an array, found ${shown(inputs)}`)

  const specs = compiled.model.signature.inputs
  const binder = new ShapeBinder(compiled)
  const bound: Array<BoundInput> = []
  const seen = new Set<number>()
  let binaryBytes = 0
  for (let i = 0; i < inputs.length; i++) {
    const field = `inputs[${i}]`
    const input: unknown = inputs[i]
    if (!isObject(input)) return invalid(field, `must be an object, found ${shown(input)}`)
    const { datatype, name, shape } = input
    const index = typeof name === "string" ? compiled.inputIndex.get(name) : undefined
    if (index === undefined) return invalid(`${field}.name`, `the model has no input ${shown(name)}; it has ${compiled.inputNames}`)
    if (seen.has(index)) return invalid(`${field}.name`, `input ${shown(name)} stands twice in the request`)
    seen.add(index)
    const spec = specs[index]!
    if (datatype !== spec.datatype) return invalid(`${field}.datatype`, `is ${shown(datatype)}, the model expects "${spec.datatype}"`)
    const unbound = binder.bind(spec, shape, `${field}.shape`)
    if (unbound !== undefined) return unbound
    const sizes = shape as ReadonlyArray<number>
    const count = product(sizes)
    const range = scanned.data[i]
    const shared = sharedInput(input, spec, range, count, field, regions)
    if (shared !== undefined && !("region" in shared)) return shared
    if (shared === undefined) {
      const wrong = inputData(input, spec, range, count, field)
      if (wrong !== undefined) return wrong
    }
    if (range === undefined && shared === undefined) {
      if (!binary) {
        return invalid(`${field}.parameters.binary_data_size`, "binary data need the header Inference-Header-Content-Length")
      }
      binaryBytes += count * bytesPerElement(spec.datatype)
    }
    bound.push({ index, shape: sizes, count, range, shared, field })
  }
  for (let index = 0; index < specs.length; index++) {
    if (!seen.has(index)) return invalid("inputs", `input ${JSON.stringify(specs[index]!.name)} is missing`)
  }
  const placement = place(compiled, binder, capacityBytes)
  if (placement instanceof InvalidRequest) return placement
  const timeout = parameters["timeout"] as number | undefined
  return {
    id,
    // Zero means none, as in Triton.
    timeoutMs: timeout === undefined || timeout === 0 ? undefined : timeout / 1000,
    priority: parameters["priority"] as number | undefined,
    serviceClass: parameters["service-class"] === "best-effort" ? "best-effort" : undefined,
    items: binder.items,
    bindings: binder.bindings,
    placement,
    inputs: bound,
    outputs,
    binaryBytes,
    regions: regions === undefined ? noRegions : [...regionsOf(bound), ...regionsOf(outputs)]
  }
}

/** A raw binary request: the whole body of `byteLength` is the one input of one item, and all outputs come back binary. */
export const bindRawRequest = (compiled: CompiledModel, byteLength: number, capacityBytes: number): BoundRequest | InvalidRequest => {
  const { batchSymbol, inputs, outputs } = compiled.model.signature
  const field = "Inference-Header-Content-Length"
  const spec = inputs[0]
  if (spec === undefined || inputs.length !== 1) {
    return invalid(field, `0 marks a raw request, which needs a model with one input; this one has ${inputs.length}`)
  }
  const declared = askedShape(spec)
  const open = declared.filter((dim) => typeof dim === "string" && dim !== batchSymbol)
  if (open.length > 1) return invalid(field, "0 marks a raw request, which needs an input with at most one variable dimension")
  const fixed = product(declared.filter((dim) => typeof dim === "number")) * bytesPerElement(spec.datatype)
  const size = open.length === 0 ? 1 : byteLength / fixed
  if (byteLength === 0 || fixed * size !== byteLength || !Number.isInteger(size)) {
    return invalid("body", `has ${byteLength} bytes, one item of input "${spec.name}" ${describe(spec)} ${spec.datatype} needs ${
      open.length === 0 ? fixed : `a multiple of ${fixed}`}`)
  }
  const shape = declared.map((dim) => (typeof dim === "number" ? dim : dim === batchSymbol ? 1 : size))
  const binder = new ShapeBinder(compiled)
  const unbound = binder.bind(spec, shape, "body")
  if (unbound !== undefined) return unbound
  const placement = place(compiled, binder, capacityBytes)
  if (placement instanceof InvalidRequest) return placement
  return {
    id: undefined,
    timeoutMs: undefined,
    priority: undefined,
    serviceClass: undefined,
    items: 1,
    bindings: binder.bindings,
    placement,
    inputs: [{ index: 0, shape, count: product(shape), range: undefined, shared: undefined, field: "body" }],
    outputs: outputs.map((_, index) => ({ index, binary: true, classes: 0, shared: undefined })),
    binaryBytes: byteLength,
    regions: noRegions
  }
}

/** Writes the symbols' values and all inputs that came as JSON into the slot. */
export const fillSlot = (compiled: CompiledModel, request: BoundRequest, body: Buffer, slot: TensorSlot): InvalidRequest | undefined => {
  if (request.bindings.length > 0) {
    new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, request.bindings.length).set(request.bindings)
  }
  const specs = compiled.model.signature.inputs
  for (const input of request.inputs) {
    if (input.range === undefined) continue
    const wrong = readNumbers(body, input.range.start, input.range.end, {
      datatype: specs[input.index]!.datatype,
      shape: input.shape,
      count: input.count,
      bytes: slot.bytes,
      offset: request.placement.inputOffsets[input.index]!
    }, `${input.field}.data`)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

