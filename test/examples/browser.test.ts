import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import { assertLogitsOfGrey } from "../support/grey.js"
import { chromiumPath, openPage } from "../webgpu/support/chromium.js"
import { packageRoot } from "../webgpu/support/deno.js"

const source = path.join(packageRoot, "examples/browser/main.js")

/** As an application's bundler would, but with the library from source; onnxruntime-web stays outside. */
const bundle = async (entry: string, options: { readonly minify: boolean; readonly contents?: string }): Promise<Uint8Array> => {
  const { outputFiles } = await build({
    ...(options.contents === undefined ? { entryPoints: [entry] } : { stdin: { contents: options.contents, resolveDir: path.dirname(entry) } }),
    bundle: true, write: false, platform: "browser", format: "esm", target: "es2022", minify: options.minify, logLevel: "error",
    external: ["onnxruntime-web", "highs"],
    alias: Object.fromEntries(["core", "scheduler", "webgpu"].map((part) => [`glet-orion/${part}`, path.join(packageRoot, "src", part, "index.ts")]))
  })
  return outputFiles[0]!.contents
}

describe("examples/browser", () => {
  it("has under 60 lines, and says what core, scheduler and webgpu take compressed with all they need of effect (some 170 kB at most)", async () => {
    assert.isBelow(fs.readFileSync(source, "utf8").trimEnd().split("\n").length, 60)
    const bytes = gzipSync(await bundle(source, { minify: true }), { level: 9 }).length
    const worker = gzipSync(await bundle(path.join(packageRoot, "src/webgpu/webgpu-worker.ts"), { minify: true }), { level: 9 }).length
    console.log(`examples/browser: ${bytes} bytes gzip, the worker's file ${worker}`)
    assert.isAtMost(bytes, 170_000)
    assert.isAtMost(worker, 10_000)
  })

  it.skipIf(chromiumPath() === undefined)("profiles, plans and answers in a page (SKIPPED without chromium)", async () => {
    const script = Buffer.from(await bundle(source, { minify: false, contents: "import { run } from \"./main.js\"; globalThis.run = run" })).toString()
    const worker = Buffer.from(await bundle(path.join(packageRoot, "src/webgpu/webgpu-worker.ts"), { minify: false })).toString()
    const { close, page } = await openPage(new Map<string, { readonly text: string } | { readonly file: string }>([
      ["/test.js", { text: script }], ["/webgpu-worker.js", { text: worker }],
      ["/lenet-digits.onnx", { file: path.join(packageRoot, "resource/demo/lenet-digits.onnx") }]
    ]), { webgpu: false })
    try {
      const { latencyMs, logits, on } = await page.evaluate(() => {
        const address = (file: string) => new URL(`/ort/${file}`, "http://" + (globalThis as unknown as { location: { host: string } }).location.host).href
        const modules = { jspi: address("ort.jspi.bundle.min.mjs"), webgpu: address("ort.webgpu.bundle.min.mjs"), wasm: address("ort.wasm.bundle.min.mjs") }
        return (globalThis as unknown as { run: (options: object) => Promise<{ on: string; latencyMs: number; logits: Array<number> }> }).run({ runtime: { modules } })
      })
      assert.match(on, /^WebAssembly with 1 thread, because /)
      assert.isAbove(latencyMs, 0)
      await assertLogitsOfGrey(logits)
    } finally {
      await close()
    }
  }, 180_000)
})
