import { assert, describe, it } from "vitest"
import { coresOfQuota, usableCores } from "../../../src/node-cuda/internal/usableCores.js"

describe("usableCores", () => {
  it("reads a container's limit", () => {
    const cases: ReadonlyArray<readonly [string, number | undefined]> = [
      ["max 100000\n", undefined], ["200000 100000\n", 2], ["150000 100000", 1.5], ["50000 100000", 0.5], ["", undefined], ["x y", undefined], ["100000", undefined], ["0 0", undefined]
    ]
    for (const [text, cores] of cases) assert.strictEqual(coresOfQuota(text), cores, text)
  })

  it("counts whole cores, at least one, and none that are not there", () => {
    assert.deepStrictEqual([usableCores(64, 2), usableCores(64, 1.5), usableCores(64, 0.5), usableCores(2, 8), usableCores(4, Infinity)], [2, 1, 1, 2, 4])
  })
})
