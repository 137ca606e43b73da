import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import type { IsolationFacts } from "../../../src/node-cuda/internal/isolationChoice.js"
import { chooseIsolation, noMpsControl } from "../../../src/node-cuda/internal/isolationChoice.js"

const all: IsolationFacts = { computeMode: "Default", smGroups: 16, mpsProblem: undefined, mpsRuns: false }
const chosen = (facts: Partial<IsolationFacts>, wanted: "auto" | "mps" | "green" | "stream" = "auto"): string =>
  Either.match(chooseIsolation(wanted, { ...all, ...facts }), { onLeft: (why) => `none: ${why}`, onRight: ({ isolation, why }) => `${isolation}: ${why}` })

describe("isolation", () => {
  it("auto prefers processes with caps, then reserved SMs, then priorities, and says why", () => {
    assert.match(chosen({}), /^mps: each glet is a process/)
    assert.match(chosen({ smGroups: 0 }), /^mps/)
    assert.match(chosen({ mpsProblem: noMpsControl }), /^green: nvidia-cuda-mps-control is not on PATH.*16 groups/)
    assert.match(chosen({ smGroups: 1, mpsProblem: "it does not start" }), /^stream: it does not start; .*no green contexts/)
    assert.match(chosen({ computeMode: "Exclusive_Process", mpsRuns: true }), /^mps/)
    assert.match(chosen({ computeMode: "Exclusive_Process", mpsRuns: true, mpsProblem: "it is another user's" }), /^stream: .*belongs to an MPS daemon/)
  })

  it("takes what was asked for, or says what is in its way", () => {
    assert.match(chosen({}, "mps"), /^mps: asked for/)
    assert.match(chosen({}, "stream"), /^stream: asked for/)
    assert.match(chosen({ mpsProblem: noMpsControl }, "mps"), /^none: nvidia-cuda-mps-control is not on PATH/)
    assert.match(chosen({ smGroups: 0 }, "green"), /^none: .*12\.4/)
    for (const wanted of ["auto", "mps", "green", "stream"] as const) assert.match(chosen({ computeMode: "Prohibited" }, wanted), /^none: .*Prohibited/)
  })
})
