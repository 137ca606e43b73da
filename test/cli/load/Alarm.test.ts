import { assert, describe, it } from "@effect/vitest"
import { makeAlarm, makeTimerAlarm } from "../../../src/cli/load/Alarm.js"

describe.each([["exact", makeAlarm, 0.02], ["timer", makeTimerAlarm, 1.02]] as const)("%s alarm", (_, make, earlyMs) => {
  it("fires in order, each once, not early", async () => {
    const alarm = make()
    const fired: Array<number> = []
    for (const waitMs of [0, 0.1, 0.5, 1.7, 3, 12]) {
      const startMs = performance.now()
      await new Promise<void>((resolve) => alarm.set(waitMs, () => {
        fired.push(waitMs)
        resolve()
      }))
      assert.isAtLeast(performance.now() - startMs, waitMs - earlyMs)
    }
    assert.deepStrictEqual(fired, [0, 0.1, 0.5, 1.7, 3, 12])
    alarm.close()
  })

  it("setting it anew replaces what was set; closing forgets it", async () => {
    const alarm = make()
    const fired: Array<string> = []
    alarm.set(30, () => fired.push("first"))
    await new Promise<void>((resolve) => alarm.set(5, () => {
      fired.push("second")
      resolve()
    }))
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.deepStrictEqual(fired, ["second"])
    alarm.set(10, () => fired.push("third"))
    alarm.close()
    await new Promise((resolve) => setTimeout(resolve, 40))
    assert.deepStrictEqual(fired, ["second"])
  })
})
