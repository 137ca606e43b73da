/** Shares of time, as properties over random runs on a simulated device. */
import { assert, describe, it } from "@effect/vitest"
import * as FC from "effect/FastCheck"
import type { DutyMember } from "../../src/webgpu/DutyCycle.js"
import { DutyCycle } from "../../src/webgpu/DutyCycle.js"
import { makeRandom } from "../../src/core/internal/random.js"

interface Load {
  readonly sharePct: number
  /** Longest run, ms. */
  readonly longestMs: number
}

interface Run {
  readonly glet: number
  readonly startMs: number
  readonly ms: number
}

/** Runs the device until `endMs`; a glet has work while `busy` says so of the time at hand (looked at every ms). */
const simulate = (loads: ReadonlyArray<Load>, endMs: number, seed: number, busy: (glet: number, nowMs: number) => boolean = () => true): ReadonlyArray<Run> => {
  const random = makeRandom(seed)
  const cycle = new DutyCycle()
  const members = loads.map(({ sharePct }) => cycle.join(sharePct))
  const runs: Array<Run> = []
  let nowMs = 0
  const askAll = () => members.forEach((member, i) => busy(i, nowMs) && cycle.ask(member, nowMs))
  while (nowMs < endMs) {
    askAll()
    const turn = cycle.next(nowMs)
    if (turn.kind === "run") {
      const glet = members.indexOf(turn.member as DutyMember)
      const ms = loads[glet]!.longestMs * (0.2 + 0.8 * random())
      runs.push({ glet, startMs: nowMs, ms })
      nowMs += ms
      cycle.ran(turn.member, ms, nowMs, busy(glet, nowMs))
    } else {
      nowMs = Math.min(turn.kind === "wait" ? turn.untilMs : Infinity, nowMs + 1)
    }
  }
  return runs
}

const used = (runs: ReadonlyArray<Run>, glet: number, fromMs = 0, toMs = Infinity): number =>
  runs.reduce((sum, run) => sum + (run.glet === glet && run.startMs >= fromMs && run.startMs < toMs ? run.ms : 0), 0)

/** Glets whose shares do not exceed the device. */
const loads = FC.array(FC.record({ sharePct: FC.integer({ min: 5, max: 100 }), longestMs: FC.double({ min: 0.5, max: 40, noNaN: true }) }), { minLength: 1, maxLength: 5 })
  .filter((all) => all.reduce((sum, { sharePct }) => sum + sharePct, 0) <= 100)
const seed = FC.integer({ min: 1, max: 2 ** 30 })

describe("DutyCycle", () => {
  it.prop("gives no glet more than its share and one run", [loads, seed], ([all, from]) => {
    const endMs = 5000
    const runs = simulate(all, endMs, from)
    all.forEach(({ longestMs, sharePct }, glet) => assert.isAtMost(used(runs, glet), (sharePct / 100) * endMs + longestMs + 1e-6))
  })

  it.prop("gives every glet that always has work its share, but for runs of the others", [loads, seed], ([all, from]) => {
    const endMs = 20_000
    const runs = simulate(all, endMs, from)
    const others = all.reduce((sum, { longestMs }) => sum + longestMs, 0)
    all.forEach(({ longestMs, sharePct }, glet) => {
      // Time within a turn is looked at every ms.
      const late = 2 * others + longestMs + 2
      assert.isAtLeast(used(runs, glet), (sharePct / 100) * (endMs - late) - longestMs)
    })
  })

  it.prop("saves nothing up for a glet that had no work", [loads, seed], ([all, from]) => {
    const idleMs = 3000
    const endMs = 5000
    const runs = simulate(all, endMs, from, (glet, nowMs) => glet !== 0 || nowMs >= idleMs)
    const { longestMs, sharePct } = all[0]!
    assert.strictEqual(used(runs, 0, 0, idleMs), 0)
    assert.isAtMost(used(runs, 0, idleMs, endMs), (sharePct / 100) * (endMs - idleMs) + longestMs + 1e-6)
  })

  it.prop("runs one at a time, and is idle only where nobody may run", [loads, seed], ([all, from]) => {
    const runs = simulate(all, 3000, from)
    for (let i = 1; i < runs.length; i++) assert.isAtLeast(runs[i]!.startMs, runs[i - 1]!.startMs + runs[i - 1]!.ms - 1e-9)
    if (all.length === 1 && all[0]!.sharePct === 100) assert.isAtLeast(used(runs, 0), 3000 - 1e-6)
  })

  it("lets a glet that waited behind a long run of another catch up", () => {
    const cycle = new DutyCycle()
    const slow = cycle.join(50)
    const quick = cycle.join(50)
    cycle.ask(slow, 0)
    assert.deepStrictEqual(cycle.next(0), { kind: "run", member: slow })
    cycle.ask(quick, 0)
    cycle.ran(slow, 100, 100, true)
    // 100 ms in which it got nothing: 50 ms are its due, in runs of 10 ms without a pause.
    let nowMs = 100
    for (let i = 0; i < 5; i++) {
      assert.deepStrictEqual(cycle.next(nowMs), { kind: "run", member: quick })
      nowMs += 10
      cycle.ran(quick, 10, nowMs, true)
    }
    assert.strictEqual(quick.eligibleMs, 100)
  })
})
