import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { unsafeModelName } from "../../../src/core/Ids.js"
import { parseCase, parseCases } from "../../../src/scheduler/original/Cases.js"
import { parseDeviceConfig, parseMemConfig, parseProxyConfig, parseSchedConfig } from "../../../src/scheduler/original/Configs.js"
import { FormatError, parsing } from "../../../src/scheduler/original/FormatError.js"
import type { JsonNode } from "../../../src/scheduler/original/internal/json.js"
import { parseJson } from "../../../src/scheduler/original/internal/json.js"
import { parseModelList, writeModelList } from "../../../src/scheduler/original/ModelList.js"
import { loadResource } from "../../../src/scheduler/original/Resource.js"
import { parseInterference, parseLatencyTable, parseOverhead, parseUtilization } from "../../../src/scheduler/original/Tables.js"
import { parseTasks } from "../../../src/scheduler/original/Tasks.js"
import { complaint, files, read, resource } from "./sources.js"

const table = (parse: Parameters<typeof complaint>[0], rows: ReadonlyArray<readonly [text: string, says: RegExp]>): void => {
  for (const [text, says] of rows) assert.match(complaint(parse, text), says)
}

describe("tasks", () => {
  it("reads the original's lines", () => {
    assert.deepEqual(read(parseTasks, "2\n0,50,5,\n13,7,22,\n"), [
      { model: unsafeModelName("lenet1"), rateRps: 50, sloMs: 5 }, { model: unsafeModelName("bert"), rateRps: 7, sloMs: 22 }
    ])
  })
  it("reads names, fractions, a header with or without a count, CR LF, a byte-order mark", () => {
    const expected = [{ model: unsafeModelName("bert"), rateRps: 0.5, sloMs: 22.5 }]
    for (const text of ["id,rate,SLO\nbert,0.5,22.5", "1\r\nid,rate,SLO\r\nbert,0.5,22.5\r\n", "\ufeffmodel,rate,SLO,\n\n1\nbert, 0.5 ,22.5,\n"]) {
      assert.deepEqual(read(parseTasks, text), expected)
    }
  })
  it("names file, line and column of what is wrong", () => {
    table(parseTasks, [
      ["", /^f:1:1: there are no tasks/],
      ["0,50,5,\n", /^f:1:1: the number of tasks is missing/],
      ["2\n0,50,5,\n", /^f:2:8: 1 tasks, the first line says 2/],
      ["1\n0,50,5,\n1,50,5\n", /^f:3:1: 2 tasks, the first line says 1/],
      ["x\n0,50,5\n", /^f:1:1: the number of tasks is "x"/],
      ["1\n14,50,5\n", /^f:2:1: there is no model "14"; give a number from 0 to 13/],
      ["1\n-1,50,5\n", /^f:2:1: there is no model "-1"/],
      ["1\n__proto__,50,5\n", /^f:2:1: "__proto__" is no known model; known models are lenet1/],
      ["1\n 0, -3,5\n", /^f:2:5: the rate in requests per second is "-3"; give a number from 0/],
      ["1\n0,NaN,5\n", /^f:2:3: .*"NaN"/],
      ["1\n0,1e999,5\n", /^f:2:3: .*"1e999"/],
      ["1\n0,50,0\n", /^f:2:6: the SLO in ms is "0"; give a number above 0/],
      ["1\n0,50\n", /^f:2:5: the SLO in ms is missing; give it as value 3/],
      ["1\n0,50,5,7\n", /^f:2:8: "7" after the SLO/],
      ["2\n0,50,5\nlenet1,2,5\n", /^f:3:1: "lenet1" stands in line 2 already/]
    ])
  })
})

describe("JSON with places", () => {
  const plain = ({ value }: JsonNode): unknown =>
    value instanceof Map
      ? Object.fromEntries([...value].map(([key, node]) => [key, plain(node as JsonNode)]))
      : Array.isArray(value) ? value.map((node) => plain(node as JsonNode)) : value
  const parse = (text: string) => parsing(() => parseJson({ file: "f", text }))

  it("agrees with JSON.parse on every document", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(0, 2), (text, indent) => {
      const expected: unknown = JSON.parse(text)
      // -0 and the key __proto__ are read differently into plain objects.
      if (text.includes("__proto__") || text.includes("-0")) return
      assert.deepEqual(plain(Either.getOrThrow(parse(JSON.stringify(expected, null, indent)))), expected)
    }))
  })
  it("accepts nothing that JSON.parse does not, and fails by a FormatError only", () => {
    const piece = fc.constantFrom("{", "}", "[", "]", ",", ":", "\"", "\\", "1", "-", ".", "e", "true", "nul", "\"a\"", " ", "\n", "\\u12", "\u0001")
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")), (text) => {
      const parsed = parse(text)
      if (Either.isLeft(parsed)) assert.instanceOf(parsed.left, FormatError)
      else assert.deepEqual(plain(parsed.right), JSON.parse(text))
    }), { numRuns: 2000 })
  })
  it("says where it stops", () => {
    for (const [text, says] of [
      ["{\n  \"a\": 1,\n  b: 2\n}", /^f:3:3: "b" begins no text/], ["[1 2]", /^f:1:4: "2" after a value/], ["[\n1,", /^f:2:3: the end of the file is no JSON value/],
      ["{\"a\":1,\n\"a\":2}", /^f:2:1: "a" stands twice/], ["1\n\n x", /^f:3:2: "x" after the end/], ["[".repeat(1e5), /^f:1:66: values nest deeper than 64/],
      ["\"\\x\"", /^f:1:1: .* escape/]
    ] as const) {
      const parsed = parse(text)
      assert.match(Either.isLeft(parsed) ? parsed.left.message : "accepted", says)
    }
  })
  it("reads a long document in linear time", () => {
    const text = `[${Array.from({ length: 50_000 }, (_, i) => `\n"${"x".repeat(40)}${i}"`).join(",")}]`
    assert.strictEqual((Either.getOrThrow(parse(text)).value as ReadonlyArray<JsonNode>)[49_999]!.line, 50_001)
  })
})

describe("configurations", () => {
  it("reads a scheduler configuration as the original's planner does", () => {
    const text = JSON.stringify({ GPUs: [{ Type: "small", Num: 2 }], "Max Model": 3, Part: 1, "Latency Ratio": 1.1, Interference: true, Avail_Parts: [30, 70], "SLO Ratio": "x" })
    assert.deepEqual(read(parseSchedConfig, text), {
      gpus: [{ type: "small", count: 2 }], maxModels: 3, partition: true, latencyRatio: 1.1, interference: true, selfTuning: false, sharesPct: [20, 40, 50, 60, 80, 100]
    })
    assert.deepEqual(read((source) => parseSchedConfig(source, { ownShares: true }), text).sharesPct, [30, 70, 100])
    const whole = read(parseSchedConfig, "{\"Max Model\":1,\"Part\":false,\"Latency Ratio\":1,\"Interference\":1,\"Self Tuning\":1}")
    assert.deepEqual([whole.sharesPct, whole.interference, whole.gpus], [[100], false, []])
  })
  it("says what is wrong in one", () => {
    table(parseSchedConfig, [
      ["[]", /^f:1:1: the scheduler configuration is no object/],
      ["{}", /^f:1:1: the scheduler configuration has no "Part"/],
      ["{\"Part\": 2}", /^f:1:10: "Part" is neither true nor false/],
      ["{\"Part\":1,\n\"Max Model\":0}", /^f:2:13: "Max Model" is "0"; give an integer from 1/],
      ["{\"Part\":1,\"Max Model\":1,\n\"Latency Ratio\": 0.9}", /^f:2:18: "Latency Ratio" is "0.9"/],
      ["{\"Part\":1,\"GPUs\":[{\"Type\":\"a\",\"Num\":1},{\"Type\":\"a\",\"Num\":1}]}", /"a" stands twice/],
      ["{\"Part\":1,\"GPUs\":[{\"Type\":\"a\",\"Num\":1.5}]}", /"Num" is "1.5"; give an integer/]
    ])
  })
  it("reads devices, memory and proxies, and says what is wrong in them", () => {
    assert.strictEqual(read(parseDeviceConfig, files.get("device-config.json")!)[0]!.memoryBytes, 11000e6)
    assert.strictEqual(new Map<string, number>(read(parseMemConfig, files.get("mem-config.json")!)).get("lenet2"), 150e6)
    assert.strictEqual(new Map<string, { readonly inputType: string }>(read(parseProxyConfig, files.get("proxy_config.json")!)).get("bert")?.inputType, "INT64")
    table(parseDeviceConfig, [["{\"device_specs\":[{}]}", /a device has no "type"/], ["{\"device_specs\":1}", /is no list/]])
    table(parseMemConfig, [
      ["{\"models\":[\n{\"name\":\"resnet\",\"mem\":1}]}", /^f:2:9: "resnet" is no known model/],
      ["{\"models\":[{\"name\":\"bert\",\"mem\":-1}]}", /"mem" in MB is "-1"/],
      ["{\"models\":[{\"name\":\"bert\",\"mem\":1},{\"name\":\"bert\",\"mem\":1}]}", /"bert" stands twice/]
    ])
    table(parseProxyConfig, [["{\"Models\":[{\"name\":\"bert\",\"proxy_id\":1,\"input_dim\":[1],\"output_dim\":[1],\"input_type\":\"FP16\",\"output_type\":\"FP32\"}]}", /"FP16" is no known type/]])
  })
})

describe("tables", () => {
  it("reads them", () => {
    const latency = read(parseLatencyTable, "lenet3,20,1,0.5\nlenet3,20,32,2.5,ignored\n")
    assert.strictEqual(latency.get("lenet1")?.get(20)?.get(32), 2.5)
    assert.strictEqual(read(parseInterference, files.get("small/CONST.CSV")!).constant, 0.9)
    assert.strictEqual(read(parseOverhead, Array.from({ length: 32 }, (_, i) => `${i + 1},0.5`).join(",")).get(32), 0.5)
    assert.deepEqual(read(parseUtilization, files.get("small/UTIL.CSV")!).get("ssd")?.get(4), { l2: 0.15, dram: 0.25 })
  })
  it("says what is wrong in them", () => {
    table(parseLatencyTable, [
      ["", /there are no measurements/], ["bert,20,1,0.5\n", /^f:1:1: bert at 20 % has no batch 32/], ["bert,0,1,1\n", /^f:1:6: the part in percent is "0"/],
      ["bert,20,33,1", /^f:1:9: the batch is "33"/], ["bert,20,1,0", /the latency in ms is "0"/], ["bert,20,1,x", /"x"/],
      ["bert,20,1,1\nbert,20,1,2", /^f:2:1: .*stands twice/], ["model,part,batch,ms", /"model" is no known model/]
    ])
    table(parseUtilization, [
      ["bert,1,1,1,1,1\n", /^f:1:1: the header is missing/], ["", /the header is missing/], ["h,h,h\nbert,1,1,1,101,1", /^f:2:12: .*"101"/],
      ["h,h,h\nbert,1,1,1,10,1", /^f:2:1: "bert" has no batch 2/], ["h,h\nbort,1,1,1,10,1", /"bort" is no known model/]
    ])
    table(parseInterference, [["h\n", /the coefficients are missing/], ["h\n1,2,3,4", /the coefficient of nothing is missing/], ["h\n1,2,3,4,5\n1,2,3,4,5", /^f:3:1: there is a second row/]])
    table(parseOverhead, [["1,0.2,\n1,0.3,\n", /^f:2:1: batch 1 stands twice/], ["1,0.2,\n", /batch 2 is missing/], ["1,", /the time in ms is missing/]])
  })
  it("loads a folder, and passes on what cannot be read", () => {
    assert.deepEqual(resource().partsByType.get("small"), [20, 40, 50, 60, 80, 100])
    const broken = loadResource((file) => file.endsWith("UTIL.CSV") ? Either.left("gone") : Either.right(files.get(file)!))
    assert.isTrue(Either.isLeft(broken) && broken.left === "gone")
  })
})

describe("model lists", () => {
  const text = "0,50,0,vgg16,4,120.000000\n0,50,1,bert,2,9.500000\n0,50,1,lenet1,1,9.500000\n1,100,0,reserved,32,0.000000\n"
  it("reads what the original writes", () => {
    assert.deepEqual(read(parseModelList, text), [
      { gpu: 0, sharePct: 50, dutyMs: 120, works: [{ model: unsafeModelName("vgg16"), batch: 4 }] },
      { gpu: 0, sharePct: 50, dutyMs: 9.5, works: [{ model: unsafeModelName("bert"), batch: 2 }, { model: unsafeModelName("lenet1"), batch: 1 }] },
      { gpu: 1, sharePct: 100, dutyMs: 0, works: [] }
    ])
    assert.deepEqual(read(parseModelList, "EMPTY\n"), [])
    assert.strictEqual(writeModelList(undefined), "EMPTY\n")
  })
  it("says what is wrong in one", () => {
    table(parseModelList, [
      ["", /there are no parts/], ["0,60,0,bert,1,5\n0,50,0,bert,1,5", /^f:2:3: the parts of GPU 0 sum to 110 %/], ["0,50,0,bert,1,0", /the duty cycle in ms is "0"/],
      ["0,50,0,bert,1,5\n0,50,0,vgg16,1,6", /^f:2:16: the duty cycle is 6 ms, that of the same part above 5 ms/], ["0,50,0,nobody,1,5", /^f:1:8: "nobody" is no known model/],
      ["0,50,0,bert,1,5\n0,50,0,bert,1,5", /"bert" stands twice/], ["0,50,0,bert,1,5\n0,50,0,reserved,32,0", /both reserved and in use/]
    ])
  })
})

describe("cases", () => {
  const line = (set: string, changes: object = {}): string =>
    JSON.stringify({ set_id: set, gpus: [{ type: "small", num: 3 }], mem_mb: null, tasks: [{ model: "bert", slo_ms: 22, rate_sched: 68, rate: 50 }], ...changes })
  it("reads one problem per set", () => {
    const cases = read(parseCases, `${line("a")}\n\n${line("b", { mem_mb: 8000 })}\n${line("a")}\n`)
    assert.deepEqual(cases.map(({ memoryBytes, setId }) => [setId, memoryBytes]), [["a", undefined], ["b", 8000e6]])
    assert.deepEqual(cases[0]!.tasks, [{ model: unsafeModelName("bert"), sloMs: 22, rateRps: 68 }])
  })
  it("names the line of the file", () => {
    table(parseCases, [
      ["\n", /there are no cases/], [`${line("a")}\n{"set_id"`, /^f:2:10: /], [`${line("a")}\n\n${line("b", { tasks: [{ model: "x" }] })}`, /^f:3:\d+: "x" is no known model/],
      [line("a", { gpus: [] }), /there are no GPUs/], [line("a", { tasks: [] }), /there are no tasks/], [line("a", { set_id: 3 }), /"set_id" is no text/]
    ])
    table(parseCase, [[line("a", { tasks: [{ model: "bert", slo_ms: 1, rate_sched: -1 }] }), /"rate_sched" is "-1"/]])
  })
})
