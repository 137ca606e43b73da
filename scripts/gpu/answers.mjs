#!/usr/bin/env node
// Holds answers against each other while models load: six LeNets load side by side on one glet while a seventh serves, then serve batches of all sizes.
// What one size of one model gets wrong it gets wrong for good, so every answer is compared, number by number, with that of a lone run before.
//   node scripts/gpu/answers.mjs [ISOLATION] [ROUNDS] [RUNNER]      on the first GPU; needs `npm run build`, RUNNER is dist/runner.js of another version
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Core from "../../dist/core.js"
import * as NodeCuda from "../../dist/node-cuda.js"

const [isolation = "mps", rounds = "9", runner] = process.argv.slice(2)
const here = (file) => fileURLToPath(new URL(`../../${file}`, import.meta.url))
const runnerPath = runner === undefined ? here("dist/runner.js") : path.resolve(runner)
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-answers-"))
process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }))

const maxBatch = 32
/** Each a file of its own, so that nothing is known of one from another. */
const lenetAt = (i) => {
  const file = path.join(folder, `lenet${i}.onnx`)
  if (!fs.existsSync(file)) fs.copyFileSync(here("resource/demo/lenet-digits.onnx"), file)
  return {
    name: `lenet${i}`, version: 1, path: file, maxBatch, serviceClass: "latency-critical", sloMs: 50, expectedRateRps: 100, weightBytes: fs.statSync(file).size,
    signature: { inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }], outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }], batchSymbol: "batch" }
  }
}
let seed = 1
const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648
const upTo = (n) => Math.floor(random() * n)
const images = Array.from({ length: 32 }, () => Float32Array.from({ length: 784 }, random))
const { inputOffsets, outputOffsets, totalBytes } = Core.makeSlotLayout(lenetAt(0).signature).placement(1, [])
const floats = (slot, offset, count) => new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset + offset, count)

/** By image. */
const expected = []
/** Of the largest logit. */
const tolerance = 0.02
const tally = { right: 0, wrong: 0, failed: 0, loaded: 0, wrongOf: {}, notes: {} }
const note = (text) => { tally.notes[text] = (tally.notes[text] ?? 0) + 1 }

const compare = (model, items, image, logits) => {
  expected[image] ??= logits
  const largest = Math.max(...expected[image].map(Math.abs))
  if (logits.every((value, j) => Math.abs(value - expected[image][j]) <= tolerance * largest)) return tally.right++
  const key = `${model.name}, batches of ${items}`
  tally.wrong++
  tally.wrongOf[key] = (tally.wrongOf[key] ?? 0) + 1
}

const run = (executor, glet, model, items, first) =>
  Effect.gen(function*() {
    const slots = Array.from({ length: items }, () => executor.arena.allocate(totalBytes))
    slots.forEach((slot, i) => {
      floats(slot, inputOffsets[0], 784).set(images[(first + i) % images.length])
      floats(slot, outputOffsets[0], 10).fill(NaN)
    })
    const end = yield* Core.runBatch(glet, { model, entries: slots.map((slot) => ({ slot, items: 1, bindings: [] })), items })
    if (end.ok) slots.forEach((slot, i) => compare(model, items, (first + i) % images.length, Array.from(floats(slot, outputOffsets[0], 10))))
    else {
      tally.failed++
      note(String(end.error.detail ?? end.error.message))
    }
    for (const slot of slots) slot.release()
  })

const round = (executor, gpu, index) =>
  Effect.scoped(Effect.gen(function*() {
    const glet = yield* executor.open({ id: `${gpu.id}/answers-${index}`, gpu, sharePct: gpu.sharesPct.at(-1), priority: 0 })
    const [serving, ...models] = Array.from({ length: 7 }, (_, i) => lenetAt(i))
    yield* glet.load(serving, [1, 2, 4, 8, 16, maxBatch])
    if (index === 0) for (let image = 0; image < images.length; image++) yield* run(executor, glet, serving, 1, image)
    let areLoading = true
    const meanwhile = yield* Effect.fork(Effect.gen(function*() {
      while (areLoading) yield* run(executor, glet, serving, 1 + upTo(maxBatch), upTo(images.length))
    }))
    const loads = yield* Effect.forEach(models, (model) => Effect.either(glet.load(model, [1, 2, 4, 8, 11 + index, maxBatch])), { concurrency: "unbounded" })
    areLoading = false
    yield* Fiber.join(meanwhile)
    for (const load of loads) {
      if (load._tag === "Left") note(load.left.message)
      else {
        tally.loaded++
        if (load.right.detail.includes("no graphs")) note(load.right.detail)
      }
    }
    const able = models.filter((_, i) => loads[i]._tag === "Right")
    yield* Effect.forEach(able, (model) => Effect.gen(function*() {
      for (let k = 0; k < 60; k++) yield* run(executor, glet, model, 1 + upTo(maxBatch), upTo(images.length))
    }), { concurrency: "unbounded" })
  }))

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const [described] = yield* NodeCuda.CudaInventory.describeGpus({ isolation })
  const executor = yield* NodeCuda.CudaExecutor.make({ runnerPath })
  for (let index = 0; index < Number(rounds); index++) yield* round(executor, described.gpu, index)
})))
console.log(JSON.stringify({ isolation, rounds: Number(rounds), ...tally }, null, 1))
process.exitCode = tally.wrong + tally.failed > 0 ? 1 : 0
