import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { RestartState } from "../../src/scheduler/RestartPolicy.js"
import { defaultRestartOptions, noRestarts, recordExit } from "../../src/scheduler/RestartPolicy.js"

/** Deaths that follow each start by lifeMs. */
const die = (times: number, lifeMs: number, seed: number, from: { readonly state: RestartState; readonly nowMs: number }) => {
  let { nowMs, state } = from
  const states: Array<RestartState> = []
  for (let i = 0; i < times; i++) {
    nowMs += state.delayMs + lifeMs
    state = recordExit(state, nowMs, seed)
    states.push(state)
  }
  return { state, nowMs, states }
}
const fresh = { state: noRestarts, nowMs: 0 }

describe("recordExit", () => {
  it("starts a glet again at once after its first death, whatever the seed", () => {
    fc.assert(fc.property(fc.integer(), fc.nat(), (seed, now) => {
      const { crashLoop, delayMs } = recordExit(noRestarts, now, seed)
      assert.isFalse(crashLoop)
      assert.isTrue(delayMs >= 0 && delayMs < 100)
    }))
  })

  it("waits longer from death to death, within the limit, then is in a crash loop", () => {
    const { states } = die(8, 10, 1, fresh)
    const limit = defaultRestartOptions.crashLoopExits
    assert.deepStrictEqual(states.map((state) => state.crashLoop), [false, false, false, false, true, true, true, true])
    for (let i = 1; i < limit - 1; i++) assert.isTrue(states[i]!.delayMs > states[i - 1]!.delayMs)
    for (const state of states.slice(limit - 1)) assert.isTrue(state.delayMs >= 30_000 && state.delayMs <= 60_000)
  })

  it("stays in a crash loop while each start dies soon, and leaves it after a life", () => {
    const looping = die(20, 10, 1, fresh)
    assert.isTrue(looping.state.crashLoop)
    const recovered = die(1, defaultRestartOptions.windowMs, 1, looping)
    assert.isFalse(recovered.state.crashLoop)
    assert.isBelow(recovered.state.delayMs, 100)
  })

  it("does not count rare deaths", () => {
    for (const state of die(50, defaultRestartOptions.windowMs, 1, fresh).states) {
      assert.isFalse(state.crashLoop)
      assert.isBelow(state.delayMs, 100)
    }
  })

  it("remembers a bounded number of deaths and answers equal calls equally", () => {
    const { state } = die(1_000, 1, 7, fresh)
    assert.isAtMost(state.exitsMs.length, defaultRestartOptions.crashLoopExits)
    assert.deepStrictEqual(recordExit(state, 1e9, 7), recordExit(state, 1e9, 7))
  })

  it("spreads glets that die together", () => {
    const delays = new Set(Array.from({ length: 20 }, (_, seed) => recordExit(noRestarts, 0, seed).delayMs))
    assert.isAbove(delays.size, 15)
  })
})
