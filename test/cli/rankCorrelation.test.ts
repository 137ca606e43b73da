import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { rankCorrelation } from "../../src/cli/internal/rankCorrelation.js"

const values = fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 3, maxLength: 30 })

describe("rankCorrelation", () => {
  it("is 1 for every order that is kept and -1 for every one that is turned round", () => {
    fc.assert(fc.property(values, (xs) => {
      assert.closeTo(rankCorrelation(xs.map((x) => [x, x ** 3]))!, 1, 1e-12)
      assert.closeTo(rankCorrelation(xs.map((x) => [x, -x]))!, -1, 1e-12)
    }))
  })
  it("agrees with the textbook formula where no ranks are shared, and shares ranks otherwise", () => {
    fc.assert(fc.property(values, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (xs, stream) => {
      const ys = xs.map(() => stream.next().value as number)
      fc.pre(new Set(ys).size === ys.length)
      const rank = (all: ReadonlyArray<number>, value: number): number => all.filter((each) => each < value).length
      const squares = xs.reduce((sum, x, i) => sum + (rank(xs, x) - rank(ys, ys[i]!)) ** 2, 0)
      assert.closeTo(rankCorrelation(xs.map((x, i) => [x, ys[i]!]))!, 1 - (6 * squares) / (xs.length * (xs.length ** 2 - 1)), 1e-9)
    }))
    assert.closeTo(rankCorrelation([[1, 1], [1, 2], [2, 3], [2, 4]])!, 0.894, 0.001)
  })
  it("says nothing of what does not vary", () => {
    assert.isUndefined(rankCorrelation([[1, 2], [1, 3], [1, 4]]))
    assert.isUndefined(rankCorrelation([[1, 2], [2, 3]]))
  })
})
