/**
 * What a server notices of its host: how late it is woken. Machines that many share wake processes milliseconds late; then the server answers late
 * whatever it plans.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * What kept processes of the host from running, as far as its system tells; the likely causes of late wake-ups.
 * @since 0.1.0
 * @category host
 */
export const HostPressure = Schema.Struct({
  /** Part of the periods of the container's CPU limit in which that stopped its processes. */
  throttledRatio: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** Part of the time in which some process waited for a core. */
  waitingRatio: Schema.optionalWith(Schema.NonNegative, { exact: true }),
  /** Part of the cores' time that a hypervisor gave to other machines. */
  stolenRatio: Schema.optionalWith(Schema.NonNegative, { exact: true })
})
/** @since 0.1.0 @category host */
export type HostPressure = typeof HostPressure.Type

/** Of the last whole window of some seconds. @since 0.1.0 @category host */
export const HostStatus = Schema.Struct({
  /** How late timers of the server's thread fired, beyond what timers are rounded to, ms. */
  wakeupLagMs: Schema.Struct({ p50Ms: Schema.NonNegative, p99Ms: Schema.NonNegative }),
  /** Part of the time in which the thread was at work itself: a busy thread is late by its own doing. */
  busyRatio: Schema.NonNegative,
  pressure: HostPressure
})
/** @since 0.1.0 @category host */
export type HostStatus = typeof HostStatus.Type

/** Where the host is watched; undefined until the first window is over. @since 0.1.0 @category services */
export class HostReport extends Context.Tag("glet/core/HostReport")<HostReport, {
  readonly now: Effect.Effect<HostStatus | undefined>
}>() {}

/** Lateness at the 99th percentile from which it is worth a word, ms, and how busy the thread may be for the host to be the cause. */
const lateMs = 1
const busyRatio = 0.5

/** Parts of the time from which each explains lateness at the 99th percentile. */
const telling = { throttledRatio: 0.01, stolenRatio: 0.01, waitingRatio: 0.1 }

const percent = (ratio: number): string => `${(100 * ratio).toFixed(ratio < 0.1 ? 1 : 0)} %`

/** The likeliest cause first; empty where none is known. */
const causeOf = ({ stolenRatio = 0, throttledRatio = 0, waitingRatio = 0 }: HostPressure): string =>
  throttledRatio >= telling.throttledRatio
    ? `; the container's CPU limit stopped its processes in ${percent(throttledRatio)} of its periods: raise the limit`
    : stolenRatio >= telling.stolenRatio
    ? `; other machines on this one had ${percent(stolenRatio)} of its cores' time`
    : waitingRatio >= telling.waitingRatio
    ? `; processes waited for cores ${percent(waitingRatio)} of the time: give the server cores of its own`
    : ""

/** That the host wakes processes late, in words; undefined where it does not, or where the thread's own work may be the cause. @since 0.1.0 @category host */
export const latenessOf = (host: HostStatus): string | undefined =>
  host.wakeupLagMs.p99Ms <= lateMs || host.busyRatio > busyRatio
    ? undefined
    : `this host wakes processes late: by ${host.wakeupLagMs.p99Ms.toFixed(1)} ms at the 99th percentile, which answers are late by too${causeOf(host.pressure)}`
