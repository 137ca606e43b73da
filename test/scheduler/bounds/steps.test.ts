/** Each step of docs/planning-bounds.md, on plans that the judge accepts. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { makeRandom } from "../../../src/core/internal/random.js"
import type { Plan, PlannedGlet, PlannedGpu } from "../../../src/core/Plan.js"
import type { PlanProblem } from "../../../src/core/PlanProblem.js"
import { plannedLatencyMs, validatePlan } from "../../../src/core/ValidatePlan.js"
import type { BoundModel } from "../../../src/scheduler/bounds/internal/boundModel.js"
import { makeBoundModel } from "../../../src/scheduler/bounds/internal/boundModel.js"
import { combinationProgram, kindsOf } from "../../../src/scheduler/bounds/internal/combinationProgram.js"
import { contentProof } from "../../../src/scheduler/bounds/internal/contentProof.js"
import { gletContents } from "../../../src/scheduler/bounds/internal/contents.js"
import { coverTable, leastCost, makeScratch } from "../../../src/scheduler/bounds/internal/covers.js"
import { combinationsWorth, maximalCuts, worthOf } from "../../../src/scheduler/bounds/internal/cuts.js"
import { leastPurchase, priceAll } from "../../../src/scheduler/bounds/internal/prices.js"
import { purchasesBetween } from "../../../src/scheduler/bounds/internal/purchases.js"
import { bestCut } from "../../../src/scheduler/bounds/internal/resources.js"
import { mostOf, timeFor } from "../../../src/scheduler/bounds/internal/visits.js"
import { worthOf as worthsOf } from "../../../src/scheduler/bounds/internal/worths.js"
import { elasticInt } from "../../../src/scheduler/planners/Elastic.js"
import { orion } from "../../../src/scheduler/planners/Orion.js"
import { timeShare } from "../../../src/scheduler/planners/TimeShare.js"
import * as HighsSolver from "../../../src/scheduler/solver/HighsSolver.js"
import { problems } from "../problems.js"

const random = (numRuns: number, check: (problem: PlanProblem, plan: Plan, model: BoundModel, seed: number) => void): number => {
  let plans = 0
  fc.assert(fc.property(problems({ maxModels: 5, maxGpus: 3, whenShort: "fail" }), fc.integer(), (problem, seed) => {
    const model = makeBoundModel(problem)
    for (const planner of [orion, elasticInt, timeShare]) {
      const answer = planner.plan(problem)
      if (Either.isLeft(answer) || answer.right.shortfalls.some(({ plannedRps, askedRps }) => plannedRps < askedRps) || validatePlan(answer.right, problem).length > 0) continue
      plans++
      check(problem, shortened(answer.right, problem), model, seed)
    }
  }), { numRuns })
  return plans
}

const runMs = (problem: PlanProblem, gpu: PlannedGpu, glet: PlannedGlet): ReadonlyArray<number> => glet.assignments.map((work) => plannedLatencyMs(problem, gpu, glet, work))

/** Step 1: without best-effort work, and with cycles as long as their batches. */
const shortened = (plan: Plan, problem: PlanProblem): Plan => {
  const bare = plan.gpus.map((gpu) => ({ ...gpu, glets: gpu.glets.filter((glet) => glet.assignments.length > 0).map((glet) => ({ ...glet, bestEffort: [] })) }))
  return {
    ...plan,
    gpus: bare.map((gpu) => ({ ...gpu, glets: gpu.glets.map((glet) => ({ ...glet, dutyMs: runMs(problem, gpu, glet).reduce((sum, ms) => sum + ms, 0) })) }))
  }
}

const pricesFrom = (seed: number, size: number): Float64Array => {
  const next = makeRandom(seed)
  return Float64Array.from({ length: size }, () => (next() < 0.2 ? 0 : next()))
}

interface Visit {
  readonly at: number
  readonly share: number
  readonly time: number
  readonly rateRps: number
  readonly memory: number
}

/** Step 2: what the works of a GPU take and carry. Its class is 0: all GPUs are alike here. */
const visitsOf = (problem: PlanProblem, model: BoundModel, gpu: PlannedGpu): ReadonlyArray<ReadonlyArray<Visit>> =>
  gpu.glets.map((glet) => {
    const latencies = runMs(problem, gpu, glet)
    return glet.assignments.flatMap((work, i): Array<Visit> => {
      const at = model.demands.findIndex((demand) => problem.demands[demand]!.model === work.model)
      if (at < 0) return []
      return [{
        at,
        share: model.classes[0]!.sharesPct.indexOf(glet.sharePct),
        time: latencies[i]! / glet.dutyMs,
        rateRps: (1000 * work.batch) / glet.dutyMs,
        memory: problem.latency.memoryBytes(gpu.type, work.model) / model.classes[0]!.memoryBytes
      }]
    })
  })

const slack = 1e-5

describe("the steps of the proof", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("1. a cycle as short as its batches breaks no rule", () => {
    const plans = random(60, (problem, plan) => assert.deepStrictEqual(validatePlan(plan, problem), []))
    assert.isAbove(plans, 20)
  })

  it("2. a visit takes at least the time that its curve says", () => {
    const plans = random(60, (problem, plan, model) => {
      for (const gpu of plan.gpus) {
        for (const visits of visitsOf(problem, model, gpu)) {
          for (const { at, rateRps, share, time } of visits) {
            const curve = model.curves[at]!.find((each) => each.share === share)
            assert.isDefined(curve)
            assert.isAtMost(timeFor(curve!, rateRps * (1 - slack)), time * (1 + slack))
          }
          assert.isAtMost(visits.reduce((sum, { time }) => sum + time, 0), 1 + slack)
          assert.isAtMost(visits.length, model.resources.placesPerGlet)
        }
      }
    })
    assert.isAbove(plans, 20)
  })

  it("3. at any prices a GPU's visits cost no more than the best cut is worth", () => {
    random(40, (problem, plan, model, seed) => {
      const prices = pricesFrom(seed, model.resources.size)
      const { memory, places, time } = model.resources.at[0]!
      const best = bestCut(model.resources, 0, prices)
      for (const gpu of plan.gpus) {
        const cost = visitsOf(problem, model, gpu).flat().reduce((sum, visit) =>
          sum + prices[time + visit.share]! * visit.time + prices[places + visit.share]! + prices[memory]! * visit.memory, 0)
        assert.isAtMost(cost, best.value * (1 + slack) + slack)
      }
    })
  })

  it("4. at any prices a demand's visits cost no less than its least cover", () => {
    random(40, (problem, plan, model, seed) => {
      const prices = pricesFrom(seed, model.resources.size)
      const { memory, places, time } = model.resources.at[0]!
      for (const cells of [2, 7, 48]) {
        const tables = model.tablesAt(1, cells)
        tables.forEach((table, at) => {
          const cost = plan.gpus.flatMap((gpu) => visitsOf(problem, model, gpu).flat()).filter((visit) => visit.at === at).reduce((sum, visit) =>
            sum + prices[time + visit.share]! * visit.time + prices[places + visit.share]! + prices[memory]! * visit.memory, 0)
          const used = new Float64Array(model.resources.size)
          const least = leastCost(table, prices, makeScratch(cells), used)
          assert.isAtMost(least, cost * (1 + slack) + slack)
          // What it says it uses costs what it says.
          assert.approximately(used.reduce((sum, amount, r) => sum + amount * prices[r]!, 0), least, 1e-9 * (1 + least))
        })
      }
    })
  })

  it("4. nor do any other visits that carry the rate together", () => {
    let covers = 0
    fc.assert(fc.property(problems({ maxModels: 2 }), fc.integer(), fc.integer({ min: 2, max: 40 }), fc.double({ min: 0.2, max: 6, noNaN: true }), (problem, seed, cells, load) => {
      const model = makeBoundModel(problem)
      const prices = pricesFrom(seed, model.resources.size)
      const { memory, places, time } = model.resources.at[0]!
      const next = makeRandom(seed)
      model.curves.forEach((curves) => {
        const most = Math.max(...curves.map(mostOf))
        if (curves.length === 0) return
        // A rate of some glets' worth, whatever was asked.
        const rateRps = load * most
        const table = coverTable(model.resources, curves, rateRps, cells)
        const least = leastCost(table, prices, makeScratch(cells), new Float64Array(model.resources.size))
        for (let attempt = 0; attempt < 20; attempt++) {
          let left = rateRps
          let cost = 0
          for (let visits = 0; left > 0 && visits < 200; visits++) {
            const curve = curves[Math.floor(next() * curves.length)]!
            // All that the glet can, nearly all of the rest, or anything.
            const kind = next()
            const carried = Math.min(mostOf(curve), kind < 0.4 ? left : kind < 0.6 ? 0.98 * left : next() * mostOf(curve))
            cost += prices[time + curve.share]! * timeFor(curve, carried) + prices[places + curve.share]! + prices[memory]! * curve.memory
            left -= carried
          }
          if (left > 0) continue
          covers++
          assert.isAtMost(least, cost * (1 + 1e-9) + 1e-12)
        }
      })
    }), { numRuns: 80 })
    assert.isAbove(covers, 200)
  })

  it("5. the purchase is the least over all scales of prices", () => {
    fc.assert(fc.property(
      fc.array(fc.record({ value: fc.double({ min: 0.1, max: 2, noNaN: true }), cost: fc.double({ min: 0.1, max: 3, noNaN: true }), count: fc.nat(4) }), { minLength: 1, maxLength: 3 }),
      fc.double({ min: 0.01, max: 8, noNaN: true }),
      fc.double({ min: 0, max: 10, noNaN: true }),
      (classes, cost, scale) => {
        const priced = { cost, used: new Float64Array(0), cuts: classes.map(({ value }) => ({ value, glets: [] })) }
        const { bound, gpus } = leastPurchase(priced, classes.map((each) => each.cost), classes.map(({ count }) => count))
        const dual = scale * cost - classes.reduce((sum, each) => sum + each.count * Math.max(0, scale * each.value - each.cost), 0)
        assert.isAtMost(dual, bound + 1e-9)
        if (bound < Infinity) assert.approximately(gpus.reduce((sum, amount, t) => sum + amount * classes[t]!.value, 0), cost, 1e-9)
      }
    ))
  })

  it("5. costs lie on sums of whole GPUs' prices", () => {
    fc.assert(fc.property(
      fc.array(fc.record({ cost: fc.double({ min: 0.2, max: 3, noNaN: true }), count: fc.nat(3), n: fc.nat(3) }), { minLength: 1, maxLength: 3 }),
      fc.double({ min: 0, max: 6, noNaN: true }),
      fc.double({ min: 0, max: 6, noNaN: true }),
      (classes, least, span) => {
        const purchases = purchasesBetween(classes.map(({ cost }) => cost), classes.map(({ count }) => count), least, least + span, 1000)
        assert.isDefined(purchases)
        const counts = classes.map(({ count, n }) => Math.min(count, n))
        const cost = counts.reduce((sum, n, t) => sum + n * classes[t]!.cost, 0)
        const isListed = purchases!.some((purchase) => purchase.counts.every((n, t) => n === counts[t]))
        assert.strictEqual(isListed, cost >= least && cost < least + span)
      }
    ))
  })

  it("6. some maximal cut of each GPU, and some combination of them, carries whatever a plan does", () => {
    const plans = random(25, (problem, plan, model, seed) => {
      const used = plan.gpus.filter(({ glets }) => glets.length > 0)
      // Coarse grids only: each combination is an integer program.
      const cuts = maximalCuts(problem, model.resources, model.demands, 0, 12)
      if (cuts === undefined || model.demands.length === 0 || used.length > 2) return
      const prices = pricesFrom(seed, model.resources.size)
      const { cost } = priceAll(model.resources, model.tablesAt(1, 24), prices)
      const combinations = combinationsWorth(model.resources, cuts, [Infinity], prices, used.length, cost * (1 - slack), 40)
      if (combinations === undefined) return
      for (const combination of combinations) {
        assert.isAtLeast(combination.reduce((sum, cut) => sum + worthOf(model.resources, cut, prices), 0), cost * (1 - slack))
      }
      const kinds = kindsOf(model, "by-tightest")
      const possible = combinations.some((combination) => {
        const program = combinationProgram(model, combination, kinds, true)
        program.upper[0] = 0
        return solver.solve(program, { maxNodes: 300 }).status !== "infeasible"
      })
      assert.isTrue(possible)
    })
    assert.isAbove(plans, 5)
  }, 180_000)

  it("7. visits of a demand count for all of it together, at any prices", () => {
    const plans = random(40, (problem, plan, model, seed) => {
      const prices = pricesFrom(seed, model.resources.size)
      for (const cells of [2, 7, 48]) {
        model.tablesAt(1, cells).forEach((table, at) => {
          const worth = worthsOf(table, prices)
          const parts = plan.gpus.flatMap((gpu) => visitsOf(problem, model, gpu).flat()).filter((visit) => visit.at === at)
            .map(({ rateRps }) => Math.min(1, rateRps / table.rateRps))
          assert.isAtLeast(parts.reduce((sum, part) => sum + worth.ofPart(part), 0), 1 - slack)
          for (const part of parts) assert.isAtMost(worth.ofPart(part * 0.9), worth.ofPart(part))
        })
      }
    })
    assert.isAbove(plans, 20)
  })

  it("7. and so do any other visits that carry the rate together", () => {
    let covers = 0
    fc.assert(fc.property(problems({ maxModels: 2 }), fc.integer(), fc.integer({ min: 2, max: 40 }), fc.double({ min: 0.2, max: 6, noNaN: true }), (problem, seed, cells, load) => {
      const model = makeBoundModel(problem)
      const next = makeRandom(seed)
      model.curves.forEach((curves) => {
        if (curves.length === 0) return
        const most = Math.max(...curves.map(mostOf))
        const rateRps = load * most
        const worth = worthsOf(coverTable(model.resources, curves, rateRps, cells), pricesFrom(seed, model.resources.size))
        if (worth.cost === 0) return
        for (let attempt = 0; attempt < 20; attempt++) {
          let [left, sum] = [rateRps, 0]
          while (left > 1e-9 * rateRps) {
            const kind = next()
            const carried = Math.min(left, kind < 0.4 ? most : kind < 0.6 ? Math.min(most, 0.98 * left) : (0.02 + next()) * most, most)
            sum += worth.ofPart(carried / rateRps)
            left -= carried
          }
          covers++
          assert.isAtLeast(sum, 1 - 1e-6)
        }
      })
    }), { numRuns: 80 })
    assert.isAbove(covers, 200)
  })

  it("7. contents of a plan's glets are worth no more than the most, whatever was asked before", () => {
    let glets = 0
    random(40, (problem, plan, model, seed) => {
      const next = makeRandom(seed)
      const tables = model.tablesAt(1, 12)
      const worths = tables.map((table) => worthsOf(table, pricesFrom(seed, model.resources.size)))
      const all = gletContents(model, worths)
      // Answers to one question serve for the next.
      for (let look = 0; look < 4; look++) {
        const values = { demands: Float64Array.from(worths, () => (next() < 0.1 ? 0 : next())), memory: Float64Array.of(next() < 0.3 ? 0 : next() / 4) }
        const most = all.map((glet) => {
          const asked = glet.at(values)
          const roughly = asked.roughly()
          const { contents, worth } = asked.most()
          assert.isAtMost(worth, roughly)
          // What is told of is worth about as much.
          for (const { demands, memory, parts } of contents) {
            assert.isAtMost(demands.reduce((sum, demand, n) => sum + values.demands[demand]! * parts[n]!, 0) - values.memory[0]! * memory, worth * (1 + slack) + slack)
          }
          return worth
        })
        for (const gpu of plan.gpus) {
          for (const visits of visitsOf(problem, model, gpu)) {
            if (visits.length === 0) continue
            glets++
            const worth = visits.reduce((sum, { at, memory, rateRps }) =>
              sum + values.demands[at]! * worths[at]!.ofPart(Math.min(1, rateRps / tables[at]!.rateRps)) - values.memory[0]! * memory, 0)
            assert.isAtMost(worth, most[all.findIndex(({ share }) => share === visits[0]!.share)]! * (1 + slack) + slack)
          }
        }
      }
    })
    assert.isAbove(glets, 100)
  })

  it("7. no GPUs on which there is a plan are proved to be too few", () => {
    const plans = random(40, (_, plan, model, seed) => {
      if (model.demands.length === 0) return
      const isTooFew = contentProof(solver, model, model.tablesAt(1, 12), pricesFrom(seed, model.resources.size))
      const used = plan.gpus.filter(({ glets }) => glets.length > 0).length
      assert.isFalse(isTooFew([used]))
      assert.isFalse(isTooFew([used + 1]))
    })
    assert.isAbove(plans, 20)
  })
})
