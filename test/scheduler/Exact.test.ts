/** The planner `exact` against every plan there is, for cases with few of them. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Plan, PlannedGlet, PlannedGpu } from "../../src/core/Plan.js"
import { emptyPlan, gpusUsed } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { plannedLatencyMs, validatePlan } from "../../src/core/ValidatePlan.js"
import { fewestBound } from "../../src/scheduler/bounds/FewestBound.js"
import { exact, planByConfigurations } from "../../src/scheduler/planners/Exact.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import * as HighsSolver from "../../src/scheduler/solver/HighsSolver.js"
import { bestEffortOf, demandOf, gpuOf, gpusOf, latencyOf, mb, problemOf, problems } from "./problems.js"

/** Two models with batches of at most two on GPUs in halves: few enough plans to try each. */
const tiny: fc.Arbitrary<PlanProblem> = fc.record({
  models: fc.array(
    fc.record({
      fixedMs: fc.double({ min: 0.5, max: 5, noNaN: true }),
      itemMs: fc.double({ min: 0.5, max: 5, noNaN: true }),
      usefulPct: fc.constantFrom(50, 100),
      memoryBytes: fc.constantFrom(1_000 * mb, 6_000 * mb),
      largestBatch: fc.constantFrom(1, 2),
      executions: fc.double({ min: 1.8, max: 12, noNaN: true }),
      load: fc.double({ min: 0.02, max: 1.2, noNaN: true })
    }),
    { minLength: 1, maxLength: 2 }
  ),
  gpus: fc.constantFrom(1, 2),
  secondCost: fc.constantFrom(1, 0.4),
  slowdownPerNeighbour: fc.constantFrom(0, 0.4),
  gletMemoryBytes: fc.constantFrom(0, 1_500 * mb),
  dutyRule: fc.constantFrom("cycle" as const, "strict" as const),
  maxModelsPerGlet: fc.constantFrom(1, 2)
}).map(({ gpus, models, secondCost, ...options }) => {
  const specs = models.map((model, i) => ({ ...model, name: `m${i}` }))
  return problemOf(
    Array.from({ length: gpus }, (_, i): Gpu => gpuOf(i, { sharesPct: [50, 100], ...(secondCost === 1 ? {} : { cost: i === 0 ? 1 : secondCost }) })),
    specs.map(({ executions, fixedMs, itemMs, largestBatch, load, name }) =>
      demandOf(name, (load * 1000 * largestBatch) / (fixedMs + itemMs * largestBatch), executions * (fixedMs + itemMs), 2)),
    latencyOf(specs, options),
    options
  )
})

/** Every set of models and batches for one glet. */
const works = (problem: PlanProblem, from = 0): ReadonlyArray<ReadonlyArray<readonly [demand: number, batch: number]>> => {
  if (from === problem.demands.length) return [[]]
  const rest = works(problem, from + 1)
  return [...rest, ...[1, 2].flatMap((batch) => rest.map((others) => [[from, batch] as const, ...others]))]
}

/** A GPU with the given glets, their cycles as short as their batches. */
const gpuWith = (problem: PlanProblem, gpu: Gpu, glets: ReadonlyArray<{ readonly sharePct: number; readonly works: ReadonlyArray<readonly [number, number]> }>): PlannedGpu => {
  const outline = (g: number, dutyMs: number, latencies: ReadonlyArray<number>): PlannedGlet => ({
    id: unsafeGletId(`${gpu.id}/${g}`), sharePct: glets[g]!.sharePct, priority: 0, dutyMs, bestEffort: [],
    assignments: glets[g]!.works.map(([demand, batch], i) => ({
      model: problem.demands[demand]!.model, batch, rateRps: dutyMs === 0 ? 0 : (1000 * batch) / dutyMs, latencyMs: latencies[i] ?? 0, worstMs: 0, slackMs: 0, capacityRps: 0
    }))
  })
  const bare: PlannedGpu = { gpu: gpu.id, type: gpu.type, glets: glets.map((_, g) => outline(g, 0, [])) }
  return {
    ...bare,
    glets: bare.glets.map((glet, g) => {
      const latencies = glet.assignments.map((work) => plannedLatencyMs(problem, bare, glet, work))
      return outline(g, latencies.reduce((sum, ms) => sum + ms, 0), latencies)
    })
  }
}

/** The least cost of all plans, by trying each; undefined where none holds. */
const bruteForce = (problem: PlanProblem): number | undefined => {
  const sets = works(problem).filter((set) => set.length > 0)
  const perGpu = problem.gpus.map((gpu) => {
    const cuts = [
      [], ...[50, 100].flatMap((sharePct) => sets.map((set) => [{ sharePct, works: set }])),
      ...sets.flatMap((first, i) => sets.slice(i).map((second) => [{ sharePct: 50, works: first }, { sharePct: 50, works: second }]))
    ]
    // What one GPU cannot do alone it does in no plan.
    return cuts.map((glets) => gpuWith(problem, gpu, glets)).filter((planned) =>
      validatePlan({ ...emptyPlan, dutyRule: problem.options.dutyRule, gpus: [planned] }, problem).every(({ kind }) => kind === "rate-unmet"))
  })
  let best: number | undefined
  const rec = (at: number, gpus: ReadonlyArray<PlannedGpu>, cost: number): void => {
    if (best !== undefined && cost >= best) return
    if (at < perGpu.length) {
      for (const planned of perGpu[at]!) rec(at + 1, [...gpus, planned], cost + (planned.glets.length === 0 ? 0 : problem.gpus[at]!.cost ?? 1))
    } else if (validatePlan({ ...emptyPlan, dutyRule: problem.options.dutyRule, gpus }, problem).length === 0) best = cost
  }
  rec(0, [], 0)
  return best
}

const costOf = (plan: Plan, problem: PlanProblem): number =>
  plan.gpus.reduce((sum, { glets }, at) => (glets.length === 0 ? sum : sum + (problem.gpus[at]!.cost ?? 1)), 0)

describe("exact", async () => {
  const solver = await Effect.runPromise(HighsSolver.load)

  it("is the best of all plans, and no bound is above it", () => {
    let solved = 0
    fc.assert(fc.property(tiny, (problem) => {
      const best = bruteForce(problem)
      const byConfigurations = planByConfigurations(solver, problem)
      const answer = exact(solver).plan(problem)
      if (best === undefined) {
        assert.strictEqual(byConfigurations, "none")
        assert.isTrue(Either.isLeft(answer))
        return
      }
      solved++
      for (const plan of [byConfigurations as Plan, Either.getOrThrow(answer)]) {
        assert.deepStrictEqual(validatePlan(plan, problem), [])
        assert.approximately(costOf(plan, problem), best, 1e-9)
      }
      for (const effort of ["quick", "thorough", "proof"] as const) assert.isAtMost(fewestBound(problem, { effort, solver }).cost, best + 1e-9)
      const ours = orion.plan(problem)
      if (Either.isRight(ours) && validatePlan(ours.right, problem).length === 0) assert.isAtLeast(costOf(ours.right, problem), best - 1e-9)
    }), { numRuns: 40 })
    assert.isAbove(solved, 10)
  }, 90_000)

  it("lies between the bounds and orion on small cases of any kind", () => {
    let optimal = 0
    const small = problems({ maxModels: 3, maxGpus: 3, whenShort: "fail" })
    fc.assert(fc.property(small, (problem) => {
      const answer = exact(solver).plan(problem)
      const ours = orion.plan(problem)
      const isOurs = Either.isRight(ours) && ours.right.shortfalls.every(({ askedRps, plannedRps }) => plannedRps >= askedRps)
      for (const effort of ["quick", "thorough", "proof"] as const) {
        const { gpus } = fewestBound(problem, { effort, solver })
        if (Either.isRight(answer)) assert.isAtMost(gpus, gpusUsed(answer.right))
        if (isOurs) assert.isAtMost(gpus, gpusUsed(ours.right))
      }
      if (Either.isLeft(answer)) {
        // What orion plans is possible.
        if (isOurs) assert.deepStrictEqual(answer.left.culprits.map(({ reason }) => reason), ["too-large"])
        return
      }
      optimal++
      assert.deepStrictEqual(validatePlan(answer.right, problem), [])
      assert.strictEqual(answer.right.lowerBound, gpusUsed(answer.right))
      if (isOurs) assert.isAtMost(gpusUsed(answer.right), gpusUsed(ours.right))
    }), { numRuns: 20 })
    assert.isAbove(optimal, 5)
  }, 180_000)

  it("says what it leaves out, what is wrong, and what is too large", () => {
    const spec = (name: string, itemMs = 1) => ({ name, fixedMs: 2, itemMs, usefulPct: 100, largestBatch: 32, memoryBytes: 1_000 * mb })
    const latency = latencyOf([spec("a"), spec("b"), spec("c")], { slowdownPerNeighbour: 0.3 })
    const planner = exact(solver)
    const withRest = Either.getOrThrow(planner.plan(problemOf(gpusOf(1), [demandOf("a", 10, 100), bestEffortOf("b")], latency)))
    assert.deepStrictEqual([gpusUsed(withRest), withRest.lowerBound, withRest.planner], [1, 1, "exact"])
    assert.deepStrictEqual(withRest.shortfalls.map(({ model }) => model as string), ["b"])
    const reasons = (problem: PlanProblem) => Either.match(planner.plan(problem), { onLeft: ({ culprits }) => culprits.map(({ reason }) => reason), onRight: () => [] })
    assert.deepStrictEqual(reasons(problemOf(gpusOf(1), [demandOf("a", NaN, 100)], latency)), ["invalid"])
    assert.deepStrictEqual(reasons(problemOf(gpusOf(1), [demandOf("a", 10, 4)], latency)), ["slo-too-short"])
    // Between 2 and 3 GPUs of fine grids there are more configurations than can be looked at.
    const fine = problemOf(gpusOf(8), ["a", "b", "c"].map((name) => demandOf(name, 640, 100)), latency)
    const answer = planner.plan(fine)
    if (Either.isRight(answer)) assert.strictEqual(answer.right.lowerBound, gpusUsed(answer.right))
    else assert.match(answer.left.message, /more configurations of a GPU than exact looks at .*between \d and \d GPUs/)
    assert.strictEqual(planByConfigurations(solver, fine), "too-large")
  })
})
