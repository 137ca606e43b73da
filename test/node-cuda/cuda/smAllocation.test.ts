import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { changeUsers, chooseGroups, emptyAllocation, sharedUnits } from "../../../src/node-cuda/runner/cuda/smAllocation.js"
import type { SmAllocation } from "../../../src/node-cuda/runner/cuda/smAllocation.js"

/** As an H200 splits: 15 groups of 8 and what is left over. */
const h200 = [...Array.from({ length: 15 }, () => 8), 12]
const unitsOf = (units: ReadonlyArray<number>, groups: ReadonlyArray<number>): number => groups.reduce((sum, i) => sum + units[i]!, 0)

interface Opened {
  readonly groups: ReadonlyArray<number>
}

/** Opens and closes glets in an order; `visit` sees every step. */
const replay = (
  wishes: ReadonlyArray<{ readonly wanted: number; readonly closes: number }>,
  visit: (allocation: SmAllocation, opened: ReadonlyArray<Opened>) => void
): void => {
  let allocation = emptyAllocation(h200)
  const opened: Array<Opened> = []
  for (const { closes, wanted } of wishes) {
    if (opened.length > 0 && closes < 50) {
      const [gone] = opened.splice(closes % opened.length, 1)
      allocation = changeUsers(allocation, gone!.groups, -1)
    }
    const groups = chooseGroups(allocation, wanted)
    if (groups !== undefined) {
      allocation = changeUsers(allocation, groups, 1)
      opened.push({ groups })
    }
    visit(allocation, opened)
  }
}

const wishes = fc.array(fc.record({ wanted: fc.integer({ min: 1, max: 132 }), closes: fc.nat(100) }), { maxLength: 30 })

describe("smAllocation", () => {
  it("gives as many SMs as asked for, and not a group more than needed", () => {
    fc.assert(fc.property(wishes, (all) => {
      replay(all, (_, opened) => {
        for (const { groups } of opened) assert.strictEqual(new Set(groups).size, groups.length)
      })
    }))
    fc.assert(fc.property(fc.integer({ min: 1, max: 132 }), (wanted) => {
      const groups = chooseGroups(emptyAllocation(h200), wanted)!
      const given = unitsOf(h200, groups)
      assert.isAtLeast(given, wanted)
      assert.isBelow(given - Math.min(...groups.map((i) => h200[i]!)), wanted)
    }))
  })

  it("counts users rightly whatever opens and closes", () => {
    fc.assert(fc.property(wishes, (all) => {
      replay(all, (allocation, opened) => {
        const expected = h200.map((_, i) => opened.filter(({ groups }) => groups.includes(i)).length)
        assert.deepStrictEqual([...allocation.users], expected)
      })
    }))
  })

  it("lets no two glets share while what they ask for fits", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }), (groups) => {
      // Whole groups, as the grid of shares has them.
      let allocation = emptyAllocation(h200)
      let used = 0
      for (const count of groups) {
        if (used + count > 15) break
        used += count
        const chosen = chooseGroups(allocation, 8 * count)!
        allocation = changeUsers(allocation, chosen, 1)
        assert.strictEqual(sharedUnits(allocation, chosen), 0)
      }
    }))
  })

  it("spreads a new plan's glets evenly over an old one's", () => {
    let allocation = emptyAllocation(h200)
    const open = (wanted: number) => {
      const groups = chooseGroups(allocation, wanted)!
      allocation = changeUsers(allocation, groups, 1)
      return groups
    }
    const old = [open(56), open(56)]
    const fresh = [open(56), open(56)]
    for (const groups of old) allocation = changeUsers(allocation, groups, -1)
    for (const groups of fresh) assert.strictEqual(sharedUnits(allocation, groups), 0, "once the old ones are gone, none is shared")
  })

  it("refuses more than there is", () => {
    assert.isUndefined(chooseGroups(emptyAllocation(h200), 133))
  })
})
