/**
 * What would be possible instead of a problem that a planner cannot solve.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { PlanProblem } from "../core/PlanProblem.js"
import type { Culprit, PlannerAlgorithm } from "./Planner.js"
import { Infeasible } from "./Planner.js"

const steps = 12
/** Searching plans many times: only for so many culprits. */
const examined = 4

/** Halves the gap between a value that works and one that does not. */
const closest = (works: number, fails: number, holds: (value: number) => boolean): number => {
  let [good, bad] = [works, fails]
  for (let step = 0; step < steps; step++) {
    const middle = (good + bad) / 2
    if (holds(middle)) good = middle
    else bad = middle
  }
  return good
}

/** SLOs are relaxed up to this multiple. */
const mostRelaxed = 64

/**
 * The same failure, with the largest rate or else the smallest SLO that each culprit could have while all other demands stay as they are, as the
 * planner itself finds it: what is offered was planned. Culprits that name something nearest already, or for which neither helps, are kept.
 * @since 0.1.0
 * @category planning
 */
export const withNearest = (planner: PlannerAlgorithm, problem: PlanProblem, failure: Infeasible): Infeasible => {
  const improve = (culprit: Culprit): Culprit => {
    const demand = problem.demands.find(({ model }) => model === culprit.model)
    if (demand === undefined || culprit.reason === "invalid" || culprit.nearestRateRps !== undefined || culprit.nearestSloMs !== undefined) return culprit
    const plans = (change: { readonly rateRps?: number; readonly sloMs?: number }): boolean =>
      Either.isRight(planner.plan({ ...problem, demands: problem.demands.map((other) => (other === demand ? { ...other, ...change } : other)) }))
    if (plans({ rateRps: 0 })) return { ...culprit, nearestRateRps: closest(0, demand.rateRps, (rateRps) => plans({ rateRps })) }
    const relaxedMs = demand.sloMs * mostRelaxed
    return plans({ sloMs: relaxedMs }) ? { ...culprit, nearestSloMs: closest(relaxedMs, demand.sloMs, (sloMs) => plans({ sloMs })) } : culprit
  }
  const [first, ...others] = failure.culprits
  return new Infeasible({ planner: failure.planner, culprits: [improve(first), ...others.map((culprit, i) => (i + 1 < examined ? improve(culprit) : culprit))] })
}
