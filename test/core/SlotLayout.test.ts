import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { ModelSignature } from "../../src/core/Model.js"
import { boundShape, makeSlotLayout, slotAlignment } from "../../src/core/SlotLayout.js"
import { bytesPerElement } from "../../src/core/Tensor.js"

const dim = fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constantFrom("batch", "seq", "width"))
const tensor = (kind: string) =>
  fc.record({ datatype: fc.constantFrom("FP32", "INT64", "UINT8", "BOOL", "FP16"), shape: fc.array(dim, { maxLength: 4 }) })
    .map(({ datatype, shape }, ) => ({ name: kind, datatype: datatype as "FP32", shape }))
const signatures: fc.Arbitrary<ModelSignature> = fc.record({
  inputs: fc.array(tensor("in"), { minLength: 1, maxLength: 4 }),
  outputs: fc.array(tensor("out"), { minLength: 1, maxLength: 4 }),
  batches: fc.boolean()
}).map(({ batches, inputs, outputs }) => ({ inputs, outputs, ...(batches ? { batchSymbol: "batch" } : {}) }))

describe("makeSlotLayout", () => {
  it("puts inputs, then outputs, one after the other", () => {
    const layout = makeSlotLayout({
      inputs: [{ name: "image", datatype: "FP32", shape: ["n", 1, 28, 28] }, { name: "flag", datatype: "BOOL", shape: ["n"] }],
      outputs: [{ name: "logits", datatype: "FP32", shape: ["n", 10] }],
      batchSymbol: "n"
    })
    assert.isTrue(layout.isStatic)
    assert.strictEqual(layout.headerBytes, 0)
    assert.deepStrictEqual(layout.placement(2, []), {
      inputOffsets: [0, 6272], inputBytes: [6272, 2], outputOffsets: [6336], outputBytes: [80], totalBytes: 6336 + 128
    })
  })

  it("keeps bindings at the start and gives outputs of unknown shape no room", () => {
    const layout = makeSlotLayout({
      inputs: [{ name: "tokens", datatype: "INT64", shape: ["n", "seq"] }],
      outputs: [{ name: "found", datatype: "FP32", shape: ["n", "count"] }, { name: "pooled", datatype: "FP32", shape: ["n", "seq"] }],
      batchSymbol: "n"
    })
    assert.deepStrictEqual([layout.inputSymbols, layout.outputSymbols], [["seq"], ["count"]])
    assert.isFalse(layout.isStatic)
    assert.deepStrictEqual(layout.placement(3, [5]), {
      inputOffsets: [64], inputBytes: [120], outputOffsets: [192, 192], outputBytes: [0, 60], totalBytes: 256
    })
  })

  it("never lets tensors overlap, aligns them, and holds each whole", () => {
    fc.assert(fc.property(signatures, fc.integer({ min: 1, max: 20 }), fc.tuple(fc.nat(20), fc.nat(20), fc.nat(20)), (signature, items, values) => {
      const layout = makeSlotLayout(signature)
      const bindings = layout.inputSymbols.map((_, i) => values[i]!)
      const place = layout.placement(items, bindings)
      const offsets = [...place.inputOffsets, ...place.outputOffsets]
      const bytes = [...place.inputBytes, ...place.outputBytes]
      let end = layout.headerBytes
      offsets.forEach((offset, i) => {
        assert.strictEqual(offset % slotAlignment, 0)
        assert.isAtLeast(offset, end)
        end = offset + bytes[i]!
      })
      assert.isAtLeast(place.totalBytes, end)
      assert.isAtLeast(layout.headerBytes, 4 * (layout.inputSymbols.length + layout.outputSymbols.length))
      signature.inputs.forEach((spec, i) => {
        const shape = boundShape(layout, spec, items, bindings)!
        assert.strictEqual(place.inputBytes[i], shape.reduce((product, size) => product * size, bytesPerElement(spec.datatype)))
      })
      assert.deepStrictEqual(layout.placement(items, bindings), place)
    }))
  })

  it("remembers a bounded number of sizes and answers all of them right", () => {
    const layout = makeSlotLayout({
      inputs: [{ name: "x", datatype: "UINT8", shape: ["n"] }], outputs: [{ name: "y", datatype: "UINT8", shape: ["n"] }], batchSymbol: "n"
    })
    for (const round of [0, 1]) {
      for (let items = 1; items <= 600; items++) {
        assert.deepStrictEqual(layout.placement(items, []).inputBytes, [items], `round ${round}`)
      }
    }
  })

  it("binds output symbols once they are known", () => {
    const layout = makeSlotLayout({
      inputs: [{ name: "x", datatype: "FP32", shape: ["n"] }], outputs: [{ name: "y", datatype: "FP32", shape: ["n", "count"] }], batchSymbol: "n"
    })
    const [output] = layout.signature.outputs
    assert.isUndefined(boundShape(layout, output!, 2, []))
    assert.deepStrictEqual(boundShape(layout, output!, 2, [], [7]), [2, 7])
  })
})
