// command: node bench/run.mjs learning
/**
 * Objectives kept on a simulated GPU whose neighbours cost more than the profile says, with and without learning it, over what they cost and how: by their share of
 * the GPU, as is learned, or by their share and batch, which one number a model cannot say.
 */
import { withLearned } from "../src/scheduler/LearnedInterference.js"
import { simulate } from "../src/simulator/Simulation.js"
import { latencyOf, mb } from "../test/scheduler/problems.js"
import { inputOf, modelOf, name, open } from "../test/simulator/scenes.js"

const modelsAt = (rateRps: number) => ["a", "b"].map((id) => modelOf(id, { sloMs: 30, expectedRateRps: rateRps, maxBatch: 8 }))
const latency = (models: ReturnType<typeof modelsAt>, slowdownPerNeighbour: number) =>
  latencyOf(models.map((model) => ({ name: model.name, fixedMs: 2, itemMs: 0.2, usefulPct: 40, largestBatch: 8, memoryBytes: 100 * mb })), { slowdownPerNeighbour })

const rows: Array<Record<string, string | number>> = []
for (const rateRps of [500, 650]) {
  for (const [how, costs] of [["share", [1, 2, 4]], ["share and batch", [12, 20]]] as const) {
    for (const cost of costs) {
      const models = modelsAt(rateRps)
      const real = how === "share" ? withLearned(latency(models, 0), new Map([["test", new Map(models.map((model) => [model.name, cost]))]])) : latency(models, 2 * cost)
      const serve = (options: { readonly learning?: undefined }) =>
        simulate(inputOf(models, models.map((model, i) => open(name(model.name), [rateRps], { seed: i + 1 })), {
          gpu: { isolation: "green" }, latency: latency(models, 0.5), slowdown: real.slowdown, interference: real.interference!, durationMs: 90_000, warmUpMs: 45_000, ...options
        }))
      const kept = ({ models }: ReturnType<typeof serve>) => (100 * Math.min(...models.map(({ sloKept }) => sloKept))).toFixed(1)
      const deaf = serve({ learning: undefined })
      const learning = serve({})
      rows.push({
        "items/s each": rateRps, "neighbours cost by": how, "at full pressure, of the time alone": cost, "kept without, %": kept(deaf), "kept with, %": kept(learning),
        "plans for it": learning.plans.filter(({ reason }) => reason.startsWith("interference")).length
      })
    }
  }
}
console.table(rows)
