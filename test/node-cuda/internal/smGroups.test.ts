import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { groupsOfShare, sharesOfGroups } from "../../../src/node-cuda/internal/smGroups.js"

const counts = FastCheck.integer({ min: 1, max: 90 })

describe("groups of SMs", () => {
  it("has the grid of an H200", () => {
    assert.deepStrictEqual(sharesOfGroups(15), [7, 14, 20, 27, 34, 40, 47, 54, 60, 67, 74, 80, 87, 94, 100])
    assert.strictEqual(groupsOfShare(47, 15), 7)
    assert.strictEqual(groupsOfShare(1, 15), 1)
  })

  it("every share of the grid stands for one group more than the last", () => {
    FastCheck.assert(FastCheck.property(counts, (count) => {
      assert.deepStrictEqual(sharesOfGroups(count).map((share) => groupsOfShare(share, count)), Array.from({ length: count }, (_, i) => i + 1))
    }))
  })

  it("shares that fit a GPU have groups that fit it", () => {
    FastCheck.assert(FastCheck.property(counts, FastCheck.array(FastCheck.nat(), { minLength: 1, maxLength: 30 }), (count, picks) => {
      const grid = sharesOfGroups(count)
      let left = 100
      let groups = 0
      for (const pick of picks) {
        const share = grid[pick % grid.length]!
        if (share > left) continue
        left -= share
        groups += groupsOfShare(share, count)
      }
      assert.isAtMost(groups, count)
    }))
  })
})
