/**
 * Writes the models that benches and the shipped profiles are measured with: published architectures, weights from a seeded generator. What
 * they compute means nothing; how long they take does not depend on it.
 *
 *   npx vite-node --script scripts/make-zoo.ts FOLDER [MODEL...]        a model repository: FOLDER/MODEL/1/model.onnx, weights.bin beside it
 *
 * The same call writes the same bytes on every machine: the profiles know their models by them.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { seededUniform } from "../test/support/onnx.js"
import type { WeightSpec } from "./zoo/GraphBuilder.js"
import { imageModels } from "./zoo/imageModels.js"
import { bertBase, dlrmSmall, ssdMobilenetV1 } from "./zoo/otherModels.js"

const models: ReadonlyMap<string, (weightsFile: string) => { readonly file: Uint8Array; readonly weights: ReadonlyArray<WeightSpec> }> = new Map([
  ...Object.entries(imageModels), ["ssd-mobilenetv1", ssdMobilenetV1], ["bert-base", bertBase], ["dlrm-small", dlrmSmall]
])

const weightsFile = "weights.bin"
const maxBatch = 32

/** Numbers of mean 0 and deviation 1, as sums of four uniform ones in [-1, 1): the same everywhere. */
const normalBlock = (count: number): Float32Array => {
  const uniform = seededUniform(1)
  return Float32Array.from({ length: count }, () => (uniform() + uniform() + uniform() + uniform()) * Math.sqrt(3 / 4))
}
/** A prime length, so that the repeated block falls on other places in every weight. */
const block = normalBlock(1_048_573)

const writeWeights = (file: string, weights: ReadonlyArray<WeightSpec>): void => {
  const fd = fs.openSync(file, "w")
  for (const { deviation, elements, offset, value = 0 } of weights) {
    if (deviation === undefined) {
      fs.writeSync(fd, new Float32Array(elements).fill(value), 0, 4 * elements, offset)
      continue
    }
    const scaled = block.map((one) => one * deviation)
    for (let done = 0; done < elements; done += scaled.length) {
      fs.writeSync(fd, scaled, 0, 4 * Math.min(scaled.length, elements - done), offset + 4 * done)
    }
  }
  fs.closeSync(fd)
}

const [folder, ...asked] = process.argv.slice(2)
const unknown = asked.filter((name) => !models.has(name))
if (folder === undefined || unknown.length > 0) {
  process.stderr.write(`${unknown.length > 0 ? `unknown: ${unknown.join(", ")}; ` : ""}usage: make-zoo.ts FOLDER [${[...models.keys()].join(" ")}]\n`)
  process.exit(2)
}
for (const [name, make] of models) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const version = path.join(folder, name, "1")
  fs.mkdirSync(version, { recursive: true })
  const { file, weights } = make(weightsFile)
  fs.writeFileSync(path.join(version, "model.onnx"), file)
  writeWeights(path.join(version, weightsFile), weights)
  fs.writeFileSync(path.join(folder, name, "config.pbtxt"), `max_batch_size: ${maxBatch}\n`)
}
