/**
 * Whether shares by turns (`duty`) are what they say: glets on one GPU through WebGPU, each kept busy for a while, alone and beside another. For
 * each: batches per second against the whole device's, and the time it held the device by the wall clock and by the device's own (timestamp
 * queries around every compute pass).
 *
 *   node bench/run.mjs webgpuDuty [--model FILE] [--seconds N] [--dawn FILE] [--json FILE]
 *
 * Needs onnxruntime-web and dawn's package `webgpu` (scripts/install-test-packages puts it into .test-packages). Where a host has neither, nor a
 * network: `node scripts/gpu/webgpu.mjs --pack FOLDER` packs this bench with both; the worker then lies beside it.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import type { GletHandle } from "../src/core/Executor.js"
import { runBatch } from "../src/core/Executor.js"
import { unsafeGletId } from "../src/core/Ids.js"
import { makeSampleRequests } from "../src/core/internal/sampleInputs.js"
import { makeRandom } from "../src/core/internal/random.js"
import type { Model } from "../src/core/Model.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import { readModelFile } from "../src/cli/internal/localModels.js"
import { readModelBytes } from "../src/server/repository/ModelBytes.js"
import * as NodeWorkers from "../src/webgpu/NodeWorkers.js"
import * as WebGpuExecutor from "../src/webgpu/WebGpuExecutor.js"
import { webGpu } from "../src/webgpu/WebGpuInventory.js"

const { values: flags } = parseArgs({
  options: { model: { type: "string", default: "resource/demo/lenet-digits.onnx" }, seconds: { type: "string", default: "4" }, dawn: { type: "string" }, json: { type: "string" } }
})
const seconds = Number(flags.seconds)
const dawn = flags.dawn ?? NodeWorkers.findDawn(path.resolve(".test-packages/package.json")) ?? NodeWorkers.findDawn()
const packed = fileURLToPath(new URL("webgpu-node-worker.mjs", import.meta.url))
const worker = fs.existsSync(packed) ? packed : path.resolve("node_modules/.cache/glet-bench/webgpu-node-worker.js")
if (worker !== packed) await (await import("esbuild")).build({ entryPoints: ["src/webgpu/webgpu-node-worker.ts"], outfile: worker, bundle: true, format: "esm", platform: "node", target: "node20", external: ["onnxruntime-web"] })
const threads = { worker: pathToFileURL(worker), dawn: dawn ?? false as const }

const found = await NodeWorkers.probeThread(threads)
if (typeof found === "string" || found.provider !== "webgpu") {
  console.error(`no WebGPU here: ${typeof found === "string" ? found : found.fallback}`)
  process.exit(1)
}
const gpu = webGpu(found)
const executor = WebGpuExecutor.make({
  provider: "webgpu", startWorker: NodeWorkers.startThreads(threads), deviceClock: true,
  readModel: readModelBytes
})

interface Row {
  readonly beside: string
  readonly sharePct: number
  readonly perSecond: number
  readonly p50Ms: number
  /** Part of the time in which it held the device, by the wall's clock: what its share promises. */
  readonly heldPart: number
  /** Part of the time in which its passes computed, by the device's clock. */
  readonly devicePart: number
}

let glets = 0
const openGlet = (model: Model, sharePct: number) =>
  Effect.gen(function*() {
    const glet = yield* executor.open({ id: unsafeGletId(`bench/${glets++}`), gpu, sharePct, priority: 0 })
    yield* glet.load(model, [1])
    return glet
  })

/** Keeps a glet busy, two batches at a time. */
const drive = (glet: GletHandle, model: Model) =>
  Effect.gen(function*() {
    const samples = makeSampleRequests(executor.arena, makeSlotLayout(model.signature), 2, 1 / 8, { sizeOf: () => 128, maxInteger: 1, random: makeRandom(1) })!
    const durations: Array<number> = []
    const before = yield* glet.stats
    const start = performance.now()
    const one = Effect.gen(function*() {
      while (performance.now() - start < 1000 * seconds) {
        const end = yield* runBatch(glet, { model, entries: samples.entries(1), items: 1 })
        if (!end.ok) return yield* Effect.dieMessage(end.error._tag === "GletExited" ? end.error.message : end.error.detail)
        durations.push(end.inputMs + end.inferMs + end.outputMs)
      }
    })
    yield* Effect.all([one, one], { concurrency: 2 })
    const elapsedMs = performance.now() - start
    const after = yield* glet.stats
    samples.release()
    durations.sort((a, b) => a - b)
    return {
      perSecond: (1000 * durations.length) / elapsedMs, p50Ms: durations[durations.length >> 1]!,
      heldPart: (after.busyMs - before.busyMs) / elapsedMs,
      devicePart: ((after.deviceMs ?? NaN) - (before.deviceMs ?? NaN)) / elapsedMs
    }
  })

const program = Effect.gen(function*() {
  const { model } = yield* readModelFile(path.resolve(flags.model), path.basename(flags.model, ".onnx"))
  const rows: Array<Row> = []
  const round = (shares: ReadonlyArray<number>) =>
    Effect.scoped(Effect.gen(function*() {
      const opened = yield* Effect.forEach(shares, (share) => openGlet(model, share))
      const measured = yield* Effect.forEach(opened, (glet) => drive(glet, model), { concurrency: "unbounded" })
      measured.forEach((row, i) => rows.push({ beside: shares.filter((_, j) => j !== i).map((share) => `${share} %`).join(", ") || "alone", sharePct: shares[i]!, ...row }))
    }))
  for (const shares of [[100], [75], [50], [25], [50, 50], [75, 25]]) yield* round(shares)
  return rows
})

const rows = await Effect.runPromise(program)
const whole = rows[0]!
console.log(`${path.basename(flags.model)} on ${found.adapter!.name}${found.adapter!.software ? " (software)" : ""}, ${seconds} s each\n`)
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`.padStart(8)
console.log("share  beside  held the device  computed (its clock)  batches/s  of 100 %'s  p50 ms")
for (const { beside, devicePart, heldPart, p50Ms, perSecond, sharePct } of rows) {
  console.log(`${String(sharePct).padStart(4)} %  ${beside.padEnd(6)}  ${percent(heldPart).padStart(15)}  ${percent(devicePart).padStart(20)}  ${perSecond.toFixed(2).padStart(9)}  ${percent(perSecond / whole.perSecond).padStart(10)}  ${p50Ms.toFixed(1).padStart(6)}`)
}
if (flags.json !== undefined) fs.writeFileSync(flags.json, `${JSON.stringify({ model: path.basename(flags.model), adapter: found.adapter, seconds, rows }, undefined, 1)}\n`)
process.exit(0)
