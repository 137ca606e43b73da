import { assert, describe, it } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelLoad, ReplanState } from "../../src/scheduler/ReplanPolicy.js"
import { decideReplan, plannedAt } from "../../src/scheduler/ReplanPolicy.js"

const load = (rateRps: number, neededRps: number, askedRps = 100, capacityRps = 200, reserved = 1, name = "m"): ModelLoad =>
  ({ model: unsafeModelName(name), rateRps, neededRps, askedRps, capacityRps, reserved })

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

const firstReason = (loads: ReadonlyArray<ModelLoad>): string =>
  decideReplan(decideReplan(plannedAt(0), 10_000, loads).state, 12_000, loads).reason ?? ""

describe("decideReplan", () => {
  it("keeps the plan while needs stay in the dead band", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 120_000, (now) => [load(80, now % 400 === 0 ? 91 : 104)]))
  })

  it("keeps the plan while its head-room is not half used", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(120, 149)]))
    assert.strictEqual(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(120, 151)]), 2_200)
  })

  it("plans a fifth of a second after a need grows, but not sooner than the least interval after the last plan", () => {
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 11_000, () => [load(150, 180)]), 10_200)
    assert.strictEqual(firstPlanMs(plannedAt(10_000), 10_000, 20_000, () => [load(150, 180)]), 12_000)
  })

  it("plans for no need that the next look takes back, whether it puts an SLO at risk or not", () => {
    for (const high of [load(150, 180), load(195, 230)]) {
      assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, (now) => [now % 400 === 0 ? high : load(80, 100)]))
    }
    // Of two models one after the other: there is some need all the time.
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 60_000, (now) => [load(150, now % 400 === 0 ? 180 : 100, 100, 200, 1, "a"), load(150, now % 400 === 0 ? 100 : 180, 100, 200, 1, "b")]), 10_200)
  })

  it("gives nothing back while it waits whether a rise lasts: the plan would be for what it has seen of that", () => {
    const low = load(50, 60, 100, 200, 1, "low")
    const risen = (sinceMs: number, untilMs: number) => firstPlanMs(plannedAt(0), 10_000, 90_000, (now) => [low, now >= sinceMs && now < untilMs ? load(150, 180) : load(90, 100)])
    assert.strictEqual(risen(Infinity, Infinity), 70_000)
    assert.strictEqual(risen(70_000, Infinity), 70_200)
    assert.strictEqual(risen(70_000, 70_200), 70_200)
  })

  it("waits less where an SLO is at risk", () => {
    assert.strictEqual(firstPlanMs(plannedAt(10_000), 10_000, 20_000, () => [load(195, 230)]), 10_600)
  })

  it("does not ask again for what the plan already could not carry, nor for more of it", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(300, 330, 330, 150)]))
    for (const growth of [1.04, 1.1, 2, 10]) {
      assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(growth * 300, growth * 330, 330, 150)]), `one model, ${growth} times`)
      // One has twice the capacity it was asked for, since glets are whole.
      const all = [load(growth * 300, growth * 330, 330, 150, 0.5, "a"), load(growth * 50, growth * 60, 60, 120, 0.1, "b"), load(growth * 80, growth * 90, 90, 45, 0.4, "c")]
      assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => all), `three models, ${growth} times`)
    }
  })

  it("plans anew where all need less than what it could not carry, and one still more than it has", () => {
    /** Asked for 110 each it got 100 and 80; needs are so many times that. */
    const all = (part: number): ReadonlyArray<ModelLoad> => [load(part * 100, part * 110, 110, 100, 0.5, "a"), load(part * 100, part * 110, 110, 80, 0.5, "b")]
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 60_000, () => all(0.94)), 12_000)
    assert.match(firstReason(all(0.94)), /^less is asked: model "b" needs 103.4 items\/s, planned for 110.0/)
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, () => all(0.96)), "hardly less")
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, (now) => all(now % 1_000 === 0 ? 1 : 0.94)), "not for long")
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, () => [all(0.94)[0]!, all(1)[1]!]), "not of all")
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, () => all(0.71)), "all have enough by now")
  })

  it("plans anew for another mix of what it cannot carry, once that is so for a while", () => {
    /** Two models that share GPUs by halves and get half of what they need. */
    const mix = (growth: number): ReadonlyArray<ModelLoad> => [load(growth * 100, growth * 110, 110, 55, 0.5, "a"), load(100, 110, 110, 55, 0.5, "b")]
    // By a third: it would get 1.33 / 1.165 times as much.
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => mix(1.33)))
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 60_000, () => mix(1.4)), 12_000)
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, (now) => mix(now % 1_000 === 0 ? 1 : 1.4)))
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 20_000, () => mix(0.9)))
    // Which half it is does not matter: what falls leaves room for the other.
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 60_000, () => mix(0.7)), 12_000)
    const [a, b] = mix(1.4)
    assert.match(firstReason([a!, b!]), /other mix: model "a"/)
  })

  it("asks for what has no place where it grows, whatever the others lack", () => {
    const homeless = (growth: number): ReadonlyArray<ModelLoad> => [load(300, 330, 330, 150, 1, "a"), load(growth * 10, growth * 14, 14, 0, 0, "b")]
    assert.isUndefined(firstPlanMs(plannedAt(0), 10_000, 60_000, () => homeless(1.1)))
    assert.strictEqual(firstPlanMs(plannedAt(0), 10_000, 60_000, () => homeless(2)), 12_000)
  })

  it("plans for less only after the need was low for a while without a break", () => {
    assert.strictEqual(firstPlanMs(plannedAt(0), 5_000, 120_000, () => [load(50, 60)]), 65_000)
    assert.isUndefined(firstPlanMs(plannedAt(0), 5_000, 240_000, (now) => [load(50, now % 8_000 === 0 ? 99 : 60)]))
  })

  it("ignores ratios of next to nothing", () => {
    assert.isUndefined(firstPlanMs(plannedAt(0), 2_000, 60_000, () => [load(0, 0.7, 1.5, 50)]))
  })

  it("names the model and the numbers", () => {
    assert.match(firstReason([load(150, 180)]), /"m" needs 180\.0 items\/s, planned for 100\.0/)
  })
})
