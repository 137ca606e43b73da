/** Which plays of a load count. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Layout } from "../../src/cli/gpuSuite/steadyPlay.js"
import { layoutOf, playSteadily } from "../../src/cli/gpuSuite/steadyPlay.js"
import type { Played } from "../../src/cli/load/playScenario.js"
import { lateMs } from "../../src/cli/load/playScenario.js"

interface Turn {
  readonly missed: number
  readonly sendLagP99Ms?: number
  /** Glets once it has been played; the same as before where absent. */
  readonly then?: string
}

/** Plays the turns; `opening` looks after a change show a glet that is not ready. */
const played = (turns: ReadonlyArray<Turn>, { most = 3, opening = 2 } = {}) => {
  let glets = "a"
  let next = 0
  let unready = 0
  let looksUnready = 0
  const layout = Effect.sync((): Layout => {
    const isSettled = unready === 0
    if (!isSettled) {
      unready -= 1
      looksUnready += 1
    }
    return { glets: glets.split(","), isSettled }
  })
  const play = Effect.sync((): Played => {
    assert.strictEqual(unready, 0, "played while a glet was opening")
    const { missed, sendLagP99Ms = 0, then } = turns[next++]!
    if (then !== undefined) {
      glets = then
      unready = opening
    }
    return { loadFactor: 1, missed, loads: [], sendLagP99Ms, silent: [] }
  })
  return Effect.map(playSteadily({ play, layout, limit: 0.01, most, settleMs: 20, lookMs: 1 }), (plays) => ({ missed: plays.map((each) => each.missed), looksUnready }))
}

describe("layoutOf", () => {
  it("tells glets by the models on them, in whatever order, and whether all serve", () => {
    const glet = (id: string, state: string, ...models: ReadonlyArray<string>) => ({ id, state, assignments: models.map((model) => ({ model })) }) as never
    const before = layoutOf([glet("g/0", "ready", "a", "b"), glet("g/1", "ready", "c")])
    assert.isTrue(before.isSettled)
    assert.deepStrictEqual(layoutOf([glet("g/1", "ready", "c"), glet("g/0", "ready", "b", "a")]), before)
    assert.notDeepEqual(layoutOf([glet("g/0", "ready", "a", "b"), glet("g/1", "ready", "c", "a")]).glets, before.glets)
    assert.isFalse(layoutOf([glet("g/0", "ready", "a", "b"), glet("g/1", "opening", "c")]).isSettled)
  })
})

describe("playSteadily", () => {
  it.live("plays once what is kept, or missed by glets that stay", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* played([{ missed: 0.005, then: "b", sendLagP99Ms: 9 }])).missed, [0.005])
      assert.deepStrictEqual((yield* played([{ missed: 0.2 }])).missed, [0.2])
    }))

  it.live("plays again what was missed while glets came, once they are ready", () =>
    Effect.gen(function*() {
      const { looksUnready, missed } = yield* played([{ missed: 0.2, then: "b,c" }, { missed: 0 }])
      assert.deepStrictEqual(missed, [0.2, 0])
      assert.isAtLeast(looksUnready, 2)
    }))

  it.live("plays again what a late client missed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* played([{ missed: 0.2, sendLagP99Ms: 1.01 * lateMs }, { missed: 0.3, sendLagP99Ms: lateMs }])).missed, [0.2, 0.3])
    }))

  it.live("plays no more often than it may", () =>
    Effect.gen(function*() {
      const turns = [{ missed: 0.2, then: "b" }, { missed: 0.3, then: "c" }, { missed: 0.4, then: "d" }]
      assert.deepStrictEqual((yield* played(turns)).missed, [0.2, 0.3, 0.4])
      assert.deepStrictEqual((yield* played(turns, { most: 1 })).missed, [0.2])
    }))
})
