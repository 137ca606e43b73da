/**
 * `glet plan --cases`: the fewest GPUs for each of many task sets, by each of several planners.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { setImmediate } from "node:timers/promises"
import type { BoundEffort } from "../../scheduler/bounds/Bound.js"
import { fewestBound } from "../../scheduler/bounds/FewestBound.js"
import { fewestGpus, onGpusOf } from "../../scheduler/FewestGpus.js"
import type { CaseLine } from "../../scheduler/original/CasePlans.js"
import { caseLine, caseOptions, problemOfCase, publishedCaseOptions } from "../../scheduler/original/CasePlans.js"
import type { PlanEffort } from "../../core/PlanEffort.js"
import { effortOf } from "../../core/PlanEffort.js"
import type { PlanOptions } from "../../core/PlanProblem.js"
import { parseCase } from "../../scheduler/original/Cases.js"
import type { PlannerAlgorithm } from "../../scheduler/Planner.js"
import { defaultPlanner } from "../../scheduler/DefaultPlanner.js"
import { counted } from "../../core/internal/counted.js"
import { CliError, usageError } from "../CliError.js"
import { checkWritable, reasonOf } from "../internal/files.js"
import { linesOf } from "../internal/lines.js"
import { plannerNamed, solverFor } from "../internal/planners.js"
import { readResource } from "../internal/originalFiles.js"
import { colourErr, makeProgress, ms, note, percent, table } from "../internal/terminal.js"

/** What is kept of a line for the summary. */
type Result = Pick<CaseLine, "min_gpus" | "lower_bound" | "solve_ms">

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN
const sum = (values: ReadonlyArray<number | null>): number => values.reduce((total: number, value) => total + (value ?? 0), 0)

/** By planner, then in the order of the sets. */
const summary = (results: ReadonlyMap<string, ReadonlyArray<Result>>): string => {
  const all = [...results.values()]
  const fewest = all[0]!.map((_, set) => Math.min(...all.map((of) => of[set]!.min_gpus ?? Infinity)))
  const rows = [...results].map(([planner, of]) => {
    const planned = of.filter(({ min_gpus }) => min_gpus !== null)
    const gpus = sum(planned.map(({ min_gpus }) => min_gpus))
    const bound = sum(planned.map(({ lower_bound }) => lower_bound))
    return [
      planner, String(of.length), String(of.length - planned.length), String(gpus), String(bound), bound === 0 ? "-" : percent(gpus / bound - 1),
      String(of.filter(({ min_gpus }, set) => (min_gpus ?? Infinity) > fewest[set]!).length), ms(median(of.map(({ solve_ms }) => solve_ms)))
    ]
  })
  return table(["planner", "sets", "no plan", "GPUs", "bound", "gap", "beaten on", "median ms"], rows, { align: "lrrrrrrr", colour: colourErr() })
}

const planners = (names: string): Effect.Effect<ReadonlyArray<PlannerAlgorithm>, unknown> =>
  Effect.gen(function*() {
    const found = yield* Effect.forEach(names.split(","), plannerNamed)
    const isStatic = found.find(({ name }) => name === "static")
    if (isStatic !== undefined) return yield* usageError("planner static does not search: it cannot say how few GPUs are enough")
    return [...new Set(found)]
  })

/** One line to a file, or to stdout. */
const writer = (file: string | undefined) =>
  file === undefined || file === "-"
    ? Effect.succeed((text: string): void => void process.stdout.write(text))
    : checkWritable(file, "the answer").pipe(Effect.andThen(
      Effect.acquireRelease(Effect.sync(() => fs.openSync(file, "w")), (handle) => Effect.sync(() => fs.closeSync(handle)))
    ), Effect.map((handle) => (text: string): void => void fs.writeSync(handle, text)))

/** @since 0.1.0 @category commands */
export interface CasesArgs {
  readonly cases: string
  readonly resource: string | undefined
  readonly resourceDir: string | undefined
  readonly planner: string | undefined
  readonly out: string | undefined
  readonly bound: BoundEffort | undefined
  readonly effort: PlanEffort | undefined
}

/** Plans every distinct set of the file, as it is read. @since 0.1.0 @category commands */
export const planCases = (args: CasesArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const chosen = yield* planners(args.planner ?? defaultPlanner.name)
    const resource = yield* readResource(args)
    const effort = args.bound ?? "proof"
    const search = args.effort === undefined ? {} : { effort: effortOf[args.effort] }
    const solver = yield* solverFor(effort)
    const write = yield* writer(args.out)
    const results = new Map<string, Array<Result>>(chosen.map(({ name }) => [name, []]))
    const seen = new Set<string>()
    const progress = makeProgress(10_000)
    const unreadable = (error: unknown): CliError => new CliError({ reason: "input", problem: `the cases ${args.cases} cannot be read: ${reasonOf(error)}` })
    yield* Stream.fromAsyncIterable(linesOf(args.cases), unreadable).pipe(
      Stream.runForEach(({ line, text }) =>
        Effect.gen(function*() {
          const each = yield* parseCase({ file: args.cases, text }, line)
          if (seen.has(each.setId)) return
          seen.add(each.setId)
          // Of the widest model: it holds for planners with narrower options too.
          let proved: number | undefined
          for (const planner of chosen) {
            // A signal is only seen between two plans.
            yield* Effect.promise(() => setImmediate())
            const problemWith = (options: PlanOptions) => problemOfCase(resource, each, 1, options).pipe(
              Effect.mapError((error) => new CliError({ reason: "input", problem: `${args.cases}:${line}: set ${each.setId}: ${error.message}` }))
            )
            const isOurs = planner.name === defaultPlanner.name || planner.name === "exact"
            const problem = yield* problemWith(isOurs ? { ...caseOptions, ...search } : publishedCaseOptions)
            const widest = yield* problemWith(caseOptions)
            const { type } = each.gpus[0]
            const start = performance.now()
            const found = fewestGpus(planner, problem, type)
            if (proved === undefined && !(found.lowerBound >= (found.gpus ?? Infinity))) {
              proved = fewestBound(onGpusOf(widest, type, 1)!, {
                effort, isUnlimited: true, ...(solver === undefined ? {} : { solver }), ...(found.gpus === undefined ? {} : { knownGpus: found.gpus })
              }).gpus
            }
            const lowerBound = Math.max(found.lowerBound, proved ?? 0)
            const answer = caseLine(each.setId, planner.name, { ...found, lowerBound }, performance.now() - start)
            write(`${JSON.stringify(answer)}\n`)
            results.get(planner.name)!.push({ min_gpus: answer.min_gpus, lower_bound: answer.lower_bound, solve_ms: answer.solve_ms })
          }
          progress.show(`${counted(seen.size, "set")} planned`)
        })
      ),
      Effect.ensuring(Effect.sync(progress.clear))
    )
    if (seen.size === 0) return yield* new CliError({ reason: "input", problem: `${args.cases} has no cases`, hint: "give one JSON object a line" })
    note(summary(results))
  }).pipe(Effect.scoped)
