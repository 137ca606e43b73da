import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { provenCost } from "../../../src/scheduler/bounds/internal/certificate.js"
import * as HighsSolver from "../../../src/scheduler/solver/HighsSolver.js"
import { ProgramBuilder } from "../../../src/scheduler/solver/ProgramBuilder.js"
import type { LinearProgram } from "../../../src/scheduler/solver/Solver.js"

/** Covering programs with bounded columns, some of them whole. */
const programs = (isWhole: boolean) =>
  fc.record({
    costs: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 4 }),
    rows: fc.array(fc.tuple(fc.array(fc.integer({ min: -2, max: 6 }), { minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 12 })), { minLength: 1, maxLength: 3 })
  }).map(({ costs, rows }): LinearProgram => {
    const program = new ProgramBuilder()
    for (const cost of costs) program.column({ cost, upper: 3, isWhole })
    for (const [values, least] of rows) {
      const row = program.row(least, Infinity)
      costs.forEach((_, column) => program.entry(row, column, values[column]!))
    }
    return program.build()
  })

const costAt = (program: LinearProgram, x: ReadonlyArray<number>): number => {
  for (let row = 0; row < program.rowLower.length; row++) {
    let sum = 0
    for (let i = program.starts[row]!; i < program.starts[row + 1]!; i++) sum += program.values[i]! * x[program.columns[i]!]!
    if (sum < program.rowLower[row]! - 1e-6) return Infinity
  }
  return x.reduce((sum, value, column) => sum + value * program.cost[column]!, 0)
}
const wholePoints = (columns: number): ReadonlyArray<ReadonlyArray<number>> =>
  columns === 0 ? [[]] : wholePoints(columns - 1).flatMap((point) => [0, 1, 2, 3].map((value) => [...point, value]))

describe("HighsSolver", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("finds the least of all whole points", () => {
    fc.assert(fc.property(programs(true), (program) => {
      const best = Math.min(...wholePoints(program.cost.length).map((point) => costAt(program, point)))
      const solution = solver.solve(program)
      assert.strictEqual(solution.status, best === Infinity ? "infeasible" : "optimal")
      if (best < Infinity) {
        assert.approximately(solution.objective, best, 1e-6)
        assert.approximately(costAt(program, [...solution.values]), best, 1e-6)
      }
    }), { numRuns: 100 })
  })

  it("gives duals that prove the optimum of a linear program, and prices prove no more than it", () => {
    fc.assert(fc.property(programs(false), fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }), (program, prices) => {
      const solution = solver.solve(program)
      if (solution.status !== "optimal") return
      assert.approximately(provenCost(program, solution.rowDuals), solution.objective, 1e-6)
      assert.isAtMost(provenCost(program, prices), solution.objective + 1e-9)
    }), { numRuns: 100 })
  })

  it("stops where it is told to", () => {
    const program = new ProgramBuilder()
    const row = program.row(1, 1)
    // Even numbers do not sum to an odd one: no relaxation sees it.
    for (let i = 0; i < 40; i++) program.entry(row, program.column({ upper: 1, isWhole: true }), 2)
    assert.include(["limit", "infeasible"], solver.solve(program.build(), { maxNodes: 1 }).status)
  })
})
