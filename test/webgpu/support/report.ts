/** Shows what a bundle's tests came to as tests of vitest. */
import { assert, describe, it } from "@effect/vitest"
import type { PortableResult } from "./portableTests.js"

/** Tests of the Executor contract with the models of this suite. */
const fewest = 20

export const report = (where: string, results: ReadonlyArray<PortableResult>): void => {
  describe(where, () => {
    it("ran the whole contract", () => assert.isAtLeast(results.length, fewest))
    for (const { error, ms, name } of results) {
      it(`${name} (${ms.toFixed(0)} ms)`, () => {
        if (error !== undefined) assert.fail(error)
      })
    }
  })
}

/** A test that says what is missing. */
export const skipped = (where: string, missing: string): void => {
  console.warn(`SKIPPED ${where}: ${missing}; scripts/install-test-packages installs it`)
  describe(where, () => {
    it.skip(`SKIPPED: ${missing}; scripts/install-test-packages installs it`, () => undefined)
  })
}
