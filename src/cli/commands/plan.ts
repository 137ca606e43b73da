import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import { encodePlan, gpusUsed } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { validatePlan } from "../../core/ValidatePlan.js"
import type { Infeasible } from "../../scheduler/Planner.js"
import { findPlanner } from "../../scheduler/PlannerRegistry.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { readProblem } from "../internal/planProblem.js"
import { renderPlan } from "../internal/planTable.js"
import { bold, colourOut, ms, note, out, rps } from "../internal/terminal.js"
import type { plan } from "../specs.js"

const explain = (error: Infeasible): void => {
  for (const culprit of error.culprits) {
    const nearest = [
      ...(culprit.nearestSloMs === undefined ? [] : [`an SLO of ${ms(culprit.nearestSloMs)} ms could be kept`]),
      ...(culprit.nearestRateRps === undefined ? [] : [`${rps(culprit.nearestRateRps)} items/s could be carried`])
    ]
    note(`${culprit.model}: ${culprit.reason}: ${culprit.detail}${nearest.length === 0 ? "" : `; ${nearest.join(", ")}`}`)
  }
}

const show = (made: Plan, problem: PlanProblem): void => {
  const colour = colourOut()
  const bound = made.lowerBound === undefined ? "" : `, no plan needs fewer than ${made.lowerBound}`
  out(`${bold(`${gpusUsed(made)} of ${problem.gpus.length} GPUs`, colour)} by ${made.planner}${bound}\n${renderPlan(made, colour)}`)
}

/** `glet plan` */
export const handle = (args: ParsedArgs<typeof plan>): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    if ((args.problem === undefined) === (args.models === undefined)) {
      return yield* usageError("one of --problem and --models is needed", "see glet plan --help")
    }
    const planner = yield* findPlanner(args.planner)
    const problem = args.problem !== undefined
      ? yield* readProblem(args.problem)
      : yield* Effect.promise(() => import("../internal/localProblem.js")).pipe(Effect.flatMap((module) => module.localProblem({ ...args, models: args.models! })))
    const made = planner.plan({ ...problem, options: { ...problem.options, whenShort: args.degrade ? "degrade" : "fail" } })
    if (Either.isLeft(made)) {
      if (args.json) out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Infeasible", planner: made.left.planner, culprits: made.left.culprits }))
      else explain(made.left)
      return yield* new CliError({ reason: "infeasible", problem: `planner ${planner.name} found no plan for ${made.left.culprits.map((culprit) => culprit.model).join(", ")}`, hint: "--degrade plans what fits" })
    }
    const violations = validatePlan(made.right, problem)
    if (violations.length > 0) {
      return yield* Effect.dieMessage(`planner ${planner.name} broke a rule: ${violations.map((violation) => `${violation.kind} ${violation.message}`).join("; ")}`)
    }
    if (args.json) out(encodePlan(made.right))
    else show(made.right, problem)
  })
