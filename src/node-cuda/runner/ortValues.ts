/** OrtValues on memory that is laid out like a slot, and the reading of those that a run made. */
import { bytesPerElement } from "../../core/ElementSize.js"
import type { SlotLayout, SlotPlacement } from "../../core/SlotLayout.js"
import { boundShape } from "../../core/SlotLayout.js"
import type { TensorSpec } from "../../core/Tensor.js"
import { loadKoffi } from "../internal/native.js"
import type { DynamicOutput } from "../../core/internal/batchAssembly.js"
import { maxOverflowBytes } from "../../core/internal/batchAssembly.js"
import type { Ort } from "./OrtApi.js"
import { ortElementType } from "./OrtApi.js"

/** What `Run` takes: arrays of values. */
export interface BoundValues {
  /** Address of `inputValues`. */
  readonly inputs: bigint
  /** Address of `outputValues`. */
  readonly outputs: bigint
  readonly inputValues: BigUint64Array
  /** Those without room are 0 before a run and made by it. */
  readonly outputValues: BigUint64Array
  readonly release: () => void
}

/** Values for a batch whose tensors stand at `address`, in the kind of memory that `memoryInfo` names. */
export const bindValues = (
  ort: Ort,
  memoryInfo: bigint,
  layout: SlotLayout,
  items: number,
  bindings: ReadonlyArray<number>,
  placement: SlotPlacement,
  address: bigint
): BoundValues => {
  const { inputs, outputs } = layout.signature
  const made: Array<bigint> = []
  const inputValues = new BigUint64Array(Math.max(1, inputs.length))
  const outputValues = new BigUint64Array(Math.max(1, outputs.length))
  const value = (spec: TensorSpec, offset: number, byteLength: number): bigint => {
    const shape = boundShape(layout, spec, items, bindings)
    if (shape === undefined) return 0n
    const dims = new BigInt64Array(Math.max(1, shape.length))
    shape.forEach((dim, axis) => dims[axis] = BigInt(dim))
    const type = ortElementType[spec.datatype]
    const handle = ort.make(
      ort.functions.CreateTensorWithDataAsOrtValue, memoryInfo, address + BigInt(offset), byteLength, dims, shape.length, type
    )
    made.push(handle)
    return handle
  }
  const release = (): void => {
    for (const handle of made) ort.functions.ReleaseValue(handle)
  }
  try {
    inputs.forEach((spec, j) => inputValues[j] = value(spec, placement.inputOffsets[j]!, placement.inputBytes[j]!))
    outputs.forEach((spec, j) => outputValues[j] = value(spec, placement.outputOffsets[j]!, placement.outputBytes[j]!))
  } catch (error) {
    release()
    throw error
  }
  const koffi = loadKoffi()
  return { inputValues, outputValues, release, inputs: koffi.address(inputValues.buffer), outputs: koffi.address(outputValues.buffer) }
}

/** An output in the host's memory that a run made: its shape and bytes, which are the value's own. */
export const readValue = (ort: Ort, layout: SlotLayout, output: number, value: bigint): DynamicOutput => {
  const { check, functions: f, make } = ort
  const info = make(f.GetTensorTypeAndShape, value)
  let shape: Array<number>
  try {
    const rank = Number(make<number | bigint>(f.GetDimensionsCount, info))
    const dims = new BigInt64Array(Math.max(1, rank))
    check(f.GetDimensions(info, dims, rank) as bigint | null)
    shape = Array.from(dims.subarray(0, rank), Number)
  } finally {
    f.ReleaseTensorTypeAndShapeInfo(info)
  }
  const size = shape.reduce((n, dim) => n * dim, bytesPerElement(layout.signature.outputs[output]!.datatype))
  if (size > maxOverflowBytes) throw new Error(`an output of shape [${shape}] takes ${size} bytes; the limit is ${maxOverflowBytes}`)
  const bytes = size === 0 ? new Uint8Array(0) : new Uint8Array(loadKoffi().view(make(f.GetTensorMutableData, value), size))
  return { shape, bytes }
}

/** Releases the outputs that a run made. */
export const dropMadeValues = (ort: Ort, dynamicOutputs: ReadonlyArray<number>, values: BoundValues): void => {
  for (const j of dynamicOutputs) {
    if (values.outputValues[j] !== 0n) ort.functions.ReleaseValue(values.outputValues[j])
    values.outputValues[j] = 0n
  }
}
