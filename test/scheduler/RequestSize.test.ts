import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { makeRandom } from "../../src/core/internal/random.js"
import type { RequestSize } from "../../src/scheduler/RequestSize.js"
import { itemsPerRequest, observeSize, unseenSize } from "../../src/scheduler/RequestSize.js"

/** So many looks, 200 ms apart, at so many requests of a size. */
const feed = (from: RequestSize, looks: number, requests: number, size: number): RequestSize => {
  let seen = from
  for (let i = 0; i < looks; i++) seen = observeSize(seen, 200, { items: requests * size, together: requests * size * size })
  return seen
}

describe("RequestSize", () => {
  it("is one before anything was seen, stays what it was where nothing comes, and is exact for powers of two", () => {
    assert.strictEqual(itemsPerRequest(unseenSize), 1)
    for (const size of [1, 2, 4, 8, 32]) {
      const seen = feed(unseenSize, 25, 20, size)
      assert.strictEqual(itemsPerRequest(seen), size)
      assert.strictEqual(observeSize(seen, 60_000, { items: 0, together: 0 }), seen)
    }
    for (const size of [3, 5, 6, 7, 12, 20]) assert.approximately(itemsPerRequest(feed(unseenSize, 25, 20, size)) / size, 1, 0.1)
  })

  it("sees another size within seconds, whichever way it goes, and takes longer where little comes", () => {
    const four = feed(unseenSize, 25, 40, 4)
    assert.isAtLeast(itemsPerRequest(feed(unseenSize, 5, 40, 4)), 3.3)
    assert.strictEqual(itemsPerRequest(feed(four, 75, 160, 1)), 1)
    assert.strictEqual(itemsPerRequest(feed(four, 50, 10, 16)), 16)
    // Five requests a second: one of them alone means little, a minute of them all.
    const rare = feed(unseenSize, 25, 1, 1)
    assert.isBelow(itemsPerRequest(feed(rare, 1, 1, 8)), 2)
    assert.isAbove(itemsPerRequest(feed(rare, 300, 1, 8)), 6)
  })

  it("does not move with chance: steady mixes keep a step or two", () => {
    for (const sizes of [[1, 2, 8], [1, 2, 3, 4, 5, 6, 7, 8], [4, 4, 4, 5]]) {
      const random = makeRandom(3)
      let seen = unseenSize
      const steps = new Set<number>()
      for (let look = 0; look < 3000; look++) {
        let [items, together] = [0, 0]
        for (let i = 0; i < 10; i++) {
          const size = sizes[Math.floor(random() * sizes.length)]!
          items += size
          together += size * size
        }
        seen = observeSize(seen, 200, { items, together })
        if (look > 50) steps.add(seen.step)
      }
      assert.isAtMost(steps.size, 2, `${sizes.join()}: ${[...steps].join()}`)
    }
  })

  it("is at least one and finite whatever is counted", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.double({ min: -100, max: 1e5, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e8, noNaN: true })), { maxLength: 30 }),
      (looks) => {
        let seen = unseenSize
        for (const [elapsedMs, items, together] of looks) {
          seen = observeSize(seen, elapsedMs, { items, together })
          assert.isTrue(itemsPerRequest(seen) >= 1 && Number.isFinite(itemsPerRequest(seen)))
        }
      }
    ))
  })
})
