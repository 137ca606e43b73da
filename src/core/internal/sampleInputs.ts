/** Inputs to measure with: any valid request will do, but it must be valid. */
import type { BatchEntry } from "../Executor.js"
import type { SlotLayout } from "../SlotLayout.js"
import type { DataType } from "../Tensor.js"
import type { TensorArena, TensorSlot } from "../TensorArena.js"

interface SampleOptions {
  /** Size of symbols other than the batch. */
  readonly sizeOf: (symbol: string) => number
  /** Integers are drawn from this, 0 by default, ... */
  readonly minInteger?: number
  /** ... to this: they may be indices into a table of unknown length. */
  readonly maxInteger: number
  readonly random: () => number
}

/** Writes valid elements: floats in [0, 1), small integers, booleans. `bytes` is aligned to 8. */
export const fill = (
  bytes: Uint8Array,
  datatype: DataType,
  { maxInteger, minInteger = 0, random }: Pick<SampleOptions, "maxInteger" | "minInteger" | "random">
): void => {
  const { buffer, byteLength, byteOffset } = bytes
  const integer = () => minInteger + Math.floor(random() * (maxInteger - minInteger + 1))
  const numbers = (array: { readonly length: number; [index: number]: number }, next: () => number) => {
    for (let i = 0; i < array.length; i++) array[i] = next()
  }
  switch (datatype) {
    case "FP32":
      return numbers(new Float32Array(buffer, byteOffset, byteLength / 4), random)
    case "FP64":
      return numbers(new Float64Array(buffer, byteOffset, byteLength / 8), random)
    // Numbers in [0.5, 1): a fixed exponent, any mantissa.
    case "FP16":
      return numbers(new Uint16Array(buffer, byteOffset, byteLength / 2), () => 0x3800 | Math.floor(random() * 0x400))
    case "BF16":
      return numbers(new Uint16Array(buffer, byteOffset, byteLength / 2), () => 0x3f00 | Math.floor(random() * 0x80))
    case "INT64":
    case "UINT64": {
      const array = new BigUint64Array(buffer, byteOffset, byteLength / 8)
      for (let i = 0; i < array.length; i++) array[i] = BigInt(integer())
      return
    }
    case "INT32":
    case "UINT32":
      return numbers(new Uint32Array(buffer, byteOffset, byteLength / 4), integer)
    case "INT16":
    case "UINT16":
      return numbers(new Uint16Array(buffer, byteOffset, byteLength / 2), integer)
    case "INT8":
    case "UINT8":
      return numbers(new Uint8Array(buffer, byteOffset, byteLength), () => Math.min(127, integer()))
    case "BOOL":
      return numbers(new Uint8Array(buffer, byteOffset, byteLength), () => (random() < 0.5 ? 0 : 1))
    case "BYTES":
      return
  }
}

/** Requests of one item in slots of their own; `release` gives the slots back. */
export interface SampleRequests {
  /** Entries of a batch of `items` requests. Where memory is short they share slots: right inputs, outputs that overwrite each other. */
  readonly entries: (items: number) => ReadonlyArray<BatchEntry>
  readonly release: () => void
}

/**
 * Makes up to `count` requests of one item, as the server's batches consist of, in no more than a part of the arena. Undefined where not even
 * one fits.
 */
export const makeSampleRequests = (
  arena: TensorArena,
  layout: SlotLayout,
  count: number,
  arenaPart: number,
  options: SampleOptions
): SampleRequests | undefined => {
  const bindings = layout.inputSymbols.map(options.sizeOf)
  const { inputBytes, inputOffsets, totalBytes } = layout.placement(1, bindings)
  const most = Math.min(count, Math.max(1, Math.floor((arena.capacityBytes * arenaPart) / Math.max(1, totalBytes))))
  const slots: Array<TensorSlot> = []
  while (slots.length < most) {
    const slot = arena.allocate(totalBytes)
    if (slot === undefined) break
    new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, bindings.length).set(bindings)
    layout.signature.inputs.forEach(({ datatype }, i) => {
      fill(slot.bytes.subarray(inputOffsets[i]!, inputOffsets[i]! + inputBytes[i]!), datatype, options)
    })
    slots.push(slot)
  }
  if (slots.length === 0) return undefined
  return {
    entries: (items) => Array.from({ length: items }, (_, i) => ({ slot: slots[i % slots.length]!, items: 1, bindings })),
    release: () => {
      for (const slot of slots) slot.release()
    }
  }
}
