/** What the parts of a host share. */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Scope from "effect/Scope"
import type { Executor } from "../../core/Executor.js"
import type { Plan } from "../../core/Plan.js"
import type { PlanOptions } from "../../core/PlanProblem.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import type { HostOptions, TaskWorker } from "../HostOptions.js"
import type { HostModel } from "../HostModel.js"
import type { LiveStatistics } from "../LiveStatistics.js"
import type { EdgeView, TaskAnswer } from "../Messages.js"
import type { Sender } from "../Sender.js"
import type { Traffic } from "../Traffic.js"
import type { World } from "../World.js"

/** What changes, and the page is told of. */
export interface HostView {
  planner: string
  planReason: string
  planningMs: number
  /** The plan for the sliders as they stand, while it is not deployed. */
  preview: Plan | undefined
  planProblem: string
  /** As people wish it. */
  trafficWanted: boolean
  /** It is not, while something is measured. */
  trafficOn: boolean
  lent: EdgeView
  /** The scheduler's, as it was last told. */
  status: SchedulerStatus | undefined
}

export interface HostContext {
  readonly options: HostOptions
  readonly world: World
  readonly gpu: World["gpus"][0]
  readonly planOptions: PlanOptions
  readonly models: Map<string, HostModel>
  readonly view: HostView
  readonly worker: TaskWorker
  readonly scheduler: Scheduler["Type"]
  /** For what measures and lends. */
  readonly services: Context.Context<Executor | Scheduler>
  readonly statistics: LiveStatistics
  readonly traffic: Traffic
  readonly sender: Sender
  /** What people see goes by it, whatever the world's time is. */
  readonly real: Clock.Clock
  readonly scope: Scope.Scope
  /** The page shall be told how things stand. */
  readonly publish: () => void
}

/** Models that the scheduler knows. */
export const registered = ({ models }: Pick<HostContext, "models">): ReadonlyArray<HostModel> =>
  [...models.values()].filter(({ problem, profile }) => profile !== undefined && problem === "")

export const failedAnswer = (answer: TaskAnswer): string => (answer.kind === "failed" ? answer.detail : "it answered something else")

