/** Plans on whole GPUs and halves, where best-effort work that gives way lies over the latency-critical glets. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Plan } from "../../src/core/Plan.js"
import { gletsOf } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { bestEffortDone } from "../../src/scheduler/internal/bestEffortDone.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { coarserCuts, fullest } from "../../src/scheduler/planners/internal/coarserCuts.js"
import { problems } from "./problems.js"

const yielding = (problem: PlanProblem): PlanProblem => ({ ...problem, gpus: problem.gpus.map((gpu) => ({ ...gpu, preemptMs: 0.1 })) })
const planOf = (problem: PlanProblem, current?: Plan): Plan => Either.getOrThrow(orion.plan(problem, current))
const drawn = problems({ whenShort: "degrade" }).map(yielding).filter(({ demands }) => new Set(demands.map(({ serviceClass }) => serviceClass)).size === 2)
const sharesOf = (plan: Plan): ReadonlyArray<number> => gletsOf(plan).flatMap(({ glet }) => (glet.assignments.length > 0 ? [glet.sharePct] : []))
const doneBeside = (problem: PlanProblem, plan: Plan): number =>
  bestEffortDone(makePlanTables(problem), plan, problem.demands.flatMap(({ serviceClass }, demand) => (serviceClass === "best-effort" ? [demand] : [])))

describe("orion beside best-effort work that gives way", () => {
  it("answers plans that the judge accepts, as good for a second time, and never worse beside best-effort work than each cut by itself", () => {
    fc.assert(fc.property(drawn, (problem) => {
      const plan = planOf(problem)
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      assert.deepStrictEqual(planOf(problem), plan)
      for (const cut of coarserCuts(problem)) {
        for (const { sharesPct } of cut.gpus) assert.isAtMost(sharesPct.length, 2)
        const other = planOf(cut)
        assert.deepStrictEqual(validatePlan(other, problem), [], "a plan on a coarser cut is one of the problem too")
        const chosen = fullest(problem, plan, [other], undefined)
        if ((chosen.headroom ?? Infinity) < 1.25) assert.isAtLeast(chosen.headroom!, Math.min(1.25, plan.headroom ?? Infinity) * (1 - 1e-9))
        assert.isAtMost(chosen.shortfalls.length, plan.shortfalls.length)
        if ((other.headroom ?? Infinity) >= 1.25 && other.shortfalls.length <= plan.shortfalls.length) assert.isAtLeast(doneBeside(problem, plan), doneBeside(problem, other) * (1 - 1e-9))
      }
    }), { numRuns: 3 })
  })

  it("keeps a deployed cut unless another lets clearly more be done", () => {
    fc.assert(fc.property(drawn, (problem) => {
      const plan = planOf(problem)
      const again = planOf(problem, plan)
      assert.deepStrictEqual(validatePlan(again, problem), [])
      assert.deepStrictEqual([...new Set(sharesOf(again))].sort(), [...new Set(sharesOf(plan))].sort())
    }), { numRuns: 2 })
  })

  it("has no coarser cut of GPUs that are whole ones", () => {
    fc.assert(fc.property(drawn, (problem) => {
      const whole = { ...problem, gpus: problem.gpus.map((gpu) => ({ ...gpu, sharesPct: [gpu.sharesPct.at(-1)!] as const })) }
      assert.deepStrictEqual(coarserCuts(whole), [])
    }), { numRuns: 5 })
  })
})
