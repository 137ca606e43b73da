/**
 * Planning problems for tests: latencies from a formula, demands from a seed or from fast-check.
 */
import * as fc from "fast-check"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Execution, LatencyModel } from "../../src/core/LatencyModel.js"
import type { Demand, PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"

/** A model whose execution takes fixedMs + itemMs * batch / min(share, usefulPct) * 100, in steps of no batch above largestBatch. */
export interface ModelSpec {
  readonly name: string
  readonly fixedMs: number
  readonly itemMs: number
  /** Share beyond which it gets no faster. */
  readonly usefulPct: number
  readonly largestBatch: number
  readonly memoryBytes: number
}

export const mb = 1e6

/** `isLinear`: what the slow-down is made of is told, as real latency models do. */
export const latencyOf = (
  specs: ReadonlyArray<ModelSpec>,
  options: { readonly slowdownPerNeighbour?: number; readonly gletMemoryBytes?: number; readonly isLinear?: boolean } = {}
): LatencyModel => {
  const models = new Map(specs.map((spec) => [spec.name, spec]))
  const at = (model: string, sharePct: number, batch: number): number => {
    const spec = models.get(model)
    if (spec === undefined || batch > spec.largestBatch) return Infinity
    return spec.fixedMs + (spec.itemMs * batch * 100) / Math.min(sharePct, spec.usefulPct)
  }
  return {
    latencyMs: ({ batch, model, sharePct }) => at(model, sharePct, batch),
    typicalMs: ({ batch, model, sharePct }) => 0.8 * at(model, sharePct, batch),
    slowdown: (_, neighbours) =>
      neighbours.reduce(
        (factor, group) => factor + (options.slowdownPerNeighbour ?? 0) * Math.max(...group.map((other) => (other.batch * other.sharePct) / 1600)),
        1
      ),
    ...(options.isLinear === false ? {} : {
      interference: {
        combine: "sum" as const,
        resources: 1,
        isPerBatch: true,
        pressure: ({ batch, sharePct }: Execution) => [(batch * sharePct) / 1600],
        sensitivity: () => ({ base: 0, by: [options.slowdownPerNeighbour ?? 0] })
      }
    }),
    memoryBytes: (_, model) => models.get(model)?.memoryBytes ?? Infinity,
    gletMemoryBytes: () => options.gletMemoryBytes ?? 0
  }
}

export const gpuOf = (index: number, overrides: Partial<Gpu> = {}): Gpu => ({
  id: unsafeGpuId(`gpu-${String(index).padStart(3, "0")}`),
  type: "test",
  isolation: "emulated",
  units: 100,
  memoryBytes: 16_000 * mb,
  sharesPct: [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100],
  ...overrides
})

export const gpusOf = (count: number, overrides: Partial<Gpu> = {}): ReadonlyArray<Gpu> =>
  Array.from({ length: count }, (_, i) => gpuOf(i, overrides))

/** Cores of a small machine: its grid is coarse. */
export const cpuOf = (cores: number): Gpu =>
  gpuOf(0, {
    id: unsafeGpuId("cpu"),
    type: "cpu",
    isolation: "threads",
    units: cores,
    sharesPct: cores === 1 ? [100] : cores === 2 ? [50, 100] : [25, 50, 75, 100]
  })

export const demandOf = (name: string, rateRps: number, sloMs: number, maxBatch = 32): Demand => ({
  model: unsafeModelName(name), serviceClass: "latency-critical", rateRps, sloMs, maxBatch
})
export const bestEffortOf = (name: string, maxBatch = 32): Demand => ({
  model: unsafeModelName(name), serviceClass: "best-effort", rateRps: 0, sloMs: Infinity, maxBatch
})

export const problemOf = (
  gpus: ReadonlyArray<Gpu>,
  demands: ReadonlyArray<Demand>,
  latency: LatencyModel,
  options: Partial<PlanOptions> = {}
): PlanProblem => ({ gpus, demands, latency, options: { ...defaultPlanOptions, ...options } })

const spec = (name: string): fc.Arbitrary<ModelSpec> =>
  fc.record({
    name: fc.constant(name),
    fixedMs: fc.double({ min: 0.05, max: 10, noNaN: true }),
    itemMs: fc.double({ min: 0.01, max: 5, noNaN: true }),
    usefulPct: fc.integer({ min: 5, max: 100 }),
    largestBatch: fc.constantFrom(1, 4, 16, 32),
    memoryBytes: fc.integer({ min: 1, max: 3_000 }).map((size) => size * mb)
  })

/** Random problems, some of them impossible. */
export const problems = (options: {
  readonly maxModels?: number
  readonly maxGpus?: number
  readonly whenShort?: PlanOptions["whenShort"]
} = {}): fc.Arbitrary<PlanProblem> =>
  fc.integer({ min: 1, max: options.maxModels ?? 8 }).chain((count) =>
    fc.record({
      specs: fc.tuple(...Array.from({ length: count }, (_, i) => spec(`m${i}`))),
      works: fc.array(
        fc.record({
          // Rates over five decades, and models nobody asks for; SLOs of up to a hundred executions.
          rate: fc.oneof(
            { weight: 1, arbitrary: fc.constant(0) },
            { weight: 6, arbitrary: fc.double({ min: -1, max: 2.5, noNaN: true }).map((exponent) => 10 ** exponent) },
            { weight: 1, arbitrary: fc.double({ min: 2.5, max: 4, noNaN: true }).map((exponent) => 10 ** exponent) }
          ),
          executions: fc.oneof(
            { weight: 1, arbitrary: fc.constant(1.5) },
            { weight: 12, arbitrary: fc.double({ min: 0.4, max: 2, noNaN: true }).map((exponent) => 10 ** exponent) }
          ),
          isBestEffort: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
          maxBatch: fc.constantFrom(1, 8, 64)
        }),
        { minLength: count, maxLength: count }
      ),
      gpus: fc.integer({ min: 1, max: options.maxGpus ?? 4 }),
      grid: fc.constantFrom<Partial<Gpu>>({}, { sharesPct: [50, 100], units: 2 }, { sharesPct: [100], units: 1 }, { sharesPct: [20, 40, 50, 60, 80, 100] }),
      slowdownPerNeighbour: fc.constantFrom(0, 0.05, 0.5),
      gletMemoryBytes: fc.constantFrom(0, 1_200 * mb),
      isLinear: fc.boolean(),
      dutyRule: fc.constantFrom("cycle" as const, "strict" as const),
      whenShort: fc.constantFrom("fail" as const, "degrade" as const),
      maxModelsPerGlet: fc.constantFrom(1, 2, 8),
      seed: fc.integer({ min: 0, max: 1000 })
    }).map((given) =>
      problemOf(
        gpusOf(given.gpus, given.grid),
        given.works.map(({ executions, isBestEffort, maxBatch, rate }, i) => {
          const { fixedMs, itemMs, usefulPct } = given.specs[i]!
          const sloMs = executions * defaultPlanOptions.latencyHeadroom * (fixedMs + (100 * itemMs) / usefulPct)
          return isBestEffort ? bestEffortOf(`m${i}`, maxBatch) : demandOf(`m${i}`, rate, sloMs, maxBatch)
        }),
        latencyOf(given.specs, given),
        {
          dutyRule: given.dutyRule,
          whenShort: options.whenShort ?? given.whenShort,
          maxModelsPerGlet: given.maxModelsPerGlet,
          seed: given.seed,
          effort: 0.3
        }
      )
    )
  )
