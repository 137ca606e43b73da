/** Builds runner, front and planning thread from source, so that tests never run against old ones, and makes a place for what tests build themselves. */
import { build } from "esbuild"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

export default async (): Promise<() => void> => {
  for (const [source, name] of [["node-cuda/runner", "runner"], ["server/planning", "planner"], ["front", "front"]]) {
    const entry = fileURLToPath(new URL(`../src/${source}/main.ts`, import.meta.url))
    const outfile = fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url))
    if (!fs.existsSync(entry)) throw new Error(`${entry} is missing`)
    await build({
      entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", target: "node20", sourcemap: "inline",
      external: ["koffi", "onnxruntime-node", "onnxruntime-common"]
    })
  }
  const folder = fileURLToPath(new URL(`../node_modules/.cache/glet-test-run/${process.pid}`, import.meta.url))
  process.env["GLET_TEST_RUN"] = folder
  return () => fs.rmSync(folder, { recursive: true, force: true })
}
