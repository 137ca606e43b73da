/** `glet serve --executor webgpu` and `glet doctor` as a user runs them, on a software driver and without one. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import type { Glet } from "../cli/support/glet.js"
import { buildGlet } from "../cli/support/glet.js"
import { denseModel } from "../support/onnx.js"
import { packageRoot } from "./support/deno.js"
import { softwareVulkan } from "./support/vulkan.js"

/** No driver is found with this. */
const noVulkan = { VK_ICD_FILENAMES: "/nonexistent.json", VK_DRIVER_FILES: "/nonexistent.json" }

describe("glet on WebGPU", () => {
  let glet: Glet
  let models: string
  const width = 16
  const values = Array.from({ length: width }, (_, i) => (i % 5) - 2)
  let name: string
  let expected: ReadonlyArray<number>
  beforeAll(async () => {
    glet = await buildGlet()
    await build({
      entryPoints: [path.join(packageRoot, "src/webgpu/webgpu-node-worker.ts")], outfile: path.join(glet.folder, "bin/webgpu-node-worker.js"),
      bundle: true, format: "esm", platform: "node", target: "node20", external: ["onnxruntime-web"], logLevel: "error"
    })
    models = path.join(glet.folder, "models")
    fs.mkdirSync(models)
    // Small: a software driver compiles shaders for seconds, in every glet anew.
    const file = path.join(models, "dense.onnx")
    fs.writeFileSync(file, denseModel(2, width))
    fs.writeFileSync(path.join(models, "glet.json"), JSON.stringify({ apiVersion: "glet/v1alpha1", models: { dense: { sloMs: 20_000, maxBatch: 1 } } }))
    const ort = createRequire(import.meta.url)("onnxruntime-node") as typeof import("onnxruntime-node")
    const session = await ort.InferenceSession.create(file)
    name = session.inputNames[0]!
    const results = await session.run({ [name]: new ort.Tensor("float32", Float32Array.from(values), [1, width]) })
    expected = [...results[session.outputNames[0]!]!.data as Float32Array]
  }, 180_000)
  afterAll(() => glet.close())

  /** Serves, infers once, ends; what it logged. */
  const serveAndInfer = async (env: NodeJS.ProcessEnv): Promise<string> => {
    const running = glet.start(["serve", "--models", models, "--executor", "webgpu", "--port", "0", "--profile-budget", "10", "--json"], { env })
    const { modelsReady, url } = JSON.parse(await running.line((line) => line.startsWith("{"))) as { modelsReady: number; url: string }
    assert.strictEqual(modelsReady, 1)
    const response = await fetch(`${url}/v2/models/dense/infer`, {
      method: "POST",
      body: JSON.stringify({ inputs: [{ name, datatype: "FP32", shape: [1, width], data: values }] })
    })
    const { outputs } = await response.json() as { outputs: Array<{ data: Array<number> }> }
    assert.strictEqual(outputs[0]!.data.length, expected.length)
    outputs[0]!.data.forEach((value, i) => assert.closeTo(value, expected[i]!, 1e-4))
    running.process.kill("SIGTERM")
    const { code, stderr } = await running.ended
    assert.strictEqual(code, 0, stderr)
    return stderr
  }

  it("serves in WebAssembly where there is no adapter, and says why", async () => {
    const log = await serveAndInfer(noVulkan)
    assert.match(log, /WARN .*WebAssembly with 1 thread, because /)
    assert.match(log, /onnxruntime-node's WebGPU does not work: .*adapter/)
  }, 120_000)

  it("doctor says which adapters there are and why none is taken", async () => {
    const { stdout } = await glet.run(["doctor", "--json"], { env: noVulkan })
    const { checks } = JSON.parse(stdout) as { checks: ReadonlyArray<{ name: string; state: string; found: string; mend?: string }> }
    const webgpu = checks.find(({ name }) => name === "WebGPU")
    assert(webgpu !== undefined)
    assert.strictEqual(webgpu.state, "limited")
    assert.match(webgpu.found, /no adapter/)
    assert.match(webgpu.mend!, /driver/)
  })

  const driver = softwareVulkan()
  it.skipIf(driver === undefined)("serves through onnxruntime-node's provider on a software driver, and doctor names it (SKIPPED without Chromium's driver)", async () => {
    const { stdout } = await glet.run(["doctor", "--json"], { env: driver! })
    assert.match(stdout, /onnxruntime-node computes on SwiftShader[^"]*, a software driver/)
    assert.match(await serveAndInfer(driver!), /onnxruntime-node's WebGPU on SwiftShader[^\n]*\(software\)/)
  }, 120_000)
})
