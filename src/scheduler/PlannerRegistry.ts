/**
 * The planners by name.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { suggest } from "../core/internal/suggest.js"
import { defaultPlanner } from "./DefaultPlanner.js"
import { regroup } from "./internal/search/regroup.js"
import { elastic, elasticInt } from "./planners/Elastic.js"
import { equalShares } from "./planners/EqualShares.js"
import { exact, exactSummary } from "./planners/Exact.js"
import { greedy } from "./planners/Greedy.js"
import { orionWith } from "./planners/Orion.js"
import { staticPartition } from "./planners/Static.js"
import { timeShare } from "./planners/TimeShare.js"
import type { PlannerAlgorithm } from "./Planner.js"
import type { Solver } from "./solver/Solver.js"

/** All planners that need no solver, the default first. @since 0.1.0 @category planners */
export const planners: readonly [PlannerAlgorithm, ...Array<PlannerAlgorithm>] = [orionWith(regroup), elasticInt, elastic, greedy, timeShare, equalShares, staticPartition]

/** Planners that are made with a solver. @since 0.1.0 @category planners */
export const solverPlanners: ReadonlyArray<{ readonly name: string; readonly summary: string; readonly make: (solver: Solver) => PlannerAlgorithm }> = [
  { name: "exact", summary: exactSummary, make: exact }
]

/**
 * Other names of planners: gpulet's front end calls them so. In words, not `elasticInt.name`: a bundler would keep every planner that is named here.
 * @since 0.1.0
 * @category planners
 */
export const plannerAliases: ReadonlyMap<string, string> = new Map([["default", "orion"], ["oracle", "elastic-int"], ["mps-static", "static"]])

/** Whether the planner of that name is this one. @since 0.1.0 @category planners */
export const isRegistered = (planner: PlannerAlgorithm): boolean => planner === defaultPlanner || planners.includes(planner)

/** No planner of that name is known. @since 0.1.0 @category errors */
export class UnknownPlanner extends Schema.TaggedError<UnknownPlanner>()("UnknownPlanner", {
  name: Schema.String,
  known: Schema.Array(Schema.String),
  /** The known name that looks most like it, where one does. */
  suggestion: Schema.optionalWith(Schema.String, { exact: true })
}) {
  override get message(): string {
    const hint = this.suggestion === undefined ? "." : `; did you mean "${this.suggestion}"?`
    return `no planner "${this.name}"${hint} Known planners: ${this.known.join(", ")}`
  }
}

/** A planner of that name is known, but makes its plans with a solver. @since 0.1.0 @category errors */
export class SolverNeeded extends Schema.TaggedError<SolverNeeded>()("SolverNeeded", { name: Schema.String }) {
  override get message(): string {
    return `planner ${this.name} needs a solver: it plans on a desk (glet plan), not for a server; use ${defaultPlanner.name}`
  }
}

/**
 * A planner by its name or alias, upper or lower case, `_` or `-`.
 * @since 0.1.0
 * @category planners
 */
export const findPlanner = (name: string, solver?: Solver): Either.Either<PlannerAlgorithm, UnknownPlanner | SolverNeeded> => {
  const wanted = name.slice(0, 64).trim().toLowerCase().replaceAll("_", "-")
  const canonical = plannerAliases.get(wanted) ?? wanted
  const found = planners.find((planner) => planner.name === canonical)
  if (found !== undefined) return Either.right(found)
  const withSolver = solverPlanners.find((planner) => planner.name === canonical)
  if (withSolver !== undefined) return solver === undefined ? Either.left(new SolverNeeded({ name: canonical })) : Either.right(withSolver.make(solver))
  const known = [...planners, ...solverPlanners].map((planner) => planner.name)
  known.push(...plannerAliases.keys())
  const suggestion = suggest(wanted, known)
  return Either.left(new UnknownPlanner({ name, known, ...(suggestion === undefined ? {} : { suggestion }) }))
}
