import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { defaultPlanner } from "../../src/scheduler/DefaultPlanner.js"
import { findPlanner, plannerAliases, planners } from "../../src/scheduler/PlannerRegistry.js"

describe("findPlanner", () => {
  it("finds every planner by its name and every alias", () => {
    for (const planner of planners) assert.strictEqual(Either.getOrThrow(findPlanner(planner.name)), planner)
    for (const [alias, name] of plannerAliases) assert.strictEqual(Either.getOrThrow(findPlanner(alias)).name, name)
    assert.strictEqual(defaultPlanner.name, "orion")
  })

  it("makes exact with a solver only", () => {
    const without = findPlanner("exact")
    assert.isTrue(Either.isLeft(without) && without.left._tag === "SolverNeeded")
    const solver = { name: "none", solve: () => ({ status: "failed" as const, values: new Float64Array(0), rowDuals: new Float64Array(0), objective: NaN }) }
    assert.strictEqual(Either.getOrThrow(findPlanner("Exact", solver)).name, "exact")
  })

  it("does not mind case, spaces around it, or underscores", () => {
    assert.strictEqual(Either.getOrThrow(findPlanner(" Orion ")).name, "orion")
  })

  it("suggests what was meant and lists what there is", () => {
    const typo = findPlanner("oiron")
    assert.isTrue(Either.isLeft(typo) && typo.left._tag === "UnknownPlanner" && typo.left.suggestion === "orion")
    assert.match(Either.isLeft(typo) ? typo.left.message : "", /no planner "oiron"; did you mean "orion"\? Known planners: orion/)
    for (const name of ["something-else", "", "__proto__", "x".repeat(1e5)]) {
      const unknown = findPlanner(name)
      assert.isTrue(Either.isLeft(unknown) && unknown.left._tag === "UnknownPlanner" && unknown.left.suggestion === undefined)
    }
  })

  it("has names and aliases only once", () => {
    const names = [...planners.map((planner) => planner.name), ...plannerAliases.keys()]
    assert.strictEqual(new Set(names).size, names.length)
  })
})
