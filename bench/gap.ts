/**
 * Where plans lose what lies between them and the certified bound, on generated sets: an account that adds up.
 *
 * At the prices that prove the bound a GPU offers at most what it costs, and what each model needs costs F at the least (docs/planning-bounds.md). So what a plan
 * costs beyond the sum of all F is lost somewhere, and each loss has its price: share that is free, time that is not needed or that neighbours take, visits that
 * are dearer than the cheapest. What relaxing a rule would change is told by `--without interference` and `--fine` (shares of any percent).
 *
 * command: node bench/run.mjs gap [MODELS/GPUS/TYPES ...] [--effort N] [--seeds 1,2,3] [--without interference] [--fine]
 */
import * as Effect from "effect/Effect"
import type { PlanProblem } from "../src/core/PlanProblem.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { boundFewest } from "../src/scheduler/bounds/internal/boundFewest.js"
import { makeBoundModel } from "../src/scheduler/bounds/internal/boundModel.js"
import { leastCost, makeScratch } from "../src/scheduler/bounds/internal/covers.js"
import { firstPrices, leastPurchase, priceAll, raisePrices } from "../src/scheduler/bounds/internal/prices.js"
import { mostOf, timeFor } from "../src/scheduler/bounds/internal/visits.js"
import { makePlanTables } from "../src/scheduler/internal/planTables.js"
import { directionOf } from "../src/scheduler/internal/search/direction.js"
import { fewest } from "../src/scheduler/internal/search/fewest.js"
import { makeGpuSolver } from "../src/scheduler/internal/search/gpuState.js"
import { regroup } from "../src/scheduler/internal/search/regroup.js"
import { makeSearchSpace } from "../src/scheduler/internal/search/searchSpace.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import { makeTaskSet } from "./lib/taskSets.js"

const args = process.argv.slice(2)
const valueOf = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
const shapes = args.filter((arg) => /^\d+\/\d+\/[12]$/.test(arg))
const seeds = (valueOf("--seeds") ?? "1,2,3").split(",").map(Number)
const effort = Number(valueOf("--effort") ?? 1)
const solver = await Effect.runPromise(HighsSolver.load)
const looks = 400
const cells = 12

const losses = ["shared glets", "glets of one model", "dear shares", "interference", "free share", "memory, places"] as const
type Losses = Record<typeof losses[number], number>

const problemOf = (shape: string, seed: number): PlanProblem => {
  const [models, loadGpus, types] = shape.split("/").map(Number)
  const problem = makeTaskSet({
    seed, models: models!, loadGpus: loadGpus!, gpus: 2 * loadGpus!, types: types as 1 | 2,
    options: { effort, ...(valueOf("--without") === "interference" ? { interference: false } : {}) }
  })
  if (!args.includes("--fine")) return problem
  const [first, ...others] = Array.from({ length: 100 }, (_, i) => i + 1)
  return { ...problem, gpus: problem.gpus.map((gpu) => ({ ...gpu, sharesPct: [first!, ...others] })) }
}

/** What is lost of each kind, as parts of the bound before it is rounded up to whole GPUs. */
const accountOf = (problem: PlanProblem): { readonly bound: number; readonly cost: number; readonly rounded: number; readonly parts: Losses } => {
  const model = makeBoundModel(problem)
  const { classes, resources } = model
  const tables = model.tablesAt(1, cells)
  const unitCosts = classes.map(({ cost }) => cost)
  const ascent = raisePrices(resources, tables, (priced) => leastPurchase(priced, unitCosts, classes.map(({ count }) => count)), firstPrices(resources, unitCosts), looks)
  const scale = Math.min(...priceAll(resources, tables, ascent.prices).cuts.map(({ value }, kind) => unitCosts[kind]! / value))
  const prices = ascent.prices.map((price) => price * scale)
  const least = tables.reduce((sum, table) => sum + leastCost(table, prices, makeScratch(cells), new Float64Array(resources.size)), 0)

  const space = makeSearchSpace(makePlanTables(problem))
  const rates = problem.demands.map(({ rateRps }) => rateRps)
  const direction = directionOf(rates, rates.map((_, demand) => demand))
  const found = fewest(space, makeGpuSolver(space), { direction, bound: boundFewest(problem, {}, undefined), seed: problem.options.seed, effort, isTidy: false, regroup })
  if (found === undefined) throw new Error("a generated set has no plan on twice the GPUs of its load")
  const carried = new Float64Array(space.models)
  for (const { models, rps } of found.states) models.forEach((each, i) => carried[each]! += rps[i]!)

  const lost = Object.fromEntries(losses.map((loss) => [loss, 0])) as Losses
  let [cost, visits] = [0, 0]
  for (const { glets, kind, models, rps } of found.states) {
    const { gletBytes, memoryBytes } = classes[kind]!
    const { memory, places, time } = resources.at[kind]!
    const bytesPrice = prices[memory]! / memoryBytes
    cost += unitCosts[kind]!
    // What the best cut offers and this one does not, then what is not used of what it offers.
    let offered = prices[memory]!
    let freeMemory = prices[memory]!
    let place = 0
    for (const { batches, models: works, share } of glets) {
      const ofTime = prices[time + share]!
      const ofPlace = prices[places + share]!
      offered += ofTime + resources.placesPerGlet * ofPlace - bytesPrice * gletBytes
      freeMemory -= bytesPrice * gletBytes
      lost["memory, places"] += ofPlace * (resources.placesPerGlet - works.length)
      const dutyMs = (1000 * batches[0]!) / rps[place]!
      works.forEach((work, i) => {
        const aloneMs = space.rows.data[space.rows.start(kind, work, share) + batches[i]! * space.rows.stride]!
        const needed = rps[place]! * Math.min(1, rates[work]! / carried[work]!)
        const curve = model.curves[model.demands.indexOf(work)]!.find((each) => each.gpuClass === kind && each.share === share)!
        const part = timeFor(curve, Math.min(needed, mostOf(curve)))
        const ofModel = bytesPrice * space.kinds[kind]!.modelBytes[work]!
        lost[works.length > 1 ? "shared glets" : "glets of one model"] += ofTime * (aloneMs / dutyMs - part)
        lost.interference -= (ofTime * aloneMs) / dutyMs
        visits += ofTime * part + ofPlace + ofModel
        freeMemory -= ofModel
        place++
      })
      lost.interference += ofTime
    }
    if (place !== models.length) throw new Error("a state lists its models glet after glet")
    lost["free share"] += unitCosts[kind]! - offered
    lost["memory, places"] += freeMemory
  }
  lost["dear shares"] = visits - least
  const sum = losses.reduce((total, loss) => total + lost[loss], least)
  if (Math.abs(sum - cost) > 1e-6 * cost) throw new Error(`the account adds up to ${sum}, the plan costs ${cost}`)
  const bound = fewestBound(problem, { effort: "proof", solver }).cost
  const parts = Object.fromEntries(losses.map((loss) => [loss, lost[loss] / least])) as Losses
  return { bound, cost, rounded: bound / least - 1, parts }
}

const row = (...entries: ReadonlyArray<string>): void => console.log(`| ${entries.join(" | ")} |`)
row("models/GPUs/types", "gap", ...losses, "bound rounded up")
row("---", "---", ...losses.map(() => "---"), "---")
for (const shape of shapes.length > 0 ? shapes : ["50/10/1", "200/50/1", "1000/100/1", "50/10/2", "200/50/2", "1000/100/2"]) {
  const accounts = seeds.map((seed) => accountOf(problemOf(shape, seed)))
  const gap = accounts.reduce((sum, { cost }) => sum + cost, 0) / accounts.reduce((sum, { bound }) => sum + bound, 0) - 1
  const mean = (of: (account: typeof accounts[number]) => number): number => accounts.reduce((sum, account) => sum + of(account), 0) / accounts.length
  row(shape, ...[gap, ...losses.map((loss) => mean(({ parts }) => parts[loss])), mean(({ rounded }) => rounded)].map((part) => `${(100 * part).toFixed(1)} %`))
}
