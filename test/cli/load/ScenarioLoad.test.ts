/** A scenario's load divided among threads is the whole load. */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { scenarioStreams } from "../../../src/cli/load/ScenarioLoad.js"
import { Scenario } from "../../../src/simulator/Scenario.js"

const scenario = Schema.decodeUnknownSync(Scenario)({
  apiVersion: "glet/v1alpha1", kind: "Scenario", models: [{ name: "a", sloMs: 10 }, { name: "b", sloMs: 20 }],
  loads: [{ model: "a", arrivals: { process: "poisson", rateRps: 300 } }, { model: "b", arrivals: { process: "trace", timesMs: [0, 5, 5, 90], repeatMs: 100 } }]
})

const timesUntil = (endMs: number, share?: { readonly index: number; readonly of: number }): ReadonlyArray<ReadonlyArray<number>> =>
  scenarioStreams(scenario, { factor: 2, seed: 7, warmUpMs: 0, durationMs: endMs, requestsFor: () => ({ requests: [] }), ...(share === undefined ? {} : { share }) })
    .map(({ schedule }) => {
      const times: Array<number> = []
      for (let at = schedule(); at < endMs; at = schedule()) times.push(at)
      return times
    })

describe("ScenarioLoad", () => {
  it("shares of a load have each of its requests once", () => {
    const whole = timesUntil(2000)
    assert.isAbove(whole[0]!.length, 1000)
    for (const of of [1, 2, 3, 5]) {
      const parts = Array.from({ length: of }, (_, index) => timesUntil(2000, { index, of }))
      whole.forEach((times, stream) => {
        assert.deepStrictEqual(parts.flatMap((part) => part[stream]!).sort((a, b) => a - b), times)
        const sizes = parts.map((part) => part[stream]!.length)
        assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
      })
    }
  })
})
