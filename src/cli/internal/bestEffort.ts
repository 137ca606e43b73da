/** How best-effort work is treated, from flags: for the server and the simulator alike. */
import * as Effect from "effect/Effect"
import type { PlanEffort } from "../../core/PlanEffort.js"
import { effortOf } from "../../core/PlanEffort.js"
import { onlinePlanOptions } from "../../core/PlanProblem.js"
import type { BestEffortGate, GateName } from "../../scheduler/BestEffortGate.js"
import { defaultGateOptions, gateNamed } from "../../scheduler/BestEffortGate.js"
import { defaultDispatcherOptions } from "../../scheduler/DispatcherOptions.js"
import type { SchedulerOptions } from "../../scheduler/SchedulerLive.js"
import type { CliError } from "../CliError.js"
import { usageError } from "../CliError.js"

interface GateArgs {
  readonly bestEffort: GateName
  /** Percent of a glet's time. */
  readonly floor: number
}

/** The gate that is asked for; a floor only the first one has. */
export const gateOf = ({ bestEffort, floor }: GateArgs): Effect.Effect<BestEffortGate, CliError> =>
  bestEffort === "gate" || floor === 100 * defaultGateOptions.floor
    ? Effect.succeed(gateNamed(bestEffort, { floor: floor / 100 }))
    : Effect.fail(usageError(`--best-effort ${bestEffort} keeps no floor`, "leave out --floor, or take --best-effort gate"))

/** How soon batches give way as `--preempt` says, in ms; undefined where they run to their end. */
export const preemptMsOf = (preempt: string | undefined): Effect.Effect<number | undefined, CliError> => {
  if (preempt === undefined || preempt === "off") return Effect.succeed(undefined)
  const preemptMs = Number(preempt)
  return preemptMs > 0 && preemptMs <= 1000
    ? Effect.succeed(preemptMs)
    : Effect.fail(usageError(`--preempt "${preempt}" is neither a time in ms nor off`, "give more than 0 and at most 1000 ms, e.g. 0.13"))
}

/** What of the scheduler's options the flags say. */
export const schedulingOf = (
  args: GateArgs & {
    readonly planner: string
    readonly planEffort: PlanEffort
    readonly gather: "on" | "off"
    readonly interference: "on" | "off"
    readonly priorities: "on" | "off"
    readonly overlay: number | undefined
  }
): Effect.Effect<Partial<SchedulerOptions>, CliError> =>
  args.overlay !== undefined && args.planner !== "orion"
    ? Effect.fail(usageError(`--overlay is of the planner orion, not ${args.planner}`))
    : Effect.map(gateOf(args), (gate) => ({
      dispatcher: { ...defaultDispatcherOptions, gate, gather: args.gather === "on" },
      plan: {
        ...onlinePlanOptions, effort: effortOf[args.planEffort], interference: args.interference === "on", priorities: args.priorities === "on",
        gather: args.gather === "on",
        ...(args.overlay === undefined ? {} : { overlayPct: args.overlay })
      }
    }))
