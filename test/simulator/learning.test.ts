/** GPUs on which neighbours cost more than the profile says: the server learns it from what executions take, and plans anew where objectives are missed. */
import { assert, describe, it } from "@effect/vitest"
import { withLearned } from "../../src/scheduler/LearnedInterference.js"
import { simulate } from "../../src/simulator/Simulation.js"
import type { SimulationInput } from "../../src/simulator/SimulationInput.js"
import { latencyOf, mb } from "../scheduler/problems.js"
import { inputOf, modelOf, name, open } from "./scenes.js"

const rateRps = 650
const models = ["a", "b"].map((id) => modelOf(id, { sloMs: 30, expectedRateRps: rateRps, maxBatch: 8 }))
/** More than two fifths of the GPU make nothing faster: several glets carry more than one, if they do not disturb each other. */
const profiled = latencyOf(models.map((model) => ({ name: model.name, fixedMs: 2, itemMs: 0.2, usefulPct: 40, largestBatch: 8, memoryBytes: 100 * mb })))
/** What executions really lose beside neighbours on all the rest of the GPU, as a part of their time alone. */
const serve = (loss: number, options: Partial<SimulationInput> = {}) => {
  const real = withLearned(profiled, new Map([["test", new Map(models.map((model) => [model.name, loss]))]]))
  return simulate(inputOf(models, models.map((model, i) => open(name(model.name), [rateRps], { seed: i + 1 })), {
    gpu: { isolation: "green" }, latency: profiled, slowdown: real.slowdown, interference: real.interference!, durationMs: 26_000, warmUpMs: 16_000, ...options
  }))
}
type Report = ReturnType<typeof serve>
const kept = (report: Report): number => Math.min(...report.models.map(({ sloKept }) => sloKept))
const becauseOfIt = (report: Report) => report.plans.filter(({ reason }) => /^interference: beside neighbours model "[ab]" loses \d+ % of its time more/.test(reason))

describe("interference that no profile knows", () => {
  it("is learned, and planned around", () => {
    const deaf = serve(3, { learning: undefined })
    assert.isAbove(deaf.plans[0]!.glets, 2)
    assert.isBelow(kept(deaf), 0.9, "otherwise there is nothing to learn")
    const report = serve(3)
    assert.isAbove(kept(report), 0.99, JSON.stringify(report.plans))
    assert.isAtLeast(becauseOfIt(report).length, 1, JSON.stringify(report.plans))
    assert.isAtMost(report.plans.length, 5, "it is no reason to plan for ever")
  })

  it("changes no plan that keeps its objectives", () => {
    const report = serve(0.5)
    assert.deepStrictEqual(becauseOfIt(report), [])
    assert.isAbove(kept(report), 0.99)
  })

  it("is not learned where a profile was measured beside others", () => {
    assert.deepStrictEqual(becauseOfIt(serve(3, { gpus: serveGpus("threads") })), [])
  })
})

/** The GPU of these tests, divided otherwise. */
function serveGpus(isolation: "threads") {
  return inputOf(models, [], { gpu: { isolation } }).gpus
}
