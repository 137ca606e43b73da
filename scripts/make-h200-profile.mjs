/**
 * Makes resource/profiles/h200/ from the project's measurements on an H200: a profile by share and batch under MPS, and a description of the GPU.
 *
 * usage: node scripts/make-h200-profile.mjs FOLDER
 *
 * FOLDER holds torch-cudagraph-profile.csv (seven models as CUDA graphs at seven shares and six batches: median and 99th percentile),
 * torch-corun-50-50-batch8.csv (pairs on halves of the GPU) and onnxruntime-node-cuda.jsonl (load times; SSD and LeNet, on the whole GPU only).
 * What is estimated instead of measured is said in the files' `provenance`.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error("usage: node scripts/make-h200-profile.mjs FOLDER")
  process.exit(2)
}
const read = (file) => fs.readFileSync(path.join(folder, file), "utf8").trim().split("\n")
const csv = (file) => {
  const [head, ...lines] = read(file)
  const keys = head.split(",")
  return lines.map((line) => Object.fromEntries(line.split(",").map((cell, i) => [keys[i], cell])))
}
const round = (value, digits = 5) => Number(value.toPrecision(digits))

/** Parameters in millions, of the published architectures: weights take 4 bytes each. */
const parametersM = {
  bert: 109.5, resnet50: 25.6, vgg16: 138.4, mobilenet_v2: 3.5, densenet161: 28.7, googlenet: 6.6, mnasnet1_0: 4.4, "ssd-mobilenetv1": 6.8, lenet1: 0.06
}
/** Activations, cuDNN's workspace and the allocator's slack; an estimate. */
const workspaceBytes = 256e6
/** A CUDA context under MPS; an estimate. */
const contextBytes = 500e6
/** What starting a runner takes before any model is loaded; an estimate. */
const openMs = 500

const torch = csv("torch-cudagraph-profile.csv").map((row) => ({
  model: row.model, batch: Number(row.batch), sharePct: Number(row.thread_percentage), p50Ms: Number(row.latency_p50_ms), p99Ms: Number(row.latency_p99_ms)
}))
const node = read("onnxruntime-node-cuda.jsonl").map((line) => JSON.parse(line))
const nameInNode = { bert: "bert-base", lenet1: "lenet-digits" }
const loads = Object.keys(parametersM).map((model) => node.find((row) => row.m === (nameInNode[model] ?? model) && row.load > 0)?.load)
const knownLoads = loads.filter((load) => load !== undefined).sort((a, b) => a - b)
const typicalLoad = knownLoads[knownLoads.length >> 1]

/** Only median and 99th percentile were kept: the 90th lies between them as on a straight quantile function, the mean at the median. */
const point = ({ batch, count, p50Ms, p99Ms, sharePct }) => ({
  sharePct, batch, meanMs: round(p50Ms), p50Ms: round(p50Ms), p90Ms: round(p50Ms + 0.8 * (p99Ms - p50Ms)), p99Ms: round(p99Ms), count
})
const pattern = "mobilenet_v2"
const scaled = (model) => {
  const whole = node.filter((row) => row.tag === "full" && row.m === (nameInNode[model] ?? model) && row.mode === "pin")
  return whole.flatMap((row) => {
    const like = torch.filter((other) => other.model === pattern && other.batch === row.b)
    const full = like.find(({ sharePct }) => sharePct === 100)
    return like.map((other) => {
      const ratio = other.p50Ms / full.p50Ms
      return point({ sharePct: other.sharePct, batch: row.b, p50Ms: row.p50 * ratio, p99Ms: row.p99 * ratio, count: other.sharePct === 100 ? row.n : 1 })
    })
  })
}
const byPlace = (a, b) => a.sharePct - b.sharePct || a.batch - b.batch
const models = Object.keys(parametersM).sort().map((model) => {
  const measured = torch.filter((row) => row.model === model).map((row) => point({ ...row, count: 100 }))
  return {
    model,
    maxBatch: 32,
    memoryBytes: Math.round(4e6 * parametersM[model] + workspaceBytes),
    loadMs: loads[Object.keys(parametersM).indexOf(model)] ?? typicalLoad,
    points: (measured.length > 0 ? measured : scaled(model)).sort(byPlace)
  }
})

const corun = csv("torch-corun-50-50-batch8.csv")
const solo = (model) => {
  const rows = corun.filter((row) => row.kind === "solo" && row.model === model)
  return rows.reduce((sum, row) => sum + Number(row.latency_p50_ms), 0) / rows.length
}
const ratios = corun.filter((row) => row.kind === "pair").map((row) => Number(row.latency_p50_ms) / solo(row.model)).sort((a, b) => a - b)
const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length

const common = { apiVersion: "glet/v1alpha1" }
const target = fileURLToPath(new URL("../resource/profiles/h200/", import.meta.url))
const compact = (value) => JSON.stringify(value, null, 1).replace(/\{\n\s+"sharePct"[^}]*\}/g, (text) => text.replace(/\s*\n\s*/g, " "))
fs.mkdirSync(target, { recursive: true })
fs.writeFileSync(path.join(target, "mps.json"), `${compact({
  ...common, kind: "Profile", gpuType: "h200", isolation: "mps", units: 132,
  provenance: "scripts/make-h200-profile.mjs from measurements on an H200 (132 SMs, CUDA 13.0) under MPS: PyTorch CUDA graphs, compute only, shares by " +
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; the original counts were not kept (100 stands for them). ssd-mobilenetv1 and lenet1 were measured with " +
    "onnxruntime-node on the whole GPU only; their other shares (count 1) are scaled as mobilenet_v2's are. Load times are onnxruntime-node's, or their " +
    "median. Memory is weights plus an estimate.",
  models
})}\n`)
fs.writeFileSync(path.join(target, "hardware.json"), `${JSON.stringify({
  ...common, kind: "Hardware", gpuType: "h200", isolation: "mps",
  provenance: `scripts/make-h200-profile.mjs. interference: mean slow-down of the median over ${ratios.length} pairs of models on halves of the GPU at batch 8 ` +
    `was ${round(mean, 3)} (${round(ratios[0], 3)} to ${round(ratios[ratios.length - 1], 3)}); it hardly depends on who the neighbour is, and grows with the neighbours' share. gletMemoryBytes and openMs are estimates.`,
  memoryBytes: 141e9, gletMemoryBytes: contextBytes, openMs, interference: { memory: 0, compute: 0, presence: round(2 * (mean - 1), 2) }
}, null, 2)}\n`)

console.log(`${models.length} models, ${models.reduce((sum, { points }) => sum + points.length, 0)} points; interference ${round(mean - 1, 3)}`)
