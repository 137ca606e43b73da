/** The parts of the search by patterns, each against what it is a short cut for. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { makeTaskSet } from "../../bench/lib/taskSets.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { coveringPrices } from "../../src/scheduler/internal/search/coveringPrices.js"
import type { Covering } from "../../src/scheduler/internal/search/coveringPrices.js"
import { dive } from "../../src/scheduler/internal/search/dive.js"
import { makeGletChooser } from "../../src/scheduler/internal/search/gletChoice.js"
import { makeGpuSolver } from "../../src/scheduler/internal/search/gpuState.js"
import { makePatternPool, slowingsOf } from "../../src/scheduler/internal/search/patterns.js"
import { balancedPrices } from "../../src/scheduler/internal/search/prices.js"
import { makeSearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import type { SearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import * as HighsSolver from "../../src/scheduler/solver/HighsSolver.js"
import { ProgramBuilder } from "../../src/scheduler/solver/ProgramBuilder.js"
import { gpusOf, problems } from "./problems.js"

const patience = 120_000
const slack = 1e-6

/** Random covering programs in which every row has a column of its own. */
const coverings = fc.integer().map((seed): Covering => {
  const random = makeRandom(seed)
  const rows = 1 + Math.floor(random() * 30)
  const columns = Array.from({ length: rows + Math.floor(random() * 200) }, (_, j) => {
    const entries = new Map<number, number>(j < rows ? [[j, 1]] : [])
    for (let i = 0; i < Math.floor(random() * 5); i++) entries.set(Math.floor(random() * rows), 0.05 + 0.95 * random())
    if (entries.size === 0) entries.set(0, 1)
    return { cost: 0.05 + random(), entries: [...entries] }
  })
  const starts = [0]
  for (const { entries } of columns) starts.push(starts.at(-1)! + entries.length)
  return {
    rows, cost: columns.map(({ cost }) => cost), starts,
    row: columns.flatMap(({ entries }) => entries.map(([row]) => row)), part: columns.flatMap(({ entries }) => entries.map(([, part]) => part))
  }
})

describe("prices of a covering program", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  const optimum = ({ cost, part, row, rows, starts }: Covering): number => {
    const program = new ProgramBuilder()
    const limits = Array.from({ length: rows }, () => program.row(1, Infinity))
    for (let j = 0; j < cost.length; j++) {
      const column = program.column({ cost: cost[j]! })
      for (let e = starts[j]!; e < starts[j + 1]!; e++) program.entry(limits[row[e]!]!, column, part[e]!)
    }
    return solver.solve(program.build()).objective
  }

  it("prove nearly its optimum, and what is used costs nearly that", () => {
    fc.assert(fc.property(coverings, (covering) => {
      const { cost, part, row, rows, starts } = covering
      const { prices, used } = coveringPrices(covering, new Float64Array(rows).fill(0.3), [], 3000)
      const best = optimum(covering)
      // Prices under which no column is worth more than it costs prove their sum; use that covers every row is a solution.
      let dearest = 0
      const carried = new Float64Array(rows)
      let spent = 0
      for (let j = 0; j < cost.length; j++) {
        let worth = 0
        for (let e = starts[j]!; e < starts[j + 1]!; e++) {
          worth += part[e]! * prices[row[e]!]!
          carried[row[e]!]! += part[e]! * used[j]!
        }
        dearest = Math.max(dearest, worth / cost[j]!)
        spent += cost[j]! * used[j]!
      }
      const proved = prices.reduce((sum, price) => sum + price, 0) / dearest
      assert.isAtMost(proved, best * (1 + slack))
      assert.isAtLeast(proved, best * 0.95)
      assert.isAtMost(spent / Math.min(...carried), best * 1.05)
    }), { numRuns: 40 })
  })
})

/** Spaces of random problems on roomy GPUs, with the rates. */
const spaceOf = (problem: Parameters<typeof makePlanTables>[0]): { readonly space: SearchSpace; readonly lack: Float64Array; readonly open: ReadonlyArray<number> } => {
  const space = makeSearchSpace(makePlanTables(problem))
  const lack = Float64Array.from(problem.demands, ({ rateRps, serviceClass }) => (serviceClass === "latency-critical" ? rateRps : 0))
  return { space, lack, open: [...lack.keys()].filter((model) => lack[model]! > 0) }
}

describe("the choice of a glet's models", () => {
  it("keeps cycle, SLOs and places, and is the best of all sets of few models", () => {
    fc.assert(fc.property(problems({ maxModels: 6 }), fc.integer(), (problem, seed) => {
      const { lack, open, space } = spaceOf(problem)
      const random = makeRandom(seed)
      const value = Float64Array.from(lack, () => random())
      const none = new Float64Array(space.models)
      const share = Math.floor(random() * space.kinds[0]!.sharesPct.length)
      const cycleMs = 10 ** (3 * random())
      const set = makeGletChooser(space).choose({ kind: 0, share, cycleMs, open, lack, value, loading: none, slowing: none })
      const { rows, sloMs } = space
      const msOf = (model: number, batch: number): number => rows.data[rows.start(0, model, share) + batch * rows.stride]!
      const fits = (works: ReadonlyArray<{ readonly model: number; readonly batch: number }>): boolean =>
        works.length <= space.maxModels && works.reduce((sum, { batch, model }) => sum + msOf(model, batch), 0) <= cycleMs * (1 + slack) &&
        works.every(({ batch, model }) => (space.isStrict ? 2 * cycleMs : cycleMs + msOf(model, batch)) <= sloMs[model]! * (1 + slack))
      assert.isTrue(fits(set))
      // Every set, each model with the batch that it lacks or the largest that the SLO allows.
      const alone = open.flatMap((model) => {
        const wanted = Math.max(1, Math.ceil((lack[model]! * cycleMs) / 1000 - 1e-9))
        for (let batch = Math.min(wanted, rows.largest(0, model, share)); batch >= 1; batch--) {
          if (fits([{ model, batch }])) return [{ model, batch, value: value[model]! * (batch >= wanted ? 1 : (1000 * batch) / (cycleMs * lack[model]!)) }]
        }
        return []
      })
      let best = 0
      for (let chosen = 0; chosen < 1 << alone.length; chosen++) {
        const works = alone.filter((_, i) => (chosen >> i) & 1)
        if (fits(works)) best = Math.max(best, works.reduce((sum, each) => sum + each.value, 0))
      }
      assert.isAtLeast(set.reduce((sum, each) => sum + each.value, 0), best * (1 - 1e-5) - 1e-12)
    }), { numRuns: 200 })
  })
})

describe("patterns", () => {
  it("do alone what they say", () => {
    fc.assert(fc.property(problems({ maxModels: 8 }), (problem) => {
      const { lack, open, space } = spaceOf(problem)
      if (open.length === 0) return
      const solver = makeGpuSolver(space)
      const { costs, prices } = balancedPrices(space, lack)
      const pool = makePatternPool(space, slowingsOf(space), prices.memory, costs.map((cost) => 1.5 * (cost < Infinity ? cost : 0)), [1])
      for (let round = 0; round < 4; round++) {
        pool.grow(open, lack, 1, round)
        pool.solve(open, lack, 60)
      }
      for (const { batches, kind, memory, models, rps, share } of pool.patterns) {
        if (memory > 1) continue
        const state = solver.evaluate(kind, [{ share, models, batches }])
        assert.isDefined(state)
        state!.rps.forEach((got, i) => assert.isAtLeast(got, rps[i]! * (1 - slack)))
      }
    }), { numRuns: 60 })
  }, patience)
})

describe("the dive", () => {
  it("carries all rates, on no more GPUs than there are, or says that it does not", () => {
    let dived = 0
    fc.assert(fc.property(problems({ maxModels: 8, whenShort: "fail" }), (random) => {
      const problem = { ...random, gpus: gpusOf(12, { sharesPct: random.gpus[0]!.sharesPct, units: random.gpus[0]!.units }) }
      // Whatever cannot run at all is not the dive's concern.
      if (Either.isLeft(orion.plan(problem))) return
      const { lack, open, space } = spaceOf(problem)
      if (open.length === 0) return
      const { costs, prices } = balancedPrices(space, lack)
      const answer = dive(space, makeGpuSolver(space), { target: lack, prices, costs, available: [12], effort: 1, random: makeRandom(1) })
      if (answer === undefined) return
      dived++
      assert.isAtMost(answer.states.length, 12)
      const carried = new Float64Array(space.models)
      for (const { models, rps } of answer.states) models.forEach((model, i) => carried[model]! += rps[i]!)
      for (const model of open) assert.isAtLeast(carried[model]!, lack[model]! * (1 - slack))
    }), { numRuns: 60 })
    assert.isAbove(dived, 20)
  }, patience)

  it("plans sets of many small models within the rules, equal for equal seeds", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(1 as const, 2 as const), (seed, types) => {
      const problem = makeTaskSet({ seed, models: 60, loadGpus: 8, gpus: 40, types, options: { effort: 0.3 } })
      const plan = Either.getOrThrow(orion.plan(problem))
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      assert.strictEqual(JSON.stringify(Either.getOrThrow(orion.plan(problem))), JSON.stringify(plan))
    }), { numRuns: 3 })
  }, patience)
})
