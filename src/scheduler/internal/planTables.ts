/**
 * A problem made fast to search: demands by number, latencies and what follows from them tabulated as they are asked for.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Execution } from "../../core/LatencyModel.js"
import type { Demand, PlanProblem } from "../../core/PlanProblem.js"
import { keepsSlo } from "./keepsSlo.js"
import type { LatencyRow } from "./latencyRows.js"
import { batchLimit, latencyRows } from "./latencyRows.js"
import type { Effect } from "./slowdowns.js"
import { knownEffects } from "./slowdowns.js"

/** What a model can do at most on a share of a GPU alone, always having work. */
interface Saturation {
  readonly rateRps: number
  readonly batch: number
}

const nothing: Saturation = { rateRps: 0, batch: 0 }

export interface PlanTables {
  readonly problem: PlanProblem
  readonly demands: ReadonlyArray<Demand>
  /** Planning latencies without head-room and interference. */
  readonly latencyRow: (gpuType: string, demand: number, sharePct: number) => LatencyRow
  /** Planning latency with head-room, without interference; `Infinity` where unknown. */
  readonly latencyMs: (gpuType: string, demand: number, sharePct: number, batch: number) => number
  /**
   * The most that one demand can get out of a share within its SLO. In every cycle d >= L and d + L <= SLO, so 2 L <= SLO whatever else the glet
   * runs: this bounds shared glets too.
   */
  readonly saturation: (gpuType: string, demand: number, sharePct: number) => Saturation
  /** The share of a GPU at which a demand gets most throughput per percent; 0 where none works. */
  readonly preferredShare: (gpu: Gpu, demand: number) => number
  readonly memoryBytes: (gpuType: string, demand: number) => number
  readonly gletMemoryBytes: (gpuType: string) => number
  readonly execution: (gpuType: string, demand: number, sharePct: number, batch: number) => Execution
  /** The same with what it does to others and suffers from them. */
  readonly effect: (gpuType: string, demand: number, sharePct: number, batch: number) => Effect
  readonly largestBatch: (demand: number) => number
}

/** A value per (GPU type, demand, share), made when first asked for. */
const perShare = <A>(demands: number, make: (gpuType: string, demand: number, sharePct: number) => A) => {
  const types = new Map<string, Array<A | undefined>>()
  // Searches ask for one type many times in a row.
  let lastType: string | undefined
  let known: Array<A | undefined> = []
  return (gpuType: string, demand: number, sharePct: number): A => {
    if (gpuType !== lastType) {
      known = types.get(gpuType) ?? new Array<A | undefined>(demands * 101)
      types.set(gpuType, known)
      lastType = gpuType
    }
    const at = demand * 101 + sharePct
    const found = known[at]
    if (found !== undefined) return found
    // Making one may ask for others.
    const row = known
    return row[at] = make(gpuType, demand, sharePct)
  }
}

export const makePlanTables = (problem: PlanProblem): PlanTables => {
  const { demands, latency, options } = problem
  const largestBatch = (demand: number): number => Math.min(demands[demand]!.maxBatch, batchLimit)
  const execution = (gpuType: string, demand: number, sharePct: number, batch: number): Execution =>
    ({ gpuType, model: demands[demand]!.model, sharePct, batch })

  const known = latencyRows(latency)
  const latencyRow = perShare(demands.length, (gpuType, demand, sharePct) => known.row(gpuType, demands[demand]!.model, sharePct, largestBatch(demand)))
  const latencyMs = (gpuType: string, demand: number, sharePct: number, batch: number): number => {
    const row = latencyRow(gpuType, demand, sharePct)
    const ms = batch < row.length && batch <= demands[demand]!.maxBatch ? row[batch]! * options.latencyHeadroom : Infinity
    return ms > 0 ? ms : Infinity
  }

  const effectsKnown = knownEffects(latency)
  const effects = perShare(demands.length, (): Array<Effect | undefined> => [])
  const isPerBatch = latency.interference?.isPerBatch ?? true
  const effect = (gpuType: string, demand: number, sharePct: number, batch: number): Effect => {
    const row = effects(gpuType, demand, sharePct)
    const place = isPerBatch ? batch : 0
    return row[place] ??= effectsKnown(execution(gpuType, demand, sharePct, batch))
  }

  const saturation = perShare(demands.length, (gpuType, demand, sharePct) => {
    let best = nothing
    const { sloMs } = demands[demand]!
    for (let batch = 1; batch <= largestBatch(demand); batch++) {
      const ms = latencyMs(gpuType, demand, sharePct, batch)
      if (!keepsSlo(ms, sloMs) || ms === Infinity) break
      const rateRps = (1000 * batch) / ms
      if (rateRps > best.rateRps) best = { rateRps, batch }
    }
    return best
  })

  const preferOn = (gpu: Gpu, demand: number): number => {
    let best = 0
    let bestGain = 0
    for (const share of gpu.sharesPct) {
      const gain = saturation(gpu.type, demand, share).rateRps / share
      if (gain > bestGain * (1 + 1e-9)) {
        best = share
        bestGain = gain
      }
    }
    return best
  }
  const preferred = new Map<string, ReadonlyArray<number>>()
  const preferredOf = new Map<Gpu, ReadonlyArray<number>>()
  const preferredShare = (gpu: Gpu, demand: number): number => {
    let row = preferredOf.get(gpu)
    if (row === undefined) {
      // GPUs of one type and grid are alike.
      const key = `${gpu.type} ${gpu.sharesPct.join()}`
      row = preferred.get(key) ?? demands.map((_, each) => preferOn(gpu, each))
      preferred.set(key, row)
      preferredOf.set(gpu, row)
    }
    return row[demand]!
  }

  const memory = new Map<string, Float64Array>()
  const memoryBytes = (gpuType: string, demand: number): number => {
    let row = memory.get(gpuType)
    if (row === undefined) {
      memory.set(gpuType, row = Float64Array.from(demands, ({ model }) => latency.memoryBytes(gpuType, model)))
    }
    return row[demand]!
  }
  return {
    problem, demands, latencyRow, latencyMs, saturation, preferredShare, memoryBytes, execution, effect, largestBatch, gletMemoryBytes: latency.gletMemoryBytes
  }
}
