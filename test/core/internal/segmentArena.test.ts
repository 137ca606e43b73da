import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { TensorSlot } from "../../../src/core/TensorArena.js"
import { makeSegmentArena } from "../../../src/core/internal/segmentArena.js"

/** A run of allocations (bytes) and releases (which live slot, as a part of their number). */
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ allocate: fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 400_000 })) }) },
    { weight: 2, arbitrary: fc.record({ release: fc.double({ min: 0, max: 0.999, noNaN: true }) }) }
  ),
  { maxLength: 200 }
)

describe("segmentArena", () => {
  it("never lends a byte twice, stays within its memory, and gets everything back", () => {
    fc.assert(fc.property(steps, fc.integer({ min: 3, max: 1500 }), (sequence, kibibytes) => {
      const memory = new ArrayBuffer(kibibytes * 1024 + 100)
      const arena = makeSegmentArena(memory)
      const live: Array<{ readonly slot: TensorSlot; readonly asked: number }> = []
      for (const step of sequence) {
        if ("allocate" in step) {
          const slot = arena.allocate(step.allocate)
          if (slot === undefined) continue
          assert.isAtLeast(slot.bytes.length, step.allocate)
          assert.strictEqual(slot.bytes.byteOffset, slot.offset)
          assert.strictEqual(slot.offset % 64, 0)
          for (const other of live) {
            assert.isTrue(slot.offset + slot.bytes.length <= other.slot.offset || other.slot.offset + other.slot.bytes.length <= slot.offset)
          }
          live.push({ slot, asked: step.allocate })
        } else if (live.length > 0) {
          live.splice(Math.floor(step.release * live.length), 1)[0]!.slot.release()
        }
        const held = live.reduce((sum, { slot }) => sum + slot.bytes.length, 0)
        assert.strictEqual(arena.usedBytes(), held)
        assert.isAtMost(held, arena.capacityBytes)
      }
      for (const { slot } of live) slot.release()
      assert.strictEqual(arena.usedBytes(), 0)
      // All pieces have joined again.
      assert.isDefined(arena.allocate(arena.capacityBytes))
    }))
  })

  it("refuses what does not fit, and no size at all", () => {
    const arena = makeSegmentArena(new ArrayBuffer(4096))
    assert.strictEqual(arena.capacityBytes, 4096)
    for (const bytes of [4097, Infinity, NaN, -1]) assert.isUndefined(arena.allocate(bytes))
    const all = arena.allocate(4096)!
    assert.isUndefined(arena.allocate(0))
    all.release()
    assert.isDefined(arena.allocate(0))
  })

  it("holds as many images as there is room for, but for a sixteenth of their size", () => {
    for (const bytes of [602_112, 1_080_000, 784, 150_528]) {
      const arena = makeSegmentArena(new ArrayBuffer(64 << 20))
      let count = 0
      while (arena.allocate(bytes) !== undefined) count++
      const kibibytes = Math.ceil(bytes / 1024)
      assert.isAtLeast(count, Math.floor((64 * 1024) / (kibibytes * (1 + 1 / 16))), `${bytes} bytes`)
    }
  })

  it("a slot released twice is a defect", () => {
    const slot = makeSegmentArena(new ArrayBuffer(4096)).allocate(10)!
    slot.release()
    assert.throws(() => slot.release(), /twice/)
  })

  it("lends what was just given back, so that it is still in the cache", () => {
    const arena = makeSegmentArena(new ArrayBuffer(1 << 20))
    const first = arena.allocate(3200)!
    first.release()
    assert.strictEqual(arena.allocate(3200), first)
  })
})
