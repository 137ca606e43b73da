import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { checkMover } from "../../../src/node-cuda/runner/cuda/driver/checkMover.js"
import type { CopyList, Mover } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { getU64, makeCopyList, putU64 } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { blocksOfPiece, mostPieces, moveKernel } from "../../../src/node-cuda/runner/cuda/driver/moveKernel.js"
import { makeFakeCuda } from "./fakeCuda.js"
import { runPtx } from "./ptx.js"

interface Piece {
  readonly from: number
  readonly to: number
  readonly bytes: number
}

/** Runs the kernel over pieces of one memory, with few threads so that they come round more than once. Gives the loads it took. */
const move = (memory: Uint8Array, pieces: ReadonlyArray<Piece>, threads: number): number => {
  const parameters = new DataView(new ArrayBuffer(24 * mostPieces))
  pieces.forEach(({ bytes, from, to }, i) => {
    const words: ReadonlyArray<number> = [from, to, bytes]
    words.forEach((word, part) => parameters.setBigUint64(8 * (part * mostPieces + i), BigInt(word), true))
  })
  return runPtx(moveKernel, { x: 2, y: pieces.length, threads }, parameters, new DataView(memory.buffer))
}

/** Pieces whose sources and targets do not overlap, at any alignment. */
const layout = fc.array(fc.record({ bytes: fc.integer({ min: 0, max: 300 }), skipFrom: fc.nat(20), skipTo: fc.nat(20), isAligned: fc.boolean() }), { minLength: 1, maxLength: 6 })
  .map((all) => {
    let at = 0
    const place = (bytes: number, skip: number, isAligned: boolean): number => {
      const start = isAligned ? 16 * Math.ceil(at / 16) : at + skip
      at = start + bytes
      return start
    }
    const pieces = all.map(({ bytes, isAligned, skipFrom, skipTo }): Piece =>
      ({ bytes, from: place(bytes, skipFrom, isAligned), to: place(bytes, skipTo, isAligned) }))
    return { pieces, total: at + 32 }
  })

describe("the kernel that moves pieces", () => {
  it.prop("moves what it is told to, whatever stands where, and nothing else", [layout, fc.integer({ min: 1, max: 9 })], ([{ pieces, total }, threads]) => {
    const memory = Uint8Array.from({ length: total }, (_, i) => (i * 37 + 11) & 0xff)
    const expected = memory.slice()
    for (const { bytes, from, to } of pieces) expected.copyWithin(to, from, from + bytes)
    move(memory, pieces, threads)
    assert.deepStrictEqual(memory, expected)
  }, { fastCheck: { numRuns: 60 } })

  it("takes 16 bytes at a time where both sides are aligned, and 4 where rows are floats", () => {
    const memory = new Uint8Array(4096)
    assert.strictEqual(move(memory, [{ from: 0, to: 1024, bytes: 1024 }], 4), 64)
    assert.strictEqual(move(memory, [{ from: 0, to: 1028, bytes: 52 }], 4), 13)
  })

  it("has blocks enough for the longest piece, up to a bound", () => {
    assert.deepStrictEqual([0, 4, 4096, 4097, 6656, 1 << 20].map(blocksOfPiece), [1, 1, 1, 2, 2, 16])
  })
})

describe("checkMover", () => {
  const fake = () => {
    const { driver, live } = makeFakeCuda()
    return { driver, live, mover: driver.openMover() }
  }
  /** The list with its pieces changed. */
  const changed = (list: CopyList, bytesOf: (bytes: number, i: number) => number): CopyList => {
    const copy = { ...makeCopyList(list.count), count: list.count }
    for (let i = 0; i < list.count; i++) {
      putU64(copy.host, i, getU64(list.host, i))
      putU64(copy.device, i, getU64(list.device, i))
      putU64(copy.bytes, i, bytesOf(getU64(list.bytes, i), i))
    }
    return copy
  }

  it("lets one pass that does as told, and leaves nothing behind", () => {
    const { driver, live, mover } = fake()
    const before = live()
    checkMover(driver, mover)
    assert.deepStrictEqual(live(), before)
  })

  it("refuses one that leaves something out, copies too much, or stops after a launch's pieces", () => {
    const { driver, live, mover } = fake()
    const before = live()
    const wrong: ReadonlyArray<Mover> = [
      { ...mover, moveIn: (list, stream) => mover.moveIn(changed(list, (bytes) => bytes - (bytes % 4)), stream) },
      { ...mover, moveOut: (list, stream) => mover.moveOut(changed(list, (bytes) => bytes + 1), stream) },
      { ...mover, moveOut: (list, stream) => mover.moveOut(changed(list, (bytes, i) => i < mostPieces ? bytes : 0), stream) }
    ]
    for (const each of wrong) assert.throws(() => checkMover(driver, each), "did not copy small pieces as told")
    assert.deepStrictEqual(live(), before)
  })
})
