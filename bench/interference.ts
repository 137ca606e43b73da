/**
 * How well slow-downs between models on halves of a GPU are predicted for pairs that the fit has not seen: ours, from workload types, and gpulet's
 * linear form with its own utilisation table, both fitted to the same measured pairs. A pair is held out in both directions.
 *
 * command: node bench/run.mjs interference PAIRS.csv ZOO UTIL.csv [--write FILE] [--json] [--check]
 *
 * PAIRS.csv has `kind,model,peer,latency_p50_ms` (solo or pair, batch 8, half of an H200 each); ZOO is written by scripts/make-zoo.ts: operators'
 * shapes come from there, times from the roofline below. UTIL.csv is the original's utilisation table. `--write` keeps types and co-runs for
 * scripts/make-h200-profile.mjs.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import type { TypeVector } from "../src/core/Profile.js"
import { labelOf, vectorOfNodes } from "../src/core/WorkloadType.js"
import { trace } from "../src/node-cuda/NodeTrace.js"
import type { Observation } from "../src/scheduler/InterferenceFit.js"
import { fitInterference, predictSlowdown } from "../src/scheduler/InterferenceFit.js"
import { errorsOf } from "./lib/heldOut.js"
import { leastSquares } from "./lib/leastSquares.js"

const [pairsFile, zoo, utilFile] = process.argv.slice(2).filter((arg, i, all) => !arg.startsWith("--") && all[i - 1] !== "--write")
if (pairsFile === undefined || zoo === undefined || utilFile === undefined) throw new Error("usage: interference PAIRS.csv ZOO UTIL.csv")
const batch = 8
const sharePct = 50
/** Of the data sheet: TF32 without sparsity, HBM3e. What matters is their ratio. */
const h200 = { flopPerS: 494e12, bytesPerS: 4.8e12 }

const csv = (file: string): ReadonlyArray<ReadonlyArray<string>> => fs.readFileSync(file, "utf8").trim().split(/\r?\n/).slice(1).map((line) => line.split(","))
const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length
const latencies = new Map<string, Array<number>>()
for (const [kind, model, peer, ms] of csv(pairsFile)) {
  const key = kind === "solo" ? model! : `${model} ${peer}`
  latencies.set(key, [...latencies.get(key) ?? [], Number(ms)])
}
const models = [...latencies.keys()].filter((key) => !key.includes(" ")).sort()
const slowdown = (model: string, peer: string): number => mean(latencies.get(`${model} ${peer}`)!) / mean(latencies.get(model)!)

const folderOf = new Map([["bert", "bert-base"]])
const modelOf = (name: string): Model => {
  const text = name === "bert"
  return {
    name: unsafeModelName(name), version: 1, path: path.join(zoo, folderOf.get(name) ?? name, "1", "model.onnx"), maxBatch: batch,
    signature: {
      inputs: text
        ? ["input_ids", "attention_mask"].map((input) => ({ name: input, datatype: "INT64" as const, shape: ["batch", "sequence"] }))
        : [{ name: "input", datatype: "FP32", shape: ["batch", 3, 224, 224] }],
      outputs: [], batchSymbol: "batch"
    },
    serviceClass: "latency-critical", sloMs: 1, expectedRateRps: 0, weightBytes: 0
  }
}
const types = new Map<string, TypeVector>()
for (const name of models) {
  const nodes = await Effect.runPromise(trace(modelOf(name), { items: batch, threads: 2, runs: 0 }))
  types.set(name, { batch, sharePct: 100, ...vectorOfNodes(nodes, h200, { measured: false, launchUs: 2 }) })
}

const observe = (model: string, peer: string): Observation => ({
  victim: { execution: { model: unsafeModelName(model), batch, sharePct }, type: types.get(model)! },
  neighbours: [{ execution: { model: unsafeModelName(peer), batch, sharePct }, type: types.get(peer)! }],
  slowdown: slowdown(model, peer)
})
const all = models.flatMap((model) => models.map((peer) => [model, peer] as const))

/** gpulet's form: k0 l2 + k1 l2' + k2 dram + k3 dram' + k4 with utilisations times shares, by least squares. */
const utilisation = new Map<string, readonly [number, number]>()
for (const row of csv(utilFile)) if (Number(row[1]) === batch) utilisation.set(row[0]!, [Number(row[4]), Number(row[5])])
const features = (model: string, peer: string): ReadonlyArray<number> => {
  const [l2, dram] = utilisation.get(model)!
  const [peerL2, peerDram] = utilisation.get(peer)!
  return [l2 / 200, peerL2 / 200, dram / 200, peerDram / 200, 1]
}
type Predict = (model: string, peer: string) => number
const forms: ReadonlyArray<readonly [string, (kept: typeof all) => Predict]> = [
  ["types", (kept) => {
    const fit = fitInterference(kept.map(([model, peer]) => observe(model, peer)))!
    return (model, peer) => {
      const { neighbours, victim } = observe(model, peer)
      return predictSlowdown(fit, victim, neighbours)
    }
  }],
  ["gpulet's", (kept) => {
    const weights = leastSquares(kept.map(([model, peer]) => features(model, peer)), kept.map(([model, peer]) => slowdown(model, peer)))
    return (model, peer) => Math.max(1, features(model, peer).reduce((sum, value, i) => sum + value * weights[i]!, 0))
  }],
  ["one constant", (kept) => {
    const constant = mean(kept.map(([model, peer]) => slowdown(model, peer)))
    return () => constant
  }]
]
const holdOuts: ReadonlyArray<readonly [string, ReadonlyArray<(pair: readonly [string, string]) => boolean>]> = [
  ["a pair held out", models.flatMap((a, i) => models.slice(i).map((b) => ([m, p]: readonly [string, string]) => (m === a && p === b) || (m === b && p === a)))],
  ["a model held out", models.map((a) => ([m, p]: readonly [string, string]) => m === a || p === a)]
]
const rows = holdOuts.flatMap(([what, folds]) => forms.map(([form, fit]) => {
  const ratios = folds.flatMap((isHeld) => {
    const predict = fit(all.filter((pair) => !isHeld(pair)))
    return all.filter(isHeld).map(([model, peer]) => predict(model, peer) / slowdown(model, peer))
  })
  return { what, form, ...errorsOf(ratios) }
}))
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "interference", rows }))
else {
  console.table([...types].map(([model, type]) => ({ model, type: labelOf(type), compute: type.compute.toFixed(2), memory: type.memory.toFixed(2), other: type.other.toFixed(2), "FLOP/byte": (type.flop / type.bytes).toFixed(1) })))
  console.table(rows)
}
const written = process.argv.indexOf("--write")
if (written >= 0) {
  fs.writeFileSync(process.argv[written + 1]!, `${JSON.stringify(models.map((model) => ({
    model, types: [types.get(model)!], coRuns: models.map((peer) => ({ batch, sharePct, neighbours: [{ model: peer, batch, sharePct }], slowdown: Number(slowdown(model, peer).toFixed(4)), count: 100 }))
  })), null, 1)}\n`)
}
if (process.argv.includes("--check") && !(rows[0]!["within 8 %"] >= 0.9)) process.exit(1)
