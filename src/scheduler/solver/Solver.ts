/**
 * Linear and mixed integer programs, and what solves them. Bounds and the planner `exact` take a `Solver`; who calls them loads one
 * (`solver/HighsSolver.ts`), for loading is asynchronous and weighs a few megabytes, while planning is neither.
 *
 * @since 0.1.0
 */

/**
 * Minimise cost over columns within their bounds, such that every row, a weighted sum of columns, lies within its own.
 * @since 0.1.0
 * @category programs
 */
export interface LinearProgram {
  /** By column. */
  readonly cost: Float64Array
  readonly lower: Float64Array
  readonly upper: Float64Array
  /** 1 where a column must be whole. */
  readonly isWhole: Int32Array
  /** By row. */
  readonly rowLower: Float64Array
  readonly rowUpper: Float64Array
  /** Row by row: entries `starts[row]` to `starts[row + 1]`. */
  readonly starts: Int32Array
  readonly columns: Int32Array
  readonly values: Float64Array
}

/**
 * `infeasible` is the solver's word, in floating point; `limit` says that it stopped before it knew.
 * @since 0.1.0
 * @category programs
 */
export interface ProgramSolution {
  readonly status: "optimal" | "infeasible" | "limit" | "failed"
  /** By column; empty where none was found. */
  readonly values: Float64Array
  /** By row, of a linear program that was solved to its optimum; else empty. */
  readonly rowDuals: Float64Array
  readonly objective: number
}

/** When to stop short of the optimum. @since 0.1.0 @category programs */
export interface SolveLimits {
  /** Nodes of the search over whole columns: unlike seconds, the same everywhere. */
  readonly maxNodes?: number
  readonly maxSeconds?: number
}

/** Solves mixed integer linear programs. @since 0.1.0 @category programs */
export interface Solver {
  /** For people. */
  readonly name: string
  readonly solve: (program: LinearProgram, limits?: SolveLimits) => ProgramSolution
}
