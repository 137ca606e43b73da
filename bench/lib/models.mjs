/** The models that are measured, each in a repository folder of its own. */
import { build } from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { temporaryFolder } from "./servers.mjs"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** The tests' ONNX writer is TypeScript: it is bundled on the way in. */
const onnxWriter = async () => {
  const outfile = path.join(root, "node_modules/.cache/glet-bench/onnx.mjs")
  await build({
    entryPoints: [path.join(root, "test/support/onnx.ts")], outfile, bundle: true, platform: "node", format: "esm", target: "node20",
    packages: "external"
  })
  return import(pathToFileURL(outfile).href)
}

const placed = (name, input, sloMs, write) => {
  const folder = temporaryFolder()
  const file = path.join(folder, `${name}.onnx`)
  write(file)
  return { name, input, sloMs, folder, file, weightBytes: fs.statSync(file).size }
}

/** The demo's LeNet: [batch,1,28,28] -> [batch,10], 0.25 MB. */
export const lenetModel = () =>
  placed("lenet", "input", 250, (file) => fs.copyFileSync(path.join(root, "resource/demo/lenet-digits.onnx"), file))

/** Four layers of 2048x2048: [batch,2048] -> [batch,2048], 64 MiB of weights, read once per execution whatever the batch. */
export const denseModel = async () => {
  const onnx = await onnxWriter()
  return placed("dense", "x", 1000, (file) => fs.writeFileSync(file, onnx.denseModel(4, 2048)))
}

/**
 * [batch,1,512] -> [batch,512]: spread over 64 rows, then eight layers of 512x512, a quarter of a GFLOP an item. Batching gains little, so that
 * the device is the limit at a few hundred requests a second, far below what HTTP can carry.
 */
export const heavyModel = async () => {
  const onnx = await onnxWriter()
  const layers = Array.from({ length: 8 }, (_, i) => i)
  const model = onnx.makeModel({
    inputs: [{ name: "x", shape: ["batch", 1, 512] }],
    outputs: [{ name: "y", shape: ["batch", 512] }],
    nodes: [
      onnx.add(["x", "rows"], "r0"),
      ...layers.flatMap((i) => [onnx.matMul([`r${i}`, `w${i}`], `m${i}`), onnx.relu(`m${i}`, `r${i + 1}`)]),
      onnx.reduceMean("r8", "y", { axes: { ints: [1] }, keepdims: { i: 0 } })
    ],
    initializers: [onnx.weights("rows", [1, 64, 512], 512, 1), ...layers.map((i) => onnx.weights(`w${i}`, [512, 512], 512, i + 2))]
  })
  return placed("heavy", "x", 250, (file) => fs.writeFileSync(file, model))
}

/** [batch,3,224,224] -> four numbers of it: an image goes in and almost nothing is computed. */
export const imageModel = async () => {
  const onnx = await onnxWriter()
  const model = onnx.makeModel({
    inputs: [{ name: "image", shape: ["batch", 3, 224, 224] }],
    outputs: [{ name: "corner", shape: ["batch", 1, 1, 4] }],
    nodes: [{ op: "Slice", inputs: ["image", "starts", "ends", "axes"], outputs: ["corner"] }],
    initializers: [onnx.int64s("starts", [3], [0, 0, 0]), onnx.int64s("ends", [3], [1, 1, 4]), onnx.int64s("axes", [3], [1, 2, 3])]
  })
  return placed("image", "image", 250, (file) => fs.writeFileSync(file, model))
}

/** [batch,3,224,224] -> the same, where no value is below 0: an image goes in and another comes out. */
export const paintedModel = async () => {
  const onnx = await onnxWriter()
  const model = onnx.makeModel({
    inputs: [{ name: "image", shape: ["batch", 3, 224, 224] }],
    outputs: [{ name: "painted", shape: ["batch", 3, 224, 224] }],
    nodes: [onnx.relu("image", "painted")]
  })
  return placed("painted", "image", 250, (file) => fs.writeFileSync(file, model))
}
