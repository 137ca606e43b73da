/** Workers built from source, so that tests never run against old ones. */
import { build } from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { packageRoot } from "./deno.js"

/** A folder from which onnxruntime-web is found by name. */
export const builtFolder = path.join(packageRoot, "node_modules/.cache/glet-test", String(process.pid))

/** Builds a worker of src/webgpu; its file. */
export const buildWorker = async (name: "webgpu-worker" | "webgpu-node-worker"): Promise<string> => {
  const outfile = path.join(builtFolder, `${name}.js`)
  await build({
    entryPoints: [path.join(packageRoot, "src/webgpu", `${name}.ts`)], outfile, bundle: true, format: "esm", target: "es2022",
    platform: name === "webgpu-worker" ? "browser" : "node", external: ["onnxruntime-web"], logLevel: "error"
  })
  return outfile
}

export const removeBuilt = (): void => fs.rmSync(builtFolder, { recursive: true, force: true })
