/**
 * How good plans are and how long they take: generated task sets against the certified bound, times, monotony, and, where a folder of reference runs is
 * given, the fewest GPUs for its task sets. `orion` beside `elastic-int`, which is asked only where it answers within a minute.
 *
 * Times are processor time of the thread that plans, medians; the machine may be busy with other things. Those of a process's first plan and through the
 * planning thread are by the clock (`chrt -f 5 node ...` puts them before all else); the latter need a build (`npm run build`).
 *
 * command: node bench/run.mjs planning [--quick] [--effort N] [--only times|served|generated|monotony|reference] [--reference FOLDER]
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import type { Plan } from "../src/core/Plan.js"
import { emptyPlan, gpusUsed } from "../src/core/Plan.js"
import type { PlanProblem } from "../src/core/PlanProblem.js"
import { onlinePlanOptions } from "../src/core/PlanProblem.js"
import { validatePlan } from "../src/core/ValidatePlan.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { fewestGpus } from "../src/scheduler/FewestGpus.js"
import { caseOptions, problemOfCase, publishedCaseOptions } from "../src/scheduler/original/CasePlans.js"
import { parseCases } from "../src/scheduler/original/Cases.js"
import { loadResource } from "../src/scheduler/original/Resource.js"
import type { PlannerAlgorithm } from "../src/scheduler/Planner.js"
import { findPlanner } from "../src/scheduler/PlannerRegistry.js"
import { succeed } from "../src/scheduler/PlanSuccession.js"
import { PlanThread } from "../src/scheduler/PlanThread.js"
import * as ProfileLatencyModel from "../src/scheduler/ProfileLatencyModel.js"
import * as HighsSolver from "../src/scheduler/solver/HighsSolver.js"
import * as PlanThreadWorker from "../src/server/PlanThreadWorker.js"
import type { TaskSetOptions } from "./lib/taskSets.js"
import { makeProfiledTaskSet, makeTaskSet } from "./lib/taskSets.js"

const args = process.argv.slice(2)
const isQuick = args.includes("--quick")
const valueOf = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
const effort = Number(valueOf("--effort") ?? 1)
const folder = valueOf("--reference")

const orion = Either.getOrThrow(findPlanner("orion"))
const elasticInt = Either.getOrThrow(findPlanner("elastic-int"))
const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN
/** Of the thread that plans, where the system tells; else of the process, with what compiles and collects beside it. */
const cpuMs = (): number => {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6
  } catch {
    return process.cpuUsage().user / 1000
  }
}
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`
const row = (...cells: ReadonlyArray<string | number>): void => console.log(`| ${cells.join(" | ")} |`)

const timed = (planner: PlannerAlgorithm, problem: PlanProblem, current?: Plan): { readonly plan: Plan | undefined; readonly ms: number } => {
  const start = cpuMs()
  const answer = planner.plan(problem, current)
  const ms = cpuMs() - start
  const plan = Either.isRight(answer) ? answer.right : undefined
  if (plan !== undefined && validatePlan(plan, problem).length > 0) throw new Error(`${planner.name} made a plan that the judge refuses`)
  return { plan, ms }
}
const costOf = (problem: PlanProblem, plan: Plan): number =>
  plan.gpus.reduce((sum, { glets }, at) => sum + (glets.length > 0 ? problem.gpus[at]!.cost ?? 1 : 0), 0)

const generated = async (): Promise<void> => {
  const solver = await Effect.runPromise(HighsSolver.load)
  console.log("\nGenerated sets: cost (GPUs, where they are of one type) of the plans, against the certified bound\n")
  row("models", "load, GPUs", "types", "sets", "bound", "orion", "gap", "orion ms", "elastic-int")
  row("---", "---", "---", "---", "---", "---", "---", "---", "---")
  const shapes: ReadonlyArray<Pick<TaskSetOptions, "models" | "loadGpus" | "types">> = ([1, 2] as const).flatMap((types) =>
    [[50, 10], [50, 50], [100, 100], [200, 50], [200, 200], [1000, 100], [1000, 800]].map(([models, loadGpus]) => ({ models: models!, loadGpus: loadGpus!, types })))
  for (const shape of shapes) {
    const seeds = isQuick ? [1] : [1, 2, 3]
    const results = seeds.map((seed) => {
      const problem = makeTaskSet({ ...shape, seed, gpus: 2 * shape.loadGpus, options: { effort } })
      const { ms, plan } = timed(orion, problem)
      const other = shape.types === 1 && shape.loadGpus <= 10 ? fewestGpus(elasticInt, problem, problem.gpus[0]!.type, 32).gpus : undefined
      return { bound: fewestBound(problem, { effort: "proof", solver }).cost, cost: costOf(problem, plan!), ms, other }
    })
    const sum = (of: (result: typeof results[number]) => number): number => results.reduce((total, result) => total + of(result), 0)
    const [bound, cost] = [sum((result) => result.bound), sum((result) => result.cost)]
    const others = results.map(({ other }) => other)
    row(shape.models, shape.loadGpus, shape.types, seeds.length, bound.toFixed(1), cost.toFixed(1), percent(cost / bound - 1),
      median(results.map(({ ms }) => ms)).toFixed(0), others.every((other) => other !== undefined) ? sum(({ other }) => other!) : "-")
  }
}

/** What a process does that is started for one plan, as the original's planner is. */
const nineModels = () => makeTaskSet({ seed: 1, models: 9, loadGpus: 200, gpus: 256, types: 1 })
const planOnce = "--plan-once"
if (args.includes(planOnce)) {
  const problem = nineModels()
  const start = performance.now()
  if (Either.isLeft(orion.plan(problem))) throw new Error("nine models have a plan")
  console.log(performance.now() - start)
  process.exit(0)
}
const freshProcesses = (): { readonly plan: number; readonly whole: number } => {
  const runs = Array.from({ length: isQuick ? 5 : 11 }, () => {
    const start = performance.now()
    const plan = Number(execFileSync(process.execPath, [process.argv[1]!, planOnce], { encoding: "utf8" }))
    return { plan, whole: performance.now() - start }
  })
  return { plan: median(runs.map(({ plan }) => plan)), whole: median(runs.map(({ whole }) => whole)) }
}

const times = (): void => {
  console.log("\nTimes: median, and the first call in a fresh process\n")
  row("what", "bar ms", "median ms", "first ms")
  row("---", "---", "---", "---")
  const measure = (what: string, bar: number, runs: number, run: () => number): void => {
    const all = Array.from({ length: runs }, run)
    row(what, bar, median(all).toFixed(1), all[0]!.toFixed(0))
  }
  const nine = nineModels()
  measure("9 models on 256 GPUs", 50, 30, () => timed(orion, nine).ms)
  const fresh = freshProcesses()
  row("the same, the first plan of a process, by the clock", 50, fresh.plan.toFixed(1), "")
  row("the whole process, by the clock", "", fresh.whole.toFixed(1), "")
  const hundred = makeTaskSet({ seed: 1, models: 100, loadGpus: 100, gpus: 160, types: 1 })
  const current = timed(orion, hundred).plan!
  let turn = 0
  measure("100 models, a rate changes by 20 %", 10, 60, () => {
    const changed = turn++ % 100
    const demands = hundred.demands.map((demand, i) => (i === changed ? { ...demand, rateRps: demand.rateRps * 1.2 } : demand))
    return timed(orion, { ...hundred, demands }, current).ms
  })
  const thousand = makeTaskSet({ seed: 1, models: 1000, loadGpus: 900, gpus: 1000, types: 1 })
  measure("1,000 models on 1,000 GPUs, with a bound", 1000, isQuick ? 1 : 3, () => timed(orion, thousand).ms)
}

/** As a server does: the question crosses to the planning thread, the answer keeps the names of glets that stay, and is checked. */
const served = async (): Promise<void> => {
  const { problem: set, profiles } = makeProfiledTaskSet({ seed: 1, models: 100, loadGpus: 100, gpus: 160, types: 1 })
  const hundred: PlanProblem = { ...set, latency: ProfileLatencyModel.make(profiles), options: onlinePlanOptions }
  const ask = Effect.gen(function*() {
    const thread = yield* PlanThread
    const all: Array<number> = []
    const alone: Array<number> = []
    let current = emptyPlan
    for (let turn = -1; turn < (isQuick ? 20 : 60); turn++) {
      const demands = hundred.demands.map((demand, i) => (i === turn ? { ...demand, rateRps: demand.rateRps * 1.2 } : demand))
      const problem = { ...hundred, demands }
      const start = performance.now()
      const answer = yield* thread.answer({ planner: "orion", gpus: problem.gpus, demands, options: problem.options, profiles, current })
      if (!answer.ok) throw new Error(answer.detail)
      const next = Either.getOrThrowWith(succeed(answer.plan, { planner: orion, problem, current, nextGletNumber: 1000 * (turn + 1) }), ({ detail }) => new Error(detail))
      all.push(performance.now() - start)
      alone.push(timed(orion, problem, current).ms)
      if (turn < 0) current = next
    }
    row("100 models, a rate changes by 20 %: `headroom`, as a server asks", 10, median(alone.slice(1)).toFixed(1), alone[0]!.toFixed(0))
    row("the same by the clock, through the planning thread, checked", "", median(all.slice(1)).toFixed(1), all[0]!.toFixed(0))
  })
  await Effect.runPromise(Effect.provide(ask, PlanThreadWorker.layer({ entry: new URL("../../../dist/planner.js", import.meta.url) })))
}

const monotony = (): void => {
  console.log("\nMonotony: GPUs as all rates grow by 3 % a step; steps at which fewer are needed\n")
  row("models", "load, GPUs", "sets", "steps", "down")
  row("---", "---", "---", "---", "---")
  for (const [models, loadGpus] of [[6, 2], [20, 5], [50, 10], [100, 40]] as const) {
    const seeds = isQuick ? [1] : [1, 2]
    const steps = isQuick ? 5 : 10
    let down = 0
    for (const seed of seeds) {
      let before = 0
      for (let step = 0; step < steps; step++) {
        const problem = makeTaskSet({ seed, models, loadGpus, gpus: 3 * loadGpus, types: 1 })
        const demands = problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * 1.03 ** step }))
        const { plan } = timed(orion, { ...problem, demands })
        const used = plan === undefined ? Infinity : gpusUsed(plan)
        if (used < before) down++
        before = used
      }
    }
    row(models, loadGpus, seeds.length, seeds.length * (steps - 1), down)
  }
}

const reference = (from: string): void => {
  const read = (file: string): string => {
    const bytes = readFileSync(path.join(from, file))
    return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  }
  const resource = Either.getOrThrow(loadResource((file) => Either.right(read(path.join("profile", file)))))
  const optimum = new Map(read("optimum.csv").trim().split("\n").slice(1).map((line): [string, number] => [line.split(",")[0]!, Number(line.split(",")[1])]))
  const cases = Either.getOrThrow(parseCases({ file: "cases.jsonl.gz", text: read("cases.jsonl.gz") })).filter(({ setId }) => optimum.has(setId))
  const best = [...optimum.values()].reduce((sum, gpus) => sum + gpus, 0)
  console.log(`\nReference sets: ${cases.length}, optimum ${best} GPUs\n`)
  row("planner", "GPUs", "above the optimum", "optimal sets", "sets on which the other needs fewer", "median ms")
  row("---", "---", "---", "---", "---", "---")
  const answers = [orion, elasticInt].map((planner) => cases.map((each) => {
    const problem = Either.getOrThrow(problemOfCase(resource, each, 1, planner === orion ? caseOptions : publishedCaseOptions))
    const start = cpuMs()
    const { gpus } = fewestGpus(planner, problem, each.gpus[0].type)
    return { setId: each.setId, gpus: gpus ?? Infinity, ms: cpuMs() - start }
  }))
  answers.forEach((of, i) => {
    const other = answers[1 - i]!
    const sum = of.reduce((total, { gpus }) => total + gpus, 0)
    row([orion, elasticInt][i]!.name, sum, percent(sum / best - 1), of.filter(({ gpus, setId }) => gpus === optimum.get(setId)).length,
      of.filter(({ gpus }, at) => other[at]!.gpus < gpus).length, median(of.map(({ ms }) => ms)).toFixed(1))
  })
}

const only = valueOf("--only")
const isAsked = (part: string): boolean => only === undefined || only === part
if (isAsked("times")) times()
if (isAsked("served")) await served()
if (isAsked("generated")) await generated()
if (isAsked("monotony")) monotony()
if (folder !== undefined && isAsked("reference")) reference(folder)
