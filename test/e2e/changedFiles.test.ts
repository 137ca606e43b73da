/** Files that are written over without a load: one version answers as one model, whatever dies or is planned meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { call } from "../support/http.js"
import { add, floats, identityModel, makeModel } from "../support/onnx.js"
import { tempFolder, writeFiles } from "./support/folder.js"
import { cpuStack, eventually } from "./support/stack.js"

const width = 4
/** `y = x + value`: always of the same size. */
const adding = (value: number): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", shape: ["batch", width] }], outputs: [{ name: "y", shape: ["batch", width] }], nodes: [add(["x", "value"], "y")],
    initializers: [floats("value", [width], new Float32Array(width).fill(value))]
  })

describe("a model's file that is written over without a load", () => {
  it.scopedLive("is served by no glet as what it was: after a death it is loaded as what it is, as if that was asked for", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "m.onnx": adding(1), "other.onnx": identityModel(width) })
      const { logs, metrics, port, status } = yield* cpuStack({
        directory, cores: 2, scheduler: { plan: { ...defaultPlanOptions, whenShort: "degrade" } }, models: { m: { sloMs: 20_000, rateRps: 20 }, other: { sloMs: 20_000, rateRps: 20 } }
      })
      const ask = Effect.promise(async () => {
        const body = JSON.stringify({ inputs: [{ name: "x", shape: [1, width], datatype: "FP32", data: [0, 0, 0, 0] }] })
        const answer = await call(port, { path: "/v2/models/m/infer", body })
        const reason = answer.headers["x-glet-unavailable-reason"]
        const outputs = (answer.json as { readonly outputs?: ReadonlyArray<{ readonly data: ReadonlyArray<number> }> }).outputs
        return { status: answer.status, reason, numbers: String(outputs?.[0]?.data) }
      })
      const load = Effect.promise(async () => (await call(port, { path: "/v2/repository/models/m/load", body: "{}" })).status)
      const index = Effect.promise(async () => {
        const answer = await call(port, { path: "/v2/repository/index", body: "{}" })
        return (JSON.parse(answer.body.toString()) as ReadonlyArray<{ readonly name: string; readonly state: string; readonly reason: string }>).find(({ name }) => name === "m")!
      })
      const ones = "1,1,1,1"
      const twos = "2,2,2,2"
      assert.strictEqual((yield* ask).numbers, ones)
      const fd = fs.openSync(path.join(directory, "m.onnx"), "r+")
      fs.writeSync(fd, adding(2))
      fs.closeSync(fd)
      assert.strictEqual((yield* ask).numbers, ones, "nothing was loaded")
      const [glet] = (yield* status).glets
      process.kill(glet!.pid!, "SIGKILL")
      const seen: Array<string> = []
      yield* eventually("what is there now serves", Effect.tap(ask, ({ numbers }) => Effect.sync(() => seen.push(numbers))), ({ numbers }) => numbers === twos)
      // From the death on nobody has what was loaded. The first may have been answered before it.
      assert.notInclude(seen.slice(seen.findIndex((numbers) => numbers !== ones)), ones)
      assert.isTrue(logs.some((line) => /m\.onnx was written at .*: what is there now is loaded in its place/.test(line)), logs.join("\n"))
      assert.isAtLeast((yield* metrics).get("glet_load_failures_total{model=\"m\",version=\"1\",reason=\"changed\"}") ?? 0, 1)
      yield* eventually("it is ready", index, ({ reason, state }) => state === "READY" && reason === "")

      // What is no good is not loaded, and says so; what it was is gone with its glets.
      writeFiles(directory, { "m.onnx": "torn" })
      assert.strictEqual((yield* ask).numbers, twos)
      process.kill((yield* status).glets[0]!.pid!, "SIGKILL")
      yield* eventually("it says why it is not served", index, ({ reason, state }) => state === "UNAVAILABLE" && /changed.*m\.onnx has 4 bytes/s.test(reason) && /m\.onnx at byte/.test(reason))
      const refused = yield* ask
      assert.deepStrictEqual(refused, { status: 503, reason: "model-not-ready", numbers: "undefined" })
      // The other one is served all the while.
      const other = yield* Effect.promise(() => call(port, { path: "/v2/models/other/ready" }))
      assert.strictEqual(other.status, 200)
      writeFiles(directory, { "m.onnx": adding(3) })
      assert.strictEqual(yield* load, 200)
      assert.strictEqual((yield* ask).numbers, "3,3,3,3")
    }), 120_000)
})
