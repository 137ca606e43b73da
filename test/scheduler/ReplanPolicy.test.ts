import { assert, describe, it } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelLoad, ReplanState } from "../../src/scheduler/ReplanPolicy.js"
import { decideReplan, plannedAt } from "../../src/scheduler/ReplanPolicy.js"

const load = (rateRps: number, neededRps: number, askedRps = 100, capacityRps = 200): ModelLoad =>
  ({ model: unsafeModelName("m"), rateRps, neededRps, askedRps, capacityRps })

/** Decides every 200 ms; answers when a plan was called for first. */
const firstPlanMs = (from: ReplanState, startMs: number, endMs: number, loads: (nowMs: number) => ReadonlyArray<ModelLoad>): number | undefined => {
  let state = from
  for (let now = startMs; now <= endMs; now += 200) {
    const decision = decideReplan(state, now, loads(now))
    if (decision.reason !== undefined) return now
    state = decision.state
  }
  return undefined
}

describe("decideReplan", () => {
  it("keeps the plan while needs stay in the dead band", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 120_000, (now) => [load(80, now % 400 === 0 ? 91 : 104)]))
  })

  it("keeps the plan while its head-room is not half used", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(120, 149)]))
    assert.isDefined(decideReplan(plannedAt(0), 2_000, [load(120, 151)]).reason)
  })

  it("plans at once when a need grows, but not sooner than the least interval after the last plan", () => {
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 11_000, () => [load(150, 180)]), 10_000)
    assert.strictEqual(firstPlanMs(plannedAt(10_000), 10_000, 20_000, () => [load(150, 180)]), 12_000)
  })

  it("waits less where an SLO is at risk", () => {
    assert.strictEqual(firstPlanMs(plannedAt(10_000), 10_000, 20_000, () => [load(195, 230)]), 10_600)
  })

  it("does not ask again for what the plan already could not carry", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(300, 330, 330, 150)]))
    assert.isDefined(decideReplan(plannedAt(0), 2_000, [load(340, 374, 330, 150)]).reason)
  })

  it("plans for less only after the need was low for a while without a break", () => {
    assert.strictEqual(firstPlanMs(plannedAt(0), 5_000, 120_000, () => [load(50, 60)]), 65_000)
    assert.isUndefined(firstPlanMs(plannedAt(0), 5_000, 240_000, (now) => [load(50, now % 8_000 === 0 ? 99 : 60)]))
  })

  it("ignores ratios of next to nothing", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(0, 0.7, 1.5, 50)]))
  })

  it("names the model and the numbers", () => {
    assert.match(decideReplan(plannedAt(0), 9_000, [load(150, 180)]).reason ?? "", /"m" needs 180\.0 items\/s, planned for 100\.0/)
  })
})
