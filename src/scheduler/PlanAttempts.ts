/**
 * The plans that are asked for, one after the other, by what they leave free of objectives, and which of them is deployed. Server and simulator make them in their own ways.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { ModelName } from "../core/Ids.js"
import type { Plan } from "../core/Plan.js"
import { emptyPlan } from "../core/Plan.js"
import { leastPart, nearlyAll } from "./internal/carried.js"
import { disturbsNothing, standingPlan } from "./internal/standingPlan.js"
import type { Leaving, PlanBasis } from "./PlanBasis.js"
import type { NoSuccessor } from "./PlanSuccession.js"

/** A plan, or why there is none, and what it was asked on. @since 0.1.0 @category planning */
export interface PlanAttempt {
  readonly basis: PlanBasis
  readonly plan: Either.Either<Plan, NoSuccessor>
}

/** The least part of what a model needs that the plan carries, or of what was asked for; 0 without a plan. */
const carriedPart = ({ basis, plan }: PlanAttempt, of: ReadonlyMap<ModelName, number> = basis.needed): number =>
  Either.isLeft(plan) ? 0 : leastPart(plan.right, of)

/** The plan, with what the other says of models that both leave short: that of whole objectives is what people know of. */
const explainedBy = (attempt: PlanAttempt, { plan: other }: PlanAttempt): PlanAttempt => {
  const { plan } = attempt
  if (Either.isLeft(plan) || Either.isLeft(other)) return attempt
  const reasons = new Map(other.right.shortfalls.map(({ model, reason }) => [model, reason]))
  const shortfalls = plan.right.shortfalls.map((short) => ({ ...short, reason: reasons.get(short.model) ?? short.reason }))
  return { ...attempt, plan: Either.right({ ...plan.right, shortfalls }) }
}

/** Whether the plan was made to carry as much as the GPUs can, and what it has beyond what is asked is there for slack: best-effort work would have a use for that. */
const isForHeadroom = ({ basis, plan }: PlanAttempt): boolean =>
  Either.isRight(plan) && plan.right.objective === "headroom" && basis.problem.demands.every(({ serviceClass }) => serviceClass !== "best-effort")

/** By how much all rates can grow under such a plan; 0 where not all fits. */
const growthOf = ({ plan }: PlanAttempt): number => (Either.isLeft(plan) || plan.right.shortfalls.length > 0 ? 0 : plan.right.headroom ?? 0)

/**
 * Answers come earlier where half of each objective is left free, or a quarter. An objective that is used up to the last is missed whenever a client, a network or a
 * host is late, and where models of a glet come in bursts.
 */
const roomyParts = [1 / 2, 1 / 4]

/**
 * Where not all fits either way: a plan that leaves time is taken if it carries this part of what fits otherwise, where what glets do to each other is assumed, or made of what pairs do; no
 * plan is better known than that. Of one H200 that carried 2,480 of LeNet's requests a second beside others on a glet of its own, by prediction 81 % of them, the plan that promised 82 % had
 * it wait for VGG16 up to the last of its 5 ms. Simulated, where MNASNet takes twice as long as measured and all else 1.3 times, LeNet lost 82 and 34 % of 1,900 and 2,100 under such plans.
 */
const nearlyAsMuchAssumed = 0.95
/** The same where what glets do to each other is known: searches differ by as much. */
const nearlyAsMuch = 0.98

/** Less than this part of every objective is hardly worth another plan. */
const leastOfObjectives = 0.02

/** The largest part of an objective that is left free. */
const leftFree = ({ objectives, problem }: PlanBasis): number =>
  problem.demands.reduce((most, { model, sloMs }) => {
    const wholeMs = objectives.get(model) ?? Infinity
    return wholeMs === Infinity ? most : Math.max(most, 1 - sloMs / wholeMs)
  }, 0)

/** The plan that leaves most of every objective free of those that carry enough. */
function* roomiest(wayMs: number, carriesEnough: (roomy: PlanAttempt) => boolean): Generator<Leaving, PlanAttempt | undefined, PlanAttempt> {
  for (const part of roomyParts) {
    const roomy = yield { wayMs, part }
    if (isForHeadroom(roomy) && carriesEnough(roomy)) return roomy
  }
  return undefined
}

/** Whole objectives, but for the way if all fits so. */
function* carryingMost(first: PlanAttempt, wayMs: number): Generator<Leaving, PlanAttempt, PlanAttempt> {
  if (carriedPart(first, first.basis.asked) < nearlyAll && first.basis.problem.demands.some(({ itemsPerRequest = 1 }) => itemsPerRequest > 1)) {
    const singly = yield { wayMs, part: 0, bursts: false }
    if (carriedPart(singly) >= nearlyAll) return singly
  }
  if (wayMs === 0 || carriedPart(first) >= nearlyAll || (carriedPart(first) > 0 && leftFree(first.basis) < leastOfObjectives)) return first
  const second = yield { wayMs: 0, part: 0 }
  return Either.isLeft(first.plan) || carriedPart(second) > carriedPart(first) + 1e-9 ? second : explainedBy(first, second)
}

/**
 * Whether a plan may be taken for the slack it leaves instead of another that carries all: glets that open for that, a minute some of them, cost more of what is served than it gains, unless
 * objectives were missed.
 */
const mayReplace = (roomy: PlanAttempt, other: PlanAttempt, deployed: Plan, kept: number): boolean => {
  const disturbs = ({ plan }: PlanAttempt): boolean => Either.isRight(plan) && !disturbsNothing(plan.right, deployed)
  return kept < 1 || !disturbs(roomy) || disturbs(other)
}

function* attemptsLeavingTime(wayMs: number, deployed: Plan, kept: number): Generator<Leaving, PlanAttempt, PlanAttempt> {
  const first = yield { wayMs, part: 0 }
  if (isForHeadroom(first) && growthOf(first) >= 1) return (yield* roomiest(wayMs, (roomy) => growthOf(roomy) >= 1 && mayReplace(roomy, first, deployed, kept))) ?? first
  const most = yield* carryingMost(first, wayMs)
  const carried = carriedPart(most)
  if (!isForHeadroom(most) || carried === 0 || carried >= nearlyAll) return most
  const part = most.basis.problem.latency.interference?.isAssumed === true ? nearlyAsMuchAssumed : nearlyAsMuch
  const carriesEnough = (other: PlanAttempt): boolean => carriedPart(other) >= part * carried
  const roomy = (yield* roomiest(wayMs, carriesEnough)) ?? (carriesEnough(first) ? first : most)
  return explainedBy(roomy, most)
}

/**
 * The plan to deploy, asked for by what it leaves free of objectives; whoever runs this makes the plans. One that carries less than needed is made again
 * without the time for the way, if that is some part of an objective: to be late now and then is better than to leave a model out. Not so one that only lacks
 * room for requests of several items: some of them are late when many come at once, of those of the other many are all the time. It is made for the items one
 * by one, if all of those fit: each model would have a corner of its own else, too small for its bursts, where they can share what there is.
 *
 * More is left free, half of each objective, a quarter, or at least that time for the way, where that costs nothing that is asked for, or hardly anything (`nearlyAsMuch`).
 *
 * Where no plan carries all that is asked for, the deployed one stays unless another carries clearly more (`standingPlan`) than it was seen to: `kept` is the
 * least part of a model's requests that kept their objective under it.
 * @since 0.1.0
 * @category planning
 */
export function* planLeavingTime(wayMs: number, deployed: Plan = emptyPlan, kept = 1): Generator<Leaving, PlanAttempt, PlanAttempt> {
  const chosen = yield* attemptsLeavingTime(wayMs, deployed, kept)
  if (Either.isLeft(chosen.plan)) return chosen
  const standing = standingPlan(deployed, chosen.plan.right, chosen.basis, kept)
  return standing === undefined ? chosen : { ...chosen, plan: Either.right(standing) }
}
