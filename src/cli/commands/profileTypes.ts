/** What `glet profile --types` adds to profiles: the type of every model. */
import * as Effect from "effect/Effect"
import type { ExecutorError } from "../../core/ExecutorError.js"
import type { Gpu } from "../../core/Gpu.js"
import type { Model } from "../../core/Model.js"
import type { ModelProfile, ProfilePoint, TypeVector } from "../../core/Profile.js"
import type { ProfileRequest } from "../../core/Profiler.js"
import { Profiler } from "../../core/Profiler.js"
import type { Roofline } from "../../core/WorkloadType.js"
import { labelOf, memoryPartByStress, nodeWork, scalingPart, vectorOfNodes } from "../../core/WorkloadType.js"
import { trace } from "../../node-cuda/NodeTrace.js"
import { rankCorrelation } from "../internal/rankCorrelation.js"
import { stressModel } from "../internal/stressModels.js"
import { table } from "../internal/terminal.js"

/** Batches that get a type, as far as they were measured on the whole GPU. */
const typedBatches = [1, 8, 32]
/** The one that stressors and neighbours run beside. */
export const corunBatch = 8
const traceRuns = 4
/** What the device can do at most is what it did once. */
const peakRuns = 24
/** An operator on a GPU takes no less than its launch in a graph, about. */
const launchUs = 2

/** The largest share that has room for another of its size. */
export const halfOf = (gpu: Gpu): number | undefined => gpu.sharesPct.findLast((share) => share <= 50)

const measure = (request: Omit<ProfileRequest, "sharesPct" | "batches">, sharePct: number, batch: number): Effect.Effect<ProfilePoint, ExecutorError, Profiler> =>
  Effect.flatMap(Profiler, (profiler) =>
    Effect.map(profiler.profile({ ...request, sharesPct: [sharePct], batches: [batch] }), ({ points: [point] }) => point!))

const traced = (model: Model, gpu: Gpu, items: number, runs = traceRuns) =>
  trace(model, { items, threads: gpu.isolation === "threads" ? gpu.units : 1, runs: gpu.isolation === "threads" ? runs : 0 })

/** What the device can do at most: each stressor alone on the whole of it. */
export const measureRoofline = (gpu: Gpu, budgetMs: number): Effect.Effect<Roofline, ExecutorError, Profiler> =>
  Effect.gen(function*() {
    const perSecond = (stress: "compute" | "memory", amount: "flop" | "bytes") =>
      Effect.gen(function*() {
        const model = stressModel(gpu, stress)
        const nodes = yield* traced(model, gpu, 1, peakRuns)
        // Measured as the operators of models are: the best of them.
        if (gpu.isolation === "threads") return nodes.reduce((most, node) => Math.max(most, (1e6 * nodeWork(node)[amount]) / Math.max(1, node.leastUs ?? node.us)), 0)
        const { p50Ms } = yield* measure({ model, gpu, budgetMs, beside: "nothing" }, 100, 1)
        return (1000 * nodes.reduce((total, node) => total + nodeWork(node)[amount], 0)) / p50Ms
      })
    return { flopPerS: yield* perSecond("compute", "flop"), bytesPerS: yield* perSecond("memory", "bytes") }
  })

/** The types of a model that was measured. */
export const measureTypes = (
  model: Model, gpu: Gpu, profile: ModelProfile, roofline: Roofline, budgetMs: number
): Effect.Effect<ModelProfile, ExecutorError, Profiler> =>
  Effect.gen(function*() {
    const whole = Math.max(...profile.points.map(({ sharePct }) => sharePct))
    const batches = typedBatches.filter((batch) => profile.points.some((point) => point.batch === batch && point.sharePct === whole))
    const stressedAt = batches.includes(corunBatch) ? corunBatch : batches[0] ?? 1
    const half = halfOf(gpu)
    const types: Array<TypeVector> = []
    for (const batch of batches.length === 0 ? [1] : batches) {
      const nodes = yield* traced(model, gpu, batch)
      const vector = vectorOfNodes(nodes, roofline, { measured: gpu.isolation === "threads", launchUs })
      const scaling = scalingPart(profile.points, batch)
      types.push({ batch, sharePct: whole, ...vector, ...(scaling === undefined ? {} : { scaling }) })
    }
    if (half !== undefined) {
      const request = { model, gpu, budgetMs: budgetMs / 3 }
      const beside = (stress: "compute" | "memory") => measure({ ...request, beside: { model: stressModel(gpu, stress), batch: 1 } }, half, stressedAt)
      const alone = yield* measure({ ...request, beside: "nothing" }, half, stressedAt)
      const compute = yield* beside("compute")
      const memory = yield* beside("memory")
      const at = types.findIndex(({ batch }) => batch === stressedAt)
      types[at] = { ...types[at]!, stressed: { compute: compute.p50Ms / alone.p50Ms, memory: memory.p50Ms / alone.p50Ms } }
    }
    const { compute, memory, other } = types.at(-1)!
    return { ...profile, workloadType: { compute, memory, other }, types }
  })

const percent = (value: number | undefined): string => (value === undefined ? "-" : `${Math.round(100 * value)} %`)

export const renderTypes = (profiles: ReadonlyArray<ModelProfile>, roofline: Roofline | undefined, colour: boolean): string => {
  const rows = profiles.flatMap(({ model, types = [] }) => types.map((type, i) => [
    i === 0 ? model : "", String(type.batch), labelOf(type), percent(type.compute), percent(type.memory), percent(type.other),
    (type.flopPerS / 1e9).toFixed(1), (type.bytesPerS / 1e9).toFixed(1), type.bytes > 0 ? (type.flop / type.bytes).toFixed(1) : "-",
    percent(type.scaling), type.stressed === undefined ? "-" : `${type.stressed.compute.toFixed(2)}x`, type.stressed === undefined ? "-" : `${type.stressed.memory.toFixed(2)}x`
  ]))
  return [
    table(
      ["model", "batch", "type", "compute", "memory", "other", "GFLOP/s", "GB/s", "FLOP/byte", "scales", "beside arithmetic", "beside memory"],
      rows, { align: "lrlrrrrrrrrr", colour }
    ),
    ...(roofline === undefined ? [] : [
      "", `at most ${(roofline.flopPerS / 1e9).toFixed(1)} GFLOP/s and ${(roofline.bytesPerS / 1e9).toFixed(1)} GB/s: the ridge is at ${(roofline.flopPerS / roofline.bytesPerS).toFixed(1)} FLOP/byte`
    ]),
    ...agreement(profiles)
  ].join("\n")
}

/** How far the three ways order the models alike: Spearman's rank correlation of what each says of memory. */
const agreement = (profiles: ReadonlyArray<ModelProfile>): ReadonlyArray<string> => {
  const types = profiles.flatMap(({ types: all = [] }) => all)
  const ways: ReadonlyArray<readonly [string, (type: TypeVector) => number | undefined]> = [
    ["roofline", (type) => type.memory / Math.max(1e-9, type.compute + type.memory)],
    ["slope", (type) => (type.scaling === undefined ? undefined : 1 - type.scaling)],
    ["stressors", (type) => (type.stressed === undefined ? undefined : memoryPartByStress(type.stressed))]
  ]
  return ways.flatMap(([first, one], i) => ways.slice(i + 1).flatMap(([second, other]) => {
    const pairs = types.flatMap((type): ReadonlyArray<readonly [number, number]> => {
      const a = one(type)
      const b = other(type)
      return a === undefined || b === undefined ? [] : [[a, b]]
    })
    const correlation = rankCorrelation(pairs)
    return correlation === undefined ? [] : [`${first} and ${second} order ${pairs.length} types alike by ${correlation.toFixed(2)} (rank correlation)`]
  }))
}
