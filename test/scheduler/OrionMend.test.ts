/** What a replan does before it searches: prices of what it looks at, and lacks put where they fit. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { makeTaskSet } from "../../bench/lib/taskSets.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { worthOf } from "../../src/scheduler/internal/search/climb.js"
import { construct } from "../../src/scheduler/internal/search/construct.js"
import { makeFleet } from "../../src/scheduler/internal/search/fleet.js"
import { makeGpuSolver } from "../../src/scheduler/internal/search/gpuState.js"
import { mend } from "../../src/scheduler/internal/search/mend.js"
import { balancedPrices, visitCost, visitTime } from "../../src/scheduler/internal/search/prices.js"
import { makeSearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"

const sets = fc.record({ seed: fc.integer({ min: 1, max: 100_000 }), models: fc.integer({ min: 2, max: 12 }), types: fc.constantFrom(1 as const, 2 as const) })

describe("balanced prices", () => {
  it("are those at which all rates cost the most, each carried in the cheapest way", () => {
    fc.assert(fc.property(sets, fc.integer({ min: 1, max: 30 }), (set, loadGpus) => {
      const problem = makeTaskSet({ ...set, loadGpus, gpus: 4 })
      const space = makeSearchSpace(makePlanTables(problem))
      const rps = Float64Array.from(problem.demands, ({ rateRps }) => rateRps)
      const costAt = (model: number, memory: number): number => {
        const prices = { share: 1 - memory, memory }
        const ways = space.kinds.flatMap(({ sharesPct }, kind) => sharesPct.flatMap((_, share) => {
          const most = space.best(kind, model, share).rps
          if (most === 0) return []
          const visits = Math.max(1, rps[model]! / most)
          return [visits * visitCost(space, prices, kind, model, share, visits > 1 ? 1 : Math.min(1, visitTime(space, kind, model, share, rps[model]!)))]
        }))
        return Math.min(...ways)
      }
      const totalAt = (memory: number): number => rps.reduce((sum, _, model) => sum + costAt(model, memory), 0)
      const { costs, prices } = balancedPrices(space, rps)
      costs.forEach((cost, model) => assert.approximately(cost, costAt(model, prices.memory), 1e-9 * cost))
      const total = costs.reduce((sum, cost) => sum + cost, 0)
      // Up to the last step of the bisection.
      for (let memory = 0.02; memory <= 1; memory += 0.07) assert.isAtLeast(total * 1.02, totalAt(memory))
    }), { numRuns: 40 })
  })
})

describe("mending", () => {
  it("leaves less lacking than before, in states that hold, and changes no other GPU than it says", () => {
    const raised = fc.array(fc.double({ min: 0.5, max: 3, noNaN: true }), { minLength: 12, maxLength: 12 })
    let helped = 0
    fc.assert(fc.property(sets, raised, fc.double({ min: 0.3, max: 1, noNaN: true }), (set, factors, part) => {
      const problem = makeTaskSet({ ...set, loadGpus: 4, gpus: 6 })
      const space = makeSearchSpace(makePlanTables(problem))
      const solver = makeGpuSolver(space)
      const before = Float64Array.from(problem.demands, ({ rateRps }) => part * rateRps)
      const { costs, prices } = balancedPrices(space, before)
      const weights = worthOf(costs, before)
      const kinds = space.kinds.flatMap(({ members }, kind) => members.map(() => kind))
      const built = construct(space, solver, { lack: Float64Array.from(before), prices, weights, random: makeRandom(1) }, kinds)
      const states = kinds.map((kind, at) => built[at] ?? solver.empty(kind))
      const fleet = makeFleet(space, states, weights, before.map((rps, model) => rps * factors[model]!))
      const lacking = fleet.penalty()
      const changed = mend(space, solver, fleet, kinds.map((_, at) => at).filter((at) => at > 0))
      assert.isAtMost(fleet.penalty(), lacking * (1 + 1e-9))
      if (changed.length > 0) {
        assert.isBelow(fleet.penalty(), lacking)
        helped++
      }
      fleet.gpus.forEach((state, at) => {
        if (!changed.includes(at)) assert.strictEqual(state, states[at])
        assert.deepStrictEqual(solver.evaluate(state.kind, state.glets), state)
      })
      assert.notInclude(changed, 0)
    }), { numRuns: 40 })
    assert.isAbove(helped, 10)
  })
})
