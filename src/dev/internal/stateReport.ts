/** Tells the page how things stand, at most ten times a second. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { emptyPlan } from "../../core/Plan.js"
import { modelView } from "../HostModel.js"
import type { GletView, HostState } from "../Messages.js"
import type { HostContext } from "./hostContext.js"

/** Of real time. */
const stateMs = 100

const stateOf = ({ gpu, models, view, world }: HostContext): HostState => ({
  kind: "state", world: world.name, device: world.device, speed: world.speed,
  models: [...models.values()].map((one) => modelView(one, view.status, gpu)),
  planner: view.planner, plan: view.status?.plan ?? emptyPlan, planReason: view.planReason, planningMs: view.planningMs, preview: view.preview,
  planProblem: view.planProblem, glets: (view.status?.glets ?? []).map(({ busyRatio, id, state }): GletView => ({ id, state, busyRatio })),
  traffic: view.trafficWanted, canAdd: world.read !== undefined, canJoin: world.keep !== undefined, edge: view.lent
})

/** Until the scope closes: whenever `wanted` says so, and whenever the scheduler changes. */
export const reportState = (context: HostContext, wanted: Queue.Dequeue<void>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { options, publish, real, scheduler, view } = context
    yield* scheduler.observe({
      planDeployed: (event) => {
        view.planReason = event.reason
        view.planningMs = event.planningMs
        publish()
      },
      gletExited: publish
    })
    const changed = yield* scheduler.follow
    const report = Effect.gen(function*() {
      yield* Queue.take(wanted)
      view.status = yield* scheduler.status
      options.post(stateOf(context))
      yield* Effect.withClock(Effect.sleep(stateMs), real)
    })
    yield* Effect.forkScoped(Effect.forever(Effect.map(changed, publish)))
    yield* Effect.forkScoped(Effect.forever(report))
  })
