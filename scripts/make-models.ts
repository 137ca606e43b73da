/**
 * Writes the models of the demo that need no training, and on request a dense model for benches.
 *
 *   npx vite-node --script scripts/make-models.ts                                  the demo's models, into resource/demo
 *   npx vite-node --script scripts/make-models.ts dense FILE [layers] [width]      a dense model, 4 layers of 2048 by default (64 MiB)
 */
import * as fs from "node:fs"
import { denseModel } from "../test/support/onnx.js"
import { demoModels } from "./demoModels.js"

const [command, file, layers = "4", width = "2048"] = process.argv.slice(2)
if (command === "dense" && file !== undefined && Number.isInteger(Number(layers)) && Number.isInteger(Number(width))) {
  fs.writeFileSync(file, denseModel(Number(layers), Number(width)))
} else if (command === undefined) {
  for (const [name, bytes] of demoModels()) fs.writeFileSync(new URL(`../resource/demo/${name}`, import.meta.url), bytes)
} else {
  process.stderr.write("usage: make-models.ts [dense FILE [layers] [width]]\n")
  process.exitCode = 2
}
