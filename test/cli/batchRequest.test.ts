/** What a job sends for a line: the line, as best-effort work. */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { asBestEffort } from "../../src/cli/batch/requestText.js"

const bodyOf = (text: string): string => {
  const request = asBestEffort(text)
  assert("body" in request, JSON.stringify(request))
  return request.body
}

describe("asBestEffort", () => {
  it("changes the one parameter and nothing else of any request, however it is written", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.dictionary(FastCheck.constantFrom("id", "outputs", "parameters", 'a"b\\', "{", "inputs"), FastCheck.jsonValue()),
      FastCheck.option(FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue()), { nil: undefined }),
      FastCheck.constantFrom(undefined, 1, "\t", "\r\n"),
      (others, parameters, indent) => {
        const value: Record<string, unknown> = { ...others, inputs: others["inputs"] ?? [] }
        delete value["parameters"]
        const text = JSON.stringify({ ...value, ...(parameters === undefined ? {} : { parameters }) }, undefined, indent)
        assert.deepStrictEqual(JSON.parse(bodyOf(text)), JSON.parse(JSON.stringify({ ...value, parameters: { ...parameters, "service-class": "best-effort" } })))
      }
    ))
  })

  it("leaves numbers as they are written, takes a name in other letters and one that stands twice", () => {
    const numbers = '{"inputs": [{"data": [9007199254740993, -0, 1e400, 1.0]}]}'
    assert.strictEqual(bodyOf(numbers), `{"parameters":{"service-class":"best-effort"},${numbers.slice(1)}`)
    assert.strictEqual(bodyOf('{"inputs":[],"param\\u0065ters":null}'), '{"inputs":[],"param\\u0065ters":{"service-class":"best-effort"}}')
    assert.strictEqual(
      bodyOf('{"parameters" : 7 ,"inputs":[["]"]],"parameters":{"timeout":5}}'),
      '{"parameters" : {"timeout":5,"service-class":"best-effort"} ,"inputs":[["]"]],"parameters":{"timeout":5,"service-class":"best-effort"}}'
    )
  })

  it("says why a line is no request", () => {
    for (const [text, why] of [["{", "not JSON"], ["[]", "inputs"], ["null", "inputs"], ['"inputs"', "inputs"]] as const) {
      const request = asBestEffort(text)
      assert("problem" in request)
      assert.include(request.problem, why)
    }
  })
})
