/**
 * Task files (rates.csv): which models are asked for, how often, within which time.
 *
 * The first line has the number of tasks N, N lines `id,rate,SLO,` follow. Beyond the original, a model may stand by its name, numbers may have
 * fractions, and a header may stand in place of the count or before it.
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import type { ModelName } from "../../core/Ids.js"
import type { FormatError, SourceFile } from "./FormatError.js"
import { parsing, reject, shown } from "./FormatError.js"
import type { Row } from "./internal/csv.js"
import { cellAt, isNumber, numberAt, rowsOf } from "./internal/csv.js"
import { isKnownModel, modelOfCell } from "./Models.js"

/** What one model is asked for. @since 0.1.0 @category tasks */
export interface Task {
  readonly model: ModelName
  /** Items per second that arrive. */
  readonly rateRps: number
  readonly sloMs: number
}

const isHeader = (row: Row | undefined): boolean =>
  row !== undefined && row.cells.length >= 3 && row.cells.slice(0, 3).every(({ text }) => !isNumber(text) && !isKnownModel(text))

/** Reads a task file. @since 0.1.0 @category parsing */
export const parseTasks = (source: SourceFile): Either.Either<ReadonlyArray<Task>, FormatError> =>
  parsing(() => {
    let rows = rowsOf(source)
    let hasHeader = isHeader(rows[0])
    if (hasHeader) rows = rows.slice(1)
    const [first] = rows
    const countRow = first !== undefined && first.cells.length === 1 ? first : undefined
    const count = countRow === undefined ? undefined : numberAt(source, countRow, 0, "the number of tasks", { min: 1, max: 1e6, integer: true })
    if (countRow !== undefined) rows = rows.slice(1)
    if (!hasHeader && isHeader(rows[0])) {
      hasHeader = true
      rows = rows.slice(1)
    }
    if (first === undefined) return reject(source, { line: 1, column: 1 }, "there are no tasks", "give at least one line `model,rate,SLO`")
    if (count === undefined && !hasHeader) {
      reject(source, first.cells[0]!, "the number of tasks is missing", "give it as the first line, or a header")
    }
    const last = rows.at(-1) ?? first
    if (rows.length === 0 || (count !== undefined && rows.length !== count)) {
      const place = count !== undefined && rows.length > count ? { line: rows[count]!.line, column: 1 } : { line: last.line, column: last.endColumn }
      reject(source, place, `${rows.length} tasks, the first line says ${count ?? "more"}`, "give as many lines as it says")
    }
    const seen = new Map<ModelName, number>()
    return rows.map((row): Task => {
      const cell = cellAt(source, row, 0, "the model")
      const model = modelOfCell(source, cell)
      const before = seen.get(model)
      if (before !== undefined) reject(source, cell, `${shown(model)} stands in line ${before} already`, "give each model once")
      seen.set(model, row.line)
      const rateRps = numberAt(source, row, 1, "the rate in requests per second", { min: 0, max: 1e9 })
      const sloMs = numberAt(source, row, 2, "the SLO in ms", { min: 0, max: 1e9, above: true })
      if (row.cells.length > 3) reject(source, row.cells[3]!, `${shown(row.cells[3]!.text)} after the SLO`, "give `model,rate,SLO` only")
      return { model, rateRps, sloMs }
    })
  })
