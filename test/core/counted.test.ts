import { assert, it } from "@effect/vitest"
import { counted } from "../../src/core/internal/counted.js"

it("counts in words", () => {
  assert.deepStrictEqual([0, 1, 2, 11].map((count) => counted(count, "glet")), ["0 glets", "1 glet", "2 glets", "11 glets"])
})
