import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { TritonConfig } from "../../../src/server/repository/TritonConfig.js"
import { parseConfigJson, parseConfigText } from "../../../src/server/repository/TritonConfig.js"

const good = (text: string): TritonConfig => Either.getOrThrow(parseConfigText("config.pbtxt", text))
const bad = (text: string): string => Either.getOrThrow(Either.flip(parseConfigText("config.pbtxt", text))).message
const goodJson = (text: string): TritonConfig => Either.getOrThrow(parseConfigJson("config", text))
const badJson = (text: string): string => Either.getOrThrow(Either.flip(parseConfigJson("config", text))).message

describe("config.pbtxt", () => {
  it("reads what people write", () => {
    const { fields, notes, settings } = good(`
# A model.
name: "res" 'net'   # two strings are one
platform: "onnxruntime_onnx"
max_batch_size: 0x10;
input [
  { name: "x" data_type: TYPE_FP32, dims: [ 3, -1 , 0xE0 ] },
  < name: "m"; data_type: TYPE_INT64; dims: 4 dims: 5 >
]
input: { name: "z" dims: [] }
output { name: 'a\\x41\\102\\n\\u00e9\\"' }
dynamic_batching { preferred_batch_size: [4, 8] max_queue_delay_microseconds: 100 }
instance_group [ { kind: KIND_CPU count: 2 } ]
parameters { key: "glet.slo_ms" value { string_value: "2.5e1" } }
parameters { key: "glet.class" value: { string_value: "latency-critical" } }
parameters [ { key: "glet.rate_rps" value { string_value: "0" } }, { key: "__proto__" value { string_value: "kept" } } ]
version_policy: { latest { num_versions: 1 } }
`)
    assert.strictEqual(fields.name, "resnet")
    assert.strictEqual(fields.max_batch_size, 16)
    assert.deepEqual(fields.input, [
      { name: "x", data_type: "TYPE_FP32", dims: [3, -1, 224] },
      { name: "m", data_type: "TYPE_INT64", dims: [4, 5] },
      { name: "z", dims: [] }
    ])
    assert.strictEqual(fields.output![0]!.name, "aAB\né\"")
    assert.deepEqual(settings, { sloMs: 25, serviceClass: "latency-critical", rateRps: 0 })
    assert.deepEqual(Object.entries(fields.parameters!).at(-1), ["__proto__", { string_value: "kept" }])
    assert.deepEqual(notes.map((note) => note.split(" ")[0]), [
      "dynamic_batching.preferred_batch_size", "dynamic_batching.max_queue_delay_microseconds", "instance_group", "parameters[\"__proto__\"]"
    ])
  })

  it("an empty text is an empty configuration", () => assert.deepEqual(good("  # nothing\n").fields, {}))

  it.each([
    ["name: \"x\"\n  max_batchsize: 4", "config.pbtxt:2:3: unknown field \"max_batchsize\"; did you mean \"max_batch_size\"?"],
    ["input {\n  name: \"x\"\n  dimz: 4\n}", "config.pbtxt:3:3: input[0]: unknown field \"dimz\"; did you mean \"dims\"?"],
    ["qqqqqqqqqqqq: 1", "config.pbtxt:1:1: unknown field \"qqqqqqqqqqqq\""],
    ["max_batch_size: \"4\"", "config.pbtxt:1:17: max_batch_size: expected a whole number (int32), found \"4\""],
    ["max_batch_size: 1.5", "max_batch_size: expected a whole number (int32), found 1.5"],
    ["max_batch_size: 99999999999", "99999999999 does not fit int32"],
    ["max_batch_size: -1", "config.pbtxt:1:1: max_batch_size: expected 0 to 65536, found -1"],
    ["max_batch_size: 4 max_batch_size: 5", "config.pbtxt:1:19: max_batch_size: is given twice"],
    ["input { data_type: TYPE_FP31 }", "config.pbtxt:1:20: input[0].data_type: unknown value \"TYPE_FP31\"; did you mean TYPE_FP32?"],
    ["name: x", "name: expected a quoted string, found x"],
    ["name \"x\"", "config.pbtxt:1:6: expected \":\" or a block after \"name\", found \"\\\"\""],
    ["name: \"x", "config.pbtxt:1:7: the string does not end on its line"],
    ["name: \"x\\q\"", "config.pbtxt:1:9: \"\\q\" is no escape sequence"],
    ["name: \"\\xff\"", "the string is not UTF-8"],
    ["input {\n name: \"x\"", "config.pbtxt:2:11: expected \"}\" for the block opened at 1:7, found the end of the file"],
    ["input [ { } ", "in the list opened at 1:7, found the end of the file"],
    ["input [ { }, ]", "a value after \",\""],
    ["max_batch_size: 08", "begins like an octal number"],
    ["}", "config.pbtxt:1:1: expected a field name, found \"}\""],
    ["[a.b]: 1", "extensions and Any are not supported"],
    ["platform: \"tensorflow_savedmodel\"", "platform: \"tensorflow_savedmodel\" is not served; ONNX models have \"onnxruntime_onnx\""],
    ["backend: \"python\"", "backend: \"python\" is not served"],
    ["sequence_batching { }", "config.pbtxt:1:1: sequence_batching: is not supported: stateful models are not served"],
    ["model_transaction_policy { decoupled: true }", "decoupled: is not supported: a request has exactly one response"],
    ["default_model_filename: \"../m.onnx\"", "expected the name of an .onnx file"],
    ["version_policy { latest {} all {} }", "expected exactly one of latest, all, specific"],
    ["parameters { key: \"glet.slo\" value { string_value: \"1\" } }", "config.pbtxt:1:12: parameters[\"glet.slo\"]: unknown parameter; did you mean \"glet.slo_ms\"?"],
    ["\nparameters { key: \"glet.slo_ms\" value { string_value: \"soon\" } }", "config.pbtxt:2:12: parameters[\"glet.slo_ms\"]: expected milliseconds above 0"],
    ["parameters { key: \"glet.slo_ms\" }", "expected milliseconds above 0, at most a day as string_value, found \"\""],
    ["parameters { key: \"glet.weight\" value { string_value: \"0\" } }", "expected a number above 0, at most 1000"],
    ["parameters { key: \"glet.class\" value { string_value: \"fast\" } }", "expected latency-critical or best-effort"],
    ["parameters { key: \"a\" value { } } parameters { key: \"a\" value { } }", "key \"a\" is given twice"],
    ["parameters { value { } }", "an entry without key"],
    ["cc_model_filenames { key: \"7.5\" value: \"x\" }", "is not supported"]
  ])("%j says %j", (text, message) => assert.include(bad(text), message))

  it("fields that change nothing by their value are accepted", () => {
    assert.deepEqual(good("input { name: \"x\" optional: false } model_transaction_policy { decoupled: false } response_cache { enable: false }").notes, [])
    assert.deepEqual(good("input { name: \"x\" format: FORMAT_NONE } parameters { key: \"glet.rate_rps\" value { string_value: \"1\" } }").notes, [])
    assert.deepEqual(good("input { name: \"x\" format: FORMAT_NCHW }").notes, ["input[0].format has no effect here: clients are told, and tensors taken in the order that the file has"])
    assert.deepEqual(good("parameters { key: \"intra_op_thread_count\" value { string_value: \"2\" } }").notes, [
      "parameters[\"intra_op_thread_count\"] has no effect here: only those that begin with \"glet.\" are settings of this server"
    ])
    assert.deepEqual(good("response_cache { enable: true }").notes, ["response_cache.enable has no effect here: responses are not cached"])
  })

  it("large and hostile texts end soon", () => {
    assert.include(bad(`max_batch_size: ${"1".repeat(500_000)}x`), "expected")
    assert.include(bad(`name: "${"\\n".repeat(200_000)}`), "does not end")
    assert.include(bad("#".repeat(500_000) + "\nx"), "config.pbtxt:2:2: expected \":\"")
    assert.include(bad("{".repeat(100_000)), "expected a field name")
    assert.include(bad("a { ".repeat(100_000)), "nested deeper than 64")
    assert.strictEqual(good(`input [${"{},".repeat(20_000)}{}]`).fields.input!.length, 20_001)
  })

  it("whatever text comes, there is an answer or a position", () => {
    const words = fc.constantFrom("name", "input", "dims", ":", "{", "}", "[", "]", "<", ">", ",", ";", "\"a\"", "'", "1", "-1", "TYPE_FP32", "#c\n", " ", "\\", "true", "parameters", "key", "value")
    fc.assert(fc.property(fc.oneof(fc.array(words, { maxLength: 30 }).map((parts) => parts.join(" ")), fc.string({ unit: "binary", maxLength: 60 })), (text) => {
      const result = parseConfigText("config.pbtxt", text)
      if (Either.isLeft(result)) assert.isAtLeast(result.left.line!, 1)
    }), { numRuns: 1000, seed: 2 })
  })
})

describe("the JSON of a load request", () => {
  it("says the same as the text", () => {
    const { fields, settings } = goodJson(JSON.stringify({
      name: "m",
      max_batch_size: 8,
      input: [{ name: "x", data_type: "TYPE_FP32", dims: ["-1", 3] }],
      parameters: { "glet.slo_ms": { string_value: "40" }, "other": { string_value: "kept" } },
      dynamic_batching: {}
    }))
    assert.deepEqual(fields.input, [{ name: "x", data_type: "TYPE_FP32", dims: [-1, 3] }])
    assert.deepEqual(settings, { sloMs: 40 })
    assert.deepEqual(fields.dynamic_batching, {})
    assert.deepEqual(fields.parameters!["other"], { string_value: "kept" })
  })

  it.each([
    ["", "config:1:1: expected a JSON value, found the end of the file"],
    ["{\"max_batch_size\": 4,}", "config:1:22: expected a key in double quotes, found \"}\""],
    ["{\n \"maxBatchSize\": 4}", "config:2:2: unknown field \"maxBatchSize\"; did you mean \"max_batch_size\"?"],
    ["{\"max_batch_size\": \"4\"}", "expected a whole number (int32), found \"4\""],
    ["[]", "expected a block of fields"],
    ["{\"name\": null}", "name: expected a quoted string, found null"],
    ["{\"name\": \"a\", \"name\": \"b\"}", "config:1:15: key \"name\" is given twice"],
    ["{} x", "expected the end of the file"],
    ["{\"name\": \"a\u0001\"}", "the string does not end, or has"]
  ])("%j says %j", (text, message) => assert.include(badJson(text), message))

  it("bounds nesting", () => assert.include(badJson("[".repeat(100_000)), "nested deeper than 64"))

  it("parses as JSON.parse does", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 3 }), (text) => {
      const result = parseConfigJson("config", text)
      if (Either.isLeft(result)) assert.notInclude(result.left.message, "JSON value")
    }), { numRuns: 300, seed: 3 })
  })
})
