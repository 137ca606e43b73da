/** What a server does that is asked for more than its GPUs can do, minute after minute: its plan stays. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import type { Profile } from "../../src/core/Profile.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { profileHardware } from "../../src/simulator/Hardware.js"
import type { Scenario } from "../../src/simulator/Scenario.js"
import { scenarioInput } from "../../src/simulator/ScenarioInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { zooScenario } from "./scenes.js"

const h200 = profileHardware(JSON.parse(fs.readFileSync("resource/zoo/h200/mps.json", "utf8")) as Profile)

/** The scenario on one H200, its rates multiplied by each factor for ten seconds; loads are of so many items a request. */
const run = (name: string, factors: ReadonlyArray<number>, seed: number, items = 1) => {
  const scenario = zooScenario(name)
  let searches = 0
  const planner = { ...orion, plan: (...asked: Parameters<typeof orion.plan>) => (searches++, orion.plan(...asked)) }
  const [one, ...more] = scenario.loads.map((load) => ({ ...load, arrivals: { process: "poisson" as const, ratesRps: factors.map((factor) => (factor * (load.arrivals as { readonly rateRps: number }).rateRps) / items) as [number, ...Array<number>], periodMs: 10_000 } }))
  const stepped: Scenario = { ...scenario, loads: [one!, ...more] }
  const input = Either.getOrThrow(scenarioInput(stepped, h200, { planner, gpus: 1, seed, durationMs: 10_000 * factors.length, warmUpMs: 0, overheadMs: 0.3 }))
  const report = simulate({
    ...input, loads: input.loads.map((load) => (items > 1 ? { ...load, items } : load)),
    models: input.models.map((model) => ({ ...model, expectedRateRps: items * model.expectedRateRps }))
  })
  return { searches, plans: report.plans.slice(1), said: report.plans.map(({ atMs, opened, closed, reason }) => `${atMs} ms: ${reason} (+${opened} -${closed})`).join("\n") }
}

/** What one H200 keeps its objectives at, in multiples of the scenario's rates, and overloads: multiples of that, and seeds. */
const peaks = [["scen2", 16, [[1.1, 1], [2, 4]]], ["scen3", 26, [[1.3, 2]]]] as const

const minuteOf = (factor: number): ReadonlyArray<number> => new Array<number>(6).fill(factor)

describe("a steady overload", () => {
  for (const [name, peak, overloads] of peaks) {
    it(`of ${name} makes one other plan at most, when it comes, and none for the next minute`, () => {
      for (const [factor, seed] of overloads) {
        const { plans, said, searches } = run(name, [peak, ...minuteOf(factor * peak)], seed)
        assert.isAtMost(plans.length, 1, `${factor} times the peak\n${said}`)
        assert.isTrue(plans.every(({ atMs }) => atMs < 15_000), said)
        assert.isAtMost(searches, 4, said)
        assert.strictEqual(plans.reduce((sum, { closed, opened }) => sum + opened + closed, 0), 0, said)
      }
    })

  }

  it("of four items a request changes the plan no more often", () => {
    const [name, peak] = peaks[0]
    for (const factor of [1.1, 1.5]) {
      const { plans, said, searches } = run(name, [peak, ...minuteOf(factor * peak)], 1, 4)
      assert.isAtMost(plans.length, 1, `${factor} times the peak\n${said}`)
      assert.isAtMost(searches, 5, said)
    }
  })

  it("after a lull closes no glet either", () => {
    const [name, peak] = peaks[0]
    const { plans, said } = run(name, [peak, 0.001, ...minuteOf(1.3 * peak)], 2)
    assert.isAtMost(plans.length, 2, said)
    assert.strictEqual(plans.reduce((sum, { closed, opened }) => sum + opened + closed, 0), 0, said)
  })

  it("of game, whose glets differ, changes the plan for what is learned of neighbours at most", () => {
    const { plans, said } = run("game", [64, 1.3 * 64], 2)
    assert.isTrue(plans.every(({ reason }) => reason.startsWith("interference")), said)
    assert.isAtMost(plans.length, 2, said)
  })

  it("that ends brings another plan once, a minute later", () => {
    const { plans, said } = run("scen2", [16, 24, 24, ...new Array<number>(12).fill(8)], 3)
    assert.strictEqual(plans.filter(({ reason }) => reason.startsWith("rate down")).length, 1, said)
    assert.isAtMost(plans.length, 2, said)
  })
})
