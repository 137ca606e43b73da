/**
 * Planner `orion` against all others on task sets of shapes that `lib/taskSets.ts` does not draw: equal models, one giant among dwarfs, rates exactly at what a
 * share carries, one model to a GPU's memory, tables with holes, prices of 1:100, ... Every plan is judged; orion must never need more than another planner,
 * and never less than the bound. Prints a line per shape, and each set on which another planner needs less, with its seed.
 *
 * command: node bench/run.mjs strange [--sets N] [--seed N] [--only SHAPE] [--exact]
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Plan } from "../src/core/Plan.js"
import type { PlanProblem } from "../src/core/PlanProblem.js"
import { validatePlan } from "../src/core/ValidatePlan.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { fewestGpus } from "../src/scheduler/FewestGpus.js"
import { explainPlan } from "../src/scheduler/PlanExplanation.js"
import type { PlannerAlgorithm } from "../src/scheduler/Planner.js"
import { planners } from "../src/scheduler/PlannerRegistry.js"
import { exact } from "../src/scheduler/planners/Exact.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import type { StrangeShape } from "./lib/strangeSets.js"
import { makeStrangeSet, strangeShapes } from "./lib/strangeSets.js"

const args = process.argv.slice(2)
const valueOf = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
const sets = Number(valueOf("--sets") ?? 20)
const firstSeed = Number(valueOf("--seed") ?? 1)
const only = valueOf("--only")
const most = 24

const [orion, ...others] = planners
const rivals: ReadonlyArray<PlannerAlgorithm> = [
  ...others.filter(({ name }) => name !== "static"), ...(args.includes("--exact") ? [exact(await Effect.runPromise(HighsSolver.load))] : [])
]

const costOf = (plan: Plan, problem: PlanProblem): number => {
  const prices = new Map<string, number>(problem.gpus.map(({ cost, id }) => [id, cost ?? 1]))
  return plan.gpus.reduce((sum, { glets, gpu }) => (glets.length === 0 ? sum : sum + prices.get(gpu)!), 0)
}

/** What a planner's plan takes: GPUs of the one type, or the price on the GPUs that there are. */
const needOf = (planner: PlannerAlgorithm, problem: PlanProblem): { readonly need: number | undefined; readonly bound: number; readonly plan: Plan | undefined } => {
  if (new Set(problem.gpus.map(({ type }) => type)).size === 1) {
    const { gpus, lowerBound, plan } = fewestGpus(planner, problem, problem.gpus[0]!.type, most)
    return { need: gpus, bound: lowerBound, plan }
  }
  const answer = planner.plan(problem)
  const bound = fewestBound(problem).cost
  if (Either.isLeft(answer) || answer.right.shortfalls.length > 0) return { need: undefined, bound, plan: undefined }
  const violations = validatePlan(answer.right, problem)
  if (violations.length > 0) {
    if (planner === orion) console.log(`  INVALID ${violations[0]!.message}`)
    return { need: undefined, bound, plan: undefined }
  }
  return { need: costOf(answer.right, problem), bound: Math.max(bound, answer.right.lowerBound ?? 0), plan: answer.right }
}

let worse = 0
for (const shape of strangeShapes.filter((name: StrangeShape) => only === undefined || only === name)) {
  let need = 0
  let bounds = 0
  let planned = 0
  let least = 0
  let slowest = 0
  for (let seed = firstSeed; seed < firstSeed + sets; seed++) {
    const problem = makeStrangeSet(shape, seed)
    const startedMs = performance.now()
    const ours = needOf(orion, problem)
    const tookMs = performance.now() - startedMs
    slowest = Math.max(slowest, tookMs)
    let best = ours.need ?? Infinity
    for (const planner of rivals) {
      const theirs = needOf(planner, problem)
      if (theirs.need === undefined) continue
      if (theirs.need < (ours.need ?? Infinity) - 1e-9) {
        worse++
        console.log(`  ${shape} seed ${seed}: ${planner.name} ${theirs.need}, orion ${ours.need ?? "no plan"}, bound ${ours.bound} (${problem.demands.length} models)`)
      }
      if (theirs.need < ours.bound - 1e-6) console.log(`  ${shape} seed ${seed}: BOUND ${ours.bound} above ${planner.name}'s ${theirs.need}`)
      best = Math.min(best, theirs.need)
    }
    if (ours.need === undefined || ours.plan === undefined) continue
    if (ours.need < ours.bound - 1e-6) console.log(`  ${shape} seed ${seed}: BOUND ${ours.bound} above orion's ${ours.need}`)
    explainPlan(ours.plan, problem)
    planned++
    need += ours.need
    bounds += ours.bound
    least += best
  }
  console.log(`${shape}: ${planned} of ${sets} planned, orion ${need}, best of all ${least}, bounds ${Number(bounds.toFixed(1))}, slowest ${(slowest / 1000).toFixed(2)} s`)
}
console.log(`${worse} plans of others need less than orion's`)
process.exitCode = worse > 0 ? 1 : 0
