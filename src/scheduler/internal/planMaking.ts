/** The next plan: what is asked for at the rates now estimated, the planner's answer, on the thread for it where there is one, and its check. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Gpu } from "../../core/Gpu.js"
import type { ModelName } from "../../core/Ids.js"
import type { Plan } from "../../core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import type { LearnedInterference } from "../LearnedInterference.js"
import { withLearnedOnce } from "../LearnedInterference.js"
import type { PlanAttempt } from "../PlanAttempts.js"
import { planLeavingTime } from "../PlanAttempts.js"
import type { Leaving, PlanBasis } from "../PlanBasis.js"
import { makePlanBasis } from "../PlanBasis.js"
import type { PlannerAlgorithm } from "../Planner.js"
import type { NoSuccessor } from "../PlanSuccession.js"
import { askPlanner, succeed } from "../PlanSuccession.js"
import type { PlanThread } from "../PlanThread.js"
import type { ProfilesByType } from "../ProfileLatencyModel.js"
import type { Registration } from "./registry.js"
import { plannable, profilesOf } from "./registry.js"
import type { MakeLatencyModel } from "./sameProfiles.js"
import { onceFor } from "./sameProfiles.js"

export interface PlanMakingOptions {
  readonly planner: PlannerAlgorithm
  /** Where plans are made; on this thread where it is left out. */
  readonly planThread: PlanThread["Type"] | undefined
  readonly planOptions: PlanOptions
  readonly latencyModel: MakeLatencyModel
  readonly nowMs: () => number
  readonly rateOf: (model: ModelName) => number
  readonly itemsPerRequest: (model: ModelName) => number
  /** What serving taught of interference so far, and of what a batch takes besides its execution, ms. */
  readonly learned: () => LearnedInterference
  readonly wayMs: () => number
  /** The least part of a model's requests that kept their objective under the deployed plan. */
  readonly kept: () => number
}

export interface Planned {
  readonly plan: Plan
  readonly basis: PlanBasis
  readonly planningMs: number
}

/** What there is. */
interface Situation {
  readonly gpus: ReadonlyArray<Gpu>
  readonly registrations: Iterable<Registration>
  readonly current: Plan
  /** `current` as far as its glets may stay. */
  readonly stayable: Plan
  readonly nextGletNumber: number
}

export class PlanMaking {
  private readonly latencyOf: MakeLatencyModel
  private readonly learnedOf = withLearnedOnce()

  constructor(private readonly options: PlanMakingOptions) {
    this.latencyOf = onceFor(options.latencyModel)
  }

  /** Left: why there is none. */
  make({ current, gpus, nextGletNumber, registrations, stayable }: Situation): Effect.Effect<Either.Either<Planned, NoSuccessor>> {
    return Effect.suspend(() => {
      const { itemsPerRequest, nowMs, planOptions: options, planner, rateOf } = this.options
      const startMs = nowMs()
      const entries = plannable(registrations)
      const profiles = profilesOf(entries)
      const learned = this.options.learned()
      const profiled = this.latencyOf(profiles, gpus)
      const models = entries.map(({ model }) => model)
      const attempt = (leaving: Leaving): Effect.Effect<PlanAttempt> => {
        const basis = makePlanBasis({ models, gpus, options, rateOf, itemsPerRequest, profiled, learned, leaving, latencyOf: this.learnedOf })
        const { problem } = basis
        return Effect.map(this.ask(problem, profiles, learned, current), (answer) => ({
          basis, plan: Either.flatMap(answer, (plan) => succeed(plan, { planner, problem, current, stayable, nextGletNumber }))
        }))
      }
      const search = planLeavingTime(this.options.wayMs(), stayable, this.options.kept())
      return Effect.gen(function*() {
        let asked = search.next()
        while (asked.done !== true) asked = search.next(yield* attempt(asked.value))
        const { basis, plan } = asked.value
        return Either.map(plan, (plan): Planned => ({ plan, basis, planningMs: nowMs() - startMs }))
      })
    })
  }

  private ask(problem: PlanProblem, profiles: ProfilesByType, learned: LearnedInterference, current: Plan): Effect.Effect<Either.Either<Plan, NoSuccessor>> {
    const { planThread, planner } = this.options
    // Planners are synchronous: requests that wait for the thread go first.
    const here = Effect.zipRight(Effect.yieldNow(), Effect.sync(() => askPlanner(planner, problem, current)))
    if (planThread === undefined) return here
    const { demands, gpus, options } = problem
    return planThread.answer({ planner: planner.name, gpus, demands, options, profiles, learned, current }).pipe(
      Effect.map((answer): Either.Either<Plan, NoSuccessor> => (answer.ok ? Either.right(answer.plan) : Either.left(answer))),
      Effect.catchAll((failed) => Effect.zipRight(
        Effect.logWarning(failed.message),
        // What was too much for a thread of its own would be too much here.
        failed.reason === "not-started" ? here : Effect.succeed(Either.left({ detail: failed.message, culprits: [] }))
      ))
    )
  }
}
