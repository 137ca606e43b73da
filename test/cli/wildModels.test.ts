/** Folders with models that tests elsewhere do not have: what the commands say of them. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as onnx from "../support/onnx.js"
import type { Glet } from "./support/glet.js"
import { buildGlet } from "./support/glet.js"

let glet: Glet
let models: string
beforeAll(async () => {
  glet = await buildGlet()
  models = path.join(glet.folder, "models")
  fs.mkdirSync(models)
  const put = (name: string, bytes: Uint8Array) => fs.writeFileSync(path.join(models, name), bytes)
  put("good.onnx", onnx.identityModel())
  put("magic.onnx", onnx.makeModel({
    inputs: [{ name: "x", shape: ["batch", 4] }], outputs: [{ name: "y", shape: ["batch", 4] }],
    nodes: [{ op: "Magic", inputs: ["x"], outputs: ["y"], domain: "acme" }]
  }))
  put("steps.onnx", onnx.makeModel({
    inputs: [{ name: "x", shape: ["steps", 4] }], outputs: [{ name: "y", shape: ["steps", 4] }],
    nodes: [{ op: "Softmax", inputs: ["x"], outputs: ["y"], attributes: { axis: { i: 0 } } }]
  }))
}, 180_000)
afterAll(() => glet.close())

describe("glet, over models of the wild", () => {
  it("profile leaves out what cannot run, with the reason, and measures the rest; steps of one sequence one at a time", async () => {
    const ended = await glet.run(["profile", "--models", models, "--budget", "20", "--cores", "1", "--profiles", path.join(glet.folder, "profiles"), "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.match(ended.stderr, /magic is left out: .*magic\.onnx: .*acme/)
    assert.match(ended.stderr, /steps takes one request at a time/)
    const { models: profiles } = JSON.parse(ended.stdout) as { readonly models: ReadonlyArray<{ readonly model: string; readonly maxBatch: number }> }
    assert.deepStrictEqual(profiles.map(({ maxBatch, model }) => [model, maxBatch]), [["good", 32], ["steps", 1]])

    const plan = ["plan", "--models", models, "--cores", "1", "--profiles", path.join(glet.folder, "profiles"), "--json"]
    const refused = await glet.run(plan)
    assert.strictEqual(refused.code, 3)
    assert.match(refused.stderr, /model "magic" has no profile for cpu; .* --degrade/)
    const planned = await glet.run([...plan, "--degrade"])
    assert.strictEqual(planned.code, 0, planned.stderr)
    assert.match(planned.stderr, /model "magic" has no profile for cpu and is left out/)
    for (const name of ["good", "steps"]) assert.include(planned.stdout, `"${name}"`)
    assert.notInclude(planned.stdout, "magic")
  }, 60_000)

  it("run takes inputs that the model takes, and says in one line why another cannot run", async () => {
    const file = path.join(models, "positions.onnx.kept")
    fs.writeFileSync(file, onnx.makeModel({
      inputs: [{ name: "x", shape: ["batch", "sequence", 2] }], outputs: [{ name: "y", shape: ["batch", "sequence", 2] }],
      nodes: [onnx.add(["x", "table"], "y")], initializers: [onnx.floats("table", [1, 8, 2], new Float32Array(16))]
    }))
    const ran = await glet.run(["run", file, "--n", "3", "--cores", "1", "--json"])
    assert.strictEqual(ran.code, 0, ran.stderr)
    const broken = await glet.run(["run", path.join(models, "magic.onnx"), "--n", "3", "--cores", "1"])
    assert.notStrictEqual(broken.code, 0)
    assert.match(broken.stderr, /magic.*acme/)
  }, 60_000)
})
