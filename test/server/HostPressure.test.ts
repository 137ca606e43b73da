import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { countersOf, pressureBetween, readPressure } from "../../src/server/HostPressure.js"

const stat = (steal: number, idle: number) => `cpu  100 20 30 ${idle} 5 0 1 ${steal} 7 0\ncpu0 1 1 1 1 1 1 1 99 0 0\nintr 5\n`
const cpuStat = (periods: number, throttled: number) => `usage_usec 5\nnr_periods ${periods}\nnr_throttled ${throttled}\nthrottled_usec 9\n`
const pressure = (total: number) => `some avg10=1.00 avg60=0.50 avg300=0.10 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=77\n`

describe("HostPressure", () => {
  it("tells the parts between two readings", () => {
    const before = countersOf(1_000_000, { cpuStat: cpuStat(100, 10), pressure: pressure(500), stat: stat(40, 1000) })
    const now = countersOf(11_000_000, { cpuStat: cpuStat(200, 22), pressure: pressure(2_000_500), stat: stat(60, 1380) })
    assert.deepStrictEqual(pressureBetween(before, now), { throttledRatio: 0.12, waitingRatio: 0.2, stolenRatio: 0.05 })
    assert.deepStrictEqual(pressureBetween(now, now), {}, "no time has passed")
  })

  it("says nothing of what the system does not count, nor of files that are none", () => {
    const nothing = { cpuStat: undefined, pressure: undefined, stat: undefined }
    assert.deepStrictEqual(pressureBetween(countersOf(0, nothing), countersOf(1, nothing)), {})
    const garbage = { cpuStat: "nr_periods many\n", pressure: "some", stat: "cpu  1 2 3\n" }
    assert.deepStrictEqual(pressureBetween(countersOf(0, garbage), countersOf(1, garbage)), {})
    // No limit: its periods stand still.
    const limitless = { ...nothing, cpuStat: cpuStat(0, 0), stat: stat(0, 10) }
    assert.deepStrictEqual(pressureBetween(countersOf(0, limitless), countersOf(1, { ...limitless, stat: stat(0, 20) })), { stolenRatio: 0 })
  })

  it("never tells less than nothing nor more than all: containers move, and counters begin again", () => {
    const part = (from: number, to: number) =>
      pressureBetween(countersOf(0, { cpuStat: undefined, pressure: pressure(from), stat: undefined }), countersOf(100, { cpuStat: undefined, pressure: pressure(to), stat: undefined }))
    assert.deepStrictEqual(part(1000, 5), { waitingRatio: 0 })
    assert.deepStrictEqual(part(0, 1000), { waitingRatio: 1 })
  })

  it.runIf(fs.existsSync("/proc/stat"))("reads this host's", () => {
    const { stolen } = readPressure()
    assert.isDefined(stolen)
    assert.isAtMost(stolen!.count, stolen!.of)
  })
})
