import { build } from "esbuild"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Plugin } from "vite"
import { defineConfig } from "vite"

const suffix = "?worker-file"

// While Effect's modules are evaluated one of them looks at the stack of an error, for which the browser would parse the whole file a second time.
const withoutStacks = { banner: { js: "Error.stackTraceLimit=0;" }, footer: { js: "Error.stackTraceLimit=10;" } }

/**
 * `import address from "./worker.ts?worker-file"`: the worker as a file of its own, and its address; what it imports later are files beside it. esbuild
 * bundles Effect ten times faster than Vite's own workers are made. onnxruntime-web is left out: it is read as it is installed, by address, for its
 * .wasm files weigh more than all else.
 */
const workerFiles = (): Plugin => ({
  name: "worker-files",
  enforce: "pre",
  resolveId: (id, importer) => (id.endsWith(suffix) && importer !== undefined ? path.resolve(path.dirname(importer), id) : undefined),
  async load(id) {
    if (!id.endsWith(suffix)) return undefined
    const entry = id.slice(0, -suffix.length)
    const outdir = path.resolve("out")
    const { metafile, outputFiles } = await build({
      entryPoints: [entry], bundle: true, minify: true, write: false, metafile: true, format: "esm", target: "es2022", platform: "browser",
      splitting: true, outdir, entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]", external: ["onnxruntime-web/*"], legalComments: "none", ...withoutStacks
    })
    for (const file of Object.keys(metafile.inputs)) this.addWatchFile(path.resolve(file))
    const references = new Map(outputFiles.map(({ contents, path: file }) =>
      [path.relative(process.cwd(), file), this.emitFile({ type: "asset", fileName: `assets/${path.basename(file)}`, source: contents })]))
    const [main] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint !== undefined && path.resolve(entryPoint) === entry)!
    return `export default import.meta.ROLLUP_FILE_URL_${references.get(main)}`
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
