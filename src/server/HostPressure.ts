/**
 * What Linux counts of processes that could not run, the likely causes of late wake-ups: how often the container's CPU limit stopped them, how long some of
 * them waited for a core, and what a hypervisor gave to other machines. Counters; the difference of two readings is a window.
 *
 * @since 0.1.0
 */
import * as fs from "node:fs"
import type { HostPressure } from "../core/HostStatus.js"

/** What the kernel's files say; undefined where there is no such file. @since 0.1.0 @category reading */
export interface PressureFiles {
  /** `cpu.stat` of the container's control group, version 1 or 2. */
  readonly cpuStat: string | undefined
  /** `cpu.pressure` of it, else the host's. */
  readonly pressure: string | undefined
  /** `/proc/stat`. */
  readonly stat: string | undefined
}

/** A counter and what it is a part of. */
interface Ratio {
  readonly of: number
  readonly count: number
}

/** What was counted until now. @since 0.1.0 @category reading */
export interface PressureCounters {
  /** Periods of the limit, and those in which it stopped the container. */
  readonly throttled: Ratio | undefined
  /** Of microseconds of the clock, those in which some process waited for a core. */
  readonly waiting: Ratio | undefined
  /** Of all cores' ticks, those that other machines had. */
  readonly stolen: Ratio | undefined
}

const numberAfter = (text: string | undefined, name: RegExp): number | undefined => {
  const found = text === undefined ? null : name.exec(text)
  const value = found === null ? NaN : Number(found[1])
  return Number.isFinite(value) ? value : undefined
}

const ratio = (of: number | undefined, count: number | undefined): Ratio | undefined => (of === undefined || count === undefined ? undefined : { of, count })

/** user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in the first two already. */
const stealOf = (stat: string | undefined): Ratio | undefined => {
  const ticks = /^cpu +([\d ]+)/m.exec(stat ?? "")?.[1]?.trim().split(/ +/).slice(0, 8).map(Number)
  return ticks?.length === 8 ? { of: ticks.reduce((sum, each) => sum + each, 0), count: ticks[7]! } : undefined
}

/** `nowUs`: the time of the reading, microseconds of any clock. @since 0.1.0 @category reading */
export const countersOf = (nowUs: number, { cpuStat, pressure, stat }: PressureFiles): PressureCounters => ({
  throttled: ratio(numberAfter(cpuStat, /^nr_periods (\d+)/m), numberAfter(cpuStat, /^nr_throttled (\d+)/m)),
  waiting: ratio(nowUs, numberAfter(pressure, /^some .*total=(\d+)/m)),
  stolen: stealOf(stat)
})

const partSince = (before: Ratio | undefined, now: Ratio | undefined): number | undefined =>
  before === undefined || now === undefined || !(now.of > before.of) ? undefined : Math.min(1, Math.max(0, now.count - before.count) / (now.of - before.of))

/** What was counted between two readings. @since 0.1.0 @category reading */
export const pressureBetween = (before: PressureCounters, now: PressureCounters): HostPressure => {
  const throttledRatio = partSince(before.throttled, now.throttled)
  const waitingRatio = partSince(before.waiting, now.waiting)
  const stolenRatio = partSince(before.stolen, now.stolen)
  return {
    ...(throttledRatio === undefined ? {} : { throttledRatio }), ...(waitingRatio === undefined ? {} : { waitingRatio }),
    ...(stolenRatio === undefined ? {} : { stolenRatio })
  }
}

/** The first that can be read. */
const textOf = (...paths: ReadonlyArray<string>): string | undefined => {
  for (const path of paths) {
    try {
      return fs.readFileSync(path, "utf8")
    } catch {
      // Another system, or another version of it.
    }
  }
  return undefined
}

/** Reads this host's counters: three small files. @since 0.1.0 @category reading */
export const readPressure = (): PressureCounters =>
  countersOf(1000 * performance.now(), {
    cpuStat: textOf("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"),
    pressure: textOf("/sys/fs/cgroup/cpu.pressure", "/proc/pressure/cpu"),
    stat: textOf("/proc/stat")
  })
