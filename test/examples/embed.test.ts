import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assertLogitsOfGrey } from "../support/grey.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

describe("examples/embed", () => {
  it("has under 40 lines and answers a request", async () => {
    const source = path.join(root, "examples", "embed", "main.mjs")
    assert.isBelow(fs.readFileSync(source, "utf8").trimEnd().split("\n").length, 40)
    // As an application would run it, but with the library from source: the same two levels below the root, for its folder of models. Not among the
    // examples: the package, which another test makes meanwhile, would have it.
    const folder = fs.mkdtempSync(path.join(root, "node_modules", ".embed-test-"))
    try {
      const outfile = path.join(folder, "main.mjs")
      await build({
        entryPoints: [source], outfile, bundle: true, platform: "node", format: "esm", target: "node20",
        external: ["koffi", "onnxruntime-node", "onnxruntime-common"],
        alias: Object.fromEntries(["core", "scheduler", "node-cuda", "server"].map((part) => [`glet-orion/${part}`, path.join(root, "src", part, "index.ts")])),
        banner: { js: "import { createRequire as gletCreateRequire } from 'node:module'; const require = gletCreateRequire(import.meta.url);" }
      })
      const { stdout } = await promisify(execFile)(process.execPath, [outfile], {
        timeout: 60_000, env: { ...process.env, XDG_CACHE_HOME: path.join(folder, "cache") }
      })
      const answer = JSON.parse(stdout.trim().split("\n").at(-1)!) as { readonly latencyMs: number; readonly logits: ReadonlyArray<number> }
      await assertLogitsOfGrey(answer.logits)
      assert.isAbove(answer.latencyMs, 0)
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }, 90_000)
})
