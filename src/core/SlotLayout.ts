/**
 * Where the tensors of a request stand in its slot. Front and runner compute the same layout from the same signature, so a descriptor only
 * carries the slot's offset and the number of items.
 *
 * ```
 * slot = [ bindings: int32 per symbol, padded to 64 | input 0 | input 1 | … | output 0 | … ]      every tensor aligned to 64 bytes
 * ```
 * A model whose shapes have no symbol but the batch has no bindings and starts with its first input.
 *
 * @since 0.1.0
 */
import { bytesPerElement } from "./ElementSize.js"
import type { ModelSignature } from "./Model.js"
import type { TensorSpec } from "./Tensor.js"

/** Alignment of slots and of the tensors in them, in bytes: a cache line, and what vector loads want. @since 0.1.0 @category layout */
export const slotAlignment = 64

/** Offsets and sizes in bytes of one request's tensors. @since 0.1.0 @category layout */
export interface SlotPlacement {
  readonly inputOffsets: ReadonlyArray<number>
  readonly inputBytes: ReadonlyArray<number>
  readonly outputOffsets: ReadonlyArray<number>
  /** Room for each output; 0 where its shape depends on data, then it comes back beside the slot. */
  readonly outputBytes: ReadonlyArray<number>
  readonly totalBytes: number
}

/**
 * The layout of one model's requests.
 * @since 0.1.0
 * @category layout
 */
export interface SlotLayout {
  readonly signature: ModelSignature
  /** Symbols other than the batch that inputs bind, in order of first appearance. */
  readonly inputSymbols: ReadonlyArray<string>
  /** Symbols that only outputs have: known after execution. */
  readonly outputSymbols: ReadonlyArray<string>
  /** Bytes of the bindings at the start of a slot. */
  readonly headerBytes: number
  /** True where `placement` depends on `items` alone. */
  readonly isStatic: boolean
  /** `bindings` holds one value per input symbol. Sizes above 2^53 are not representable: check `totalBytes` against a limit. */
  readonly placement: (items: number, bindings: ReadonlyArray<number>) => SlotPlacement
}

const align = (n: number): number => Math.ceil(n / slotAlignment) * slotAlignment

/** Symbols of a shape but the batch, in order. */
const symbolsOf = (specs: ReadonlyArray<TensorSpec>, batchSymbol: string | undefined): Array<string> => {
  const seen = new Set<string>()
  for (const spec of specs) {
    for (const dim of spec.shape) if (typeof dim === "string" && dim !== batchSymbol) seen.add(dim)
  }
  return [...seen]
}

/**
 * The concrete shape of a tensor for given items and bindings; undefined where a symbol is not bound.
 * @since 0.1.0
 * @category layout
 */
export const boundShape = (
  layout: Pick<SlotLayout, "signature" | "inputSymbols" | "outputSymbols">,
  spec: TensorSpec,
  items: number,
  bindings: ReadonlyArray<number>,
  outputBindings: ReadonlyArray<number> = []
): Array<number> | undefined => {
  const shape: Array<number> = []
  for (const dim of spec.shape) {
    if (typeof dim === "number") {
      shape.push(dim)
    } else if (dim === layout.signature.batchSymbol) {
      shape.push(items)
    } else {
      const input = layout.inputSymbols.indexOf(dim)
      const value = input >= 0 ? bindings[input] : outputBindings[layout.outputSymbols.indexOf(dim)]
      if (value === undefined) return undefined
      shape.push(value)
    }
  }
  return shape
}

const elements = (shape: ReadonlyArray<number>): number => {
  let n = 1
  for (const dim of shape) n *= dim
  return n
}

/**
 * The layout for a signature. Signatures with `BYTES` tensors have none: their elements have no fixed size.
 *
 * @example
 * ```ts
 * import { makeSlotLayout } from "glet-orion/core"
 *
 * const layout = makeSlotLayout({
 *   inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }],
 *   outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }],
 *   batchSymbol: "batch"
 * })
 * layout.placement(1, []).totalBytes // 3136 + 64
 * ```
 * @since 0.1.0
 * @category layout
 */
export const makeSlotLayout = (signature: ModelSignature): SlotLayout => {
  const inputSymbols = symbolsOf(signature.inputs, signature.batchSymbol)
  const outputSymbols = symbolsOf(signature.outputs, signature.batchSymbol).filter((symbol) => !inputSymbols.includes(symbol))
  const symbolCount = inputSymbols.length + outputSymbols.length
  const headerBytes = symbolCount === 0 ? 0 : align(4 * symbolCount)
  const names = { signature, inputSymbols, outputSymbols }

  const place = (items: number, bindings: ReadonlyArray<number>): SlotPlacement => {
    let offset = headerBytes
    const lay = (specs: ReadonlyArray<TensorSpec>) => {
      const offsets: Array<number> = []
      const bytes: Array<number> = []
      for (const spec of specs) {
        const shape = boundShape(names, spec, items, bindings)
        const size = shape === undefined ? 0 : elements(shape) * bytesPerElement(spec.datatype)
        offsets.push(offset)
        bytes.push(size)
        offset += align(size)
      }
      return { offsets, bytes }
    }
    const inputs = lay(signature.inputs)
    const outputs = lay(signature.outputs)
    return {
      inputOffsets: inputs.offsets,
      inputBytes: inputs.bytes,
      outputOffsets: outputs.offsets,
      outputBytes: outputs.bytes,
      totalBytes: offset
    }
  }

  // Almost every request has few items and no symbols: its placement is computed once.
  const isStatic = inputSymbols.length === 0
  const known = new Map<number, SlotPlacement>()
  const placement = (items: number, bindings: ReadonlyArray<number>): SlotPlacement => {
    if (!isStatic) return place(items, bindings)
    const found = known.get(items)
    if (found !== undefined) return found
    const made = place(items, bindings)
    if (known.size < 256) known.set(items, made)
    return made
  }
  return { ...names, headerBytes, isStatic, placement }
}
