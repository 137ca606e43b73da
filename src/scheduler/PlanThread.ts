/**
 * Planning on another thread than the one that serves: a search of some hundred milliseconds would hold up every request meanwhile.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Gpu } from "../core/Gpu.js"
import type { LatencyModel } from "../core/LatencyModel.js"
import type { Plan } from "../core/Plan.js"
import type { Demand, PlanOptions } from "../core/PlanProblem.js"
import type { Culprit, PlannerAlgorithm } from "./Planner.js"
import type { LearnedInterference } from "./LearnedInterference.js"
import { nothingLearned, withLearned, withLearnedOnce } from "./LearnedInterference.js"
import { findPlanner } from "./PlannerRegistry.js"
import { onceFor } from "./internal/sameProfiles.js"
import type { ProfilesByType } from "./ProfileLatencyModel.js"
import * as ProfileLatencyModel from "./ProfileLatencyModel.js"

/** A planner's question as data that crosses threads: its latency model is made of the profiles over there. @since 0.1.0 @category planning */
export interface PlanQuestion {
  /** Name or alias of a planner of the registry. */
  readonly planner: string
  readonly gpus: ReadonlyArray<Gpu>
  readonly demands: ReadonlyArray<Demand>
  readonly options: PlanOptions
  readonly profiles: ProfilesByType
  /** What serving taught beyond them; nothing where it is left out. */
  readonly learned?: LearnedInterference
  /** The deployed plan. */
  readonly current: Plan
}

/** The plan, or what could not be placed. @since 0.1.0 @category planning */
export type PlanAnswer =
  | { readonly ok: true; readonly plan: Plan }
  | { readonly ok: false; readonly detail: string; readonly culprits: ReadonlyArray<Culprit> }

/** The thread gave no answer. @since 0.1.0 @category errors */
export class PlanThreadFailed extends Schema.TaggedError<PlanThreadFailed>()("PlanThreadFailed", {
  reason: Schema.Literal("not-started", "died", "timed-out"),
  detail: Schema.String
}) {
  override get message(): string {
    return `the planning thread ${this.reason === "not-started" ? "could not be started" : this.reason === "died" ? "died" : "took too long"}: ${this.detail}`
  }
}

/**
 * Answers on another thread; the same answer that the planner gives on this one. Optional: without it the scheduler plans where it runs.
 * @since 0.1.0
 * @category services
 */
export class PlanThread extends Context.Tag("glet/scheduler/PlanThread")<PlanThread, {
  readonly answer: (question: PlanQuestion) => Effect.Effect<PlanAnswer, PlanThreadFailed>
  /** Whether the thread finds this planner by its name. */
  readonly knows: (planner: PlannerAlgorithm) => boolean
}>() {}

/** A question on its way to the thread; without profiles where they are those of the question before. @since 0.1.0 @category planning */
export type PlanMessage = Omit<PlanQuestion, "profiles"> & { readonly profiles?: ProfilesByType }

const answerWith = ({ current, demands, gpus, options, planner }: PlanMessage, latency: LatencyModel): PlanAnswer => {
  const found = findPlanner(planner)
  if (Either.isLeft(found)) return { ok: false, detail: found.left.message, culprits: [] }
  try {
    const answer = found.right.plan({ gpus, demands, options, latency }, current)
    return Either.isRight(answer)
      ? { ok: true, plan: answer.right }
      : { ok: false, detail: answer.left.message, culprits: answer.left.culprits }
  } catch (defect) {
    return { ok: false, detail: `planner ${planner} threw: ${String(defect)}`, culprits: [] }
  }
}

/** What the thread does with a question. A planner that throws has an answer too. @since 0.1.0 @category planning */
export const answerQuestion = (question: PlanQuestion): PlanAnswer =>
  answerWith(question, withLearned(ProfileLatencyModel.makeFor(question.profiles, question.gpus), question.learned ?? nothingLearned))

/**
 * What the thread does with one message after the other: profiles, and what planners tabulated of them, stay from one to the next.
 * @since 0.1.0
 * @category planning
 */
export const makeAnswering = (): (message: PlanMessage) => PlanAnswer => {
  const latencyOf = onceFor(ProfileLatencyModel.makeFor)
  const learnedOf = withLearnedOnce()
  let known: ProfilesByType | undefined
  return (message) => {
    known = message.profiles ?? known
    return known === undefined
      ? { ok: false, detail: "the first question to a planning thread came without profiles", culprits: [] }
      : answerWith(message, learnedOf(latencyOf(known, message.gpus), message.learned ?? nothingLearned))
  }
}
