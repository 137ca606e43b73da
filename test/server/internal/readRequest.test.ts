import { assert, describe, it } from "@effect/vitest"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { InvalidRequest } from "../../../src/core/RequestError.js"
import { compiledModel } from "../../../src/server/internal/compiledModel.js"
import { readRequest } from "../../../src/server/internal/readRequest.js"
import { modelOf } from "../../support/fakeServices.js"

const compiled = (name = "digits") => {
  const model = modelOf({ name, batchSymbol: "n", inputs: [["input", "FP32", ["n", 2, 3]]] })
  return compiledModel({ model, layout: makeSlotLayout(model.signature), config: {}, state: "READY" })
}

const binary = (items: number, more: object = {}): Buffer =>
  Buffer.from(JSON.stringify({ ...more, inputs: [{ name: "input", shape: [items, 2, 3], datatype: "FP32", parameters: { binary_data_size: 24 * items } }] }))
const withData = (value: number): Buffer =>
  Buffer.from(JSON.stringify({ inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", data: [1, 2, 3, 4, 5, value] }] }))

describe("readRequest", () => {
  it("answers what was asked before with the same request, and every other with its own", () => {
    const model = compiled()
    const read = (json: Buffer) => readRequest(model, json, true, 1e6, undefined)
    const first = read(binary(1))
    assert.isTrue("inputs" in first && first.items === 1)
    // Another buffer of the same bytes; the first may be overwritten meanwhile.
    const given = binary(1)
    assert.strictEqual(read(given), first)
    given.fill(0)
    assert.strictEqual(read(binary(1)), first)
    const other = read(binary(2))
    assert.isTrue("inputs" in other && other.items === 2)
    assert.deepStrictEqual(read(binary(1)), first)
    const named = [read(binary(1, { id: "a" })), read(binary(1, { id: "b" }))]
    assert.deepStrictEqual(named.map((request) => "inputs" in request && request.id), ["a", "b"])
    assert.notStrictEqual(readRequest(compiled(), binary(1), true, 1e6, undefined), first)
  })

  it("takes dimensions of nothing, but no batch of nothing", () => {
    const model = modelOf({ name: "past", batchSymbol: "n", inputs: [["past", "FP32", ["n", "length", 3]]] })
    const past = compiledModel({ model, layout: makeSlotLayout(model.signature), config: {}, state: "READY" })
    const read = (shape: ReadonlyArray<number>, data: object) =>
      readRequest(past, Buffer.from(JSON.stringify({ inputs: [{ name: "past", shape, datatype: "FP32", ...data }] })), true, 1e6, undefined)
    for (const data of [{ data: [] }, { parameters: { binary_data_size: 0 } }]) {
      const request = read([2, 0, 3], data)
      assert("inputs" in request, String(request))
      assert.deepStrictEqual([request.items, request.bindings, request.inputs[0]!.count], [2, [0], 0])
      assert.instanceOf(read([0, 0, 3], data), InvalidRequest)
    }
  })

  it("reads anew what cannot be kept: numbers in the JSON, what is wrong, binary data that nobody announced", () => {
    const model = compiled()
    const ranges = [7, 1000].map((value) => {
      const request = readRequest(model, withData(value), true, 1e6, undefined)
      return "inputs" in request ? request.inputs[0]!.range!.end : 0
    })
    assert.strictEqual(ranges[1]! - ranges[0]!, 3)
    assert.isUndefined(model.last.request)
    readRequest(model, binary(1), true, 1e6, undefined)
    assert.instanceOf(readRequest(model, binary(1), false, 1e6, undefined), InvalidRequest)
    assert.instanceOf(readRequest(model, Buffer.from("{"), true, 1e6, undefined), InvalidRequest)
  })
})
