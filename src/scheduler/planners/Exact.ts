/**
 * `exact`: a plan of which it is proved that none uses fewer GPUs, or costs less.
 *
 * First a plan and a bound from elsewhere: where `orion` reaches the certified bound, nothing is left to do. Else every configuration of a GPU is made,
 * and an integer program chooses among them. That is possible for a few models with small batches on coarse grids; where it is not, the answer says
 * so, with the numbers between which the optimum lies.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import { gpusUsed } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { validatePlan } from "../../core/ValidatePlan.js"
import type { FewestBound } from "../bounds/Bound.js"
import { fewestBound } from "../bounds/FewestBound.js"
import { makeBoundModel } from "../bounds/internal/boundModel.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"
import type { Solver } from "../solver/Solver.js"
import { configurations } from "./internal/configurations.js"
import { cheapestCover, planOfCover } from "./internal/coveringPlan.js"
import { regroup } from "../internal/search/regroup.js"
import { orionWith } from "./Orion.js"

const name = "exact"

/** One sentence for help. @since 0.1.0 @category planners */
export const exactSummary = "A plan that is proved optimal (integer programs by HiGHS), for small cases; an error where it cannot be."

/** Glets and configurations looked at, and nodes of the search among them. */
const mostLookedAt = 200_000
const mostNodes = 20_000
const orion = orionWith(regroup)

/** How much longer than usual `orion` searches for the plan that the bound leaves room for. */
const patience = 8

const costOf = (plan: Plan, problem: PlanProblem): number =>
  plan.gpus.reduce((sum, { glets }, at) => (glets.length === 0 ? sum : sum + (problem.gpus[at]!.cost ?? 1)), 0)

const bestEffortLeftOut = (problem: PlanProblem): PlanProblem => ({
  ...problem,
  demands: problem.demands.filter(({ serviceClass }) => serviceClass === "latency-critical"),
  options: { ...problem.options, whenShort: "fail" }
})

const failure = (culprits: ReadonlyArray<Culprit>): Either.Either<never, Infeasible> =>
  Either.left(new Infeasible({ planner: name, culprits: culprits as [Culprit, ...Array<Culprit>] }))

/**
 * The optimum among all configurations; `too-large` where they are too many.
 * @since 0.1.0
 * @category planners
 */
export const planByConfigurations = (solver: Solver, problem: PlanProblem): Plan | "none" | "too-large" => {
  const { classes, demands } = makeBoundModel(problem)
  const found = configurations(problem, classes, demands, mostLookedAt)
  if (found === undefined) return "too-large"
  const counts = cheapestCover(solver, classes, demands.length, found, mostNodes)
  if (counts === "none") return "none"
  if (counts === "unknown") return "too-large"
  const plan = planOfCover(problem, name, found, counts, classes)
  return validatePlan(plan, problem).length === 0 ? plan : "too-large"
}

const range = (known: Plan | undefined, bound: FewestBound): string =>
  known === undefined ? `at least ${bound.gpus} GPUs are needed` : `the optimum lies between ${bound.gpus} and ${gpusUsed(known)} GPUs`

/**
 * The planner, with a solver.
 * @since 0.1.0
 * @category planners
 */
export const exact = (solver: Solver): PlannerAlgorithm => ({
  name,
  summary: exactSummary,
  plan: (problem, current) => {
    const asked = bestEffortLeftOut(problem)
    const answer = orion.plan(asked, current)
    const isValid = (found: typeof answer): found is Either.Right<never, Plan> =>
      Either.isRight(found) && found.right.shortfalls.length === 0 && validatePlan(found.right, asked).length === 0
    const [firstDemand] = asked.demands
    const isInvalid = Either.isLeft(answer) && answer.left.culprits.some(({ reason }) => reason === "invalid")
    if (isInvalid) return failure(answer.left.culprits)
    const known = isValid(answer) ? answer.right : undefined
    const bound = fewestBound(asked, { effort: "proof", solver, ...(known === undefined ? {} : { knownGpus: gpusUsed(known), knownCost: costOf(known, asked) }) })
    const finished = (plan: Plan): Either.Either<Plan, never> =>
      Either.right({
        ...plan,
        planner: name,
        lowerBound: gpusUsed(plan),
        shortfalls: problem.demands.flatMap(({ model, serviceClass }) =>
          serviceClass === "best-effort" ? [{ model, askedRps: 0, plannedRps: 0, reason: `planner ${name} places latency-critical models only` }] : [])
      })
    const isOptimal = (plan: Plan): boolean => bound.cost >= costOf(plan, asked) * (1 - 1e-9)
    if (known !== undefined && isOptimal(known)) return finished(known)
    const impossible = (): Either.Either<never, Infeasible> =>
      failure(Either.isLeft(answer) ? answer.left.culprits : asked.demands.map(({ model }) => ({ model, reason: "not-enough-gpus", detail: "does not fit beside the others" })))
    if (bound.gpus === Infinity) return impossible()
    const harder = orion.plan({ ...asked, options: { ...asked.options, effort: patience } }, current)
    if (isValid(harder) && isOptimal(harder.right)) return finished(harder.right)
    const found = planByConfigurations(solver, asked)
    if (found === "none") return impossible()
    if (found !== "too-large") return finished(found)
    return failure([{
      model: firstDemand!.model,
      reason: "too-large",
      detail: `is one of ${asked.demands.length} models with more configurations of a GPU than ${name} looks at (${mostLookedAt}); ${range(known, bound)}; plan with orion`
    }])
  }
})
