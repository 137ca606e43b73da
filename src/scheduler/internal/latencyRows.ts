/**
 * Latencies by batch, tabulated once per latency model: a planner, its bound and the plans after it ask for the same ones again and again.
 *
 * A latency model is a value and its answers never change, so what is known of one is kept as long as it lives.
 */
import type { ModelName } from "../../core/Ids.js"
import type { LatencyModel } from "../../core/LatencyModel.js"

/** Planners look no further, whatever a model allows; no profile measures larger batches. */
export const batchLimit = 4096

/** Latencies kept for one latency model; beyond them what is known is forgotten. */
const mostKept = 1 << 23

/** Latencies in ms by batch; place 0 is unused. The row ends before the first batch that is not known. */
export type LatencyRow = Float64Array

interface LatencyRows {
  /** Of batches up to `largestBatch`, or more. */
  readonly row: (gpuType: string, model: ModelName, sharePct: number, largestBatch: number) => LatencyRow
}

interface Known {
  readonly row: LatencyRow
  /** Up to which batch was asked. */
  readonly upTo: number
}

const measure = (latency: LatencyModel, gpuType: string, model: ModelName, sharePct: number, upTo: number): LatencyRow => {
  const values = latency.latenciesMs?.(gpuType, model, sharePct, upTo) ?? Float64Array.from({ length: upTo + 1 }, (_, batch) =>
    batch === 0 ? 0 : latency.latencyMs({ gpuType, model, sharePct, batch }))
  let end = 1
  while (end < values.length && values[end]! < Infinity) end++
  return end === values.length ? values : values.slice(0, end)
}

const make = (latency: LatencyModel): LatencyRows => {
  const types = new Map<string, Map<ModelName, Array<Known | undefined>>>()
  let kept = 0
  return {
    row: (gpuType, model, sharePct, largestBatch) => {
      const upTo = Math.min(largestBatch, batchLimit)
      let models = types.get(gpuType)
      if (models === undefined) types.set(gpuType, models = new Map())
      let shares = models.get(model)
      if (shares === undefined) models.set(model, shares = new Array<Known | undefined>(101))
      const known = shares[sharePct]
      if (known !== undefined && known.upTo >= upTo) return known.row
      const row = measure(latency, gpuType, model, sharePct, upTo)
      kept += row.length
      if (kept > mostKept) {
        types.clear()
        kept = 0
      } else shares[sharePct] = { row, upTo }
      return row
    }
  }
}

const rowsOf = new WeakMap<LatencyModel, LatencyRows>()

/** What is known of a latency model. */
export const latencyRows = (latency: LatencyModel): LatencyRows => {
  let rows = rowsOf.get(latency)
  if (rows === undefined) rowsOf.set(latency, rows = make(latency))
  return rows
}
