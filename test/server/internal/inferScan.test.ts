import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { InvalidRequest } from "../../../src/core/RequestError.js"
import { scanRequest } from "../../../src/server/internal/inferScan.js"

/** Puts the cut arrays back and compares with what JSON.parse makes of the whole. */
const putBack = (body: Buffer): unknown => {
  const scanned = scanRequest(body, "body")
  if (scanned instanceof InvalidRequest) return scanned
  const json = scanned.json as { inputs?: Array<{ data?: unknown }> }
  scanned.data.forEach((range, i) => {
    if (range !== undefined) json.inputs![i]!.data = JSON.parse(body.toString("utf8", range.start, range.end))
  })
  return json
}

const numbers = fc.oneof(fc.array(fc.integer()), fc.array(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x || 0))))
const value = fc.jsonValue({ maxDepth: 3 })
const text = fc.oneof(fc.string(), fc.constantFrom("data", "inputs", "\"data\":[1]", "\\", "]", "[", "}{", "\\\"", "ü\u0000"))
const input = fc.record({ name: text, shape: fc.array(fc.nat()), data: numbers, parameters: value, more: value }, { requiredKeys: [] })
const request = fc.record({ id: text, inputs: fc.array(input), outputs: value, data: numbers, parameters: value }, { requiredKeys: [] })

describe("scanRequest", () => {
  it("loses and invents nothing, whatever the spacing", () =>
    fc.assert(fc.property(request, fc.constantFrom(undefined, 1, "\t \r\n"), (json, space) => {
      const body = Buffer.from(JSON.stringify(json, null, space))
      assert.deepStrictEqual(putBack(body), JSON.parse(body.toString()))
    }), { numRuns: 3000, seed: 1 }))

  it("finds keys that are written with escapes", () => {
    const body = Buffer.from("{\"\\u0069nputs\":[{\"d\\u0061ta\":[1,2]}]}")
    const scanned = scanRequest(body, "body")
    assert.isFalse(scanned instanceof InvalidRequest)
    if (!(scanned instanceof InvalidRequest)) assert.isDefined(scanned.data[0])
  })

  it("cuts only the inputs' own data", () => {
    for (const body of ["{\"data\":[1]}", "{\"inputs\":{\"data\":[1]}}", "{\"inputs\":[[{\"data\":[1]}]]}", "{\"inputs\":[{\"parameters\":{\"data\":[1]}}]}", "{\"x\":[{\"data\":[1]}]}"]) {
      const scanned = scanRequest(Buffer.from(body), "body")
      assert.isFalse(scanned instanceof InvalidRequest)
      if (!(scanned instanceof InvalidRequest)) assert.deepStrictEqual(scanned, { json: JSON.parse(body), data: [] })
    }
  })

  it("what is not JSON stays so", () =>
    fc.assert(fc.property(request, fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom("[", "]", "\"", ",", "{", "x", ""), (json, at, insert) => {
      const whole = JSON.stringify(json)
      const position = Math.floor(at * whole.length)
      const broken = whole.slice(0, position) + insert + whole.slice(position + 1)
      let parsed: unknown
      try {
        parsed = JSON.parse(broken)
      } catch {
        const scanned = scanRequest(Buffer.from(broken), "body")
        // Numbers are checked later: where the break is inside an array that was cut out, the array is what is not JSON.
        if (!(scanned instanceof InvalidRequest)) assert.throws(() => putBack(Buffer.from(broken)))
        return
      }
      const back = putBack(Buffer.from(broken))
      // A key that stands twice is refused, where JSON.parse takes the last.
      if (!(back instanceof InvalidRequest)) assert.deepStrictEqual(back, parsed)
    }), { numRuns: 3000, seed: 2 }))
})
