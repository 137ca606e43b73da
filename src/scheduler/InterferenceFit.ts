/**
 * How much glets of one GPU slow each other down, from their types, fitted to measured co-runs.
 *
 * A batch i beside neighbours j of shares p_j takes 1 + sum_j p_j (o_i + (a + b m_i) m_j + (c + d c_i) c_j) times as long, with m and c the shares of
 * time in memory-bound and compute-bound operators: o_i is what it suffers from any neighbour (clocks, launches, caches; by model, batch and share
 * where those were measured), the rest what it suffers from theirs in particular. Any number of neighbours, no term below 0. Linear in what
 * neighbours do, so that searches can tabulate it (`LinearInterference`).
 *
 * @since 0.1.0
 */
import type { Execution } from "../core/LatencyModel.js"
import type { WorkloadType } from "../core/Profile.js"

/** A model with its workload type. @since 0.1.0 @category interference */
export interface Typed {
  readonly execution: Pick<Execution, "model" | "batch" | "sharePct">
  readonly type: WorkloadType
}

/** A measured co-run. @since 0.1.0 @category interference */
export interface Observation {
  readonly victim: Typed
  readonly neighbours: ReadonlyArray<Typed>
  readonly slowdown: number
}

/** All at least 0. @since 0.1.0 @category interference */
export interface InterferenceCoefficients {
  /** Of models that were never measured beside another. */
  readonly meanOffset: number
  /** By model, of its batches and shares that were not: the mean of those that were. */
  readonly modelOffsets: ReadonlyMap<string, number>
  /** By `offsetKey`. */
  readonly offsets: ReadonlyMap<string, number>
  /** a, b, c, d. */
  readonly memory: number
  readonly memoryOnMemory: number
  readonly compute: number
  readonly computeOnCompute: number
}

/** Names a model at a batch and a share. @since 0.1.0 @category interference */
export const offsetKey = ({ batch, model, sharePct }: Typed["execution"]): string => `${model} ${batch} ${sharePct}`

/** Of where nothing is known of a type: neither arithmetic nor memory in particular. @since 0.1.0 @category interference */
export const unknownType: WorkloadType = { compute: 0, memory: 0, other: 1 }

/** How much an execution is slowed down by any neighbour at all: as fitted, else its model's mean, else the mean of all. @since 0.1.0 @category interference */
export const offsetOf = (coefficients: InterferenceCoefficients, execution: Typed["execution"]): number =>
  coefficients.offsets.get(offsetKey(execution)) ?? coefficients.modelOffsets.get(execution.model) ?? coefficients.meanOffset

/** What neighbours do, each by its share: their presence, their memory traffic, their arithmetic. @since 0.1.0 @category interference */
export const pressureOf = ({ execution, type }: Typed): readonly [number, number, number] => {
  const part = execution.sharePct / 100
  return [part, part * type.memory, part * type.compute]
}

/** What a batch suffers from each of them. @since 0.1.0 @category interference */
export const sensitivityOf = (coefficients: InterferenceCoefficients, { execution, type }: Typed): readonly [number, number, number] => [
  offsetOf(coefficients, execution),
  coefficients.memory + coefficients.memoryOnMemory * type.memory,
  coefficients.compute + coefficients.computeOnCompute * type.compute
]

/** The predicted slow-down, at least 1. @since 0.1.0 @category interference */
export const predictSlowdown = (coefficients: InterferenceCoefficients, victim: Typed, neighbours: ReadonlyArray<Typed>): number => {
  const [o, m, c] = sensitivityOf(coefficients, victim)
  return neighbours.reduce((total, neighbour) => {
    const [presence, memory, compute] = pressureOf(neighbour)
    return total + o * presence + m * memory + c * compute
  }, 1)
}

/** Rounds of coordinate descent; it converges long before. */
const rounds = 500
/** An offset is drawn to the mean of all as by so many co-runs beside half of the GPU, and shared coefficients to 0 by a little. */
const offsetPrior = 0.25 * 0.25
const sharedPrior = 1e-4

/**
 * The coefficients of least squared error, each at least 0, by coordinate descent: convex, so it finds the least there is. Undefined where there is
 * nothing to fit.
 * @since 0.1.0
 * @category interference
 */
export const fitInterference = (observations: ReadonlyArray<Observation>): InterferenceCoefficients | undefined => {
  if (observations.length === 0) return undefined
  const keys = [...new Set(observations.map(({ victim }) => offsetKey(victim.execution)))].sort()
  const rows = observations.map(({ neighbours, slowdown, victim }) => {
    const sums = [0, 0, 0]
    for (const neighbour of neighbours) pressureOf(neighbour).forEach((value, i) => sums[i]! += value)
    const [presence, memory, compute] = sums as [number, number, number]
    return {
      key: keys.indexOf(offsetKey(victim.execution)), presence, excess: slowdown - 1,
      shared: [memory, victim.type.memory * memory, compute, victim.type.compute * compute]
    }
  })
  const shared = [0, 0, 0, 0]
  const offsets = keys.map(() => 0)
  let mean = 0
  const residual = (row: (typeof rows)[number]): number =>
    row.excess - offsets[row.key]! * row.presence - row.shared.reduce((sum, value, i) => sum + value * shared[i]!, 0)
  for (let round = 0; round < rounds; round++) {
    keys.forEach((_, key) => {
      let top = offsetPrior * mean
      let bottom = offsetPrior
      for (const row of rows) {
        if (row.key !== key) continue
        top += row.presence * (residual(row) + offsets[key]! * row.presence)
        bottom += row.presence * row.presence
      }
      offsets[key] = Math.max(0, top / bottom)
    })
    mean = offsets.reduce((sum, offset) => sum + offset, 0) / offsets.length
    shared.forEach((_, i) => {
      let top = 0
      let bottom = sharedPrior
      for (const row of rows) {
        top += row.shared[i]! * (residual(row) + shared[i]! * row.shared[i]!)
        bottom += row.shared[i]! * row.shared[i]!
      }
      shared[i] = Math.max(0, top / bottom)
    })
  }
  const [memory, memoryOnMemory, compute, computeOnCompute] = shared as [number, number, number, number]
  const ofModels = new Map<string, Array<number>>()
  observations.forEach(({ victim: { execution } }) => {
    const offset = offsets[keys.indexOf(offsetKey(execution))]!
    ofModels.set(execution.model, [...ofModels.get(execution.model) ?? [], offset])
  })
  return {
    meanOffset: mean,
    modelOffsets: new Map([...ofModels].map(([model, all]) => [model, all.reduce((sum, each) => sum + each, 0) / all.length])),
    offsets: new Map(keys.map((key, i) => [key, offsets[i]!])), memory, memoryOnMemory, compute, computeOnCompute
  }
}
