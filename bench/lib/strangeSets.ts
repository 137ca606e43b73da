/**
 * Seeded planning problems of shapes on which planners trip: nothing here is realistic.
 */
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { LatencyModel } from "../../src/core/LatencyModel.js"
import type { Demand, PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"

/** @since 0.1.0 */
export const strangeShapes = [
  "equal", "giant", "sameSlo", "steps", "onePerGpu", "holes", "prices", "tight", "flat", "rough", "idle", "single"
] as const
export type StrangeShape = typeof strangeShapes[number]

interface Spec {
  readonly fixedMs: number
  readonly itemMs: number
  readonly usefulPct: number
  readonly largestBatch: number
  readonly memoryBytes: number
  /** Shares at which it was never measured. */
  readonly missing: ReadonlySet<number>
}

const grids: ReadonlyArray<Gpu["sharesPct"]> = [
  [20, 40, 50, 60, 80, 100], [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], [50, 100], [100], [33, 34, 100], [10, 30, 70, 90, 100]
]

/** The problem of a shape and a seed; equal ones are equal. Its GPUs are 24 of one type, or 24 each of two. */
export const makeStrangeSet = (shape: StrangeShape, seed: number): PlanProblem => {
  const random = makeRandom(seed * 104_729 + strangeShapes.indexOf(shape))
  const between = (low: number, high: number): number => low + (high - low) * random()
  const decades = (low: number, high: number): number => low * (high / low) ** random()
  const whole = (low: number, high: number): number => Math.floor(between(low, high + 1))
  const one = <A>(list: ReadonlyArray<A>): A => list[Math.floor(random() * list.length)]!

  const grid = one(grids)
  const count = shape === "single" ? 1 : shape === "giant" ? whole(4, 14) : whole(2, 10)
  const any = (): Spec => ({
    fixedMs: decades(0.05, 10), itemMs: decades(0.01, 5), usefulPct: shape === "flat" ? whole(5, 25) : whole(10, 100), largestBatch: one([1, 4, 16, 32]),
    memoryBytes: shape === "onePerGpu" ? 0.6 * 16e9 : decades(0.01e9, 3e9),
    missing: shape === "holes" ? new Set(grid.filter((share) => share !== 100 && random() < 0.4)) : new Set()
  })
  const first = any()
  const specs = Array.from({ length: count }, (_, i) => (shape === "equal" || (shape === "giant" && i > 1) ? first : any()))
  const at = (spec: Spec, sharePct: number, batch: number, speed = 1): number =>
    batch > spec.largestBatch || spec.missing.has(sharePct) ? Infinity : spec.fixedMs + (spec.itemMs * batch * 100) / Math.min(sharePct, spec.usefulPct) / speed
  const names = specs.map((_, i) => unsafeModelName(`m${String(i).padStart(2, "0")}`))
  const byName = new Map<string, Spec>(names.map((name, i) => [name, specs[i]!]))
  const speedOf = (type: string): number => (type === "large" ? 3 : 1)
  const slowing = shape === "rough" ? 0.5 : one([0, 0.05])
  const latency: LatencyModel = {
    latencyMs: ({ batch, gpuType, model, sharePct }) => at(byName.get(model)!, sharePct, batch, speedOf(gpuType)),
    typicalMs: ({ batch, gpuType, model, sharePct }) => 0.8 * at(byName.get(model)!, sharePct, batch, speedOf(gpuType)),
    slowdown: (_, neighbours) => neighbours.reduce((factor, group) => factor + slowing * Math.max(...group.map((other) => (other.batch * other.sharePct) / 1600)), 1),
    interference: {
      combine: "sum", resources: 1, isPerBatch: true,
      pressure: ({ batch, sharePct }) => [(batch * sharePct) / 1600],
      sensitivity: () => ({ base: 0, by: [slowing] })
    },
    memoryBytes: (_, model) => byName.get(model)!.memoryBytes,
    gletMemoryBytes: () => (shape === "onePerGpu" ? 0 : 0.3e9)
  }
  const headroom = defaultPlanOptions.latencyHeadroom
  const dutyRule = one(["cycle", "strict"] as const)
  const sharedSlo = Math.max(...specs.map((spec) => 2 * headroom * at(spec, 100, 1))) * decades(1.01, 20)
  const equalSlo = 2 * headroom * at(first, 100, 1) * decades(1.05, 50)
  const equalRate = decades(0.1, 1000)
  const demands = specs.map((spec, i): Demand => {
    const sloMs = shape === "sameSlo" ? sharedSlo
      : shape === "equal" ? equalSlo
      : 2 * headroom * at(spec, 100, 1) * (shape === "tight" ? between(1.001, 1.3) : decades(1.05, 50))
    // What the share carries within the SLO, with work of its own alone.
    const carried = (share: number): number => {
      let most = 0
      for (let batch = 1; batch <= spec.largestBatch; batch++) {
        const ms = headroom * at(spec, share, batch)
        if (2 * ms <= sloMs) most = Math.max(most, (1000 * batch) / ms)
      }
      return most
    }
    const full = carried(100)
    const rateRps = shape === "equal" ? Math.min(equalRate, 3 * full)
      : shape === "giant" ? (i === 0 ? full * between(2, 6) : full * decades(0.001, 0.05))
      : shape === "steps" ? Math.max(carried(one(grid)), full * 0.1) * whole(1, 2)
      : shape === "idle" ? (random() < 0.3 ? 1e-6 : full * decades(0.0001, 0.01))
      : shape === "single" ? full * decades(0.001, 20)
      : full * decades(0.01, 1.5)
    return { model: names[i]!, serviceClass: "latency-critical", rateRps, sloMs, maxBatch: 32 }
  })
  const gpus = (type: string, cost?: number): ReadonlyArray<Gpu> =>
    Array.from({ length: 24 }, (_, i): Gpu => ({
      id: unsafeGpuId(`${type}:${i}`), type, isolation: "emulated", units: 100, memoryBytes: 16e9, sharesPct: grid, ...(cost === undefined ? {} : { cost })
    }))
  return {
    gpus: shape === "prices" ? [...gpus("small", 1), ...gpus("large", 100)] : gpus("small"),
    demands,
    latency,
    options: { ...defaultPlanOptions, dutyRule, maxModelsPerGlet: one([1, 3, 8]), seed }
  }
}
