/**
 * How good certified bounds are, and how long they take: on a folder of reference task sets with their optimum (cases.jsonl.gz, optimum.csv, profile/), if one
 * is named, and on generated sets, against what `orion` finds.
 *
 * command: node bench/run.mjs bounds [FOLDER]
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Plan } from "../src/core/Plan.js"
import type { PlanProblem } from "../src/core/PlanProblem.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { caseOptions, problemOfCase } from "../src/scheduler/original/CasePlans.js"
import { orion } from "../src/scheduler/planners/Orion.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import { readReference } from "../test/scheduler/original/reference.js"
import { makeTaskSet } from "./lib/taskSets.js"

const [folder] = process.argv.slice(2)
const solver = await Effect.runPromise(HighsSolver.load)
const timed = <A>(run: () => A): readonly [A, number] => {
  const start = performance.now()
  const value = run()
  return [value, performance.now() - start]
}

if (folder !== undefined) {
  const reference = readReference(folder)
  const optimum = new Map(reference.table("optimum.csv").map((row) => [row["set_id"]!, Number(row["optimum_gpus"])]))
  const cases = reference.cases().filter(({ setId }) => optimum.has(setId))
  const total = [...optimum.values()].reduce((sum, gpus) => sum + gpus, 0)
  for (const effort of ["quick", "thorough", "proof"] as const) {
    const times: Array<number> = []
    const short: Array<string> = []
    let sum = 0
    for (const each of cases) {
      const problem = Either.getOrThrow(problemOfCase(reference.resource, each, 32, caseOptions))
      const [bound, ms] = timed(() => fewestBound(problem, { effort, solver, knownGpus: optimum.get(each.setId)! }))
      times.push(ms)
      sum += bound.gpus
      if (bound.gpus !== optimum.get(each.setId)) short.push(`${each.setId} ${bound.gpus}/${optimum.get(each.setId)}`)
    }
    times.sort((a, b) => a - b)
    console.log(
      `${effort}: bounds sum to ${sum} of ${total} (gap ${(100 * (total / sum - 1)).toFixed(1)} %), median ${times[times.length >> 1]!.toFixed(1)} ms, ` +
        `longest ${times.at(-1)!.toFixed(0)} ms; short on ${short.join(", ")}`
    )
  }
}

const costOf = (plan: Plan, problem: PlanProblem): number =>
  plan.gpus.reduce((sum, { glets }, at) => (glets.length === 0 ? sum : sum + (problem.gpus[at]!.cost ?? 1)), 0)

for (const [models, loadGpus, gpus, types] of [[50, 10, 32, 1], [50, 100, 220, 1], [200, 40, 128, 2], [200, 200, 440, 1], [1000, 500, 1000, 2]] as const) {
  for (const seed of [1, 2]) {
    const problem = makeTaskSet({ seed, models, loadGpus, gpus, types })
    const [quick, quickMs] = timed(() => fewestBound(problem))
    const [thorough, thoroughMs] = timed(() => fewestBound(problem, { effort: "thorough" }))
    const [answer, planMs] = timed(() => orion.plan(problem))
    const cost = Either.isRight(answer) ? costOf(answer.right, problem) : NaN
    const gap = (bound: number): string => `${bound.toFixed(1)} (gap ${(100 * (cost / bound - 1)).toFixed(1)} %)`
    console.log(
      `${models} models, ${types === 1 ? "one type" : "two types"}, seed ${seed}: orion ${cost.toFixed(1)} in ${planMs.toFixed(0)} ms; ` +
        `quick ${gap(quick.cost)} in ${quickMs.toFixed(0)} ms, thorough ${gap(thorough.cost)} in ${thoroughMs.toFixed(0)} ms`
    )
  }
}
