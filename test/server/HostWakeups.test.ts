import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/TestClock"
import type { HostPressure } from "../../src/core/HostStatus.js"
import { latenessOf } from "../../src/core/HostStatus.js"
import type { Wakeups } from "../../src/server/HostWakeups.js"
import * as HostWakeups from "../../src/server/HostWakeups.js"

describe("HostWakeups", () => {
  it.scoped("tells of each window, and says it once when a host begins to be late and when it is in time again", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      let [lagMs, busy, resets] = [0, 0.1, 0]
      const wakeups: Wakeups = { percentile: (percent) => 1e6 * (41 + (percent === 99 ? lagMs : lagMs / 10)), busyRatio: () => busy, pressure: () => ({ stolenRatio: 0.002 }), reset: () => void resets++ }
      const logger = Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => void said.push(String(message))))
      const { now } = yield* HostWakeups.make(wakeups).pipe(Effect.provide(logger))
      assert.isUndefined(yield* now)
      const after = (ms: number, ratio: number) => {
        lagMs = ms
        busy = ratio
        return Effect.zipRight(TestClock.adjust("10 seconds"), now)
      }
      assert.deepStrictEqual(yield* after(0.5, 0.1), { wakeupLagMs: { p50Ms: 0.05, p99Ms: 0.5 }, busyRatio: 0.1, pressure: { stolenRatio: 0.002 } })
      yield* after(2.4, 0.8)
      assert.deepStrictEqual(said, [], "its own work holds the thread")
      for (const ms of [2.4, 5, 0.2, 0.2, 0.2, 0.2, 0.2, 1.1]) yield* after(ms, 0.1)
      assert.strictEqual(said.length, 1, "it has not been in time for a minute")
      for (let i = 0; i < 6; i++) yield* after(0.2, 0.1)
      assert.deepStrictEqual(said, [
        "this host wakes processes late: by 2.4 ms at the 99th percentile, which answers are late by too", "this host wakes processes in time again"
      ])
      assert.strictEqual(resets, 16, "each window stands by itself")
    }))

  it("takes neither a little lateness nor a busy thread for a late host", () => {
    const host = (p99Ms: number, busyRatio: number) => latenessOf({ wakeupLagMs: { p50Ms: 0, p99Ms }, busyRatio, pressure: {} })
    assert.isUndefined(host(1, 0))
    assert.isUndefined(host(50, 0.51))
    assert.include(host(1.25, 0.5), "1.3 ms")
  })

  it("says what the system counts that explains it, the limit before neighbours before a crowd", () => {
    const said = (pressure: HostPressure) => latenessOf({ wakeupLagMs: { p50Ms: 0, p99Ms: 5 }, busyRatio: 0.1, pressure })!
    assert.match(said({ throttledRatio: 0.12, stolenRatio: 0.5, waitingRatio: 0.9 }), /late by too; the container's CPU limit stopped its processes in 12 % of its periods: raise the limit$/)
    assert.match(said({ throttledRatio: 0.001, stolenRatio: 0.025, waitingRatio: 0.9 }), /; other machines on this one had 2.5 % of its cores' time$/)
    assert.match(said({ throttledRatio: 0, stolenRatio: 0, waitingRatio: 0.3 }), /; processes waited for cores 30 % of the time: give the server cores of its own$/)
    assert.match(said({ waitingRatio: 0.05 }), /late by too$/)
    assert.match(said({}), /late by too$/)
  })
})
