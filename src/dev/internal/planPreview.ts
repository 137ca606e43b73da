/** Plans for the sliders as they stand: shown while they move, deployed when they stop. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { emptyPlan } from "../../core/Plan.js"
import { demandsOf } from "../../scheduler/PlanSuccession.js"
import { findPlanner } from "../../scheduler/PlannerRegistry.js"
import type { PlanQuestion } from "../../scheduler/PlanThread.js"
import type { HostModel } from "../HostModel.js"
import { amendedModel } from "../HostModel.js"
import type { ModelControls } from "../Messages.js"
import type { HostContext } from "./hostContext.js"
import { failedAnswer, registered } from "./hostContext.js"

export interface PlanPreview {
  /** Takes what a model's sliders say; undefined where there is no such model. */
  readonly setControls: (name: string, controls: ModelControls) => HostModel | undefined
  /** Shows the plan; of many wishes the last one counts. */
  readonly show: () => void
  /** Deploys it, if there is one. */
  readonly deploy: (one: HostModel) => Effect.Effect<void>
  readonly usePlanner: (name: string) => Effect.Effect<void>
}

const questionOf = (context: HostContext): PlanQuestion => {
  const { gpu, models, planOptions, view, world } = context
  const known = registered(context)
  return {
    planner: view.planner, gpus: world.gpus, options: planOptions, current: view.status?.plan ?? emptyPlan,
    demands: demandsOf(known.map(amendedModel), (name) => models.get(name)!.controls.rateRps),
    profiles: new Map([[gpu.type, new Map(known.map(({ model, profile }) => [model.name, profile!]))]])
  }
}

export const startPreview = (context: HostContext): Effect.Effect<PlanPreview, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { models, publish, scheduler, traffic, view, worker } = context
    /** Whether there is a plan. */
    const look = Effect.gen(function*() {
      const answer = yield* worker.ask({ kind: "plan", question: questionOf(context) })
      const plan = answer.kind === "plan" ? answer.answer : { ok: false as const, detail: failedAnswer(answer) }
      view.preview = plan.ok ? plan.plan : undefined
      view.planProblem = plan.ok ? "" : plan.detail
      publish()
      return plan.ok
    })
    const wanted = yield* Queue.sliding<void>(1)
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(wanted), look)))
    const deployed = Effect.sync(() => {
      view.preview = undefined
      publish()
    })
    return {
      setControls: (name, controls) => {
        const one = models.get(name)
        if (one === undefined) return undefined
        one.controls = controls
        publish()
        traffic.set(scheduler.nowMs(), name, controls.rateRps)
        return one
      },
      show: () => void Queue.unsafeOffer(wanted, undefined),
      deploy: (one) =>
        Effect.gen(function*() {
          if (!(yield* look)) return
          // While it is paused nobody tells the rates of the others.
          yield* Effect.forEach(view.trafficOn ? [one] : registered(context), ({ controls, model }) =>
            scheduler.amend(model.name, { serviceClass: controls.serviceClass, sloMs: controls.sloMs, expectedRateRps: controls.rateRps }),
          { concurrency: "unbounded", discard: true })
        }).pipe(Effect.zipRight(deployed)),
      usePlanner: (name) =>
        Effect.gen(function*() {
          const planner = findPlanner(name)
          if (Either.isLeft(planner)) return
          view.planner = planner.right.name
          if (yield* look) yield* scheduler.usePlanner(planner.right)
        }).pipe(Effect.zipRight(deployed))
    }
  })
