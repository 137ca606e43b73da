/** The WebGPU executor in a real browser: the contract on a software GPU and in WebAssembly. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import { bundle } from "./support/bundle.js"
import type { OpenPage } from "./support/chromium.js"
import { chromiumPath, openPage } from "./support/chromium.js"
import type { PortableResult } from "./support/portableTests.js"

const file = (name: string): { readonly file: string } => ({ file: fileURLToPath(new URL(`../../${name}`, import.meta.url)) })

const worker = async (): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [file("src/webgpu/webgpu-worker.ts").file], bundle: true, write: false, format: "esm", platform: "browser", target: "es2022",
    external: ["onnxruntime-web"]
  })
  return outputFiles[0]!.text
}

const open = async (): Promise<OpenPage> =>
  openPage(new Map<string, { readonly text: string } | { readonly file: string }>([
    ["/test.js", { text: await bundle("chromiumEntry.ts") }],
    ["/webgpu-worker.js", { text: await worker() }],
    ["/lenet.onnx", file("resource/demo/lenet-digits.onnx")],
    ["/digits.json", file("resource/demo/digits-test.json")]
  ]))

interface PageGlobals {
  readonly runContract: (provider: string) => Promise<{ readonly provider: string; readonly results: ReadonlyArray<PortableResult> }>
}

if (chromiumPath() === undefined) {
  describe("in Chromium", () => {
    it.skip("SKIPPED: no chromium; scripts/install-test-packages installs it", () => undefined)
  })
} else {
  const opened = await open()
  const contracts = new Map<string, Awaited<ReturnType<PageGlobals["runContract"]>>>()
  try {
    for (const provider of ["webgpu", "wasm"]) {
      contracts.set(provider, await opened.page.evaluate((name) => (globalThis as unknown as PageGlobals).runContract(name), provider))
    }
  } finally {
    await opened.close()
  }
  for (const [provider, { provider: words, results }] of contracts) {
    describe(`in Chromium, ${provider} (${words})`, () => {
      it("ran the whole contract", () => assert.isAtLeast(results.length, 18))
      for (const { error, ms, name } of results) {
        it(`${name} (${ms.toFixed(0)} ms)`, () => {
          if (error !== undefined) assert.fail(error)
        })
      }
    })
  }
}
