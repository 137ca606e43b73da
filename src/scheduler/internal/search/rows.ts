/**
 * Latencies and interference of every model on every share, by batch, as one array of numbers.
 */
import type { LinearInterference } from "../../../core/LatencyModel.js"
import type { PlanTables } from "../planTables.js"
import type { GpuKind, SearchSpace } from "./searchSpace.js"

/**
 * What is known of every (kind, model, share) by batch, in one array. An entry has the latency alone in ms, the base of the
 * interference, then by resource sensitivity, then by resource pressure. Batches end with the largest for which 2 L <= SLO, which no glet may exceed.
 */
export interface Rows {
  readonly data: Float64Array
  /** Numbers of an entry. */
  readonly stride: number
  /** Where the entry of batch 0, which is none, stands. */
  readonly start: (kind: number, model: number, share: number) => number
  /** The largest batch; 0 where the model cannot run. */
  readonly largest: (kind: number, model: number, share: number) => number
}

/** All rows at once: searches begin with what every model is worth on every share. */
export const tabulate = (
  tables: PlanTables, kinds: ReadonlyArray<GpuKind>, shares: number, resources: number, execution: SearchSpace["execution"]
): Rows => {
  const { demands } = tables
  const { latency, options } = tables.problem
  const models = demands.length
  const stride = 2 + 2 * resources
  const starts = new Int32Array(kinds.length * models * shares)
  const largest = new Int32Array(kinds.length * models * shares)
  let entries = 0
  kinds.forEach(({ gpu, sharesPct }, kind) => {
    for (let model = 0; model < models; model++) {
      const { maxBatch, sloMs } = demands[model]!
      for (let share = 0; share < sharesPct.length; share++) {
        const row = tables.latencyRow(gpu.type, model, sharesPct[share]!)
        let batch = 1
        for (; batch < row.length && batch <= maxBatch; batch++) {
          const ms = row[batch]! * options.latencyHeadroom
          if (!(ms > 0) || 2 * ms > sloMs) break
        }
        const at = (kind * models + model) * shares + share
        starts[at] = entries * stride
        largest[at] = batch - 1
        entries += batch
      }
    }
  })
  const data = new Float64Array(entries * stride)
  const { interference } = latency
  const note = (at: number, kind: number, model: number, share: number): void => {
    const row = tables.latencyRow(kinds[kind]!.gpu.type, model, kinds[kind]!.sharesPct[share]!)
    let sensitivity: ReturnType<LinearInterference["sensitivity"]> | undefined
    let pressure: ReadonlyArray<number> = []
    for (let batch = 1; batch <= largest[at]!; batch++) {
      const entry = starts[at]! + batch * stride
      data[entry] = row[batch]! * options.latencyHeadroom
      if (resources === 0 || interference === undefined) continue
      if (sensitivity === undefined || interference.isPerBatch) {
        const run = execution(kind, model, share, batch)
        sensitivity = interference.sensitivity(run)
        pressure = interference.pressure(run)
      }
      data[entry + 1] = sensitivity.base
      for (let r = 0; r < resources; r++) {
        data[entry + 2 + r] = sensitivity.by[r]!
        data[entry + 2 + resources + r] = pressure[r]!
      }
    }
  }
  kinds.forEach(({ sharesPct }, kind) => {
    for (let model = 0; model < models; model++) {
      for (let share = 0; share < sharesPct.length; share++) note((kind * models + model) * shares + share, kind, model, share)
    }
  })
  return {
    data,
    stride,
    start: (kind, model, share) => starts[(kind * models + model) * shares + share]!,
    largest: (kind, model, share) => largest[(kind * models + model) * shares + share]!
  }
}
