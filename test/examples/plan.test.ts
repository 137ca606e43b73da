/** The plans that README and docs/planning.md show are those that planners make. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import * as path from "node:path"
import { readProblem } from "../../src/cli/internal/planProblem.js"
import { gpusUsed } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { fewestBound } from "../../src/scheduler/bounds/FewestBound.js"
import { planPicture } from "../../src/scheduler/PlanPicture.js"
import { findPlanner } from "../../src/scheduler/PlannerRegistry.js"
import { packageRoot } from "../webgpu/support/deno.js"

const planWith = (name: string, problem: PlanProblem) => Either.getOrThrow(findPlanner(name)).plan(problem)

describe("examples/plan", () => {
  it.effect("needs three GPUs where gpulet's planner needs five and time-sharing six, as the pictures show", () =>
    Effect.gen(function*() {
      const problem = yield* readProblem(path.join(packageRoot, "examples/plan/nine-models.json"))
      const bound = fewestBound(problem, { effort: "thorough" }).cost
      for (const [name, gpus] of [["orion", 3], ["time-share", 6]] as const) {
        const plan = Either.getOrThrow(planWith(name, problem))
        assert.deepStrictEqual(validatePlan(plan, problem), [])
        assert.strictEqual(gpusUsed(plan), gpus)
        assert.strictEqual(planPicture({ ...plan, lowerBound: bound }), fs.readFileSync(path.join(packageRoot, `docs/plan-${name}.svg`), "utf8"))
      }
      const on = (count: number): PlanProblem => ({ ...problem, gpus: problem.gpus.slice(0, count) })
      for (const [name, gpus] of [["elastic-int", 5], ["time-share", 6]] as const) {
        assert.isTrue(Either.isRight(planWith(name, on(gpus))), name)
        for (let fewer = 1; fewer < gpus; fewer++) assert.isTrue(Either.isLeft(planWith(name, on(fewer))), `${name} on ${fewer}`)
      }
    }))
})
