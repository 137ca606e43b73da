/**
 * What it would bring to reckon with the bursts of a glet instead of those of each of its models, and whether objectives would still be kept.
 *
 * Room for bursts is what a model is planned for beyond a tenth more than its rate. In GPU time per second it is x_i = room times what an item takes. Models of a glet come
 * independently, so the variances of the work that they bring add up: what keeps the bursts of each with 99 % is a multiple of its deviation, and that of all of them together is the
 * root of the sum of all x_i² where plans now have the sum. The glet's requests run in the order of their deadlines, so work that one model does not have is time for another.
 *
 * `sets`: generated sets with Poisson head-room: the GPUs of `orion` with it and with a tenth only, and what pooling saves on the glets of the first plan.
 * `kept`: two to six models on one glet that is a whole GPU, at the highest load that fits with room model by model, pooled, and of a tenth: the part of objectives kept, simulated.
 *
 * command: node bench/run.mjs pooling [sets] [kept]
 */
import * as Either from "effect/Either"
import type { ModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import type { Plan } from "../src/core/Plan.js"
import { gletsOf, gpusUsed } from "../src/core/Plan.js"
import type { Demand, PlanProblem } from "../src/core/PlanProblem.js"
import { rateToPlanFor } from "../src/scheduler/BurstHeadroom.js"
import { distributionOf } from "../src/scheduler/LatencyDistribution.js"
import { orion } from "../src/scheduler/planners/Orion.js"
import { makeSchedule } from "../src/simulator/ArrivalSchedule.js"
import { defaultSimulation } from "../src/simulator/SimulationInput.js"
import { simulate } from "../src/simulator/Simulation.js"
import { makeTaskSet } from "./lib/taskSets.js"

const wanted = process.argv.slice(2)
const isWanted = (part: string): boolean => wanted.length === 0 || wanted.includes(part)

/** Of the generated profiles. */
const meanPart = 0.95
const alone = ({ rateRps, sloMs }: Demand, factor = 1): number => rateToPlanFor(factor * rateRps, sloMs, meanPart)
const leastOf = ({ rateRps }: Demand, factor = 1): number => 1.1 * factor * rateRps
const roomOf = (demand: Demand, factor = 1): number => Math.max(0, alone(demand, factor) - leastOf(demand, factor))

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)
const root = (values: ReadonlyArray<number>): number => Math.sqrt(sum(values.map((value) => value * value)))

const planFor = (problem: PlanProblem, rateOf: (demand: Demand) => number): Plan | undefined =>
  Either.getOrUndefined(orion.plan({ ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: rateOf(demand) })) }))

const sets = (): void => {
  for (const [models, loadGpus] of [[20, 2.4], [50, 6], [100, 12], [200, 12]] as const) {
    for (const seed of [1, 2, 3]) {
      const problem = makeTaskSet({ seed, models, loadGpus, gpus: 12 * loadGpus, types: 1 })
      const byModel = new Map(problem.demands.map((demand) => [demand.model, demand]))
      const [own, least] = [planFor(problem, (demand) => alone(demand))!, planFor(problem, (demand) => leastOf(demand))!]
      let [asked, apart, pooled] = [0, 0, 0]
      for (const { glet } of gletsOf(own)) {
        const rooms = glet.assignments.map(({ batch, latencyMs, model, rateRps }) => {
          const gpuMs = (rateRps * latencyMs * glet.sharePct) / batch / 1e5
          asked += gpuMs
          return (gpuMs * roomOf(byModel.get(model)!)) / alone(byModel.get(model)!)
        })
        apart += sum(rooms)
        pooled += root(rooms)
      }
      console.log(
        `${models} models, seed ${seed}: ${gpusUsed(own)} GPUs with room model by model, ${gpusUsed(least)} with a tenth; of ${asked.toFixed(1)} GPUs' worth ${apart.toFixed(2)} are room, pooled ${pooled.toFixed(2)}: saves ${(100 * (apart - pooled) / asked).toFixed(1)} %`
      )
    }
  }
}

/** The largest factor up to 8 on all rates at which all fits on the one glet. */
const mostThatFits = (problem: PlanProblem, rateOf: (demand: Demand, factor: number) => number): { readonly factor: number; readonly plan: Plan } | undefined => {
  let [low, high] = [0, 8]
  let found: Plan | undefined
  for (let round = 0; round < 14; round++) {
    const factor = (low + high) / 2
    const plan = planFor(problem, (demand) => rateOf(demand, factor))
    if (plan === undefined || plan.shortfalls.length > 0) high = factor
    else [low, found] = [factor, plan]
  }
  return found === undefined ? undefined : { factor: low, plan: found }
}

/** The least part of its objectives that a model keeps on the plan. */
const keptOn = ({ gpus, demands, latency, options }: PlanProblem, factor: number, plan: Plan): number => {
  const models = demands.map(({ maxBatch, model, rateRps, sloMs }): Model => ({
    name: model, version: 1, path: "", signature: { inputs: [], outputs: [], batchSymbol: "batch" }, maxBatch, serviceClass: "latency-critical", sloMs, expectedRateRps: factor * rateRps, weightBytes: 0
  }))
  // It is deployed as it is, though the server would ask for more.
  const given = { ...plan, shortfalls: demands.map(({ model }) => ({ model, askedRps: 0, plannedRps: 0, reason: "" })) }
  const slowestRps = factor * Math.min(...demands.map(({ rateRps }) => rateRps))
  const least = [1, 2].map((seed) => simulate({
    ...defaultSimulation, gpus, models, latency, seed, planOptions: options, replans: false, planner: { name: "given", summary: "", plan: () => Either.right(given) },
    distribution: (execution) => distributionOf(latency, undefined, execution), slowdown: latency.slowdown,
    loads: demands.map(({ model, rateRps }, i) => ({ target: model, kind: "open", arrivals: makeSchedule({ ratesRps: [factor * rateRps], periodMs: 1000, distribution: "exp", seed: 10 * seed + i }) })),
    costs: { overheadMs: 0, openMs: 1, loadMs: () => 1, planningMs: 1 }, durationMs: Math.min(200_000, Math.max(20_000, 2e6 / slowestRps)), warmUpMs: 1000
  }).models.reduce((kept, { offered, sloKept }) => (offered > 200 ? Math.min(kept, sloKept) : kept), 1))
  return Math.min(...least)
}

const kept = (): void => {
  const rows: Array<{ readonly factor: number; readonly kept: ReadonlyArray<number> }> = []
  for (const models of [2, 3, 4, 6]) {
    for (let seed = 101; seed <= 112; seed++) {
      const problem = makeTaskSet({ seed, models, loadGpus: 1, gpus: 1, types: 1, options: { whenShort: "degrade", objective: "headroom", effort: 0.1, maxGletsPerGpu: 1 } })
      const own = mostThatFits(problem, alone)
      if (own === undefined) continue
      const itemMs = new Map<ModelName, number>(gletsOf(own.plan).flatMap(({ glet }) => glet.assignments.map(({ batch, latencyMs, model }) => [model, latencyMs / batch] as const)))
      if (itemMs.size < models) continue
      /** Each model's room becomes as much smaller as the glet's does. */
      const together = (demand: Demand, factor: number): number => {
        const rooms = problem.demands.map((each) => roomOf(each, factor) * itemMs.get(each.model)!)
        return leastOf(demand, factor) + (sum(rooms) > 0 ? root(rooms) / sum(rooms) : 1) * roomOf(demand, factor)
      }
      const [pooled, least] = [mostThatFits(problem, together)!, mostThatFits(problem, leastOf)!]
      const row = { factor: pooled.factor / own.factor, kept: [own, pooled, least].map(({ factor, plan }) => keptOn(problem, factor, plan)) }
      rows.push(row)
      console.log(`${models} models, seed ${seed}: model by model ${(100 * row.kept[0]!).toFixed(2)} %, pooled ${(100 * row.kept[1]!).toFixed(2)} % at ${row.factor.toFixed(3)} times the load, a tenth ${(100 * row.kept[2]!).toFixed(2)} % at ${(least.factor / own.factor).toFixed(3)}`)
    }
  }
  console.log(`pooled carries ${(sum(rows.map(({ factor }) => factor)) / rows.length).toFixed(3)} times as much on average of ${rows.length}`)
  for (const [i, what] of ["model by model", "pooled", "a tenth"].entries()) {
    console.log(`${what}: ${rows.filter((row) => row.kept[i]! < 0.99).length} below 99 %, least ${(100 * Math.min(...rows.map((row) => row.kept[i]!))).toFixed(2)} %`)
  }
}

if (isWanted("sets")) sets()
if (isWanted("kept")) kept()
