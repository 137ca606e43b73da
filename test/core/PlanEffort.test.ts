import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { effortOf, PlanEffort } from "../../src/core/PlanEffort.js"
import { onlinePlanOptions } from "../../src/core/PlanProblem.js"

describe("efforts", () => {
  it("have names in their order, of which a server takes the least", () => {
    const efforts = PlanEffort.literals.map((name) => effortOf[name])
    assert.deepStrictEqual(efforts, [...efforts].sort((a, b) => a - b))
    assert.strictEqual(onlinePlanOptions.effort, efforts[0])
    assert.isFalse(Schema.is(PlanEffort)("huge"))
  })
})
