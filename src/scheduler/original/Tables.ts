/**
 * The original's measurements: latencies (latency.csv), utilisation (UTIL.CSV), interference constants (INT_MODEL_CONSTANT.CSV), the cost of
 * assembling a batch (3_224_224.txt and its like).
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import type { FormatError, SourceFile } from "./FormatError.js"
import { parsing, reject, shown } from "./FormatError.js"
import { cellAt, isNumber, numberAt, rowsOf } from "./internal/csv.js"
import { largestBatch, modelNamed, tableName } from "./Models.js"

/** Latency in ms by model, part and batch. Every part of a model has batches 1 and 32. @since 0.1.0 @category tables */
export type LatencyTable = ReadonlyMap<string, ReadonlyMap<number, ReadonlyMap<number, number>>>

const batches = { min: 1, max: largestBatch, integer: true }
const durations = { min: 0, max: 1e9, above: true }

const getOrMake = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}

/** Reads latency.csv: lines `model,part,batch,ms`, without a header. @since 0.1.0 @category parsing */
export const parseLatencyTable = (source: SourceFile): Either.Either<LatencyTable, FormatError> =>
  parsing(() => {
    const table = new Map<string, Map<number, Map<number, number>>>()
    const lines = new Map<Map<number, number>, { readonly line: number; readonly what: string }>()
    for (const row of rowsOf(source)) {
      const cell = cellAt(source, row, 0, "the model")
      const model = tableName(modelNamed(source, cell, cell.text))
      const part = numberAt(source, row, 1, "the part in percent", { min: 1, max: 100, integer: true })
      const batch = numberAt(source, row, 2, "the batch", batches)
      const latencyMs = numberAt(source, row, 3, "the latency in ms", durations)
      const points = getOrMake(getOrMake(table, model, () => new Map<number, Map<number, number>>()), part, () => new Map<number, number>())
      if (!lines.has(points)) lines.set(points, { line: row.line, what: `${model} at ${part} %` })
      if (points.has(batch)) reject(source, cell, `${model} at ${part} % with batch ${batch} stands twice`, "give each measurement once")
      points.set(batch, latencyMs)
    }
    if (table.size === 0) reject(source, { line: 1, column: 1 }, "there are no measurements", "give lines `model,part,batch,ms`")
    for (const [points, { line, what }] of lines) {
      for (const batch of [1, largestBatch]) {
        if (!points.has(batch)) reject(source, { line, column: 1 }, `${what} has no batch ${batch}`, "measure batches 1 and 32 of every part")
      }
    }
    return table
  })

/** Parts of 1, not percent. @since 0.1.0 @category tables */
export interface Utilization {
  readonly l2: number
  readonly dram: number
}

/** By bench (`lenet`, `ssd`, or a model's name) and batch. Every bench has the powers of two up to 32. @since 0.1.0 @category tables */
export type UtilizationTable = ReadonlyMap<string, ReadonlyMap<number, Utilization>>

const measuredBatches = [1, 2, 4, 8, 16, 32]

/** Reads UTIL.CSV: a header, then lines `bench,batch,duration,SM %,L2 %,DRAM %,...`. @since 0.1.0 @category parsing */
export const parseUtilization = (source: SourceFile): Either.Either<UtilizationTable, FormatError> =>
  parsing(() => {
    const table = new Map<string, Map<number, Utilization>>()
    const lines = new Map<string, number>()
    const rows = rowsOf(source)
    const [header] = rows
    if (header === undefined || isNumber(header.cells[1]?.text ?? "")) {
      reject(source, { line: header?.line ?? 1, column: 1 }, "the header is missing", "begin with `bench,batch,avg_duration(ms),...`")
    }
    for (const row of rows.slice(1)) {
      const cell = cellAt(source, row, 0, "the bench")
      const bench = cell.text === "lenet" || cell.text === "ssd" ? cell.text : modelNamed(source, cell, cell.text)
      const batch = numberAt(source, row, 1, "the batch", batches)
      const percent = (index: number, what: string): number => numberAt(source, row, index, what, { min: 0, max: 100 }) / 100
      const points = getOrMake(table, bench, () => new Map<number, Utilization>())
      if (!lines.has(bench)) lines.set(bench, row.line)
      if (points.has(batch)) reject(source, cell, `${shown(bench)} with batch ${batch} stands twice`, "give each measurement once")
      points.set(batch, { l2: percent(4, "the utilisation of the L2 cache in percent"), dram: percent(5, "the utilisation of the memory in percent") })
    }
    for (const [bench, points] of table) {
      const missing = measuredBatches.find((batch) => !points.has(batch))
      if (missing !== undefined) {
        reject(source, { line: lines.get(bench)!, column: 1 }, `${shown(bench)} has no batch ${missing}`, "measure batches 1, 2, 4, 8, 16 and 32")
      }
    }
    return table
  })

/** Coefficients of the linear model of interference. @since 0.1.0 @category tables */
export interface InterferenceConstants {
  readonly ownL2: number
  readonly otherL2: number
  readonly ownDram: number
  readonly otherDram: number
  readonly constant: number
}

/** Reads INT_MODEL_CONSTANT.CSV: a header and one row. @since 0.1.0 @category parsing */
export const parseInterference = (source: SourceFile): Either.Either<InterferenceConstants, FormatError> =>
  parsing(() => {
    const rows = rowsOf(source)
    const row = rows[1] ?? reject(source, { line: rows[0]?.line ?? 1, column: 1 }, "the coefficients are missing", "give a header and one row")
    if (rows.length > 2) reject(source, { line: rows[2]!.line, column: 1 }, "there is a second row of coefficients", "give one")
    const at = (index: number, what: string): number => numberAt(source, row, index, `the coefficient of ${what}`, { min: -Infinity, max: Infinity })
    return {
      ownL2: at(0, "the model's L2 use"), otherL2: at(1, "its neighbour's L2 use"),
      ownDram: at(2, "the model's memory use"), otherDram: at(3, "its neighbour's memory use"), constant: at(4, "nothing")
    }
  })

/** Time in ms to assemble a batch, by batch. @since 0.1.0 @category tables */
export type OverheadTable = ReadonlyMap<number, number>

/** Reads a table of batching overhead: 32 times `batch,ms,`. @since 0.1.0 @category parsing */
export const parseOverhead = (source: SourceFile): Either.Either<OverheadTable, FormatError> =>
  parsing(() => {
    const table = new Map<number, number>()
    let end = { line: 1, column: 1 }
    for (const row of rowsOf(source)) {
      end = { line: row.line, column: row.endColumn }
      // Pairs may share a line.
      for (let i = 0; i < row.cells.length; i += 2) {
        const batch = numberAt(source, row, i, "the batch", batches)
        if (table.has(batch)) reject(source, row.cells[i]!, `batch ${batch} stands twice`, "give each batch once")
        table.set(batch, numberAt(source, row, i + 1, "the time in ms", { min: 0, max: 1e9 }))
      }
    }
    for (let batch = 1; batch <= largestBatch; batch++) {
      if (!table.has(batch)) reject(source, end, `batch ${batch} is missing`, `give every batch from 1 to ${largestBatch}`)
    }
    return table
  })
