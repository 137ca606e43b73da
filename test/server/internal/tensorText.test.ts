import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { shortestFloat, tensorText } from "../../../src/server/internal/tensorText.js"

const significantDigits = (value: number): number => Math.abs(value).toExponential().replace(/e.*/, "").replace(".", "").replace(/0+$/, "").length

/** The fewest digits that read back as the float, by trying. */
const fewest = (value: number): number => {
  for (let digits = 1; digits < 9; digits++) if (Math.fround(Number(value.toPrecision(digits))) === value) return digits
  return 9
}

describe("tensorText", () => {
  it("writes every float so that it reads back, with the fewest digits", () => {
    const bits = new Uint32Array(1)
    const float = new Float32Array(bits.buffer)
    const everyFloat = fc.integer({ min: 0, max: 0xffffffff }).map((pattern) => {
      bits[0] = pattern
      return float[0]!
    }).filter((value) => Number.isFinite(value) && value !== 0)
    const common = fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => Math.fround(n / 1000)).filter((value) => value !== 0)
    fc.assert(fc.property(fc.oneof(everyFloat, common), (value) => {
      const shortest = shortestFloat(value)
      assert.strictEqual(Math.fround(Number(String(shortest))), value)
      assert.isAtMost(significantDigits(shortest), fewest(value))
    }), { numRuns: 20_000, seed: 1 })
  })

  it("writes the other types", () => {
    const of = (array: ArrayBufferView) => new Uint8Array(array.buffer)
    assert.strictEqual(tensorText("FP32", of(Float32Array.of(0.1, -0, NaN, Infinity, 1e21, 1e-12)), 0, 6), "[0.1,0,null,null,1e+21,1e-12]")
    assert.strictEqual(tensorText("FP64", of(Float64Array.of(0.1, NaN)), 0, 2), "[0.1,null]")
    assert.strictEqual(tensorText("INT64", of(BigInt64Array.of(-(1n << 63n), 7n)), 0, 2), "[-9223372036854775808,7]")
    assert.strictEqual(tensorText("UINT64", of(BigUint64Array.of((1n << 64n) - 1n)), 0, 1), "[18446744073709551615]")
    assert.strictEqual(tensorText("BOOL", Uint8Array.of(0, 1, 2), 0, 3), "[false,true,true]")
    assert.strictEqual(tensorText("INT8", of(Int8Array.of(-1, 1)), 1, 1), "[1]")
    assert.strictEqual(tensorText("UINT16", of(Uint16Array.of(65535)), 0, 1), "[65535]")
    assert.strictEqual(tensorText("INT32", of(Int32Array.of()), 0, 0), "[]")
    assert.isUndefined(tensorText("FP16", Uint8Array.of(0, 0), 0, 1))
  })
})
