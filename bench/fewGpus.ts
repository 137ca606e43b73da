/**
 * The fewest GPUs for few models: sums over seeded sets of 3 to 10 of the GPU suite's models on an H200's profile, and of 4 to 23 generated ones, both of one to
 * a dozen GPUs. `orion` is given two dozen.
 *
 * command: node bench/run.mjs fewGpus [--sets 180] [--effort 1]
 */
import * as Either from "effect/Either"
import { gpusUsed } from "../src/core/Plan.js"
import type { PlanProblem } from "../src/core/PlanProblem.js"
import { makeRandom } from "../src/core/internal/random.js"
import { orion } from "../src/scheduler/planners/Orion.js"
import { makeTaskSet } from "./lib/taskSets.js"
import { makeZooSet } from "./lib/zooSets.js"

const value = (flag: string, usual: number): number => {
  const at = process.argv.indexOf(flag)
  return at < 0 ? usual : Number(process.argv[at + 1])
}
const sets = value("--sets", 180)
const effort = value("--effort", 1)
const gpus = 24

const generated = (seed: number): PlanProblem => {
  const random = makeRandom(seed + 5000)
  return makeTaskSet({ seed, models: 4 + Math.floor(random() * 20), loadGpus: 1.5 + 5 * random(), gpus, types: 1 })
}

const rows = [["models of the suite, H200", (seed: number) => makeZooSet(seed, gpus)], ["generated", generated]] as const
for (const [name, make] of rows) {
  let [used, bound, without, ms] = [0, 0, 0, 0]
  for (let seed = 1; seed <= sets; seed++) {
    const problem = make(seed)
    const begin = process.cpuUsage().user
    const plan = orion.plan({ ...problem, options: { ...problem.options, effort } })
    ms += (process.cpuUsage().user - begin) / 1000
    if (Either.isLeft(plan)) without++
    else {
      used += gpusUsed(plan.right)
      bound += plan.right.lowerBound ?? 0
    }
  }
  console.log(`${name}: ${sets} sets, ${without} without a plan, ${used} GPUs, bound ${bound}, ${Math.round(ms / sets)} ms of processor time a set`)
}
