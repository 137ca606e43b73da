import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import { encodePlan, gpusUsed } from "../../core/Plan.js"
import { effortOf } from "../../core/PlanEffort.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { validatePlan } from "../../core/ValidatePlan.js"
import type { BoundEffort } from "../../scheduler/bounds/Bound.js"
import { fewestBound } from "../../scheduler/bounds/FewestBound.js"
import { headroomBound } from "../../scheduler/bounds/HeadroomBound.js"
import { fewestGpus } from "../../scheduler/FewestGpus.js"
import { withNearest } from "../../scheduler/NearestFeasible.js"
import { writeModelList } from "../../scheduler/original/ModelList.js"
import { explainPlan, nextGpu } from "../../scheduler/PlanExplanation.js"
import type { Infeasible, PlannerAlgorithm } from "../../scheduler/Planner.js"
import { planPicture } from "../../scheduler/PlanPicture.js"
import { defaultPlanner } from "../../scheduler/DefaultPlanner.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { flagName } from "../CommandSpec.js"
import { checkWritable, writeText } from "../internal/files.js"
import { readModelList, readOriginal } from "../internal/originalFiles.js"
import { readProblem } from "../internal/planProblem.js"
import { plannerNamed, solverFor } from "../internal/planners.js"
import { renderPlan } from "../internal/planTable.js"
import { bold, colourOut, ms, note, out, percent, rps } from "../internal/terminal.js"
import type { plan } from "../specs/plan.js"
import { planCases } from "./planCases.js"
import { renderExplanation } from "./planExplain.js"

type Args = ParsedArgs<typeof plan>

/** Where a problem may come from, and which options make no sense with it. */
const sources = {
  problem: ["rate", "slo", "class", "maxBatch", "cores", "profiles", "taskConfig", "schedConfig", "deviceConfig", "memConfig", "proxyConfig", "resourceDir", "resource", "fullSearch", "out"],
  models: ["taskConfig", "schedConfig", "deviceConfig", "memConfig", "proxyConfig", "resourceDir", "resource", "fullSearch", "out"],
  taskConfig: ["rate", "slo", "class", "maxBatch", "cores", "profiles", "out"],
  cases: [
    "rate", "slo", "class", "maxBatch", "cores", "profiles", "schedConfig", "deviceConfig", "memConfig", "proxyConfig", "fullSearch", "degrade", "explain", "svg", "output",
    "modelList", "json"
  ]
} as const satisfies Readonly<Record<string, ReadonlyArray<keyof Args>>>

const isGiven = (args: Args, key: keyof Args): boolean => {
  const value = args[key]
  return value instanceof Map ? value.size > 0 : value !== undefined && value !== false
}

/** The one source that is given. */
const sourceOf = (args: Args): Either.Either<keyof typeof sources, CliError> => {
  const given = (["problem", "models", "taskConfig", "cases"] as const).filter((key) => isGiven(args, key))
  const [source] = given
  if (source === undefined || given.length > 1) {
    return Either.left(usageError("one of --problem and --models is needed, or --task-config or --cases", "see glet plan --help"))
  }
  const stray = sources[source].find((key) => isGiven(args, key))
  if (stray !== undefined) return Either.left(usageError(`--${flagName(stray)} says nothing with --${flagName(source)}`, "see glet plan --help"))
  const toStdout = [...(args.json ? ["--json"] : []), ...(args.output === "-" ? ["--output -"] : []), ...(args.svg === "-" ? ["--svg -"] : [])]
  if (toStdout.length > 1) return Either.left(usageError(`${toStdout.join(" and ")} both write to stdout`, "give one of them a file"))
  return Either.right(source)
}

const readAny = (args: Args, source: "problem" | "models" | "taskConfig"): Effect.Effect<{ readonly problem: PlanProblem; readonly planner?: string }, unknown> => {
  if (source === "problem") return Effect.map(readProblem(args.problem!), (problem) => ({ problem }))
  if (source === "taskConfig") return readOriginal({ ...args, taskConfig: args.taskConfig! })
  return Effect.promise(() => import("../internal/localProblem.js")).pipe(
    Effect.flatMap((module) => module.localProblem({ ...args, models: args.models! })),
    Effect.map((problem) => ({ problem }))
  )
}

const showCulprits = (error: Infeasible): void => {
  for (const culprit of error.culprits) {
    // Some planners say it in their own words already.
    const isSaid = (value: number | undefined): boolean => value === undefined || culprit.detail.includes(`${Number(value.toPrecision(4))} `)
    const nearest = [
      ...(isSaid(culprit.nearestSloMs) ? [] : [`an SLO of ${ms(culprit.nearestSloMs!)} ms could be kept`]),
      ...(isSaid(culprit.nearestRateRps) ? [] : [`${rps(culprit.nearestRateRps!)} items/s could be carried`])
    ]
    note(`${culprit.model}: ${culprit.reason}: ${culprit.detail}${nearest.length === 0 ? "" : `; ${nearest.join(", ")}`}`)
  }
}

/** What the GPUs in use cost; their number where they have no prices. */
const costOf = (made: Plan, problem: PlanProblem): number => {
  const costs = new Map<string, number>(problem.gpus.map(({ cost, id }) => [id, cost ?? 1]))
  return made.gpus.reduce((sum, { glets, gpu }) => (glets.length === 0 ? sum : sum + costs.get(gpu)!), 0)
}

const boundOf = (made: Plan, problem: PlanProblem): string => {
  if (made.headroom !== undefined && made.headroomBound !== undefined) {
    return `, all rates can grow ${made.headroom.toFixed(2)}x, on these GPUs no plan allows more than ${made.headroomBound.toFixed(2)}x`
  }
  if (made.lowerBound === undefined || made.lowerBound === 0) return ""
  const cost = costOf(made, problem)
  const isPriced = problem.gpus.some((gpu) => gpu.cost !== undefined)
  const what = isPriced ? `costing ${Number(cost.toPrecision(6))}, no plan costs less` : "no plan needs fewer"
  return made.lowerBound >= cost * (1 - 1e-9) ? `, ${what}` : `, ${what} than ${Number(made.lowerBound.toPrecision(6))} (gap ${percent(cost / made.lowerBound - 1)})`
}

const show = (made: Plan, problem: PlanProblem): void => {
  const colour = colourOut()
  out(`${bold(`${gpusUsed(made)} of ${problem.gpus.length} GPUs`, colour)} by ${made.planner}${boundOf(made, problem)}\n${renderPlan(made, colour)}`)
}

/** The plan with the better of its own bound and ours, where it carries all that is asked. */
const withBound = (args: Args, problem: PlanProblem, made: Plan): Effect.Effect<Plan, CliError> =>
  Effect.gen(function*() {
    const effort: BoundEffort = args.bound ?? "thorough"
    if (made.headroom !== undefined && made.headroomBound !== undefined) {
      if (args.bound === undefined || made.headroom >= made.headroomBound) return made
      const solver = yield* solverFor(effort)
      const { factor } = headroomBound(problem, { effort, knownFactor: made.headroom, ...(solver === undefined ? {} : { solver }) })
      return { ...made, headroomBound: Math.min(factor, made.headroomBound) }
    }
    if (args.degrade || made.shortfalls.some(({ askedRps, plannedRps }) => plannedRps < askedRps)) return made
    const knownCost = costOf(made, problem)
    if ((made.lowerBound ?? 0) >= knownCost * (1 - 1e-9)) return made
    const solver = yield* solverFor(effort)
    const { cost } = fewestBound(problem, { effort, knownGpus: gpusUsed(made), knownCost, ...(solver === undefined ? {} : { solver }) })
    return { ...made, lowerBound: Math.max(cost, made.lowerBound ?? 0) }
  })

/** Where there is no plan, GPUs are looked for up to this many. */
const mostGpus = 128

/** For what is looked for by many plans: none of them is worth a long search. */
const inPassing = (problem: PlanProblem): PlanProblem =>
  ({ ...problem, options: { ...problem.options, fullSearch: false, effort: Math.min(problem.options.effort ?? 1, effortOf.normal) } })

/** How many GPUs would be enough, of each type alone. */
const enough = (planner: PlannerAlgorithm, problem: PlanProblem): string =>
  [...new Set(problem.gpus.map(({ type }) => type))].map((type) => {
    const { gpus } = fewestGpus(planner, inPassing(problem), type, mostGpus)
    return gpus === undefined ? `${mostGpus} GPUs of type ${type} are not enough either` : `${gpus} GPUs of type ${type} would be enough`
  }).join("\n")

const refuse = (args: Args, planner: PlannerAlgorithm, problem: PlanProblem, failure: Infeasible): Effect.Effect<never, CliError> =>
  Effect.gen(function*() {
    if (args.output !== undefined) yield* writeText(args.output, writeModelList(undefined), "the model list")
    const nearest = withNearest(planner, inPassing(problem), failure)
    if (args.json) out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Infeasible", planner: nearest.planner, culprits: nearest.culprits, nearestFactor: nearest.nearestFactor }))
    else {
      showCulprits(nearest)
      if (nearest.nearestFactor !== undefined) note(`all models together fit at ${Number((100 * nearest.nearestFactor).toPrecision(4))} % of their rates`)
    }
    if (args.explain) note(enough(planner, problem))
    return yield* new CliError({
      reason: "infeasible",
      problem: `planner ${planner.name} found no plan for ${nearest.culprits.map((culprit) => culprit.model).join(", ")}`,
      hint: "--degrade plans what fits"
    })
  })

const present = (args: Args, planner: PlannerAlgorithm, problem: PlanProblem, made: Plan): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    if (args.output !== undefined) yield* writeText(args.output, writeModelList(made), "the model list")
    if (args.svg !== undefined) yield* writeText(args.svg, planPicture(made), "the picture")
    const explained = args.explain ? { models: explainPlan(made, problem), next: nextGpu(planner, made, problem) } : undefined
    if (args.json) {
      out(explained === undefined
        ? encodePlan(made)
        // A best-effort model's SLO is infinite, which JSON has no number for.
        : JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "ExplainedPlan", plan: JSON.parse(encodePlan(made)), ...explained }, null, 2))
      return
    }
    if (args.output === "-" || args.svg === "-") return
    show(made, problem)
    if (explained !== undefined) out(`\n${renderExplanation(explained.models, explained.next, colourOut())}`)
  })

/** `glet plan` */
export const handle = (args: Args): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const source = yield* sourceOf(args)
    if (source === "cases") return yield* planCases({ ...args, cases: args.cases! })
    const given = args.planner === undefined ? undefined : yield* plannerNamed(args.planner)
    for (const [file, what] of [[args.output, "the model list"], [args.svg, "the picture"]] as const) {
      if (file !== undefined) yield* checkWritable(file, what)
    }
    const read = yield* readAny(args, source)
    const planner = given ?? (yield* plannerNamed(read.planner ?? defaultPlanner.name))
    if (args.modelList !== undefined && planner.name !== "static") return yield* usageError("--model-list is for --planner static")
    const fixed = args.modelList === undefined ? {} : { fixedGlets: yield* readModelList(args.modelList) }
    const effort = args.effort === undefined ? {} : { effort: effortOf[args.effort] }
    const problem: PlanProblem = { ...read.problem, options: { ...read.problem.options, ...fixed, ...effort, whenShort: args.degrade ? "degrade" : "fail" } }
    const made = planner.plan(problem)
    if (Either.isLeft(made)) return yield* refuse(args, planner, problem, made.left)
    const violations = validatePlan(made.right, problem)
    if (violations.length > 0) {
      return yield* Effect.dieMessage(`planner ${planner.name} broke a rule: ${violations.map((violation) => `${violation.kind} ${violation.message}`).join("; ")}`)
    }
    yield* present(args, planner, problem, yield* withBound(args, problem, made.right))
  })
