import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { makeTaskSet } from "../../bench/lib/taskSets.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { annealGlets } from "../../src/scheduler/internal/search/annealGlets.js"
import { arrange } from "../../src/scheduler/internal/search/arrange.js"
import { assemble, beside } from "../../src/scheduler/internal/search/assemble.js"
import { cutGpus } from "../../src/scheduler/internal/search/cutGpus.js"
import { cutting } from "../../src/scheduler/internal/search/cutPrices.js"
import { makeExchange } from "../../src/scheduler/internal/search/exchange.js"
import { makeGpuSolver } from "../../src/scheduler/internal/search/gpuState.js"
import type { GpuState } from "../../src/scheduler/internal/search/gpuState.js"
import type { LooseGlet } from "../../src/scheduler/internal/search/looseGlet.js"
import type { LooseGlets } from "../../src/scheduler/internal/search/looseGlets.js"
import { makeLooseGlets } from "../../src/scheduler/internal/search/looseGlets.js"
import { remix } from "../../src/scheduler/internal/search/remix.js"
import { makeSearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import type { SearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import { slowingsOf } from "../../src/scheduler/internal/search/slowing.js"
import { makeTolerances } from "../../src/scheduler/internal/search/tolerance.js"
import { demandOf, gpusOf, latencyOf, problemOf } from "./problems.js"

const patience = 120_000
const slack = 1e-6

const spaceOf = (problem: PlanProblem): SearchSpace => makeSearchSpace(makePlanTables(problem))
const looseOf = (space: SearchSpace, margin: number): LooseGlets =>
  makeLooseGlets(space, slowingsOf(space, margin), {
    share: space.kinds.map(({ cost, sharesPct }) => Float64Array.from(sharesPct, (pct) => (cost * pct) / 100)),
    memory: space.kinds.map(() => 0.01)
  })
const carriedBy = (space: SearchSpace, all: ReadonlyArray<Pick<GpuState, "models" | "rps">>): Float64Array => {
  const carried = new Float64Array(space.models)
  for (const { models, rps } of all) models.forEach((model, i) => carried[model]! += rps[i]!)
  return carried
}
/** Glets of a generated set, annealed for a while. */
const gletsOf = (problem: PlanProblem, seed: number): { readonly space: SearchSpace; readonly loose: LooseGlets; readonly glets: ReadonlyArray<LooseGlet> } => {
  const space = spaceOf(problem)
  const loose = looseOf(space, 1.5)
  const alone = problem.demands.flatMap(({ rateRps }, model): ReadonlyArray<LooseGlet> => {
    // As much as goes on the share that is cheapest for it, and a rest.
    const { sharesPct } = space.kinds[0]!
    const most = sharesPct.map((_, share) => loose.most(0, share, model))
    const share = sharesPct.reduce((best, pct, at) => (most[at]! > 0 && (best < 0 || most[at]! / pct > most[best]! / sharesPct[best]!) ? at : best), -1)
    const full = Math.floor(rateRps / most[share]!)
    return [...new Array<number>(full).fill(most[share]!), rateRps - full * most[share]!].flatMap((rps) => loose.make(0, [model], [rps], 0, Infinity) ?? [])
  })
  return { space, loose, glets: annealGlets(space, loose, alone, { steps: 4000, hot: 0.003, cold: 1e-4, random: makeRandom(seed) }) }
}

describe("GPUs cut for shares alone", () => {
  it("have each glet once, no more of them than fit, and hardly take more than parts of GPUs would", () => {
    fc.assert(fc.property(
      fc.constantFrom([20, 40, 50, 60, 80, 100], [5, 10, 15, 20, 25, 30, 45, 50, 60, 75, 90, 100], [30, 70]),
      fc.array(fc.nat(60), { minLength: 12, maxLength: 12 }), fc.integer({ min: 3, max: 8 }), fc.integer(),
      (sharesPct, counts, maxGlets, seed) => {
        const shareOf = sharesPct.flatMap((_, share) => new Array<number>(counts[share]!).fill(share))
        const gpus = cutGpus(sharesPct, shareOf, maxGlets, makeRandom(seed))
        assert.deepStrictEqual(gpus.flat().sort((a, b) => a - b), shareOf.map((_, i) => i))
        for (const gpu of gpus) {
          assert.isAtMost(gpu.length, maxGlets)
          assert.isAtMost(gpu.reduce((sum, i) => sum + sharesPct[shareOf[i]!]!, 0), 100)
        }
        const inParts = cutting(sharesPct, counts.slice(0, sharesPct.length), maxGlets).ways.reduce((sum, { times }) => sum + times, 0)
        assert.isAtMost(gpus.length, 1.02 * inParts + 2)
      }
    ), { numRuns: 100 })
  })
})

describe("what glets bear", () => {
  it("tells whether two go together", () => {
    let [agreed, looked, refused] = [0, 0, 0]
    for (let seed = 1; seed <= 4; seed++) {
      const { glets, space } = gletsOf(makeTaskSet({ seed, models: 40, loadGpus: 6, gpus: 20, types: 1 }), seed)
      const toleranceOf = makeTolerances(space)
      const solver = makeGpuSolver(space)
      const { sharesPct } = space.kinds[0]!
      for (const one of glets) for (const other of glets) {
        if (one === other || sharesPct[one.share]! + sharesPct[other.share]! > 100) continue
        const loadOn = (from: LooseGlet, on: LooseGlet): number =>
          toleranceOf(on).burden.reduce((sum, burden, effect) => sum + burden * toleranceOf(from).pressure[effect]!, 0)
        const isBorne = loadOn(one, other) <= 1 && loadOn(other, one) <= 1
        const alone = beside(solver, solver.empty(0), [], one)!
        if (alone.freeBytes < other.models.reduce((sum, model) => sum + space.kinds[0]!.modelBytes[model]!, space.kinds[0]!.gletBytes)) continue
        const isCarried = beside(solver, alone, [one], other) !== undefined
        looked++
        if (!isCarried) refused++
        if (isBorne === isCarried) agreed++
      }
    }
    assert.isAbove(looked, 500)
    assert.isAbove(refused, 5)
    assert.isAtLeast(agreed, 0.97 * looked)
  }, patience)
})

describe("glets that change places", () => {
  const tolerance = (pressure: number, burden: number) => ({ pressure: Float64Array.of(pressure), burden: Float64Array.of(burden) })

  it("find those where memory fits and all bear their neighbours", () => {
    // Loud ones bear each other, quiet ones bear each other; heavy ones stand two on a GPU at first.
    const loud = tolerance(1, 0)
    const quiet = tolerance(0, 2)
    const exchange = makeExchange({
      gpus: [[0, 1], [2, 3], [4, 5], [6, 7]],
      pcts: Float64Array.of(50, 50, 50, 50, 50, 50, 50, 50),
      memory: Float64Array.of(0.7, 0.7, 0.2, 0.2, 0.7, 0.2, 0.2, 0.7),
      tolerances: [loud, loud, quiet, loud, quiet, quiet, loud, quiet],
      maxGlets: 4
    }, makeRandom(1))
    assert.isTrue(exchange.settle())
    for (const gpu of exchange.gpus) {
      assert.lengthOf(gpu, 2)
      assert.lengthOf(gpu.filter((i) => [0, 1, 4, 7].includes(i)), 1)
      assert.include([0, 2], gpu.filter((i) => [0, 1, 3, 6].includes(i)).length)
    }
  })

  it("are exchanged one for several, where those of one share all stand together", () => {
    // Twenties do not bear two of themselves; the sixties are all on one side with forties.
    const exchange = makeExchange({
      gpus: [[0, 1, 2, 3, 4], [5, 6], [7, 8], [9, 10], [11, 12]],
      pcts: Float64Array.of(20, 20, 20, 20, 20, 60, 40, 60, 40, 60, 40, 60, 40),
      memory: new Float64Array(13).fill(0.01),
      tolerances: Array.from({ length: 13 }, (_, i) => (i < 5 ? tolerance(1, 0.6) : tolerance(0, 0))),
      maxGlets: 5
    }, makeRandom(1))
    assert.isTrue(exchange.settle())
    for (const gpu of exchange.gpus) {
      assert.isAtMost(gpu.filter((i) => i < 5).length, 2)
      assert.isAtMost(gpu.reduce((sum, i) => sum + [20, 60, 40][i < 5 ? 0 : 1 + ((i - 5) % 2)]!, 0), 100)
    }
  })

  it("say where there are none, and where some bear less than it seemed", () => {
    const pair = makeExchange({
      gpus: [[0, 1]], pcts: Float64Array.of(50, 50), memory: Float64Array.of(0.1, 0.1), tolerances: [tolerance(1, 0.9), tolerance(1, 0.9)], maxGlets: 4
    }, makeRandom(1))
    assert.isTrue(pair.settle())
    pair.bearLess([0, 1])
    assert.isFalse(pair.settle())
  })
})

describe("glets put on GPUs all at once", () => {
  it("carry what they are to carry, within share and memory, the same for equal seeds, on no more GPUs than one after the other in all", () => {
    let [atOnce, oneByOne] = [0, 0]
    for (let seed = 1; seed <= 6; seed++) {
      const { glets, space } = gletsOf(makeTaskSet({ seed, models: 100, loadGpus: 100, gpus: 200, types: 1 }), seed)
      const solver = makeGpuSolver(space)
      const states = arrange(space, solver, glets, makeRandom(seed))!
      assert.deepStrictEqual(arrange(space, solver, glets, makeRandom(seed)), states)
      const before = carriedBy(space, glets)
      carriedBy(space, states).forEach((rps, model) => assert.isAtLeast(rps, before[model]! * (1 - slack)))
      assert.strictEqual(states.reduce((sum, { glets: on }) => sum + on.length, 0), glets.length)
      for (const { freeBytes, freePct } of states) assert.isTrue(freePct >= 0 && freeBytes >= 0)
      atOnce += states.length
      oneByOne += assemble(space, solver, glets, "largest", makeRandom(seed))!.length
    }
    assert.isBelow(atOnce, oneByOne)
  }, patience)
})

describe("saturated glets", () => {
  it("go to shares beside which others fit, and carry the same", () => {
    // 60 % is the cheapest share for each item, but nothing fits beside it: 50 % takes half a GPU.
    const specs = [{ name: "large", fixedMs: 1, itemMs: 1, usefulPct: 60, largestBatch: 16, memoryBytes: 0 }]
    const space = spaceOf(problemOf(gpusOf(60, { sharesPct: [50, 60] }), [demandOf("large", 1000, 40)], latencyOf(specs)))
    const loose = looseOf(space, 0)
    const whole = Array.from({ length: 20 }, () => loose.make(0, [0], [loose.most(0, 1, 0)], 1, Infinity)!)
    assert.isTrue(whole.every(({ share }) => share === 1))
    const mixed = remix(space, loose, whole, [], [1])!
    const all = [...mixed.whole, ...mixed.left]
    assert.approximately(carriedBy(space, all)[0]!, carriedBy(space, whole)[0]!, slack * carriedBy(space, whole)[0]!)
    const gpusFor = (glets: ReadonlyArray<LooseGlet>): number => cutGpus([50, 60], glets.map(({ share }) => share), 8, makeRandom(1)).length
    assert.strictEqual(gpusFor(whole), 20)
    assert.isAtMost(gpusFor(all), 16)
  })

  it("stay where they stand well", () => {
    const specs = [{ name: "large", fixedMs: 1, itemMs: 1, usefulPct: 50, largestBatch: 16, memoryBytes: 0 }]
    const space = spaceOf(problemOf(gpusOf(60, { sharesPct: [50, 100] }), [demandOf("large", 1000, 40)], latencyOf(specs)))
    const loose = looseOf(space, 0)
    const whole = Array.from({ length: 20 }, () => loose.make(0, [0], [loose.most(0, 0, 0)], 0, Infinity)!)
    assert.isUndefined(remix(space, loose, whole, [], [1]))
  })
})
