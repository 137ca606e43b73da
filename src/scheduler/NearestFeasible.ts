/**
 * What would be possible instead of a problem that a planner cannot solve.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Demand, PlanProblem } from "../core/PlanProblem.js"
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

/** Rates are lowered to this part of what is asked. */
const leastFactor = 1e-3

/** SLOs are relaxed up to this multiple. */
const mostRelaxed = 64

/** Their rates can be lowered, or their SLOs relaxed, to some effect. */
const isOpen = ({ nearestRateRps, nearestSloMs, reason }: Culprit): boolean =>
  reason !== "invalid" && reason !== "no-profile" && reason !== "too-large" && nearestRateRps === undefined && nearestSloMs === undefined

/** Lower rates may help: nothing is wrong with any of them alone. */
const isTooMuch = ({ reason }: Culprit): boolean => reason === "rate-too-high" || reason === "not-enough-gpus" || reason === "memory"

/** To four digits, rounded down: what is offered is possible. */
const roundDown = (value: number): number => {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 3)
  return Number((Math.floor(value / unit) * unit).toPrecision(4))
}
const shown = (value: number): string => String(roundDown(value))

/** Of the usual effort: what is found so is near enough for a hint. */
const quickly = 0.1

/** Parts of a head-room that was found at which the planner has to find its plan again. */
const ofHeadroom = [1, 0.98, 0.95, 0.9]

/**
 * The largest factor up to 1 on all rates together for which the planner finds a plan. One that looks for head-room is asked for that, and then for the
 * plan; others are asked again and again.
 */
const commonFactor = (planner: PlannerAlgorithm, problem: PlanProblem): number | undefined => {
  const plansAt = (factor: number): boolean =>
    Either.isRight(planner.plan({ ...problem, demands: problem.demands.map((demand) => ({ ...demand, rateRps: demand.rateRps * factor })) }))
  const most = planner.plan({ ...problem, options: { ...problem.options, whenShort: "degrade", objective: "headroom", effort: quickly * (problem.options.effort ?? 1) } })
  const headroom = Either.isRight(most) && most.right.objective === "headroom" ? most.right.headroom ?? 0 : 0
  if (headroom > 0) {
    const found = ofHeadroom.map((part) => roundDown(Math.min(1, headroom) * part)).find((factor) => factor < 1 && plansAt(factor))
    if (found !== undefined) return found
  }
  // A rate of 0 takes no glet; the least that does shows whether there is room for every model.
  return plansAt(leastFactor) ? closest(leastFactor, 1, plansAt) : undefined
}

/**
 * The same failure, with the largest rate or else the smallest SLO that each culprit could have while all other demands stay as they are, as the
 * planner itself finds it: what is offered was planned. Culprits that name something nearest already are kept. Where lower rates help, it has the largest
 * factor too by which all rates together could be multiplied; a culprit that no change of its own helps says so.
 * @since 0.1.0
 * @category planning
 */
export const withNearest = (planner: PlannerAlgorithm, problem: PlanProblem, failure: Infeasible): Infeasible => {
  const plans = (demands: ReadonlyArray<Demand>): boolean => Either.isRight(planner.plan({ ...problem, demands }))
  const improve = (culprit: Culprit): Culprit => {
    const demand = problem.demands.find(({ model }) => model === culprit.model)
    if (demand === undefined || !isOpen(culprit)) return culprit
    const plansWith = (change: { readonly rateRps?: number; readonly sloMs?: number }): boolean =>
      plans(problem.demands.map((other) => (other === demand ? { ...other, ...change } : other)))
    if (plansWith({ rateRps: 0 })) return { ...culprit, nearestRateRps: closest(0, demand.rateRps, (rateRps) => plansWith({ rateRps })) }
    const relaxedMs = demand.sloMs * mostRelaxed
    return plansWith({ sloMs: relaxedMs }) ? { ...culprit, nearestSloMs: closest(relaxedMs, demand.sloMs, (sloMs) => plansWith({ sloMs })) } : culprit
  }
  const culprits = failure.culprits.map((culprit, i) => (i < examined ? improve(culprit) : culprit))
  const factor = culprits.some(isOpen) || culprits.every(isTooMuch) ? commonFactor(planner, problem) : undefined
  const together = (culprit: Culprit): Culprit => {
    const demand = problem.demands.find(({ model }) => model === culprit.model)
    if (factor === undefined || demand === undefined || !isOpen(culprit)) return culprit
    return { ...culprit, detail: `${culprit.detail}; ${shown(demand.rateRps * factor)} items/s would fit if all rates came down to ${shown(100 * factor)} %` }
  }
  const [first, ...others] = culprits.map(together)
  return new Infeasible({ planner: failure.planner, culprits: [first!, ...others], ...(factor === undefined ? {} : { nearestFactor: factor }) })
}
