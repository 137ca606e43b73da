/** Builds the runner from source, so that tests never run against an old one. */
import { build } from "esbuild"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

export default async (): Promise<void> => {
  const entry = fileURLToPath(new URL("../src/node-cuda/runner/main.ts", import.meta.url))
  const outfile = fileURLToPath(new URL("../dist/runner.js", import.meta.url))
  if (!fs.existsSync(entry)) throw new Error(`${entry} is missing`)
  await build({
    entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", target: "node20", sourcemap: "inline",
    external: ["koffi", "onnxruntime-node", "onnxruntime-common"]
  })
}
