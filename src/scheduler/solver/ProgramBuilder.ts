/**
 * Builds a program column by column and row by row.
 *
 * @since 0.1.0
 */
import type { LinearProgram } from "./Solver.js"

/** @since 0.1.0 @category programs */
export class ProgramBuilder {
  private readonly cost: Array<number> = []
  private readonly lower: Array<number> = []
  private readonly upper: Array<number> = []
  private readonly isWhole: Array<number> = []
  private readonly rowLower: Array<number> = []
  private readonly rowUpper: Array<number> = []
  private readonly rows: Array<{ readonly columns: Array<number>; readonly values: Array<number> }> = []

  /** The number of the new column. */
  column(options: { readonly cost?: number; readonly lower?: number; readonly upper?: number; readonly isWhole?: boolean } = {}): number {
    this.cost.push(options.cost ?? 0)
    this.lower.push(options.lower ?? 0)
    this.upper.push(options.upper ?? Infinity)
    return this.isWhole.push(options.isWhole === true ? 1 : 0) - 1
  }

  /** The number of the new row, empty yet. */
  row(lower: number, upper: number): number {
    this.rowLower.push(lower)
    this.rowUpper.push(upper)
    return this.rows.push({ columns: [], values: [] }) - 1
  }

  /** A column stands in a row once at most. */
  entry(row: number, column: number, value: number): void {
    if (value === 0) return
    this.rows[row]!.columns.push(column)
    this.rows[row]!.values.push(value)
  }

  build(): LinearProgram {
    const starts = new Int32Array(this.rows.length + 1)
    this.rows.forEach(({ columns }, row) => {
      starts[row + 1] = starts[row]! + columns.length
    })
    return {
      cost: Float64Array.from(this.cost),
      lower: Float64Array.from(this.lower),
      upper: Float64Array.from(this.upper),
      isWhole: Int32Array.from(this.isWhole),
      rowLower: Float64Array.from(this.rowLower),
      rowUpper: Float64Array.from(this.rowUpper),
      starts,
      columns: Int32Array.from(this.rows.flatMap(({ columns }) => columns)),
      values: Float64Array.from(this.rows.flatMap(({ values }) => values))
    }
  }
}
