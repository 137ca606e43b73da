/**
 * What arrives and what executions take, watched together: the online service's control interval, and the simulator's. A pure state, moved by
 * `watchControl`.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"
import type { Plan } from "../core/Plan.js"
import type { DispatcherView } from "./DispatcherView.js"
import type { InterferenceWatch, InterferenceWatchOptions } from "./InterferenceWatch.js"
import { holdsWith, watchInterference } from "./InterferenceWatch.js"
import type { LoadView, LoadWatch } from "./LoadWatch.js"
import { watchLoad } from "./LoadWatch.js"
import type { PlanBasis } from "./PlanBasis.js"
import type { ReplanOptions } from "./ReplanPolicy.js"
import type { ArrivedItems } from "./RequestSize.js"

const nothingArrived: ArrivedItems = { items: 0, together: 0 }

/** How often to look, where nobody says otherwise, ms. @since 0.1.0 @category replanning */
export const defaultControlMs = 100

/** Where both begin: `makeLoadWatch`, `makeInterferenceWatch`. @since 0.1.0 @category replanning */
export interface ControlWatch {
  readonly load: LoadWatch
  readonly interference: InterferenceWatch
}

/** What the watch looks at. @since 0.1.0 @category replanning */
export interface ControlView {
  readonly nowMs: number
  readonly models: LoadView["models"]
  readonly dispatcher: Pick<DispatcherView, "countersOf" | "isServed" | "outcomesOf" | "takeMeasured">
  /** The deployed plan, and what it was made on; undefined before the first. */
  readonly plan: Plan
  readonly basis: PlanBasis | undefined
  readonly options: {
    readonly replan: ReplanOptions
    /** Undefined: nothing is learned of interference. */
    readonly learning: InterferenceWatchOptions | undefined
  }
}

/**
 * Takes in what arrived and what executions took, and says why to plan now, if at all.
 * @since 0.1.0
 * @category replanning
 */
export const watchControl = (
  { interference, load }: ControlWatch, { basis, dispatcher, models, nowMs, options: { learning, replan }, plan }: ControlView
): ControlWatch & { readonly reason: string | undefined } => {
  const arrived = (model: ModelName): ArrivedItems => {
    const counters = dispatcher.countersOf(model)
    return counters === undefined ? nothingArrived : { items: counters.arrivedItems, together: counters.arrivedTogether }
  }
  const arrivals = watchLoad(load, { nowMs, models, plan, basis, arrived, isServed: (model) => dispatcher.isServed(model), options: replan })
  // A plan that is due anyway takes what was learned along: until then what is measured adds up.
  if (arrivals.reason !== undefined || learning === undefined || basis === undefined) return { load: arrivals.watch, interference, reason: arrivals.reason }
  const executions = watchInterference(interference, {
    nowMs, plan, basis,
    measured: () => dispatcher.takeMeasured(),
    outcomes: (model) => dispatcher.outcomesOf(model),
    overasked: arrivals.overasked,
    plannedMs: arrivals.watch.replan.lastPlanMs,
    holds: holdsWith(plan, basis.problem, basis.profiled),
    options: learning
  })
  return { load: arrivals.watch, interference: executions.watch, reason: executions.reason }
}
