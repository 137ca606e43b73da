/** Requests for the Executor contract: made in the executor's arena, run, and checked byte by byte. */
import { assert } from "@effect/vitest"
import type { BatchEnd, BatchEntry } from "../../src/core/Executor.js"
import type { Model } from "../../src/core/Model.js"
import type { SlotLayout, SlotPlacement } from "../../src/core/SlotLayout.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import type { TensorArena, TensorSlot } from "../../src/core/TensorArena.js"

/** One request as a contract model sees it. Arrays are aligned to their elements: typed views may stand on them. */
export interface ContractRequest {
  readonly items: number
  /** Differs between requests: what tells them apart. */
  readonly seed: number
  readonly bindings: ReadonlyArray<number>
  /** Bytes of each input, in order. */
  readonly inputs: ReadonlyArray<Uint8Array>
}

/** A model the suite runs, with what it should answer. */
export interface ContractModel {
  readonly model: Model
  /** Values of the layout's input symbols; none by default. */
  readonly bindings?: ReadonlyArray<number>
  /** Writes the inputs, which are zero before. */
  readonly fill?: (request: ContractRequest) => void
  /** Throws where the outputs are not the right answer. Without it only sizes and bounds are checked. */
  readonly check?: (request: ContractRequest, outputs: ReadonlyArray<Uint8Array>, outputBindings: ReadonlyArray<number> | undefined) => void
}

/** A request that stands in a slot, and what the slot held when it was handed over. */
export interface PreparedRequest extends ContractRequest {
  readonly contract: ContractModel
  readonly layout: SlotLayout
  readonly placement: SlotPlacement
  readonly entry: BatchEntry
  readonly slot: TensorSlot
  readonly before: Uint8Array
}

const canary = 0xa5

const slices = (bytes: Uint8Array, offsets: ReadonlyArray<number>, sizes: ReadonlyArray<number>): Array<Uint8Array> =>
  offsets.map((offset, i) => bytes.subarray(offset, offset + sizes[i]!))

/** Allocates a slot, covers it with a canary and writes the inputs. */
export const prepare = (arena: TensorArena, contract: ContractModel, items: number, seed: number): PreparedRequest => {
  const layout = makeSlotLayout(contract.model.signature)
  const bindings = contract.bindings ?? []
  const placement = layout.placement(items, bindings)
  const slot = arena.allocate(placement.totalBytes)
  assert(slot !== undefined, `no room for ${placement.totalBytes} bytes in an arena of ${arena.capacityBytes}`)
  assert.isAtLeast(slot.bytes.length, placement.totalBytes)
  assert.strictEqual(slot.bytes.byteOffset % 64, 0, "slots are aligned to 64 bytes")
  slot.bytes.fill(canary)
  new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, bindings.length).set(bindings)
  const inputs = slices(slot.bytes, placement.inputOffsets, placement.inputBytes)
  for (const input of inputs) input.fill(0)
  contract.fill?.({ items, seed, bindings, inputs })
  return {
    contract, items, seed, bindings, inputs, layout, placement, slot,
    entry: { slot, items, bindings },
    before: slot.bytes.slice()
  }
}

/** First byte that changed although no output stands there; -1 where none did. */
const firstForeignChange = (request: PreparedRequest): number => {
  const { before, layout, placement, slot } = request
  const writable = placement.outputOffsets.map((offset, i) => [offset, offset + placement.outputBytes[i]!] as const)
  const symbols = 4 * layout.inputSymbols.length
  const spans = [[symbols, symbols + 4 * layout.outputSymbols.length] as const, ...writable].sort((a, b) => a[0] - b[0])
  let at = 0
  for (const [start, end] of [...spans, [slot.bytes.length, slot.bytes.length] as const]) {
    for (let i = at; i < start; i++) if (slot.bytes[i] !== before[i]) return i
    at = Math.max(at, end)
  }
  return -1
}

/** Checks one entry of a batch that ended: the answer is right, and nothing but outputs was written. */
export const verify = (request: PreparedRequest, end: BatchEnd, index: number): void => {
  assert(end.ok, end.ok ? "" : `the batch failed: ${end.error._tag === "GletExited" ? end.error.message : end.error.detail}`)
  for (const ms of [end.inputMs, end.inferMs, end.outputMs]) assert.isTrue(Number.isFinite(ms) && ms >= 0, `a duration of ${ms} ms`)
  const { contract, layout, placement, slot } = request
  assert.strictEqual(firstForeignChange(request), -1, "a byte outside the outputs changed")
  const outputBindings = end.outputBindings?.[index]
  if (layout.outputSymbols.length > 0) assert.strictEqual(outputBindings?.length, layout.outputSymbols.length)
  // A copy: a view within a slot may not be aligned to 8 bytes where it came over a socket.
  const outputs = slices(slot.bytes, placement.outputOffsets, placement.outputBytes).map((room, j) => (end.overflow?.[index]?.[j] ?? room).slice())
  contract.check?.({ items: request.items, seed: request.seed, bindings: request.bindings, inputs: request.inputs }, outputs, outputBindings)
}
