/**
 * Planners by name, and the solver that some need.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { BoundEffort } from "../../scheduler/bounds/Bound.js"
import type { PlannerAlgorithm } from "../../scheduler/Planner.js"
import type { UnknownPlanner } from "../../scheduler/PlannerRegistry.js"
import { findPlanner } from "../../scheduler/PlannerRegistry.js"
import type { Solver } from "../../scheduler/solver/Solver.js"
import { CliError } from "../CliError.js"

const loadSolver: Effect.Effect<Solver, CliError> = Effect.promise(() => import("../../scheduler/solver/HighsSolver.js")).pipe(
  Effect.flatMap(({ load }) => load),
  Effect.mapError((error) => new CliError({ reason: "failed", problem: error.message }))
)

/** The solver where an effort needs one. @since 0.1.0 @category solvers */
export const solverFor = (effort: BoundEffort): Effect.Effect<Solver | undefined, CliError> =>
  effort === "proof" ? loadSolver : Effect.succeed(undefined)

/** A planner by name or alias, with its solver loaded. @since 0.1.0 @category planners */
export const plannerNamed = (name: string): Effect.Effect<PlannerAlgorithm, UnknownPlanner | CliError> =>
  Effect.suspend(() => findPlanner(name)).pipe(
    Effect.catchTag("SolverNeeded", () => Effect.flatMap(loadSolver, (solver) => findPlanner(name, solver))),
    Effect.catchTag("SolverNeeded", (error) => Effect.die(error))
  )
