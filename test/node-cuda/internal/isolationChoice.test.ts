import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import type { IsolationFacts } from "../../../src/node-cuda/internal/isolationChoice.js"
import { chooseIsolation } from "../../../src/node-cuda/internal/isolationChoice.js"

const all: IsolationFacts = { computeMode: "Default", smGroups: 16, mpsControl: true, mpsRuns: false }
const chosen = (facts: Partial<IsolationFacts>, wanted: "auto" | "mps" | "green" | "stream" = "auto"): string =>
  Either.match(chooseIsolation(wanted, { ...all, ...facts }), { onLeft: (why) => `none: ${why}`, onRight: ({ isolation, why }) => `${isolation}: ${why}` })

describe("isolation", () => {
  it("auto prefers reserved SMs, then caps, then priorities, and says why", () => {
    assert.match(chosen({}), /^green: .*16 groups/)
    assert.match(chosen({ smGroups: 0 }), /^mps: .*no green contexts/)
    assert.match(chosen({ smGroups: 1, mpsControl: false }), /^stream: .*no green contexts.*nvidia-cuda-mps-control/)
    assert.match(chosen({ computeMode: "Exclusive_Process" }), /^green/)
    assert.match(chosen({ computeMode: "Exclusive_Process", mpsRuns: true }), /^mps: .*belongs to an MPS daemon/)
  })

  it("takes what was asked for, or says what is in its way", () => {
    assert.match(chosen({}, "mps"), /^mps: asked for/)
    assert.match(chosen({}, "stream"), /^stream: asked for/)
    assert.match(chosen({ mpsControl: false }, "mps"), /^none: nvidia-cuda-mps-control is not on PATH/)
    assert.match(chosen({ smGroups: 0 }, "green"), /^none: .*12\.4/)
    for (const wanted of ["auto", "mps", "green", "stream"] as const) assert.match(chosen({ computeMode: "Prohibited" }, wanted), /^none: .*Prohibited/)
  })
})
