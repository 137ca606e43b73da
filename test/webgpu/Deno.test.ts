/** The WebGPU executor in Deno: the contract on whatever adapter Deno finds (here Mesa's llvmpipe), or in WebAssembly where it finds none. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { bundle } from "./support/bundle.js"
import { denoPath, packageRoot } from "./support/deno.js"
import type { PortableResult } from "./support/portableTests.js"
import { report, skipped } from "./support/report.js"
import { builtFolder, buildWorker, removeBuilt } from "./support/workers.js"

const resource = (file: string): string => path.join(packageRoot, "resource/demo", file)

/** Runs a file in Deno with few permissions; what it wrote. */
const run = (deno: string, args: ReadonlyArray<string>): Promise<{ readonly out: string; readonly err: string }> =>
  new Promise((resolve) => {
    const child = spawn(deno, ["run", "--no-prompt", "--node-modules-dir=manual", "--no-config", `--allow-read=${packageRoot}`, ...args], {
      stdio: ["ignore", "pipe", "pipe"], timeout: 120_000, env: { ...process.env, XDG_RUNTIME_DIR: "/tmp", DENO_NO_UPDATE_CHECK: "1" }
    })
    let [out, err] = ["", ""]
    child.stdout.on("data", (text) => out += String(text))
    child.stderr.on("data", (text) => err += String(text))
    child.on("close", () => resolve({ out, err }))
  })

const deno = denoPath()
afterAll(removeBuilt)

if (deno === undefined) {
  skipped("in Deno", "no deno")
} else {
  await buildWorker("webgpu-worker")
  const entry = path.join(builtFolder, "deno.js")
  fs.writeFileSync(entry, await bundle("denoEntry.ts"))
  const files = ["lenet-digits.onnx", "digits-test.json"].map((file) => pathToFileURL(resource(file)).href)
  const { err, out } = await run(deno, [entry, "auto", ...files])
  const lines = out.trim().split("\n").flatMap((line) => line.startsWith("{") ? [JSON.parse(line) as PortableResult & { readonly provider?: string }] : [])
  const provider = lines.find((line) => line.provider !== undefined)?.provider
  describe("in Deno", () => {
    it("ran to its end, with leave to read this folder only", () => assert.isDefined(provider, err))
  })
  report(`in Deno, ${provider ?? "cut short"}`, lines.filter((line) => line.provider === undefined))
}
