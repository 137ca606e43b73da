/**
 * HiGHS as a solver: the same WebAssembly in Node, Deno and browsers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Highs } from "highs"
import type { LinearProgram, ProgramSolution, Solver } from "./Solver.js"

/** HiGHS could not be loaded. @since 0.1.0 @category errors */
export class SolverUnavailable extends Schema.TaggedError<SolverUnavailable>()("SolverUnavailable", { cause: Schema.String }) {
  override get message(): string {
    return `the solver HiGHS could not be loaded: ${this.cause}; install the package "highs", which stands among the dependencies, or plan with --bound thorough`
  }
}

const none = new Float64Array(0)

const inputOf = (highs: Highs, program: LinearProgram) => ({
  numCols: program.cost.length,
  numRows: program.rowLower.length,
  colCost: program.cost,
  colLower: program.lower.map((value) => (value === -Infinity ? -highs.infinity : value)),
  colUpper: program.upper.map((value) => (value === Infinity ? highs.infinity : value)),
  rowLower: program.rowLower.map((value) => (value === -Infinity ? -highs.infinity : value)),
  rowUpper: program.rowUpper.map((value) => (value === Infinity ? highs.infinity : value)),
  matrix: {
    format: "csr" as const,
    numRows: program.rowLower.length,
    numCols: program.cost.length,
    starts: program.starts,
    indices: program.columns,
    values: program.values
  },
  ...(program.isWhole.includes(1) ? { integrality: program.isWhole } : {})
})

/**
 * A solver on a loaded HiGHS.
 * @since 0.1.0
 * @category constructors
 */
export const make = (highs: Highs): Solver => ({
  name: "HiGHS",
  solve: (program, limits = {}): ProgramSolution => {
    const isWhole = program.isWhole.includes(1)
    return highs.withModel(inputOf(highs, program), (model): ProgramSolution => {
      model.options.set({
        output_flag: false,
        mip_rel_gap: 0,
        primal_feasibility_tolerance: 1e-9,
        mip_feasibility_tolerance: 1e-9,
        ...(limits.maxNodes === undefined ? {} : { mip_max_nodes: limits.maxNodes }),
        ...(limits.maxSeconds === undefined ? {} : { time_limit: limits.maxSeconds })
      })
      model.run()
      const status = model.getModelStatus()
      const { infeasible, iterationLimit, optimal, solutionLimit, timeLimit } = highs.constants.modelStatus
      if (status === infeasible) return { status: "infeasible", values: none, rowDuals: none, objective: Infinity }
      if (status === optimal) {
        const { colValue, rowDual } = model.getSolution()
        return { status: "optimal", values: colValue, rowDuals: isWhole ? none : rowDual, objective: model.getObjectiveValue() }
      }
      const isLimit = status === iterationLimit || status === timeLimit || status === solutionLimit
      return { status: isLimit ? "limit" : "failed", values: none, rowDuals: none, objective: NaN }
    })
  }
})

/**
 * Loads HiGHS, which takes about a tenth of a second, once.
 * @since 0.1.0
 * @category constructors
 */
export const load: Effect.Effect<Solver, SolverUnavailable> = Effect.tryPromise({
  try: async () => {
    // Its types describe the CommonJS build, whose module is the loader; the ESM build has it as the default export.
    const module = await import("highs") as unknown as { readonly default: () => Promise<Highs> }
    return make(await module.default())
  },
  catch: (cause) => new SolverUnavailable({ cause: String(cause).slice(0, 200) })
})
