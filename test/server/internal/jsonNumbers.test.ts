import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { DataType } from "../../../src/core/Tensor.js"
import { readNumbers } from "../../../src/server/internal/jsonNumbers.js"

const read = (text: string, datatype: DataType, shape: ReadonlyArray<number>, elementBytes: number) => {
  const body = Buffer.from(text)
  const count = shape.reduce((n, size) => n * size, 1)
  // Placed as in a slot, with bytes around that must stay as they are.
  const bytes = new Uint8Array(128 + count * elementBytes).fill(0xa5)
  const wrong = readNumbers(body, 0, body.length, { datatype, shape, count, bytes, offset: 64 }, "data")
  assert.isTrue(bytes.subarray(0, 64).every((byte) => byte === 0xa5))
  assert.isTrue(bytes.subarray(64 + count * elementBytes).every((byte) => byte === 0xa5))
  return { wrong, buffer: bytes.slice(64, 64 + count * elementBytes).buffer }
}

/** Numbers as people, printers and fuzzers write them. */
const decimal = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }), fc.bigInt({ min: 1n, max: 10n ** 30n })).map(([before, after, digits]) => {
    const text = digits.toString()
    return `${text.slice(0, before) || "0"}.${"0".repeat(after)}${text}`
  }),
  fc.tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.integer({ min: -60, max: 30 })).map(([digits, power]) => `${digits}e${power}`),
  fc.constantFrom("0", "-0", "0.0", "1E+2", "-1e-0", "0.000001", "123456789012345678", "9007199254740993", "3.4028234663852886e38", "1.401298464324817e-45",
    // Halfway between two floats, and just above.
    "1.00000005960464477539062", "1.000000059604644775390625", "1.00000005960464477539063")
)

describe("readNumbers", () => {
  it("reads every decimal as JSON.parse does, for FP64", () =>
    fc.assert(fc.property(fc.array(decimal, { minLength: 1, maxLength: 20 }), (texts) => {
      const { buffer, wrong } = read(`[${texts.join(",")}]`, "FP64", [texts.length], 8)
      assert.isUndefined(wrong)
      assert.deepStrictEqual([...new Float64Array(buffer)], texts.map(Number))
    }), { numRuns: 3000, seed: 1 }))

  it("reads every decimal as JSON.parse and Math.fround do, for FP32", () =>
    fc.assert(fc.property(fc.array(decimal.filter((text) => Math.abs(Math.fround(Number(text))) < Infinity), { minLength: 1, maxLength: 20 }), (texts) => {
      const { buffer, wrong } = read(`[${texts.join(" ,\n")}]`, "FP32", [texts.length], 4)
      assert.isUndefined(wrong)
      assert.deepStrictEqual([...new Float32Array(buffer)], texts.map((text) => Math.fround(Number(text))))
    }), { numRuns: 3000, seed: 2 }))

  it("keeps every 64-bit integer", () =>
    fc.assert(fc.property(fc.array(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), { minLength: 1, maxLength: 9 }), fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: 1, maxLength: 9 }), (signed, unsigned) => {
      const a = read(`[${signed.join(",")}]`, "INT64", [signed.length], 8)
      const b = read(`[${unsigned.join(",")}]`, "UINT64", [unsigned.length], 8)
      assert.isUndefined(a.wrong ?? b.wrong)
      assert.deepStrictEqual([...new BigInt64Array(a.buffer)], signed)
      assert.deepStrictEqual([...new BigUint64Array(b.buffer)], unsigned)
    }), { numRuns: 1000, seed: 3 }))

  it("longer than one block, with long integers between", () => {
    const values = Array.from({ length: 10_000 }, (_, i) => (i % 997 === 0 ? 9007199254740993n + BigInt(i) : BigInt(-i)))
    const { buffer, wrong } = read(`[${values.join(",")}]`, "INT64", [values.length], 8)
    assert.isUndefined(wrong)
    assert.deepStrictEqual([...new BigInt64Array(buffer)], values)
  })

  it("accepts exactly the nestings of the shape", () => {
    const shape = [2, 1, 3]
    const good = ["[1,2,3,4,5,6]", "[[[1,2,3]],[[4,5,6]]]", " [ [ [ 1 ,2,3 ] ] ,\t[[4,5,6]]]"]
    const bad = ["[[1,2,3],[4,5,6]]", "[[[1,2],[3]],[[4,5,6]]]", "[[[1,2,3]],[[4,5]],[[6]]]", "[[[1,2,3]],[4,5,6]]", "[[[[1,2,3]],[[4,5,6]]]]", "[[],[]]",
      "[[[1,2,3]],[[4,5,6]]],[]", "[[[1,2,3]][[4,5,6]]]", "[1 2,3,4,5,6]", "[]", "[,]", "[[[1,2,3]],[[4,5,6]],]"]
    for (const text of good) assert.isUndefined(read(text.trimStart(), "INT8", shape, 1).wrong, text)
    for (const text of bad) {
      // What follows the outermost bracket is not part of the array: the scan that cuts it out never includes more.
      if (text === "[[[1,2,3]],[[4,5,6]]],[]") continue
      assert.isDefined(read(text, "INT8", shape, 1).wrong, text)
    }
  })

  it("refuses what is not JSON or not of the type, and says where", () => {
    const cases: ReadonlyArray<readonly [text: string, datatype: DataType, elementBytes: number]> = [
      ["[1,.5]", "FP32", 4], ["[1,5.]", "FP32", 4], ["[1,+5]", "FP32", 4], ["[1,1e]", "FP32", 4], ["[1,1e+]", "FP32", 4], ["[1,-]", "FP32", 4], ["[1,00]", "FP32", 4],
      ["[1,0x1]", "FP32", 4], ["[1,1e39]", "FP32", 4], ["[1,1e309]", "FP64", 8], ["[1,256]", "UINT8", 1], ["[1,-1]", "UINT8", 1], ["[1,128]", "INT8", 1],
      ["[1,65536]", "UINT16", 2], ["[1,-32769]", "INT16", 2], ["[1,4294967296]", "UINT32", 4], ["[1,2147483648]", "INT32", 4], ["[1,1.5]", "INT32", 4],
      ["[1,2]", "BOOL", 1], ["[1,-1]", "UINT64", 8], ["[1,truth]", "BOOL", 1]
    ]
    for (const [text, datatype, elementBytes] of cases) {
      const { wrong } = read(text, datatype, [2], elementBytes)
      assert.isTrue(wrong?.field.startsWith("data"), text)
    }
    assert.strictEqual(read("[1,1e2]", "INT8", [2], 1).wrong, undefined)
    assert.include(read("[1,NaN]", "FP32", [2], 4).wrong!.message, "data[1]: NaN is not JSON")
    assert.include(read("[1]", "FP16", [1], 2).wrong!.message, "binary")
  })
})
