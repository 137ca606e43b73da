/**
 * From measured durations to a profile's point.
 *
 * Planners promise by the 99th percentile, so it is never taken for less than what was seen. From 100 executions on it is the order statistic
 * (the smallest value that 99 % of them do not exceed). With fewer it is the slowest execution, except that of 20 or more a single one that
 * took over three times as long as the next is left out: on a shared machine that is another process having had the core, and one in a few
 * dozen says nothing of how often that happens; the planner's head-room and the scheduler's correction by what it measures are for it.
 */
import type { ProfilePoint } from "../Profile.js"

const fewest = 100
/** Executions among which a single slow one is told from a tail. */
export const isolatedFrom = 20
const isolatedFactor = 3
/** Finer than any clock; profiles hold positive durations only. */
const leastMs = 1e-4

/** The value in the middle; of an even number the upper one. */
export const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** The smallest value that a part `q` of the ascending values does not exceed. */
const orderStatistic = (ascending: ReadonlyArray<number>, q: number): number =>
  ascending[Math.max(0, Math.ceil(q * ascending.length) - 1)]!

/** The 99th percentile of ascending durations, as far as they tell. */
export const tail = (ascending: ReadonlyArray<number>): number => {
  const count = ascending.length
  if (count >= fewest) return orderStatistic(ascending, 0.99)
  const slowest = ascending[count - 1]!
  const next = ascending[count - 2]
  return count >= isolatedFrom && next !== undefined && slowest > isolatedFactor * next ? next : slowest
}

/** Summary of the durations of one batch size on one share; at least one is needed. */
export const pointOf = (sharePct: number, batch: number, durationsMs: ReadonlyArray<number>): ProfilePoint => {
  const ascending = durationsMs.map((ms) => Math.max(ms, leastMs)).sort((a, b) => a - b)
  const count = ascending.length
  const p99Ms = tail(ascending)
  return {
    sharePct,
    batch,
    meanMs: ascending.reduce((sum, ms) => sum + ms, 0) / count,
    p50Ms: (ascending[(count - 1) >> 1]! + ascending[count >> 1]!) / 2,
    p90Ms: Math.min(p99Ms, orderStatistic(ascending, 0.9)),
    p99Ms,
    count
  }
}
