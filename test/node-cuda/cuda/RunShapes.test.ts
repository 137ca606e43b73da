import { assert, describe, it } from "@effect/vitest"
import { RunShapes } from "../../../src/node-cuda/runner/cuda/RunShapes.js"

describe("RunShapes", () => {
  it("begins a generation with what no run before was as large as in every way", () => {
    const shapes = new RunShapes()
    const generations = [[4, 16], [4, 16], [2, 8], [1, 32], [2, 32], [1, 16], [4, 32], [3, 31]].map((sizes) => {
      shapes.note(sizes)
      return shapes.generation
    })
    assert.deepStrictEqual(generations, [1, 1, 1, 2, 3, 3, 4, 4])
  })

  it("holds few, and takes what it forgot for larger", () => {
    const shapes = new RunShapes()
    for (let i = 0; i < 1000; i++) shapes.note([i, 1000 - i])
    const before = shapes.generation
    shapes.note([999, 1])
    assert.strictEqual(shapes.generation, before)
    shapes.note([1, 999])
    assert.strictEqual(shapes.generation, before + 1)
  })
})
