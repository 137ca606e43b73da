/**
 * Watches how late this process is woken, by the histogram that Node keeps of its event loop: twenty-five native timers a second, nothing in JavaScript
 * but a look every ten seconds, which also reads what the system counts of processes that could not run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import type { HostPressure, HostStatus } from "../core/HostStatus.js"
import { HostReport, latenessOf } from "../core/HostStatus.js"
import { pressureBetween, readPressure } from "./HostPressure.js"

/** Time between two of its timers, and what they are rounded up to, ms. */
const everyMs = 40
const roundedMs = 1
const windowS = 10
/** Punctual windows in a row after which a host is in time again: not every window is worth a line. */
const forgetAfter = 6

/** What is watched. @since 0.1.0 @category options */
export interface Wakeups {
  /** Time between two timers that are to be `everyMs` apart, ns. */
  readonly percentile: (percent: number) => number
  readonly reset: () => void
  /** Part of the time since the last call in which the thread was at work. */
  readonly busyRatio: () => number
  /** What kept processes from running since the last call. */
  readonly pressure: () => HostPressure
}

const nodeWakeups = Effect.acquireRelease(
  Effect.sync((): Wakeups & { readonly close: () => void } => {
    const histogram = monitorEventLoopDelay({ resolution: everyMs })
    histogram.enable()
    let before = performance.eventLoopUtilization()
    let counted = readPressure()
    return {
      percentile: (percent) => histogram.percentile(percent),
      reset: () => histogram.reset(),
      busyRatio: () => {
        const now = performance.eventLoopUtilization()
        const { utilization } = performance.eventLoopUtilization(now, before)
        before = now
        return utilization
      },
      pressure: () => {
        const now = readPressure()
        const pressure = pressureBetween(counted, now)
        counted = now
        return pressure
      },
      close: () => void histogram.disable()
    }
  }),
  ({ close }) => Effect.sync(close)
)

const read = (wakeups: Wakeups): HostStatus => {
  // To the microsecond, which is more than it means.
  const lagMs = (percent: number) => Math.max(0, Math.round(wakeups.percentile(percent) / 1e3 - 1e3 * (everyMs + roundedMs)) / 1e3)
  const status = { wakeupLagMs: { p50Ms: lagMs(50), p99Ms: lagMs(99) }, busyRatio: wakeups.busyRatio(), pressure: wakeups.pressure() }
  wakeups.reset()
  return status
}

/** Reads a window after the other until the scope closes; says it when a late host begins to be one, and when it ends. @since 0.1.0 @category constructors */
export const make = (wakeups: Wakeups) =>
  Effect.gen(function*() {
    let last: HostStatus | undefined
    /** Windows until a late host counts as punctual again; 0 where it does. */
    let suspectFor = 0
    const look = Effect.suspend(() => {
      last = read(wakeups)
      const late = latenessOf(last)
      const wasLate = suspectFor > 0
      suspectFor = late === undefined ? Math.max(0, suspectFor - 1) : forgetAfter
      if (wasLate === suspectFor > 0) return Effect.void
      return late === undefined ? Effect.logInfo("this host wakes processes in time again") : Effect.logWarning(late)
    })
    yield* look.pipe(Effect.delay(`${windowS} seconds`), Effect.repeat(Schedule.forever), Effect.annotateLogs({ module: "HostWakeups" }), Effect.forkScoped)
    return HostReport.of({ now: Effect.sync(() => last) })
  })

/** Watches this process. @since 0.1.0 @category layers */
export const layer: Layer.Layer<HostReport> = Layer.scoped(HostReport, Effect.flatMap(nodeWakeups, make))
