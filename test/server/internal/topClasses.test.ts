import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { hasClasses, stringBytes, topClasses } from "../../../src/server/internal/topClasses.js"

const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

describe("topClasses", () => {
  it("writes value, place and label as Triton does, item by item", () => {
    const scores = bytesOf(Float32Array.of(1, 5, 10, 4, -0.5, 0.25, 0.125, -3))
    assert.deepStrictEqual(topClasses("FP32", scores, 2, 4, 2, ["a", "", "ü:c"]), ["10.000000:2:ü:c", "5.000000:1", "0.250000:1", "0.125000:2:ü:c"])
    assert.deepStrictEqual(topClasses("FP64", bytesOf(Float64Array.of(NaN, -Infinity, 1e22, Infinity)), 1, 4, 9, []), ["inf:3", "10000000000000000000000.000000:2", "-inf:1", "nan:0"])
    assert.deepStrictEqual(topClasses("INT8", bytesOf(Int8Array.of(-1, 7, 7)), 1, 3, 3, []), ["7:1", "7:2", "-1:0"])
    assert.deepStrictEqual(topClasses("UINT64", bytesOf(BigUint64Array.of(1n, 2n ** 64n - 1n)), 1, 2, 1, []), ["18446744073709551615:1"])
    assert.deepStrictEqual(topClasses("FP32", new Uint8Array(0), 0, 0, 3, []), [])
    assert.deepStrictEqual((["FP16", "BF16", "BOOL", "BYTES"] as const).filter(hasClasses), [])
  })

  it("gives the places that sorting all values gives", () => {
    const value = fc.oneof(fc.integer({ min: -4, max: 4 }), fc.constantFrom(NaN, Infinity, -Infinity))
    fc.assert(fc.property(fc.array(value, { maxLength: 40 }), fc.integer({ min: 1, max: 45 }), (row, count) => {
      const rank = (x: number) => Number.isNaN(x) ? 1 : 0
      const sorted = row.map((_, i) => i).sort((a, b) => rank(row[a]!) - rank(row[b]!) || (row[a] === row[b] || rank(row[a]!) === 1 ? a - b : row[a]! > row[b]! ? -1 : 1))
      const places = topClasses("FP64", bytesOf(Float64Array.from(row)), 1, row.length, count, []).map((text) => Number(text.split(":")[1]))
      assert.deepStrictEqual(places, sorted.slice(0, count))
    }), { seed: 7, numRuns: 300 })
  })

  it("strings are binary with the length of each before it", () => {
    assert.deepStrictEqual([...stringBytes(["é", "", "a"])], [2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0, 1, 0, 0, 0, 97])
  })
})
