import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { greenUnits, groupsOfShare, sharesOfGroups } from "../../../src/node-cuda/internal/smGroups.js"

const counts = FastCheck.integer({ min: 1, max: 90 })

describe("groups of SMs", () => {
  it("has the grid of an H200", () => {
    const gpu = { units: 132, sharesPct: sharesOfGroups(16) }
    assert.deepStrictEqual(gpu.sharesPct, [7, 13, 19, 25, 32, 38, 44, 50, 57, 63, 69, 75, 82, 88, 94, 100])
    assert.deepStrictEqual(gpu.sharesPct.map((share) => greenUnits(gpu, share)), [...Array.from({ length: 15 }, (_, i) => 8 * (i + 1)), 132])
    assert.strictEqual(groupsOfShare(1, 16), 1)
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
