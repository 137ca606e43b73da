import { assert, describe, it } from "@effect/vitest"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import { scatterDynamic } from "../../src/core/internal/batchAssembly.js"

describe("scatterDynamic", () => {
  const layout = makeSlotLayout({
    inputs: [{ name: "x", datatype: "FP32", shape: [3, 2] }],
    outputs: [{ name: "steps", datatype: "FP32", shape: ["steps", 3, 2] }]
  })
  const batch = { items: 1, bindings: [], offsets: [0], entryItems: [1] }
  const taken = (shape: ReadonlyArray<number>) => {
    const bytes = new Uint8Array(4 * shape.reduce((n, size) => n * size, 1))
    return scatterDynamic(layout, new Uint8Array(layout.placement(1, []).totalBytes), batch, [{ shape, bytes }])
  }

  it("takes what a loop of no steps collected, whatever sizes it has beside", () => {
    for (const shape of [[0, 0, 2], [0, 3, 2]]) {
      const { outputBindings, overflow } = taken(shape)
      assert.deepStrictEqual(outputBindings, [0])
      assert.strictEqual(overflow[0]![0]!.length, 0)
    }
  })

  it("refuses other ranks and sizes, and emptiness that was not declared", () => {
    for (const shape of [[2, 2, 2], [0, 2], [2, 0, 2]]) assert.throws(() => taken(shape), /came with shape/)
    assert.deepStrictEqual(taken([2, 3, 2]).outputBindings, [2])
  })
})
