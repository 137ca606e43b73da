/**
 * How far certified bounds are from the optimum on a folder of reference task sets (cases.jsonl.gz, optimum.csv, profile/), and how long they take.
 *
 * command: node bench/run.mjs bounds FOLDER
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { caseOptions, problemOfCase } from "../src/scheduler/original/CasePlans.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import { readReference } from "../test/scheduler/original/reference.js"

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error("usage: node bench/run.mjs bounds FOLDER")
  process.exit(2)
}
const solver = await Effect.runPromise(HighsSolver.load)
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
    const start = performance.now()
    const bound = fewestBound(problem, { effort, solver, knownGpus: optimum.get(each.setId)! })
    times.push(performance.now() - start)
    sum += bound.gpus
    if (bound.gpus !== optimum.get(each.setId)) short.push(`${each.setId} ${bound.gpus}/${optimum.get(each.setId)}`)
  }
  times.sort((a, b) => a - b)
  console.log(
    `${effort}: bounds sum to ${sum} of ${total} (gap ${(100 * (total / sum - 1)).toFixed(1)} %), median ${times[times.length >> 1]!.toFixed(1)} ms, ` +
      `longest ${times.at(-1)!.toFixed(0)} ms; short on ${short.join(", ")}`
  )
}
