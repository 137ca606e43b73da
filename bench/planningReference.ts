/**
 * Plans the task sets of a folder of reference runs of the original (cases.jsonl.gz, optimum.csv, profile/) with every planner: the fewest GPUs
 * that the judge accepts, as JSON lines on stdout, and a summary on stderr; then how often the answers of the family agree with the original's.
 *
 * command: node bench/run.mjs planningReference FOLDER [planner,planner,...] > plans.jsonl
 */
import * as Either from "effect/Either"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import { validatePlan } from "../src/core/ValidatePlan.js"
import { fewestGpus } from "../src/scheduler/FewestGpus.js"
import { caseLine, caseOptions, problemOfCase, publishedCaseOptions } from "../src/scheduler/original/CasePlans.js"
import { parseCase, parseCases } from "../src/scheduler/original/Cases.js"
import { loadResource } from "../src/scheduler/original/Resource.js"
import type { PlannerAlgorithm } from "../src/scheduler/Planner.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"

const [folder, names = "time-share,greedy,elastic,elastic-int,orion"] = process.argv.slice(2)
if (folder === undefined) {
  console.error("usage: node bench/run.mjs planningReference FOLDER [planner,planner,...]")
  process.exit(2)
}
const read = (file: string): string => {
  const bytes = readFileSync(path.join(folder, file))
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
}
const resource = Either.getOrThrow(loadResource((file) => Either.right(read(path.join("profile", file)))))
const casesText = read("cases.jsonl.gz")
const optimum = new Map(read("optimum.csv").trim().split("\n").slice(1).map((line) => {
  const [set, gpus] = line.split(",")
  return [set!, Number(gpus)]
}))
const cases = Either.getOrThrow(parseCases({ file: "cases.jsonl.gz", text: casesText })).filter(({ setId }) => optimum.has(setId))
const planners = names.split(",").map((name) => Either.getOrThrow(findPlanner(name)))

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN
const optionsOf = (planner: PlannerAlgorithm) => (planner.name === "orion" ? caseOptions : publishedCaseOptions)

console.error(`${cases.length} sets, optimum ${[...optimum.values()].reduce((sum, gpus) => sum + gpus, 0)} GPUs`)
for (const planner of planners) {
  const lines = cases.map((each) => {
    const problem = Either.getOrThrow(problemOfCase(resource, each, 1, optionsOf(planner)))
    const start = performance.now()
    const found = fewestGpus(planner, problem, each.gpus[0].type)
    return caseLine(each.setId, planner.name, found, performance.now() - start)
  })
  for (const line of lines) console.log(JSON.stringify(line))
  const sum = (value: (line: typeof lines[number]) => number | null): number => lines.reduce((total, line) => total + (value(line) ?? 0), 0)
  console.error(
    `${planner.name}: ${sum((line) => line.min_gpus)} GPUs, ${lines.filter((line) => line.plan === null).length} sets without a plan, ` +
      `lower bounds ${sum((line) => line.lower_bound)}, ${lines.filter((line) => line.min_gpus === optimum.get(line.set_id)).length} optimal, ` +
      `median ${median(lines.map((line) => line.solve_ms)).toFixed(1)} ms a set`
  )
}

/** The original's configurations, and who does the same here. */
const family = new Map([["gpulet-int", "elastic-int"], ["gpulet-noint", "elastic"], ["greedy_part", "greedy"], ["timesharing_only", "time-share"]])
const counts = new Map<string, number>()
for (const text of casesText.split("\n")) {
  if (text === "") continue
  const line = JSON.parse(text)
  if (line.ub_sensitive === true || line.exit === "crash") continue
  const planner = Either.getOrThrow(findPlanner(family.get(line.config)!))
  const each = Either.getOrThrow(parseCase({ file: "cases.jsonl.gz", text }))
  // The original's own answer counts interference in one configuration only.
  const options = { ...publishedCaseOptions, interference: line.config === "gpulet-int" }
  const problem = Either.getOrThrow(problemOfCase(resource, each, line.n_gpus, options))
  const answer = planner.plan(problem)
  const isValid = Either.isRight(answer) && validatePlan(answer.right, problem).length === 0
  const short = line.summary?.models.some((model: { throughput_claimed: number; rate_sched: number }) => model.throughput_claimed < model.rate_sched * (1 - 1e-6))
  const theirs = line.exit !== "schedulable"
    ? "no plan"
    : line.summary.valid_own_model !== true ? "a plan that breaks its SLO" : short === true ? "a plan that carries too little" : "a good plan"
  const ours = Either.isLeft(answer) ? "no plan" : isValid ? "a good plan" : "A PLAN THAT IS NOT VALID"
  const key = `${line.config}: they have ${theirs}, ${planner.name} has ${ours}`
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
for (const [config, name] of family) {
  const rows = [...counts].filter(([key]) => key.startsWith(`${config}:`)).sort(([a], [b]) => a.localeCompare(b))
  const total = rows.reduce((sum, [, count]) => sum + count, 0)
  const agreeing = rows.filter(([key]) => key.includes("they have no plan") === key.endsWith("has no plan")).reduce((sum, [, count]) => sum + count, 0)
  console.error(`${config} and ${name} agree on ${agreeing} of ${total} (${((100 * agreeing) / total).toFixed(1)} %)`)
  for (const [key, count] of rows) console.error(`  ${count} ${key.slice(config.length + 2)}`)
}
