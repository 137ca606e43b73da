/** Triton's own HTTP client (`tritonclient.http`) and Prometheus' parser against a whole server: what people bring who come from there. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { elemType, identity, identityModel, makeModel, reduceMean, relu, twoInputModel } from "../support/onnx.js"
import { tempFolder } from "./support/folder.js"
import { cpuStack } from "./support/stack.js"

const packages = fileURLToPath(new URL("../../.test-packages/python", import.meta.url))
const script = fileURLToPath(new URL("support/triton_client.py", import.meta.url))
const isThere = process.platform === "linux" && fs.existsSync(`${packages}/tritonclient`)
if (!isThere) console.warn("Triton's client is not tested: it is not there, or this is not Linux (scripts/install-test-packages installs it)")

const { bool, bfloat16, double, float, float16, int16, int32, int64, int8, uint16, uint32, uint64, uint8 } = elemType
const types = Object.entries({
  BOOL: bool, FP16: float16, BF16: bfloat16, FP32: float, FP64: double, INT8: int8, INT16: int16, INT32: int32, INT64: int64,
  UINT8: uint8, UINT16: uint16, UINT32: uint32, UINT64: uint64
})
const value = (name: string, type: number) => ({ name, type, shape: ["batch", 3] })
const allTypes = makeModel({
  inputs: types.map(([name, type]) => value(`x_${name}`, type)),
  outputs: types.map(([name, type]) => value(`y_${name}`, type)),
  nodes: types.map(([name]) => identity(`x_${name}`, `y_${name}`))
})
const anyWidth = makeModel({ inputs: [{ name: "x", shape: ["batch", "width"] }], outputs: [{ name: "y", shape: ["batch", "width"] }], nodes: [identity("x", "y")] })

const files = {
  "types.onnx": allTypes,
  "plain.onnx": anyWidth,
  "pair.onnx": twoInputModel(),
  "scores/1/model.onnx": identityModel(),
  "scores/labels.txt": "zero\none\ntwo\n",
  "scores/config.pbtxt": `name: "scores"
platform: "onnxruntime_onnx"
max_batch_size: 8
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
instance_group [ { kind: KIND_CPU count: 2 } ]
dynamic_batching { }`,
  "densenet/1/model.onnx": makeModel({
    inputs: [{ name: "data_0", shape: [1, 3, 4, 4] }],
    outputs: [{ name: "features", shape: [1, 3, 4, 4] }, { name: "fc6_1", shape: [1, 3, 1, 1] }],
    nodes: [relu("data_0", "features"), reduceMean("data_0", "fc6_1", { axes: { ints: [2, 3] } })]
  }),
  "densenet/densenet_labels.txt": "zero\none\ntwo\n",
  "densenet/config.pbtxt": `name: "densenet"
platform: "onnxruntime_onnx"
max_batch_size : 0
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 4, 4 ]
    reshape { shape: [ 1, 3, 4, 4 ] }
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 3 ]
    reshape { shape: [ 1, 3, 1, 1 ] }
    label_filename: "densenet_labels.txt"
  }
]`
}

/** What the script prints; it says itself what failed. */
const run = (port: number) =>
  Effect.async<string>((resume) => {
    const child = execFile("python3", ["-B", script, `127.0.0.1:${port}`], { env: { ...process.env, PYTHONPATH: packages }, timeout: 60_000 }, (error, stdout, stderr) =>
      resume(Effect.succeed(error === null || stdout.includes("FAILED") ? stdout : `${stdout}${stderr}${error.message}`)))
    return Effect.sync(() => void child.kill())
  })

describe.skipIf(!isThere)("Triton's client (SKIPPED where it is not installed)", () => {
  it.scopedLive("gets from this server what it gets from Triton's, or is told what it does not", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder(files)
      const patient = { sloMs: 20_000, rateRps: 5 }
      const models = { types: patient, plain: patient, pair: patient, scores: patient, densenet: patient }
      const { port } = yield* cpuStack({ directory, cores: 1, models, profileBudgetMs: 50, config: { sharedMemory: true } })
      const lines = (yield* run(port)).trim().split("\n")
      assert.deepStrictEqual(lines.filter((line) => !line.startsWith("ok ")), [])
      assert.strictEqual(lines.length, 12)
    }))
})
