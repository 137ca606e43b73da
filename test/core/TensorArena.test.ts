import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { TensorSlot } from "../../src/core/TensorArena.js"
import { makeHeapArena } from "../../src/core/TensorArena.js"

describe("makeHeapArena", () => {
  it("bounds the sum of live slots and takes memory back", () => {
    const arena = makeHeapArena(100)
    const slot = arena.allocate(60)
    assert.strictEqual(slot?.bytes.byteLength, 60)
    assert.isUndefined(arena.allocate(41))
    assert.isDefined(arena.allocate(40))
    slot?.release()
    assert.strictEqual(arena.usedBytes(), 40)
    assert.isDefined(arena.allocate(60))
  })

  it("refuses sizes that are none", () => {
    const arena = makeHeapArena(100)
    for (const size of [-1, NaN, Infinity, 101]) assert.isUndefined(arena.allocate(size))
    assert.strictEqual(arena.usedBytes(), 0)
  })

  it("takes a second release for the defect it is, and stays right", () => {
    const arena = makeHeapArena(100)
    const slot = arena.allocate(10)
    slot?.release()
    assert.throws(() => slot?.release(), /released twice/)
    assert.strictEqual(arena.usedBytes(), 0)
  })

  it("counts what is live, whatever the order", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: -20, max: 50 }), { maxLength: 100 }), (steps) => {
      const arena = makeHeapArena(200)
      const live: Array<TensorSlot> = []
      for (const step of steps) {
        if (step < 0) live.splice(-step % Math.max(1, live.length), 1)[0]?.release()
        else {
          const before = arena.usedBytes()
          const slot = arena.allocate(step)
          assert.strictEqual(slot !== undefined, before + step <= 200)
          if (slot !== undefined) live.push(slot)
        }
        assert.strictEqual(arena.usedBytes(), live.reduce((sum, slot) => sum + slot.bytes.byteLength, 0))
      }
    }))
  })
})
