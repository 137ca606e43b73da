/**
 * Runs a bench by name: `node bench/run.mjs NAME [flags]`; without a name, lists them. TypeScript benches are bundled first, so that they run
 * against the sources; the .mjs ones run against the build (`npm run build`).
 */
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL(".", import.meta.url))
const names = fs.readdirSync(folder).filter((file) => /\.(ts|mjs)$/.test(file) && file !== "run.mjs")
const [name, ...flags] = process.argv.slice(2)
const file = names.find((candidate) => path.parse(candidate).name === name)

if (file === undefined) {
  console.error(`${name === undefined ? "Name a bench" : `There is no bench "${name}"`}: ${names.map((n) => path.parse(n).name).join(", ")}`)
  process.exit(2)
}

let script = path.join(folder, file)
if (file.endsWith(".ts")) {
  // Inside the checkout, so that dependencies and the package root are found from it.
  script = path.join(folder, "../node_modules/.cache/glet-bench", `${name}.mjs`)
  await build({
    entryPoints: [path.join(folder, file)], outfile: script, bundle: true, platform: "node", format: "esm", target: "node20",
    packages: "external", sourcemap: "inline"
  })
}
process.exit(spawnSync(process.execPath, ["--enable-source-maps", script, ...flags], { stdio: "inherit" }).status ?? 1)
