/** Bundles for browsers and Deno, with the contract suite's test functions replaced. */
import { build } from "esbuild"
import { fileURLToPath } from "node:url"

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** One self-contained module of an entry in this folder. */
export const bundle = async (entry: string): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [here(entry)], bundle: true, write: false, format: "esm", platform: "browser", target: "es2022", logLevel: "error",
    alias: { "@effect/vitest": here("portableTests.ts") },
    external: ["onnxruntime-web"]
  })
  return outputFiles[0]!.text
}
