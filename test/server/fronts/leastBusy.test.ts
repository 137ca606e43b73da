import { assert, describe, it } from "@effect/vitest"
import { leastBusy } from "../../../src/server/fronts/leastBusy.js"
import { random } from "../../scheduler/harness.js"

const front = (connections: number, recentAnswers = 0) => ({ peer: { connections, recentAnswers } })

/** How often each is chosen of a thousand times. */
const chosen = (fronts: ReadonlyArray<ReturnType<typeof front>>): ReadonlyArray<number> => {
  const rng = random(1)
  const counts = fronts.map(() => 0)
  for (let i = 0; i < 1000; i++) counts[fronts.indexOf(leastBusy(fronts, rng)!)]! += 1
  return counts
}

describe("leastBusy", () => {
  it("is the one with the fewest connections, however much it answered", () => {
    assert.deepStrictEqual(chosen([front(3), front(1, 1000), front(2)]), [0, 1000, 0])
  })

  it("is mostly the one that answered less, among those with as few", () => {
    const [much, little, none, busier] = chosen([front(1, 90), front(1, 20), front(1), front(2)])
    assert.isAbove(none!, little!)
    assert.isAbove(little!, much!)
    assert.isAbove(much!, 0, "what was answered before a pool was opened says nothing of it")
    assert.strictEqual(busier, 0)
  })

  it("is any of those of which nothing is known, as often", () => {
    for (const count of chosen([front(0), front(0), front(0), front(0)])) assert.isTrue(count > 200 && count < 300, String(count))
  })

  it("is none where none is up", () => {
    assert.isUndefined(leastBusy([], Math.random))
  })
})
