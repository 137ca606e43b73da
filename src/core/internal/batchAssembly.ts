/** Puts a batch together from its requests' slots, and takes its outputs apart again. Pure but for the memory it copies. */
import type { SlotLayout, SlotPlacement } from "../SlotLayout.js"
import { boundShape } from "../SlotLayout.js"
import { bytesPerElement } from "../ElementSize.js"
import type { TensorSpec } from "../Tensor.js"
import type { DirectParts } from "./directParts.js"

/** A batch as an engine gets it: slots by their place in one piece of memory. */
export interface RunBatch {
  readonly items: number
  /** Values of the layout's input symbols. */
  readonly bindings: ReadonlyArray<number>
  /** Where the slot of each entry begins in that memory. */
  readonly offsets: ReadonlyArray<number>
  /** Items of each entry; they add up to `items`. */
  readonly entryItems: ReadonlyArray<number>
  /** Tensors that stand in clients' memory instead of in the slots; undefined where there are none. */
  readonly direct?: DirectParts | undefined
}

/** Largest sum of outputs beside the slots that one batch may give: they are copied to the heap. */
export const maxOverflowBytes = 256 << 20

/** Why a batch cannot be run as it came; undefined where it can. Protects the segment: everything else trusts offsets and sizes. */
export const batchProblem = (layout: SlotLayout, batch: RunBatch, segmentBytes: number): string | undefined => {
  if (batch.offsets.length === 0) return "the batch is empty"
  if (batch.bindings.length !== layout.inputSymbols.length || batch.bindings.some((value) => value < 0)) {
    return `the batch binds [${batch.bindings}] where the model has [${layout.inputSymbols}]`
  }
  if (layout.signature.batchSymbol === undefined && batch.items !== 1) return "the model takes one request at a time"
  let items = 0
  for (let i = 0; i < batch.offsets.length; i++) {
    const count = batch.entryItems[i]!
    items += count
    if (count < 1 || batch.offsets[i]! + layout.placement(count, batch.bindings).totalBytes > segmentBytes) {
      return `entry ${i} of the batch is outside the segment`
    }
  }
  return items === batch.items ? undefined : `the batch has ${items} items, not ${batch.items}`
}

/** Below so many bytes a loop is quicker than making a view for `set` (bench/gather.ts). */
const loopBelowBytes = 32

const copyPiece = (from: Uint8Array, start: number, to: Uint8Array, at: number, bytes: number): void => {
  if (bytes >= loopBelowBytes) return to.set(from.subarray(start, start + bytes), at)
  for (let i = 0; i < bytes; i++) to[at + i] = from[start + i]!
}

/** Copies the entries' inputs, from their slots or from clients' memory, into `target`, which is laid out as one slot of `size` items, of which the batch's are the first. */
export const gather = (
  layout: SlotLayout,
  memory: Uint8Array,
  batch: RunBatch,
  target: Uint8Array,
  placement: SlotPlacement,
  size = batch.items
): void => {
  const { inputBytes, inputOffsets } = placement
  let own: SlotPlacement | undefined
  let ownItems = 0
  for (let i = 0, before = 0; i < batch.offsets.length; i++) {
    const items = batch.entryItems[i]!
    if (own === undefined || items !== ownItems) own = layout.placement(ownItems = items, batch.bindings)
    for (let j = 0; j < inputOffsets.length; j++) {
      const to = inputOffsets[j]! + (inputBytes[j]! / size) * before
      const direct = batch.direct?.find("inputs", i, j)
      if (direct === undefined) copyPiece(memory, batch.offsets[i]! + own.inputOffsets[j]!, target, to, own.inputBytes[j]!)
      else batch.direct!.load(direct, target.subarray(to, to + own.inputBytes[j]!))
    }
    before += items
  }
}

/** Copies outputs with room in the slots, there or to clients' memory, from `source`, laid out as one slot of `size` items, of which the batch's are the first. */
export const scatter = (
  layout: SlotLayout,
  memory: Uint8Array,
  batch: RunBatch,
  source: Uint8Array,
  placement: SlotPlacement,
  size = batch.items
): void => {
  const { outputBytes, outputOffsets } = placement
  let own: SlotPlacement | undefined
  let ownItems = 0
  for (let i = 0, before = 0; i < batch.offsets.length; i++) {
    const items = batch.entryItems[i]!
    if (own === undefined || items !== ownItems) own = layout.placement(ownItems = items, batch.bindings)
    for (let j = 0; j < outputOffsets.length; j++) {
      const from = outputOffsets[j]! + (outputBytes[j]! / size) * before
      const direct = batch.direct?.find("outputs", i, j)
      if (direct === undefined) copyPiece(source, from, memory, batch.offsets[i]! + own.outputOffsets[j]!, own.outputBytes[j]!)
      else batch.direct!.store(direct, source.subarray(from, from + own.outputBytes[j]!))
    }
    before += items
  }
}

/** Outputs of a layout whose shape only the execution knows, by index. */
export const dynamicOutputs = (layout: SlotLayout): ReadonlyArray<number> =>
  layout.signature.outputs.flatMap((spec, j) => spec.shape.some((dim) => typeof dim === "string" && layout.outputSymbols.includes(dim)) ? [j] : [])

/** An output whose shape only the execution knew. */
export interface DynamicOutput {
  readonly shape: ReadonlyArray<number>
  /** Valid until the model runs again. */
  readonly bytes: Uint8Array
}

/**
 * Cuts dynamic outputs up by entry, reads the output symbols off their shapes and writes them behind the input symbols into the slots' headers.
 * Throws where a shape contradicts the signature.
 */
export const scatterDynamic = (
  layout: SlotLayout,
  memory: Uint8Array,
  batch: RunBatch,
  outputs: ReadonlyArray<DynamicOutput | undefined>
): { readonly outputBindings: ReadonlyArray<number>; readonly overflow: ReadonlyArray<ReadonlyArray<Uint8Array | undefined>> } => {
  const values = layout.outputSymbols.map((): number => -1)
  let total = 0
  outputs.forEach((output, j) => {
    if (output === undefined) return
    const spec = layout.signature.outputs[j]!
    readSymbols(layout, spec, batch, output.shape, values)
    const bytes = output.shape.reduce((n, dim) => n * dim, 1) * bytesPerElement(spec.datatype)
    if (bytes !== output.bytes.length) throw new Error(`output "${spec.name}" has ${output.bytes.length} bytes where [${output.shape}] has ${bytes}`)
    total += bytes
  })
  if (total > maxOverflowBytes) throw new Error(`the outputs take ${total} bytes; the limit for outputs of unknown size is ${maxOverflowBytes}`)

  let before = 0
  const overflow = batch.offsets.map((slot, i) => {
    const items = batch.entryItems[i]!
    const own = outputs.map((output) => {
      if (output === undefined) return undefined
      const perItem = output.bytes.length / batch.items
      return output.bytes.slice(perItem * before, perItem * (before + items))
    })
    before += items
    new Int32Array(memory.buffer, memory.byteOffset + slot + 4 * layout.inputSymbols.length, values.length).set(values)
    return own
  })
  return { outputBindings: values, overflow }
}

/**
 * Compares an actual shape with the declared one and puts the values of output symbols into `values`. Of a tensor without elements only the rank must be
 * right: what a loop collects in no step has no sizes that it could have from anywhere.
 */
const readSymbols = (layout: SlotLayout, spec: TensorSpec, batch: RunBatch, shape: ReadonlyArray<number>, values: Array<number>): void => {
  const wrong = () => new Error(`output "${spec.name}" came with shape [${shape}], declared is [${spec.shape}]`)
  if (shape.length !== spec.shape.length) throw wrong()
  const isEmpty = shape.includes(0) && isEmptyAs(layout, spec, batch, shape)
  spec.shape.forEach((dim, axis) => {
    const symbol = typeof dim === "string" ? layout.outputSymbols.indexOf(dim) : -1
    const actual = shape[axis]!
    if (symbol >= 0) {
      if (values[symbol] !== -1 && values[symbol] !== actual) throw wrong()
      values[symbol] = actual
    } else if (boundShape(layout, { ...spec, shape: [dim] }, batch.items, batch.bindings)?.[0] !== actual && !isEmpty) {
      throw wrong()
    }
  })
}

/** Whether the declared shape is empty too with these sizes of its output symbols. */
const isEmptyAs = (layout: SlotLayout, spec: TensorSpec, batch: RunBatch, shape: ReadonlyArray<number>): boolean =>
  spec.shape.some((dim, axis) =>
    (typeof dim === "string" && layout.outputSymbols.includes(dim) ? shape[axis] : boundShape(layout, { ...spec, shape: [dim] }, batch.items, batch.bindings)?.[0]) === 0)

/** Whether a model that cannot run zeros is broken: where sizes are no guess, and no input is of integers, which may be divisors or sizes. */
export const mustRunZeros = ({ isStatic, signature }: SlotLayout): boolean => isStatic && !signature.inputs.some(({ datatype }) => /INT/.test(datatype))

/** Bindings to warm up with, where shapes have symbols: sizes that most models take. */
export const warmBindings = (layout: SlotLayout): ReadonlyArray<number> => layout.inputSymbols.map(() => 16)
