/**
 * Rows and cells of the original's comma-separated files. They know no quotes; lines may end in a comma, in CR LF, or be empty.
 */
import type { SourceFile } from "../FormatError.js"
import { reject, shown } from "../FormatError.js"

export interface Cell {
  readonly text: string
  readonly line: number
  readonly column: number
}

export interface Row {
  readonly line: number
  /** Where the line ends: cells that are missing are missing there. */
  readonly endColumn: number
  readonly cells: ReadonlyArray<Cell>
}

/** No file of these formats has nearly as many. */
const largestText = 64 * 1024 * 1024

/** A byte-order mark is no part of the first cell. */
const withoutMark = (text: string): string => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text)

export const rowsOf = (source: SourceFile): ReadonlyArray<Row> => {
  if (source.text.length > largestText) {
    reject(source, { line: 1, column: 1 }, `${source.text.length} characters are too many`, `give a file of at most ${largestText}`)
  }
  const rows: Array<Row> = []
  withoutMark(source.text).split("\n").forEach((raw, i) => {
    const text = raw.endsWith("\r") ? raw.slice(0, -1) : raw
    if (text.trim() === "") return
    const line = i + 1
    let column = 1
    const cells = text.split(",").map((cell): Cell => {
      const at = column + (cell.length - cell.trimStart().length)
      column += cell.length + 1
      return { text: cell.trim(), line, column: at }
    })
    if (cells.length > 1 && cells.at(-1)!.text === "") cells.pop()
    rows.push({ line, endColumn: text.length + 1, cells })
  })
  return rows
}

export const cellAt = (source: SourceFile, row: Row, index: number, what: string): Cell => {
  const cell = row.cells[index]
  return cell === undefined || cell.text === ""
    ? reject(source, { line: row.line, column: cell?.column ?? row.endColumn }, `${what} is missing`, `give it as value ${index + 1} of the line`)
    : cell
}

export interface NumberRule {
  readonly min: number
  readonly max: number
  readonly integer?: boolean
  /** `min` itself is not allowed. */
  readonly above?: boolean
}

const numeral = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

export const isNumber = (text: string): boolean => numeral.test(text)

/** What is wrong with a number, or undefined. */
export const outside = (value: number, { above, integer, max, min }: NumberRule): boolean =>
  !Number.isFinite(value) || value > max || value < min || (above === true && value === min) || (integer === true && !Number.isInteger(value))

export const ruleText = ({ above, integer, max, min }: NumberRule): string => {
  const kind = integer === true ? "an integer" : "a number"
  if (max !== Infinity) return `give ${kind} ${above === true ? `above ${min} and at most ${max}` : `from ${min} to ${max}`}`
  return min === -Infinity ? `give ${kind}` : `give ${kind} ${above === true ? "above" : "of at least"} ${min}`
}

export const numberAt = (source: SourceFile, row: Row, index: number, what: string, rule: NumberRule): number => {
  const cell = cellAt(source, row, index, what)
  const value = isNumber(cell.text) ? Number(cell.text) : NaN
  return outside(value, rule) ? reject(source, cell, `${what} is ${shown(cell.text)}`, ruleText(rule)) : value
}
