/** The server in Deno: the documented command's permissions, the protocol, a drain. Built from source; models run in WebAssembly, for speed. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { lenetDigits } from "../contract/lenet.js"
import { denoPath, packageRoot } from "./support/deno.js"
import { skipped } from "./support/report.js"
import { builtFolder, buildWorker, removeBuilt } from "./support/workers.js"

/** Built into Deno as well. A package of Node's, a listener or a process of Node's would be another name. */
const allowedImports = ["node:buffer", "node:crypto", "node:fs", "node:fs/promises", "node:path", "node:stream", "node:stream/promises", "node:zlib", "highs"]

const buildServer = async (): Promise<{ readonly file: string; readonly imports: ReadonlyArray<string> }> => {
  const file = path.join(builtFolder, "deno.js")
  const { metafile } = await build({
    entryPoints: [path.join(packageRoot, "src/deno/main.ts")], outfile: file, bundle: true, format: "esm", platform: "node", target: "es2022",
    external: ["onnxruntime-web", "highs"], logLevel: "error", metafile: true
  })
  const [output] = Object.values(metafile.outputs)
  return { file, imports: [...new Set(output!.imports.map(({ path: name }) => name))].sort() }
}

const deno = denoPath()
if (deno === undefined) {
  skipped("the server in Deno", "no deno")
} else {
  describe("the server in Deno", () => {
    const models = path.join(builtFolder, "models")
    let server: ChildProcess
    let words = ""
    let url = ""
    let imports: ReadonlyArray<string> = []

    beforeAll(async () => {
      await buildWorker("webgpu-worker")
      const built = await buildServer()
      imports = built.imports
      fs.mkdirSync(models, { recursive: true })
      fs.copyFileSync(path.join(packageRoot, "resource/demo/lenet-digits.onnx"), path.join(models, "lenet-digits.onnx"))
      // Generous: what a slow machine answers is right as well.
      fs.writeFileSync(path.join(models, "glet.json"), JSON.stringify({ apiVersion: "glet/v1alpha1", models: { "lenet-digits": { sloMs: 10_000 } } }))
      const reads = [models, builtFolder, path.join(packageRoot, "node_modules/onnxruntime-web")]
      server = spawn(deno, [
        "run", "--no-prompt", "--no-config", "--node-modules-dir=manual", "--unstable-no-legacy-abort", "--allow-net=127.0.0.1", `--allow-read=${reads}`,
        built.file, "--models", models, "--port", "0", "--provider", "wasm", "--profile-budget", "2000"
      ], { stdio: ["ignore", "inherit", "pipe"], env: { ...process.env, XDG_RUNTIME_DIR: "/tmp", DENO_NO_UPDATE_CHECK: "1" } })
      url = await new Promise<string>((resolve, reject) => {
        server.stderr!.on("data", (text) => {
          words += String(text)
          const found = /glet serving 1 of 1 models? on (http:\S+)/.exec(words)
          if (found !== null) resolve(found[1]!)
        })
        server.once("exit", (code) => reject(new Error(`it ended with ${code}: ${words}`)))
      })
    }, 180_000)
    afterAll(async () => {
      if (server.exitCode === null) server.kill("SIGKILL")
      removeBuilt()
    })

    const post = (body: BodyOf, headers: Record<string, string> = {}) => fetch(`${url}/v2/models/lenet-digits/infer`, { method: "POST", body, headers })
    type BodyOf = string | Uint8Array<ArrayBuffer>
    const rows = fs.readFileSync(new URL("../fixtures/lenet-digits-first8-logits.csv", import.meta.url), "utf8").trim().split("\n")
      .map((row) => row.split(",").map(Number))
    const digit = (i: number): Float32Array => lenetDigits().images[i]!

    it("imports nothing that only Node has", () => assert.deepStrictEqual(imports.filter((name) => !allowedImports.includes(name)), []))

    it("answers the protocol's questions", async () => {
      assert.deepStrictEqual(await (await fetch(`${url}/v2/health/ready`)).json(), { ready: true })
      const { inputs, platform } = await (await fetch(`${url}/v2/models/lenet-digits`)).json() as { inputs: Array<{ shape: unknown }>; platform: string }
      assert.strictEqual(platform, "onnxruntime_onnx")
      assert.deepStrictEqual(inputs[0]!.shape, [-1, 1, 28, 28])
      assert.strictEqual((await fetch(`${url}/v2/repository/index`, { method: "POST", body: "{\"ready\":true}" })).status, 200)
      assert.include(await (await fetch(`${url}/metrics`)).text(), "webgpu:0")
    })

    it("infers from JSON, from binary data, and from a compressed body", async () => {
      const input = { name: "input", datatype: "FP32", shape: [2, 1, 28, 28] }
      const values = [...digit(0), ...digit(1)]
      const check = (logits: ReadonlyArray<number>) => logits.forEach((value, i) => assert.closeTo(value, rows[Math.floor(i / 10)]![i % 10]!, 1e-3))
      const text = JSON.stringify({ inputs: [{ ...input, data: values }] })
      const first = await post(text)
      assert.strictEqual(first.status, 200, await first.clone().text())
      const plain = await first.json() as { outputs: Array<{ data: Array<number> }> }
      assert.strictEqual(plain.outputs[0]!.data.length, 20)
      check(plain.outputs[0]!.data)

      const json = JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: 4 * values.length } }], parameters: { binary_data_output: true } })
      const head = new TextEncoder().encode(json)
      const body = new Uint8Array(head.length + 4 * values.length)
      body.set(head)
      body.set(new Uint8Array(Float32Array.from(values).buffer), head.length)
      const answer = await post(body, { "Inference-Header-Content-Length": String(head.length) })
      assert.strictEqual(answer.status, 200)
      const bytes = await answer.arrayBuffer()
      check([...new Float32Array(bytes.slice(Number(answer.headers.get("inference-header-content-length"))))])

      const zipped = new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer())
      const inflated = await post(zipped, { "Content-Encoding": "gzip" })
      assert.strictEqual(inflated.status, 200)
      check((await inflated.json() as { outputs: Array<{ data: Array<number> }> }).outputs[0]!.data)
    })

    it("refuses what is wrong in the words of the other server, and lives", async () => {
      const wrong = await post(JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 27], data: [] }] }))
      assert.strictEqual(wrong.status, 400)
      assert.include((await wrong.json() as { error: string }).error, "inputs[0].shape")
      assert.strictEqual((await post("{")).status, 400)
      assert.strictEqual((await fetch(`${url}/v2/models/nothing/infer`, { method: "POST", body: "{}" })).status, 404)
      assert.strictEqual((await fetch(`${url}/nothing`)).status, 404)
      assert.strictEqual((await fetch(`${url}/v2/health/live`)).status, 200)
    })

    it("answers many at a time, each with its own", async () => {
      const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
        const data = [...digit(i % 8)]
        const response = await post(JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 28], data }] }))
        return { status: response.status, body: await response.json() as { outputs: Array<{ data: Array<number> }> } }
      }))
      for (const [i, { body, status }] of answers.entries()) {
        assert.strictEqual(status, 200)
        body.outputs[0]!.data.forEach((value, j) => assert.closeTo(value, rows[i % 8]![j]!, 1e-3))
      }
    })

    it("drains and ends on SIGTERM", async () => {
      const ended = new Promise<number | null>((resolve) => server.once("exit", resolve))
      server.kill("SIGTERM")
      assert.strictEqual(await ended, 0, words)
      assert.include(words, "SIGTERM: draining")
    })
  })
}
