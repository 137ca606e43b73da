/**
 * What arrives and what executions take, watched together: the online service's control interval, and the simulator's. A pure state, moved by
 * `watchControl`.
 *
 * @since 0.1.0
 */
import type { Plan } from "../core/Plan.js"
import type { Dispatcher } from "./Dispatcher.js"
import type { InterferenceWatch, InterferenceWatchOptions } from "./InterferenceWatch.js"
import { holdsWith, makeInterferenceWatch, watchInterference } from "./InterferenceWatch.js"
import type { LoadView, LoadWatch } from "./LoadWatch.js"
import { makeLoadWatch, watchLoad } from "./LoadWatch.js"
import type { PlanBasis } from "./PlanBasis.js"
import type { ReplanOptions } from "./ReplanPolicy.js"

/** @since 0.1.0 @category replanning */
export interface ControlWatch {
  readonly load: LoadWatch
  readonly interference: InterferenceWatch
}

/** A watch that knows no model and has learned nothing. @since 0.1.0 @category constructors */
export const makeControlWatch = (nowMs: number): ControlWatch => ({ load: makeLoadWatch(nowMs), interference: makeInterferenceWatch(nowMs) })

/** The watch after a model came or went, a rate was announced, or a plan was made. @since 0.1.0 @category replanning */
export const withLoad = (watch: ControlWatch, change: (load: LoadWatch) => LoadWatch): ControlWatch => ({ ...watch, load: change(watch.load) })

/** What the watch looks at. @since 0.1.0 @category replanning */
export interface ControlView {
  readonly nowMs: number
  readonly models: LoadView["models"]
  readonly dispatcher: Pick<Dispatcher, "countersOf" | "outcomesOf" | "takeMeasured">
  /** The deployed plan, and what it was made on; undefined before the first. */
  readonly plan: Plan
  readonly basis: PlanBasis | undefined
  readonly replan: ReplanOptions
  /** Undefined: nothing is learned of interference. */
  readonly learning: InterferenceWatchOptions | undefined
}

/**
 * Takes in what arrived and what executions took, and says why to plan now, if at all.
 * @since 0.1.0
 * @category replanning
 */
export const watchControl = (watch: ControlWatch, view: ControlView): { readonly watch: ControlWatch; readonly reason: string | undefined } => {
  const { basis, dispatcher, learning, models, nowMs, plan } = view
  const load = watchLoad(watch.load, {
    nowMs, models, plan,
    arrivedItems: (model) => dispatcher.countersOf(model)?.arrivedItems ?? 0,
    asked: basis?.asked ?? new Map(),
    meanPart: ({ name }) => basis?.meanParts.get(name) ?? 1,
    options: view.replan
  })
  // A plan that is due anyway takes what was learned along: until then what is measured adds up.
  if (load.reason !== undefined || learning === undefined || basis === undefined) {
    return { watch: { load: load.watch, interference: watch.interference }, reason: load.reason }
  }
  const { problem, profiled } = basis
  const seen = watchInterference(watch.interference, {
    nowMs, plan, options: learning,
    measured: () => dispatcher.takeMeasured(),
    outcomes: (model) => dispatcher.outcomesOf(model),
    planned: basis.learned,
    plannedMs: load.watch.replan.lastPlanMs,
    gpus: problem.gpus,
    latency: profiled,
    holds: holdsWith(plan, problem, profiled)
  })
  return { watch: { load: load.watch, interference: seen.watch }, reason: seen.reason }
}
