import { build } from "esbuild"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Plugin } from "vite"
import { defineConfig } from "vite"

const suffix = "?worker-file"

/**
 * `import address from "./worker.ts?worker-file"`: the worker as one file of its own, and its address. esbuild bundles Effect ten times faster than
 * Vite's own workers are made. onnxruntime-web is left out: it is read as it is installed, by address, for its .wasm files weigh more than all else.
 */
const workerFiles = (): Plugin => ({
  name: "worker-files",
  enforce: "pre",
  resolveId: (id, importer) => (id.endsWith(suffix) && importer !== undefined ? path.resolve(path.dirname(importer), id) : undefined),
  async load(id) {
    if (!id.endsWith(suffix)) return undefined
    const entry = id.slice(0, -suffix.length)
    const { metafile, outputFiles } = await build({
      entryPoints: [entry], bundle: true, minify: true, write: false, metafile: true, format: "esm", target: "es2022", platform: "browser",
      external: ["onnxruntime-web/*"], legalComments: "none"
    })
    for (const file of Object.keys(metafile.inputs)) this.addWatchFile(path.resolve(file))
    const reference = this.emitFile({ type: "asset", name: `${path.basename(entry, ".ts")}.js`, source: outputFiles[0]!.contents })
    return `export default import.meta.ROLLUP_FILE_URL_${reference}`
  }
})

// The page of `glet dev`: everything in files of its own, nothing from elsewhere, any path it is served from.
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  publicDir: false,
  plugins: [workerFiles()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: fileURLToPath(new URL("../../../dist/dev", import.meta.url)),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    assetsInlineLimit: 0
  }
})
