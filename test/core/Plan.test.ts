import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { emptyPlan, decodePlan, encodePlan, gletsOf, gpusUsed } from "../../src/core/Plan.js"
import { glet, planOf } from "./support.js"

describe("Plan", () => {
  const plan = planOf([glet], { lowerBound: 1 })

  it.effect("comes back from its text as it was", () =>
    Effect.gen(function*() {
      for (const each of [plan, emptyPlan]) assert.deepStrictEqual(yield* decodePlan(encodePlan(each)), each)
    }))

  it("gives equal bytes for equal plans", () => {
    assert.strictEqual(encodePlan(plan), encodePlan(structuredClone(plan)))
  })

  it.effect("refuses text that is no plan", () =>
    Effect.gen(function*() {
      const text = encodePlan(plan)
      const broken = [
        "", "{", "null", "[]",
        text.replace("glet/v1alpha1", "glet/v9"),
        text.replace("\"sharePct\": 50", "\"sharePct\": 101"),
        text.replace("\"sharePct\": 50", "\"sharePct\": 33.3"),
        text.replace("\"dutyMs\": 10", "\"dutyMs\": -1"),
        text.replace("\"batch\": 2", "\"batch\": 0"),
        text.replace("\"model\": \"a\"", "\"model\": \"\"")
      ]
      for (const each of broken) {
        assert.notStrictEqual(each, text)
        assert.strictEqual((yield* Effect.either(decodePlan(each)))._tag, "Left")
      }
    }))

  it("lists glets with their GPU and counts GPUs in use", () => {
    assert.deepStrictEqual(gletsOf(plan).map((placed) => [placed.gpu.gpu as string, placed.glet.id as string]), [["gpu", "gpu/0"]])
    assert.strictEqual(gpusUsed(plan), 1)
    assert.strictEqual(gpusUsed(planOf([])), 0)
  })
})
