/** The lists of copies against `gather` and `scatter`, which the CPU's engine uses and the contract suite covers. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { SlotLayout } from "../../../src/core/SlotLayout.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { gather, scatter } from "../../../src/core/internal/batchAssembly.js"
import type { Side } from "../../../src/node-cuda/runner/cuda/copies.js"
import { listCopies, mostPieces } from "../../../src/node-cuda/runner/cuda/copies.js"
import { getU64, makeCopyList, putU64 } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { DirectParts } from "../../../src/core/internal/directParts.js"
import type { RunBatch } from "../../../src/core/internal/batchAssembly.js"
import type { TensorSpec } from "../../../src/core/Tensor.js"

const tensor = (name: string, width: number): TensorSpec => ({ name, datatype: "FP32", shape: ["batch", width] })

const cases = fc.record({
  inputs: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
  outputs: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
  entryItems: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
  padding: fc.nat(3),
  seed: fc.nat(1000)
})

/** Addresses beyond 32 bits, to try both halves. */
const hostBase = 0x7f12_3456_7000
const deviceBase = 0x7e98_7654_3000

const setUp = ({ entryItems, inputs, outputs, padding, seed }: (typeof cases) extends fc.Arbitrary<infer A> ? A : never) => {
  const layout: SlotLayout = makeSlotLayout({
    inputs: inputs.map((width, i) => tensor(`x${i}`, width)), outputs: outputs.map((width, i) => tensor(`y${i}`, width)), batchSymbol: "batch"
  })
  const items = entryItems.reduce((sum, n) => sum + n, 0)
  const size = items + padding
  let at = 0
  const offsets = entryItems.map((n) => {
    const offset = at
    at += layout.placement(n, []).totalBytes + 64 * ((seed + n) % 3)
    return offset
  })
  const batch: RunBatch = { items, bindings: [], offsets, entryItems }
  return { layout, batch, size, placement: layout.placement(size, []), segmentBytes: at + 4096 }
}

const list = (side: Side, { batch, layout, placement, size }: ReturnType<typeof setUp>) => {
  const made = makeCopyList(mostPieces(layout, batch, side))
  listCopies(made, side, layout, batch, hostBase, placement, size, deviceBase)
  return Array.from({ length: made.count }, (_, i) => ({
    host: getU64(made.host, i) - hostBase, device: getU64(made.device, i) - deviceBase, bytes: getU64(made.bytes, i)
  }))
}

const numbered = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => (i * 37 + (i >> 8)) & 0xff)

describe("copies", () => {
  it("bring every input to where a gathered batch has it", () => {
    fc.assert(fc.property(cases, (one) => {
      const set = setUp(one)
      const segment = numbered(set.segmentBytes)
      const expected = new Uint8Array(set.placement.totalBytes)
      gather(set.layout, segment, set.batch, expected, set.placement, set.size)
      const found = new Uint8Array(set.placement.totalBytes)
      for (const { bytes, device, host } of list("inputs", set)) found.set(segment.subarray(host, host + bytes), device)
      set.placement.inputOffsets.forEach((offset, j) => {
        const used = (set.placement.inputBytes[j]! / set.size) * set.batch.items
        assert.deepStrictEqual(found.subarray(offset, offset + used), expected.subarray(offset, offset + used))
      })
    }))
  })

  it("bring every output to its slot, and write nothing else", () => {
    fc.assert(fc.property(cases, (one) => {
      const set = setUp(one)
      const computed = numbered(set.placement.totalBytes)
      const expected = new Uint8Array(set.segmentBytes)
      scatter(set.layout, expected, set.batch, computed, set.placement, set.size)
      const found = new Uint8Array(set.segmentBytes)
      for (const { bytes, device, host } of list("outputs", set)) found.set(computed.subarray(device, device + bytes), host)
      assert.deepStrictEqual(found, expected)
    }))
  })

  it("go to and from clients' memory for tensors that stand there, and for no others", () => {
    const clientBase = 0x7f55_0000_0000
    fc.assert(fc.property(cases, fc.constantFrom<Side>("inputs", "outputs"), fc.array(fc.nat(14), { minLength: 1, maxLength: 4 }), (one, side, chosen) => {
      const set = setUp(one)
      const tensors = set.layout.signature[side].length
      const parts = [...new Set(chosen.map((n) => n % (tensors * set.batch.offsets.length)))].map((n, i) => ({
        side, entry: Math.floor(n / tensors), index: n % tensors, position: 4096 * i + 4,
        file: { address: clientBase, read: () => undefined, write: () => undefined }
      }))
      const plain = list(side, set)
      const mixed = list(side, { ...set, batch: { ...set.batch, direct: new DirectParts(parts) } })
      const bytesTo = (copies: ReturnType<typeof list>) => copies.flatMap(({ bytes, device, host }) => Array.from({ length: bytes }, (_, i) => [device + i, host + i] as const))
      const expected = new Map(bytesTo(plain))
      const found = bytesTo(mixed)
      // Where one request fills the batch, inputs come with what stands between them.
      const used = new Map(found)
      assert.strictEqual(used.size, found.length, "no byte is moved twice")
      for (const { entry, index, position } of parts) {
        const before = set.batch.entryItems.slice(0, entry).reduce((sum, n) => sum + n, 0)
        const [offsets, bytes] = side === "inputs" ? [set.placement.inputOffsets, set.placement.inputBytes] : [set.placement.outputOffsets, set.placement.outputBytes]
        const perItem = bytes[index]! / set.size
        for (let i = 0; i < perItem * set.batch.entryItems[entry]!; i++) {
          const device = offsets[index]! + perItem * before + i
          assert.strictEqual(used.get(device), clientBase - hostBase + position + i)
          used.delete(device)
        }
      }
      for (const [device, host] of used) assert.strictEqual(expected.get(device), host)
    }))
  })

  it("never reach across clients' memories that happen to be neighbours, nor from one into the segment", () => {
    const set = setUp({ inputs: [8], outputs: [1], entryItems: [1, 1, 1, 1], padding: 0, seed: 1 })
    const bytes = 32
    const file = (address: number) => ({ address, read: () => undefined, write: () => undefined })
    const before = file(hostBase + set.batch.offsets[3]! - 3 * bytes)
    const after = file(hostBase + set.batch.offsets[3]! - 2 * bytes)
    const part = (entry: number, from: ReturnType<typeof file>, position: number) => ({ side: "inputs", entry, index: 0, file: from, position }) as const
    const direct = new DirectParts([part(0, before, 0), part(1, after, 0), part(2, after, bytes)])
    // One after the other in memory: before | after, after | slot.
    assert.deepStrictEqual(list("inputs", { ...set, batch: { ...set.batch, direct } }).map((copy) => copy.bytes), [bytes, 2 * bytes, bytes])
  })

  it("are one where a request fills the batch by itself", () => {
    const set = setUp({ inputs: [3, 5], outputs: [2], entryItems: [4], padding: 0, seed: 1 })
    assert.strictEqual(list("inputs", set).length, 1)
  })

  it("keep addresses of 64 bits in two halves", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (value) => {
      const words = new Uint32Array(2)
      putU64(words, 0, value)
      assert.strictEqual(getU64(words, 0), value)
    }))
  })
})
