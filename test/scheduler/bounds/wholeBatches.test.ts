/** What whole batches are worth in one cycle, against every choice there is, and what that proves, against optimal plans. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { makeTaskSet } from "../../../bench/lib/taskSets.js"
import { gpusUsed } from "../../../src/core/Plan.js"
import { fewestBound } from "../../../src/scheduler/bounds/FewestBound.js"
import { makeBoundModel } from "../../../src/scheduler/bounds/internal/boundModel.js"
import { contentProof } from "../../../src/scheduler/bounds/internal/contentProof.js"
import { firstPrices } from "../../../src/scheduler/bounds/internal/prices.js"
import { wholeBatches } from "../../../src/scheduler/bounds/internal/wholeBatches.js"
import { exact } from "../../../src/scheduler/planners/Exact.js"
import { orion } from "../../../src/scheduler/planners/Orion.js"
import * as HighsSolver from "../../../src/scheduler/solver/HighsSolver.js"
import { problems } from "../problems.js"

interface Batch {
  readonly time: number
  readonly worth: number
}

/** By trying every choice of at most one batch of each model. */
const bestOfAll = (models: ReadonlyArray<ReadonlyArray<Batch>>, places: number, time = 1): number => {
  const [first, ...others] = models
  if (first === undefined || places === 0) return 0
  return Math.max(bestOfAll(others, places, time), ...first.filter((batch) => batch.time <= time).map((batch) => batch.worth + bestOfAll(others, places - 1, time - batch.time)))
}

describe("wholeBatches", () => {
  const batch = fc.record({ time: fc.double({ min: 0.01, max: 1, noNaN: true }), worth: fc.double({ min: -0.2, max: 1, noNaN: true }) })
  const batches = fc.array(batch, { minLength: 1, maxLength: 3 }).map((all) => [...all].sort((one, other) => one.time - other.time))

  it("finds what every choice of batches is worth at the most, at any prices", () => {
    const price = fc.double({ min: 0, max: 2, noNaN: true })
    fc.assert(fc.property(fc.array(batches, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 4 }), price, price, price, (models, places, timePrice, placePrice, above) => {
      const begins = Int32Array.from([0, ...models.map((_, n) => models.slice(0, n + 1).flat().length)])
      const times = Float64Array.from(models.flat(), ({ time }) => time)
      const worths = Float64Array.from(models.flat(), ({ worth }) => worth)
      const best = wholeBatches(models.length, places).best({ begins, times }, worths, timePrice, placePrice, above)
      // What takes up all of the time may take a little more of it.
      const [least, most] = [1, 1 + 1e-5].map((time) => bestOfAll(models, places, time))
      assert.isDefined(best)
      assert.isAtLeast(best!.worth, Math.max(above, least!) - 1e-12)
      assert.isAtMost(best!.worth, Math.max(above, most!) + 1e-12)
      assert.strictEqual(best!.chosen !== undefined, best!.worth > above)
      const chosen = best!.chosen ?? []
      assert.isAtMost(chosen.length, places)
      assert.strictEqual(new Set(chosen.map(({ model }) => model)).size, chosen.length)
      if (chosen.length > 0) assert.approximately(chosen.reduce((sum, each) => sum + worths[each.batch]!, 0), best!.worth, 1e-12)
      for (const each of chosen) assert.isTrue(each.batch >= begins[each.model]! && each.batch < begins[each.model + 1]!)
    }), { numRuns: 250 })
  })
})

describe("contents of whole batches", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("rule out no GPUs on which there is a plan: bounds are at most the optimum, which is at most what orion needs", () => {
    let [optimal, ruledOut] = [0, 0]
    fc.assert(fc.property(problems({ maxModels: 4, maxGpus: 3, whenShort: "fail" }), (problem) => {
      const ours = orion.plan(problem)
      if (Either.isLeft(ours) || ours.right.shortfalls.some(({ askedRps, plannedRps }) => plannedRps < askedRps)) return
      const answer = exact(solver).plan(problem)
      const best = Either.isRight(answer) ? gpusUsed(answer.right) : gpusUsed(ours.right)
      if (Either.isRight(answer)) optimal++
      assert.isAtMost(best, gpusUsed(ours.right))
      assert.isAtMost(fewestBound(problem, { effort: "proof", solver }).gpus, best)
      const model = makeBoundModel(problem)
      if (model.demands.length === 0) return
      const isTooFew = contentProof(solver, model, model.tablesAt(1, 12), firstPrices(model.resources, [1])[0]!)
      // Too few, just enough, too few again: what is learned of one number serves for the next.
      if (isTooFew([best - 0.9])) ruledOut++
      assert.isFalse(isTooFew([best]))
      if (best > 1 && isTooFew([best - 1])) ruledOut++
    }), { numRuns: 100 })
    assert.isAbove(optimal, 30)
    assert.isAbove(ruledOut, 10)
  }, 300_000)

  it("see that the time of a glet is not filled by parts of batches", () => {
    // Mixes of contents prove 10.9 GPUs, whole ones a little more than 11; the plan has 12.
    const problem = makeTaskSet({ seed: 7, models: 50, loadGpus: 10, types: 1, gpus: 20 })
    assert.deepInclude(fewestBound(problem, { effort: "thorough", solver }), { gpus: 11 })
    assert.deepInclude(fewestBound(problem, { effort: "proof", solver, knownGpus: 12 }), { gpus: 12, how: "contents of glets" })
  }, 120_000)
})
