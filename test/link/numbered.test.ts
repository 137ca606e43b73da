import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Numbered } from "../../src/link/numbered.js"

describe("Numbered", () => {
  it("has what was added and not taken, by numbers that no two share and that stay small", () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.constant("add" as const), fc.nat(30)), { maxLength: 200 }), (steps) => {
      const numbered = new Numbered<string>()
      const model = new Map<number, string>()
      let most = 0
      steps.forEach((step, i) => {
        if (step === "add") {
          const number = numbered.add(`value ${i}`)
          assert.isFalse(model.has(number))
          model.set(number, `value ${i}`)
          most = Math.max(most, model.size)
          assert.isTrue(number >= 1 && number <= most)
        } else {
          assert.strictEqual(numbered.take(step), model.get(step))
          model.delete(step)
        }
        assert.strictEqual(numbered.size, model.size)
        for (let number = 0; number <= 32; number++) assert.strictEqual(numbered.get(number), model.get(number))
      })
      assert.sameMembers([...numbered.takeAll()], [...model.values()])
      assert.strictEqual(numbered.size, 0)
      assert.strictEqual(numbered.add("again"), 1)
    }))
  })
})
