import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { BlameState, Doing } from "../../src/scheduler/CrashBlame.js"
import { culpritOf, forgive, isAmbiguous, noBlame, recordDeath, recordSuccess } from "../../src/scheduler/CrashBlame.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"

const [a, b, c] = [unsafeModelName("a"), unsafeModelName("b"), unsafeModelName("c")]
const models = [a, b, c]
const running = (...names: ReadonlyArray<typeof a>) => names.map((model) => ({ model, doing: "running" as const }))
const die = (state: BlameState, nowMs: number, ...names: ReadonlyArray<typeof a>) =>
  recordDeath(state, { nowMs, process: nowMs, involved: running(...names), placed: models })

describe("CrashBlame", () => {
  it("blames the model that alone was there each time, and whoever else was there only with it", () => {
    let state = die(die(noBlame, 1, a, b), 2, a, b)
    assert.isTrue(isAmbiguous(state, 2))
    state = die(state, 3, a, b)
    assert.isUndefined(culpritOf(state), "one is as likely as the other")
    assert.deepStrictEqual(culpritOf(die(state, 4, a)), { model: a, deaths: 4, deathsBefore: 3, process: 4, doing: "running", diedAtMs: 4 })
    assert.isUndefined(culpritOf(forgive(die(state, 4, a), a)))
  })

  it("is cleared by running well, by loading well only of dying while it loads, and by time", () => {
    const loading = (state: BlameState, nowMs: number) =>
      recordDeath(state, { nowMs, process: nowMs, involved: [{ model: a, doing: "loading" }], placed: models })
    const twice = die(die(noBlame, 1, a), 2, a)
    assert.isUndefined(culpritOf(die(recordSuccess(twice, a, "running"), 3, a)))
    assert.strictEqual(culpritOf(die(recordSuccess(twice, a, "loading"), 3, a))?.model, a)
    assert.isUndefined(culpritOf(loading(recordSuccess(loading(loading(noBlame, 1), 2), a, "loading"), 3)))
    assert.isUndefined(culpritOf(die(twice, 3 + defaultRestartOptions.windowMs, a)))
    assert.isFalse(isAmbiguous(die(die(noBlame, 1, a, b), 2, a, b), 3 + defaultRestartOptions.windowMs))
  })

  it("counts deaths in a row, each process once, in whatever order its glets and batches tell of it, as a plain count does", () => {
    const glet = fc.record({ involved: fc.subarray(models), idle: fc.subarray(models), batches: fc.array(fc.constantFrom(...models), { maxLength: 2 }) })
    const event = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("death" as const), glets: fc.array(glet, { minLength: 1, maxLength: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("well" as const), model: fc.constantFrom(...models), doing: fc.constantFrom<Doing>("loading", "running") }) }
    )
    let blamed = 0
    fc.assert(fc.property(fc.array(event, { maxLength: 14 }), fc.boolean(), (events, batchesFirst) => {
      let state = noBlame
      const counts = new Map(models.map((model) => [model, 0]))
      events.forEach((one, at) => {
        if (one.kind === "well") {
          state = recordSuccess(state, one.model, one.doing)
          if (one.doing === "running") counts.set(one.model, 0)
          return
        }
        for (const model of models) {
          if (one.glets.some(({ batches, involved }) => involved.includes(model) || batches.includes(model))) counts.set(model, counts.get(model)! + 1)
          else if (one.glets.some(({ idle }) => idle.includes(model))) counts.set(model, 0)
        }
        const tell = (involved: ReadonlyArray<typeof a>, placed: ReadonlyArray<typeof a>) => {
          state = recordDeath(state, { nowMs: at, process: at, involved: running(...involved), placed })
        }
        for (const { batches, idle, involved } of one.glets) {
          if (batchesFirst) for (const model of batches) tell([model], [])
          tell(involved, [...involved, ...idle])
          if (!batchesFirst) for (const model of batches) tell([model], [])
        }
      })
      for (const model of models) assert.strictEqual(state.get(model)?.deaths ?? 0, counts.get(model), model)
      const guilty = models.filter((model) => counts.get(model)! >= defaultRestartOptions.culpritExits)
      assert.strictEqual(culpritOf(state)?.model, guilty.length === 1 ? guilty[0] : undefined)
      if (guilty.length === 1) blamed += 1
    }), { numRuns: 500 })
    assert.isAbove(blamed, 20)
  })

  it("keeps apart what is told of two processes that die together", () => {
    const tell = (state: BlameState, process: number, involved: ReadonlyArray<typeof a>, placed: ReadonlyArray<typeof a> = []) =>
      recordDeath(state, { nowMs: process, process, involved: running(...involved), placed })
    let state = noBlame
    for (let round = 0; round < 3; round++) {
      const [one, other] = [10 * round, 10 * round + 1]
      state = tell(tell(state, one, [a]), other, [])
      state = tell(tell(state, one, [], [a]), other, [], [b, c])
    }
    assert.strictEqual(culpritOf(state)?.model, a)
  })
})
