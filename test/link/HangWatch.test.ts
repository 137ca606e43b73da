import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as FastCheck from "effect/FastCheck"
import { HangWatch, untilItHangs } from "../../src/link/HangWatch.js"

const patience = { silent: 10, stalled: 50 }

describe("HangWatch", () => {
  it("never ends what answers when it is asked, however it works; ends what does not, after as many looks as were granted", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.record({ answersAfter: FastCheck.integer({ min: 0, max: patience.silent - 1 }), ends: FastCheck.nat(3) }), { maxLength: 40 }),
      (turns) => {
        const watch = new HangWatch()
        let heard = 0
        let ended = 0
        let asked = 0
        watch.look(heard, ended, true, patience)
        for (const { answersAfter, ends } of turns) {
          for (let i = 0; i < answersAfter; i++) {
            const look = watch.look(heard, ended, true, { ...patience, stalled: 1000 })
            assert.notInclude(["hangs", "stalls"], look)
            if (look === "ask") asked++
          }
          heard += 1 + ends
          ended += ends
          assert.strictEqual(watch.look(heard, ended, true, { ...patience, stalled: 1000 }), "nothing")
        }
        assert.strictEqual(asked, turns.filter(({ answersAfter }) => answersAfter > 0).length, "once in a silence")
        const looks = Array.from({ length: patience.silent + 1 }, () => watch.look(heard, ended, true, { ...patience, stalled: 1000 }))
        assert.deepStrictEqual(looks, ["ask", ...new Array<string>(patience.silent - 1).fill("nothing"), "hangs"])
      }
    ))
  })

  it("ends what answers but does none of its work, and leaves alone what has none", () => {
    const watch = new HangWatch()
    for (let i = 0; i < 200; i++) assert.notInclude(["hangs", "stalls"], watch.look(i, 7, false, patience))
    for (let i = 0; i < patience.stalled; i++) assert.strictEqual(watch.look(200 + i, 7, true, patience), "nothing")
    assert.strictEqual(watch.look(1000, 7, true, patience), "stalls")
  })

  it.effect("asks in every silence, and completes when nothing came back", () =>
    Effect.gen(function*() {
      let heard = 0
      let asked = 0
      const fiber = yield* Effect.fork(untilItHangs({ lookMs: 1000, look: (watch) => watch.look(heard, 0, false, patience), ask: () => asked++ }))
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("1 second")
        heard += asked
        asked = 0
      }
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "hangs")
    }))
})
