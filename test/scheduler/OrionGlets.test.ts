/** The parts of the search by glets, each against what it is a short cut for. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { makeTaskSet } from "../../bench/lib/taskSets.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { annealGlets } from "../../src/scheduler/internal/search/annealGlets.js"
import type { Filling } from "../../src/scheduler/internal/search/assemble.js"
import { assemble, fillings } from "../../src/scheduler/internal/search/assemble.js"
import { byGlets } from "../../src/scheduler/internal/search/byGlets.js"
import { cutPrices } from "../../src/scheduler/internal/search/cutPrices.js"
import { makeGpuSolver } from "../../src/scheduler/internal/search/gpuState.js"
import type { GpuState } from "../../src/scheduler/internal/search/gpuState.js"
import type { LooseGlet } from "../../src/scheduler/internal/search/looseGlet.js"
import type { LooseGlets } from "../../src/scheduler/internal/search/looseGlets.js"
import { makeLooseGlets } from "../../src/scheduler/internal/search/looseGlets.js"
import { packGlets } from "../../src/scheduler/internal/search/packGlets.js"
import { regroup } from "../../src/scheduler/internal/search/regroup.js"
import { makeSearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import type { SearchSpace } from "../../src/scheduler/internal/search/searchSpace.js"
import { slowingsOf } from "../../src/scheduler/internal/search/slowing.js"
import { makeTrials, setTrial } from "../../src/scheduler/internal/search/trials.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import * as HighsSolver from "../../src/scheduler/solver/HighsSolver.js"
import { ProgramBuilder } from "../../src/scheduler/solver/ProgramBuilder.js"
import { demandOf, gpusOf, latencyOf, problemOf, problems } from "./problems.js"

const patience = 120_000
const slack = 1e-6

/** Share grids with so many glets of each. */
const glets = fc.constantFrom([20, 40, 50, 60, 80, 100], [5, 10, 15, 20, 25, 30, 45, 50, 60, 75, 90, 100], [30, 70], [100]).chain((sharesPct) =>
  fc.array(fc.nat(40), { minLength: sharesPct.length, maxLength: sharesPct.length }).map((counts) => ({ sharesPct, counts })))

describe("prices of shares", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  /** The fewest GPUs for the glets, if parts of GPUs could be had: a program over all ways to cut one. */
  const fewestGpus = (sharesPct: ReadonlyArray<number>, counts: ReadonlyArray<number>, maxGlets: number): number => {
    const program = new ProgramBuilder()
    const rows = counts.map((count) => program.row(count, Infinity))
    const cut = (from: number, left: number, taken: ReadonlyArray<number>): void => {
      const count = taken.reduce((sum, n) => sum + n, 0)
      if (count > maxGlets) return
      if (count > 0) {
        const column = program.column({ cost: 1 })
        taken.forEach((n, share) => program.entry(rows[share]!, column, n))
      }
      for (let share = from; share < sharesPct.length; share++) {
        if (sharesPct[share]! <= left) cut(share, left - sharesPct[share]!, taken.map((n, at) => (at === share ? n + 1 : n)))
      }
    }
    cut(0, 100, sharesPct.map(() => 0))
    return solver.solve(program.build()).objective
  }

  it("add up to the GPUs that the glets need, and rise with the share", () => {
    fc.assert(fc.property(glets.filter(({ sharesPct }) => sharesPct.length < 7), fc.integer({ min: 1, max: 6 }), ({ counts, sharesPct }, maxGlets) => {
      const prices = cutPrices(sharesPct, counts, maxGlets)
      const sum = counts.reduce((total, count, share) => total + count * prices[share]!, 0)
      const best = fewestGpus(sharesPct, counts, maxGlets)
      assert.isAtLeast(sum, best * 0.95 - slack)
      assert.isAtMost(sum, best * 1.15 + slack)
      prices.forEach((price, share) => assert.isAtLeast(price, share === 0 ? 0 : prices[share - 1]! - slack))
    }), { numRuns: 100 })
  })
})

interface Case {
  readonly space: SearchSpace
  readonly target: Float64Array
  readonly asked: ReadonlyArray<number>
}
const caseOf = (problem: PlanProblem): Case => {
  const space = makeSearchSpace(makePlanTables(problem))
  const target = Float64Array.from(problem.demands, ({ rateRps, serviceClass }) => (serviceClass === "latency-critical" ? rateRps : 0))
  return { space, target, asked: [...target.keys()].filter((model) => target[model]! > 0) }
}
const looseOf = (space: SearchSpace, margin: number) => {
  const { sharesPct } = space.kinds[0]!
  return makeLooseGlets(space, slowingsOf(space, margin), { share: [Float64Array.from(sharesPct, (pct) => pct / 100)], memory: [0.01] })
}
/** What each model gets of all, items per second. */
const carriedBy = (space: SearchSpace, all: ReadonlyArray<Pick<GpuState, "models" | "rps">>): Float64Array => {
  const carried = new Float64Array(space.models)
  for (const { models, rps } of all) models.forEach((model, i) => carried[model]! += rps[i]!)
  return carried
}

describe("loose glets", () => {
  it("stand on the smallest share that carries their rates", () => {
    let found = 0
    fc.assert(fc.property(problems({ maxModels: 6 }), fc.integer(), (problem, seed) => {
      const { asked, space, target } = caseOf(problem)
      const random = makeRandom(seed)
      const models = asked.filter(() => random() < 0.5)
      if (models.length === 0) return
      const rps = models.map((model) => target[model]! * random())
      const solver = makeGpuSolver(space)
      const { gletBytes, modelBytes, roomBytes, sharesPct } = space.kinds[0]!
      // Of memory glets take less than they might.
      if (models.reduce((sum, model) => sum + modelBytes[model]!, gletBytes) > roomBytes / 2) return
      const least = sharesPct.findIndex((_, share) => solver.fit(0, [], 0, share, models, rps) !== undefined)
      const glet = looseOf(space, 0).make(0, models, rps, Math.floor(random() * sharesPct.length), Infinity)
      assert.strictEqual(glet?.share ?? -1, least)
      if (glet !== undefined) found++
    }), { numRuns: 200 })
    assert.isAbove(found, 50)
  })

  it("have room for as much of a model as they say", () => {
    let joined = 0
    fc.assert(fc.property(problems({ maxModels: 8 }), fc.integer(), (problem, seed) => {
      const { asked, space, target } = caseOf(problem)
      const random = makeRandom(seed)
      const models = asked.filter(() => random() < 0.4)
      const model = asked[Math.floor(random() * asked.length)]
      const loose = looseOf(space, 1.5)
      const glet = loose.make(0, models, models.map((each) => target[each]! * random()), 0, Infinity)
      if (model === undefined || models.length === 0 || glet === undefined) return
      const more = loose.room(glet, model)
      assert.isAtLeast(more, 0)
      const there = models.indexOf(model)
      const isNew = there < 0
      if (more === 0 || (isNew && models.length === space.maxModels)) return
      joined++
      const rps = glet.rps.map((each, i) => (i === there ? each + more : each))
      const next = loose.make(0, isNew ? [...models, model] : models, isNew ? [...rps, more] : rps, glet.share, Infinity)
      assert.isDefined(next)
      assert.isAtMost(next!.share, glet.share)
    }), { numRuns: 200 })
    assert.isAbove(joined, 30)
  })

  it("cost about the floor that is told of them where a model joins or takes the place of another, and hardly ever less than it refuses", () => {
    let [looked, told, over, refused, wrong] = [0, 0, 0, 0, 0]
    for (const types of [1, 2] as const) {
      for (let seed = 1; seed <= 6; seed++) {
        const { asked, space, target } = caseOf(makeTaskSet({ seed, models: 60, loadGpus: 6, gpus: 30, types }))
        const loose = makeLooseGlets(space, slowingsOf(space, 0), {
          share: space.kinds.map(({ cost, sharesPct }) => Float64Array.from(sharesPct, (pct) => (cost * pct) / 100)),
          memory: space.kinds.map(() => 0.01)
        })
        const random = makeRandom(seed)
        const pick = (): number => asked[Math.floor(random() * asked.length)]!
        const trials = makeTrials(1, space.maxModels)
        const { floor, note } = loose.floors(trials)
        for (let n = 0; n < 4000; n++) {
          const models = [...new Set(Array.from({ length: 1 + Math.floor(4 * random()) }, pick))]
          const kind = n % space.kinds.length
          const glet = loose.make(kind, models, models.map((model) => target[model]! * random()), 0, Infinity)
          const other = pick()
          if (glet === undefined || models.includes(other)) continue
          setTrial(trials, 0, glet)
          note(0)
          const without = random() < 0.5 ? -1 : Math.floor(random() * models.length)
          const rps = target[other]! * random()
          const rest = models.map((_, i) => i).filter((i) => i !== without)
          const next = loose.make(kind, [...rest.map((i) => models[i]!), other], [...rest.map((i) => glet.rps[i]!), rps], glet.share, Infinity)
          const cost = next?.cost ?? Infinity
          const least = floor(0, without, other, rps, Infinity)
          looked++
          if (least > cost * 1.001) over++
          if (least > 0.999 * cost || (least === Infinity && cost === Infinity)) told++
          // On the share that it has, all is told from sums, and of one model more no less than that share will do.
          if (without < 0 && next?.share === glet.share) assert.isAtMost(least, cost * (1 + 1e-5))
          const most = glet.cost * (0.5 + random())
          if (floor(0, without, other, rps, most) <= most) continue
          refused++
          if (cost < most * 0.999) wrong++
        }
      }
    }
    assert.isAbove(looked, 5000)
    assert.isAbove(told, 0.55 * looked)
    assert.isBelow(over, 0.06 * looked)
    assert.isAbove(refused, 10_000)
    assert.isBelow(wrong, 0.002 * refused)
  }, patience)

  const alone = (space: SearchSpace, target: Float64Array, asked: ReadonlyArray<number>): ReadonlyArray<LooseGlet> | undefined => {
    const made = asked.map((model) => looseOf(space, 1.5).make(0, [model], [target[model]!], 0, Infinity))
    return made.includes(undefined) ? undefined : made as ReadonlyArray<LooseGlet>
  }

  it("carry the same together after annealing, for less, and each does what it says; on GPUs they still do", () => {
    let annealed = 0
    fc.assert(fc.property(problems({ maxModels: 8 }), fc.integer(), (problem, seed) => {
      const { asked, space, target } = caseOf(problem)
      const start = alone(space, target, asked)
      if (start === undefined || start.length === 0) return
      annealed++
      const solver = makeGpuSolver(space)
      const packed = packGlets(space, looseOf(space, 1.5), start)
      carriedBy(space, packed).forEach((rps, model) => assert.approximately(rps, target[model]!, slack * target[model]!))
      for (const { models, rps, share } of packed) assert.isDefined(solver.fit(0, [], 0, share, models, rps))
      const costOf = (all: ReadonlyArray<LooseGlet>): number => all.reduce((sum, { cost }) => sum + cost, 0)
      assert.isAtMost(costOf(packed), costOf(start) + slack)
      const end = annealGlets(space, looseOf(space, 1.5), seed % 2 === 0 ? packed : start, { steps: 2000, hot: 0.003, cold: 1e-6, random: makeRandom(seed) })
      assert.isAtMost(costOf(end), costOf(start) + 0.01)
      carriedBy(space, end).forEach((rps, model) => assert.approximately(rps, target[model]!, slack * target[model]!))
      for (const { models, rps, share } of end) {
        assert.strictEqual(new Set(models).size, models.length)
        assert.isDefined(solver.fit(0, [], 0, share, models, rps))
      }
      const states = assemble(space, solver, end, fillings[Math.abs(seed) % fillings.length]!, makeRandom(seed))!
      const carried = carriedBy(space, states)
      asked.forEach((model) => assert.isAtLeast(carried[model]!, target[model]! * (1 - slack)))
      for (const { freeBytes, freePct } of states) assert.isTrue(freePct >= 0 && freeBytes >= 0)
    }), { numRuns: 150 })
    assert.isAbove(annealed, 40)
  }, patience)
})

describe("glets to begin with", () => {
  it("are packed for less than a glet for each model costs, and for hardly more than annealing comes to", () => {
    for (const types of [1, 2] as const) {
      const { asked, space, target } = caseOf(makeTaskSet({ seed: 3, models: 200, loadGpus: 10, gpus: 30, types }))
      const loose = makeLooseGlets(space, slowingsOf(space, 1.5), {
        share: space.kinds.map(({ cost, sharesPct }) => Float64Array.from(sharesPct, (pct) => (cost * pct) / 100)),
        memory: space.kinds.map(() => 0.01)
      })
      const start = asked.flatMap((model) => {
        const made = space.kinds.flatMap((_, kind) => loose.make(kind, [model], [target[model]!], 0, Infinity) ?? [])
        return made.length === 0 ? [] : [made.reduce((a, b) => (a.cost <= b.cost ? a : b))]
      })
      assert.isAbove(start.length, 150)
      const costOf = (all: ReadonlyArray<LooseGlet>): number =>
        all.reduce((sum, { kind, share }) => sum + (space.kinds[kind]!.cost * space.kinds[kind]!.sharesPct[share]!) / 100, 0)
      const packed = packGlets(space, loose, start)
      assert.deepStrictEqual(packGlets(space, loose, start), packed)
      const before = carriedBy(space, start)
      carriedBy(space, packed).forEach((rps, model) => assert.approximately(rps, before[model]!, slack * before[model]!))
      const annealed = annealGlets(space, loose, start, { steps: 60_000, hot: 0.003, cold: 1e-4, random: makeRandom(1) })
      assert.isBelow(costOf(packed), 0.85 * costOf(start))
      assert.isBelow(costOf(packed), 1.1 * costOf(annealed))
    }
  }, patience)
})

describe("glets that are grouped anew", () => {
  /** The least that any way to group the models costs, each whole. */
  const leastCost = (loose: LooseGlets, models: ReadonlyArray<number>, target: Float64Array): number => {
    const least = new Float64Array(1 << models.length).fill(Infinity)
    const alone = Float64Array.from(least, (_, set) => {
      const group = models.filter((_, i) => (set >> i) % 2 === 1)
      const glet = group.length === 0 ? undefined : loose.make(0, group, group.map((model) => target[model]!), 0, Infinity)
      return glet === undefined ? Infinity : loose.fullCost(glet)
    })
    least[0] = 0
    for (let set = 1; set < least.length; set++) {
      for (let part = set; part > 0; part = (part - 1) & set) least[set] = Math.min(least[set]!, alone[part]! + least[set ^ part]!)
    }
    return least.at(-1)!
  }

  it("carry the same for no more, and mostly for the least there is", () => {
    let [optimal, looked] = [0, 0]
    fc.assert(fc.property(problems({ maxModels: 6 }), fc.integer(), (problem, seed) => {
      const { asked, space, target } = caseOf(problem)
      const loose = looseOf(space, 1.5)
      const start = asked.flatMap((model) => loose.make(0, [model], [target[model]!], 0, Infinity) ?? [])
      if (start.length < 2 || start.length < asked.length) return
      const solver = makeGpuSolver(space)
      const end = regroup(space, loose, start, { rounds: 12, random: makeRandom(seed) })
      carriedBy(space, end).forEach((rps, model) => assert.approximately(rps, target[model]!, slack * target[model]!))
      for (const { models, rps, share } of end) assert.isDefined(solver.fit(0, [], 0, share, models, rps))
      const costOf = (all: ReadonlyArray<LooseGlet>): number => all.reduce((sum, glet) => sum + loose.fullCost(glet), 0)
      const least = leastCost(loose, asked, target)
      assert.isAtMost(costOf(end), costOf(start) + slack)
      assert.isAtLeast(costOf(end), least - slack)
      looked++
      if (costOf(end) <= least + slack) optimal++
    }), { numRuns: 150 })
    assert.isAbove(looked, 20)
    assert.isAtLeast(optimal, 0.7 * looked)
  }, patience)

  it("cost less than annealing leaves, of one kind and of two, and are the same for equal seeds", () => {
    for (const types of [1, 2] as const) {
      const { asked, space, target } = caseOf(makeTaskSet({ seed: 3, models: 50, loadGpus: 5, gpus: 30, types }))
      const loose = makeLooseGlets(space, slowingsOf(space, 1.5), {
        share: space.kinds.map(({ cost, sharesPct }) => Float64Array.from(sharesPct, (pct) => (cost * pct) / 100)),
        memory: space.kinds.map(() => 0.01)
      })
      const start = asked.flatMap((model) => space.kinds.flatMap((_, kind) => loose.make(kind, [model], [target[model]!], 0, Infinity) ?? []).slice(0, 1))
      assert.strictEqual(start.length, asked.length)
      const annealed = annealGlets(space, loose, start, { steps: 5_000, hot: 0.003, cold: 1e-4, random: makeRandom(1) })
      const again = () => regroup(space, loose, annealed, { rounds: 8, random: makeRandom(2) })
      const end = again()
      const before = carriedBy(space, annealed)
      carriedBy(space, end).forEach((rps, model) => assert.approximately(rps, before[model]!, slack * before[model]!))
      const costOf = (all: ReadonlyArray<LooseGlet>): number => all.reduce((sum, glet) => sum + loose.fullCost(glet), 0)
      assert.isBelow(costOf(end), 0.99 * costOf(annealed))
      assert.deepStrictEqual(again(), end)
    }
  }, patience)
})

describe("glets of two kinds", () => {
  it("are brought below a limit on one kind, and carry the same", () => {
    let brought = 0
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(0, 1), (seed, limited) => {
      const { asked, space, target } = caseOf(makeTaskSet({ seed, models: 12, loadGpus: 3, gpus: 12, types: 2 }))
      const loose = makeLooseGlets(space, slowingsOf(space, 1), {
        share: space.kinds.map(({ cost, sharesPct }) => Float64Array.from(sharesPct, (pct) => (cost * pct) / 100)),
        memory: [0.01, 0.01]
      })
      const start = asked.flatMap((model): ReadonlyArray<LooseGlet> => {
        const at = [limited, 1 - limited].map((kind) => loose.make(kind, [model], [Math.min(target[model]!, loose.most(kind, space.kinds[kind]!.sharesPct.length - 1, model))], 0, Infinity))
        return at[1] === undefined ? [] : [at[0] ?? at[1]]
      })
      const pctsOf = (all: ReadonlyArray<LooseGlet>): number =>
        all.reduce((sum, { kind, share }) => sum + (kind === limited ? space.kinds[kind]!.sharesPct[share]! : 0), 0)
      const limitPct = pctsOf(start) / 4
      const limitsPct = space.kinds.map((_, kind) => (kind === limited ? limitPct : Infinity))
      const end = annealGlets(space, loose, start, { steps: 4000, hot: 0.003, cold: 1e-4, random: makeRandom(seed), limitsPct })
      const before = carriedBy(space, start)
      carriedBy(space, end).forEach((rps, model) => assert.approximately(rps, before[model]!, slack * before[model]!))
      assert.isAtMost(pctsOf(end), pctsOf(start))
      if (limitPct > 0 && pctsOf(end) <= limitPct) brought++
    }), { numRuns: 30 })
    assert.isAbove(brought, 15)
  }, patience)
})

describe("glets on GPUs", () => {
  it("fill each of them, where a GPU of small ones alone is full of glets before it is full", () => {
    const specs = ["large", "small"].map((name) => ({ name, fixedMs: 1, itemMs: 0.01, usefulPct: 100, largestBatch: 8, memoryBytes: 0 }))
    const { space } = caseOf(problemOf(gpusOf(8, { sharesPct: [20, 40, 100] }), specs.map(({ name }) => demandOf(name, 10, 100)), latencyOf(specs), { maxGletsPerGpu: 4 }))
    const loose = looseOf(space, 0)
    const copies = (count: number, model: number, share: number): ReadonlyArray<LooseGlet> =>
      Array.from({ length: count }, () => ({ ...loose.make(0, [model], [1], share, Infinity)!, share }))
    // Either 40 + 20 + 20 + 20 four times, or 40 + 40 + 20 twice and ten of 20 that are left for three GPUs.
    const glets = [...copies(4, 0, 1), ...copies(12, 1, 0)]
    const count = (filling: Filling): number => assemble(space, makeGpuSolver(space), glets, filling, makeRandom(1))!.length
    assert.strictEqual(count("even"), 4)
    assert.strictEqual(count("largest"), 5)
  })
})

describe("a plan by glets", () => {
  it("carries all rates, on no more GPUs than there are, or says that it does not", () => {
    let planned = 0
    fc.assert(fc.property(problems({ maxModels: 8, whenShort: "fail" }), fc.integer({ min: 1, max: 12 }), fc.boolean(), fc.constantFrom(undefined, regroup), (random, count, isPacked, again) => {
      const problem = { ...random, gpus: gpusOf(count, { sharesPct: random.gpus[0]!.sharesPct, units: random.gpus[0]!.units }) }
      const { asked, space, target } = caseOf(problem)
      const states = byGlets(space, makeGpuSolver(space), { target, available: [count], runs: 2, enough: 0, steps: 500, isPacked, regroup: again, random: makeRandom(1) })
      if (states === undefined) return
      planned++
      assert.isAtMost(states.length, count)
      const carried = carriedBy(space, states)
      for (const model of asked) assert.isAtLeast(carried[model]!, target[model]! * (1 - slack))
    }), { numRuns: 100 })
    assert.isAbove(planned, 30)
  }, patience)

  it("keeps the rules for many small models, equal for equal seeds, also where one of two kinds is scarce", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(1 as const, 2 as const), fc.constantFrom(8, 24), (seed, types, gpus) => {
      const problem = makeTaskSet({ seed, models: 40, loadGpus: 5, gpus, types, options: { effort: 0.1 } })
      const planned = orion.plan(problem)
      if (Either.isLeft(planned)) {
        assert.isBelow(gpus, 24)
        return
      }
      assert.deepStrictEqual(validatePlan(planned.right, problem), [])
      assert.strictEqual(JSON.stringify(Either.getOrThrow(orion.plan(problem))), JSON.stringify(planned.right))
    }), { numRuns: 3 })
  }, patience)
})
