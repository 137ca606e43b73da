/**
 * A seeded generator of planning problems: models with profiles of realistic shape, rates over four decades, SLOs over two, one or two types of GPU.
 */
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { Demand, PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import type { ModelProfile, ProfilePoint } from "../../src/core/Profile.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"

export interface TaskSetOptions {
  readonly seed: number
  readonly models: number
  /** GPUs' worth of load, about: rates are scaled so that what the models need at the least sums to it. */
  readonly loadGpus: number
  /** GPUs there are, split evenly over the types. */
  readonly gpus: number
  readonly types: 1 | 2
  readonly options?: Partial<PlanOptions>
}

interface TypeSpec {
  readonly type: string
  /** Relative to the first. */
  readonly speed: number
  readonly memoryBytes: number
  readonly cost?: number
  readonly sharesPct: Gpu["sharesPct"]
}

const gb = 1e9
const measuredShares = [5, 10, 15, 20, 30, 40, 50, 60, 80, 100]
const measuredBatches = [1, 2, 4, 8, 12, 16, 24, 32]
const fine: Gpu["sharesPct"] = [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100]
const coarse: Gpu["sharesPct"] = [20, 40, 50, 60, 80, 100]

const typesOf = (count: 1 | 2, isCoarse: boolean): ReadonlyArray<TypeSpec> => {
  const sharesPct = isCoarse ? coarse : fine
  const small: TypeSpec = { type: "small", speed: 1, memoryBytes: 11 * gb, sharesPct }
  return count === 1 ? [small] : [{ ...small, cost: 1 }, { type: "large", speed: 2.2, memoryBytes: 40 * gb, cost: 1.9, sharesPct }]
}

/** A model in numbers: time of a batch of b on a part p of the first type is fixed + item b / min(p, b^half times the part that one item fills). */
interface ModelSpec {
  readonly fixedMs: number
  readonly itemMs: number
  readonly fillsPart: number
  readonly memoryBytes: number
  readonly compute: number
}

const latencyMs = (spec: ModelSpec, speed: number, sharePct: number, batch: number): number => {
  const useful = Math.min(1, spec.fillsPart * Math.sqrt(batch))
  return spec.fixedMs + (spec.itemMs * batch) / speed / Math.min(sharePct / 100, useful)
}

/** The problem; equal options give equal problems. */
export const makeTaskSet = (options: TaskSetOptions): PlanProblem => makeProfiledTaskSet(options).problem

/** The problem, with the profiles that its latency model is made of. */
export const makeProfiledTaskSet = (
  { gpus, loadGpus, models, options, seed, types }: TaskSetOptions
): { readonly problem: PlanProblem; readonly profiles: ProfileLatencyModel.ProfilesByType } => {
  const random = makeRandom(seed * 7919 + models)
  const between = (low: number, high: number): number => low + (high - low) * random()
  const decades = (low: number, high: number): number => low * (high / low) ** random()
  const specs = Array.from({ length: models }, (): ModelSpec => {
    const itemMs = decades(0.02, 4)
    return { itemMs, fixedMs: itemMs * between(0.2, 3), fillsPart: between(0.15, 0.8), memoryBytes: Math.min(3 * gb, decades(0.05 * gb, 3 * gb)), compute: random() }
  })
  const kinds = typesOf(types, random() < 0.5)
  const names = specs.map((_, i) => unsafeModelName(`m${String(i).padStart(4, "0")}`))
  const profiles = new Map(kinds.map((kind) => [kind.type, new Map(specs.map((spec, i): [typeof names[number], ModelProfile] => [names[i]!, {
    model: names[i]!,
    memoryBytes: spec.memoryBytes,
    loadMs: 0,
    workloadType: { compute: 0.9 * spec.compute, memory: 0.9 * (1 - spec.compute), other: 0.1 },
    points: measuredShares.flatMap((sharePct) => measuredBatches.map((batch): ProfilePoint => {
      const ms = latencyMs(spec, kind.speed, sharePct, batch)
      return { sharePct, batch, meanMs: ms * 0.95, p50Ms: ms * 0.95, p90Ms: ms * 0.98, p99Ms: ms, count: 100 }
    })) as unknown as ModelProfile["points"]
  }]))]))
  const latency = ProfileLatencyModel.make(profiles, {
    interference: new Map(kinds.map(({ type }) => [type, { memory: 0.04, compute: 0.01, presence: 0 }])),
    gletMemoryBytes: new Map(kinds.map(({ type }) => [type, 0.5 * gb]))
  })
  const headroom = options?.latencyHeadroom ?? defaultPlanOptions.latencyHeadroom
  const shapes = specs.map((spec) => {
    // The least SLO that half a GPU keeps for single items, and up to a hundred times that; popularity over four decades.
    const sloMs = 2.4 * headroom * latencyMs(spec, 1, 50, 1) * decades(1, 100)
    const popularity = decades(1, 1e4)
    let perPart = 0
    for (const share of kinds[0]!.sharesPct) {
      for (let batch = 1; batch <= 32; batch++) {
        const ms = headroom * latencyMs(spec, 1, share, batch)
        if (2 * ms <= sloMs) perPart = Math.max(perPart, (1000 * batch) / ms / (share / 100))
      }
    }
    return { sloMs, popularity, parts: popularity / perPart }
  })
  const capacity = shapes.reduce((sum, { parts }) => sum + parts, 0)
  const problem: PlanProblem = {
    gpus: kinds.flatMap((kind, k) =>
      Array.from({ length: Math.floor((gpus + k) / kinds.length) }, (_, i): Gpu => ({
        id: unsafeGpuId(`${kind.type}:${i}`), type: kind.type, isolation: "mps", units: 100, memoryBytes: kind.memoryBytes, sharesPct: kind.sharesPct,
        ...(kind.cost === undefined ? {} : { cost: kind.cost })
      }))
    ),
    demands: shapes.map(({ popularity, sloMs }, i): Demand => ({
      model: names[i]!, serviceClass: "latency-critical", rateRps: Math.max(0.1, (popularity * loadGpus) / capacity), sloMs, maxBatch: 32
    })),
    latency,
    options: { ...defaultPlanOptions, ...options }
  }
  return { problem, profiles }
}
