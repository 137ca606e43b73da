import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Execution } from "../../src/core/LatencyModel.js"
import type { Plan } from "../../src/core/Plan.js"
import { emptyPlan, gletsOf } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { carriedRps, leastPart } from "../../src/scheduler/internal/carried.js"
import { standingPlan } from "../../src/scheduler/internal/standingPlan.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { succeedPlan } from "../../src/scheduler/PlanSuccession.js"
import { demandOf, gpusOf, latencyOf, mb, problems } from "./problems.js"

const basisOf = (problem: PlanProblem, objectives = new Map(problem.demands.map(({ model, sloMs }) => [model, sloMs]))) => {
  const asked = new Map(problem.demands.map(({ model, rateRps, serviceClass }) => [model, serviceClass === "best-effort" ? 0 : rateRps]))
  return { problem, asked, needed: asked, objectives, profiled: problem.latency, arriving: asked }
}

const planFor = (problem: PlanProblem, current: Plan = emptyPlan): Plan | undefined =>
  Either.getOrUndefined(succeedPlan({ planner: orion, problem, current, nextGletNumber: 100 * (current.generation + 1) }))

const times = (problem: PlanProblem, factor: number): PlanProblem => ({ ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: factor * demand.rateRps })) })

const models = ["a", "b"]
/** Two models on one GPU that carries about half of it. */
const overloaded: PlanProblem = {
  gpus: gpusOf(1),
  demands: models.map((name) => demandOf(name, 1500, 50)),
  latency: latencyOf(models.map((name) => ({ name, fixedMs: 2, itemMs: 0.5, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb }))),
  options: { ...defaultPlanOptions, whenShort: "degrade", effort: 0.1 }
}
const deployed = planFor(overloaded)!

/** The same glets under other names, as a planner that found them anew; each carries so many times as much. */
const replaced = (plan: Plan, factor = 1): Plan => ({
  ...plan,
  gpus: plan.gpus.map((gpu) => ({
    ...gpu,
    glets: gpu.glets.map((glet) => ({ ...glet, id: `${glet.id}9` as never, assignments: glet.assignments.map((work) => ({ ...work, capacityRps: factor * work.capacityRps })) }))
  }))
})

describe("the deployed plan, where the GPUs are too few", () => {
  it("stays unless what closes its glets carries a tenth more", () => {
    const more = times(overloaded, 1.3)
    assert.isBelow(leastPart(deployed, basisOf(more).asked), 0.6)
    for (const [factor, stays] of [[0.8, true], [1, true], [1.09, true], [1.11, false], [1.5, false]] as const) {
      assert.strictEqual(standingPlan(deployed, replaced(deployed, factor), basisOf(more)) !== undefined, stays, `${factor} times as much`)
    }
  })

  it("counts as far as its objectives were seen to be kept, whatever was learned of neighbours", () => {
    const basis = basisOf(times(overloaded, 1.3))
    // By what was learned nothing keeps anything: every execution takes ten times as long.
    const learned = { ...basis, problem: { ...basis.problem, latency: { ...overloaded.latency, latencyMs: (execution: Execution) => 10 * overloaded.latency.latencyMs(execution) } } }
    for (const of of [basis, learned]) {
      for (const [kept, factor, stays] of [[1, 1.09, true], [0.98, 1.05, true], [0.98, 1.09, false], [0.5, 0.54, true], [0.5, 0.56, false]] as const) {
        assert.strictEqual(standingPlan(deployed, replaced(deployed, factor), of, kept) !== undefined, stays, `${factor} times as much, where ${kept} was kept`)
      }
    }
    const arriving = new Map([...basis.asked].map(([model, rps]) => [model, 0.3 * rps]))
    for (const [kept, factor, stays] of [[1, 1.09, true], [0.98, 0.9, false]] as const) {
      assert.strictEqual(standingPlan(deployed, replaced(deployed, factor), { ...basis, arriving }, kept) !== undefined, stays, `${factor} times as much, where ${kept} of what arrives was kept`)
    }
    assert.isUndefined(standingPlan(deployed, replaced(deployed), { ...learned, profiled: learned.problem.latency }), "the profile says so too")
  })

  it("says what it carries of what is asked now", () => {
    const more = times(overloaded, 1.3)
    const standing = standingPlan(deployed, replaced(deployed), basisOf(more))!
    assert.deepStrictEqual(validatePlan(standing, more), [])
    assert.deepStrictEqual(gletsOf(standing).map(({ glet: { id } }) => id), gletsOf(deployed).map(({ glet: { id } }) => id))
    assert.strictEqual(standing.generation, deployed.generation + 1)
    const carried = carriedRps(deployed)
    assert.deepStrictEqual(standing.shortfalls.map(({ askedRps, model, plannedRps }) => [model, askedRps, plannedRps]), more.demands.map(({ model, rateRps }) => [model, rateRps, carried.get(model)]))
    assert.approximately(standing.headroom!, leastPart(deployed, basisOf(more).asked), 1e-9)
  })

  it("gives way to more that is had without loading anything, and not to less", () => {
    const retuned = (factor: number): Plan => ({ ...replaced(deployed, factor), gpus: deployed.gpus.map((gpu, i) => ({ ...gpu, glets: gpu.glets.map((glet, g) => ({ ...replaced(deployed, factor).gpus[i]!.glets[g]!, id: glet.id })) })) })
    assert.isUndefined(standingPlan(deployed, retuned(1.01), basisOf(overloaded)))
    assert.isDefined(standingPlan(deployed, retuned(0.99), basisOf(overloaded)))
  })

  it("gives way to more on a GPU that nothing is deployed on, as long as all else stays", () => {
    const two = { ...overloaded, gpus: gpusOf(2) }
    const idle = { ...deployed, gpus: [...deployed.gpus, { gpu: two.gpus[1]!.id, type: "test", glets: [] }] }
    const copied = (of: Plan): Plan => ({ ...of, gpus: [...of.gpus.slice(0, 1), { ...replaced(deployed, 0.05).gpus[0]!, gpu: two.gpus[1]!.id }] })
    assert.isUndefined(standingPlan(idle, copied(idle), basisOf(two)))
    assert.isDefined(standingPlan(idle, copied(replaced(idle)), basisOf(two)), "closed and opened again for a twentieth")
  })

  it("gives way to one that carries all, that has a model it has not, of another planner, or where it breaks a rule", () => {
    const answer = replaced(deployed)
    assert.isDefined(standingPlan(deployed, answer, basisOf(overloaded)))
    assert.isUndefined(standingPlan(deployed, answer, basisOf(times(overloaded, 0.2))), "all is carried")
    assert.isUndefined(standingPlan(deployed, { ...answer, planner: "greedy" }, basisOf(overloaded)), "another planner")
    assert.isUndefined(standingPlan({ ...deployed, generation: 0 }, answer, basisOf(overloaded)), "none is deployed")
    const without = { ...deployed, gpus: deployed.gpus.map((gpu) => ({ ...gpu, glets: gpu.glets.map((glet) => ({ ...glet, assignments: glet.assignments.slice(0, 1) })).slice(0, 1) })) }
    assert.isUndefined(standingPlan(without, answer, basisOf(overloaded)), "a model has no place")
    const shorter = { ...overloaded, demands: overloaded.demands.map((demand) => ({ ...demand, sloMs: 20 })) }
    assert.isUndefined(standingPlan(deployed, answer, basisOf(shorter)), "its objectives are shorter")
    assert.isDefined(standingPlan(deployed, answer, basisOf(shorter, new Map(overloaded.demands.map(({ model }) => [model, 50])))), "only more of them is to be left free")
    assert.isUndefined(standingPlan(deployed, replaced(deployed, 1.01), basisOf({ ...overloaded, gpus: gpusOf(2) })), "there is one GPU more")
    const gone = { ...overloaded, gpus: gpusOf(2).slice(1) }
    assert.isUndefined(standingPlan(deployed, { ...answer, gpus: [] }, basisOf(gone)), "its GPU is gone")
  })

  it("keeps all rules if it stays, and carries nearly what the answer does", () => {
    let stayed = 0
    fc.assert(fc.property(problems({ whenShort: "degrade" }), fc.double({ min: 1, max: 20, noNaN: true }), (small, factor) => {
      const before = planFor(small)
      const problem = times(small, factor)
      const answer = before === undefined ? undefined : planFor(problem, before)
      if (before === undefined || answer === undefined) return
      const basis = basisOf(problem)
      const standing = standingPlan(before, answer, basis)
      if (standing === undefined) return
      stayed += 1
      assert.deepStrictEqual(validatePlan(standing, problem), [])
      assert.isBelow(leastPart(answer, basis.asked), 1)
      assert.isAtLeast(1.1 * leastPart(standing, basis.asked) + 1e-6, leastPart(answer, basis.asked))
    }), { numRuns: 15, seed: 4 })
    assert.isAbove(stayed, 3)
  })
})
