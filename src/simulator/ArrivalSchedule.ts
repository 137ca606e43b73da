/**
 * When an open-loop generator sends: times fixed by rate, distribution and seed alone, whatever the server does.
 *
 * @since 0.1.0
 */
import { makeRandom } from "../core/internal/random.js"

/** `uniform`: equal gaps. `exp`: exponential gaps, a Poisson process. @since 0.1.0 @category schedule */
export type Distribution = "uniform" | "exp"

/** @since 0.1.0 @category schedule */
export interface ScheduleOptions {
  /** Arrivals per second, each for one period, then from the first again. */
  readonly ratesRps: ReadonlyArray<number>
  /** Length of a period in ms; irrelevant for one rate. */
  readonly periodMs: number
  readonly distribution: Distribution
  readonly seed: number
}

/** The gap between two arrivals of a Poisson process of rate 1. @since 0.1.0 @category schedule */
export const exponential = (random: () => number): number => -Math.log(1 - random())

/** The next arrival in ms after the start, ascending; `Infinity` where none follows. @since 0.1.0 @category schedule */
export type ArrivalSchedule = () => number

/**
 * A schedule. A process whose rate changes is one of rate 1 whose time runs faster or slower: each gap is spent over the periods it crosses, so
 * changes take effect at once and a rate of 0 is a pause.
 *
 * @example
 * ```ts
 * const next = makeSchedule({ ratesRps: [100], periodMs: 1000, distribution: "uniform", seed: 1 })
 * next() // 10
 * next() // 20
 * ```
 * @since 0.1.0
 * @category schedule
 */
export const makeSchedule = (options: ScheduleOptions): ArrivalSchedule => {
  const { ratesRps } = options
  if (!ratesRps.some((rate) => rate > 0)) return () => Infinity
  const random = makeRandom(options.seed)
  const periodMs = ratesRps.length === 1 ? Infinity : options.periodMs
  let nowMs = 0
  let period = 0
  let periodEndMs = periodMs
  return () => {
    let gap = options.distribution === "exp" ? exponential(random) : 1
    for (;;) {
      const perMs = ratesRps[period % ratesRps.length]! / 1000
      const dueMs = perMs > 0 ? nowMs + gap / perMs : Infinity
      if (dueMs < periodEndMs || periodEndMs === Infinity) {
        nowMs = dueMs
        return nowMs
      }
      gap -= (periodEndMs - nowMs) * perMs
      nowMs = periodEndMs
      period++
      periodEndMs = (period + 1) * periodMs
    }
  }
}

/** Reads a rate file: one number per line, `#` starts a comment. The answer names the line that is wrong. @since 0.1.0 @category schedule */
export const parseRates = (text: string): { readonly rates: ReadonlyArray<number> } | { readonly line: number; readonly problem: string } => {
  const rates: Array<number> = []
  const lines = text.split(/\r?\n/)
  for (let i = 0; i < lines.length; i++) {
    const value = lines[i]!.replace(/#.*/, "").trim()
    if (value === "") continue
    const rate = Number(value)
    if (!Number.isFinite(rate) || rate < 0) return { line: i + 1, problem: `"${value}" is not a rate: a number of requests per second, 0 or more` }
    rates.push(rate)
  }
  if (!rates.some((rate) => rate > 0)) return { line: lines.length, problem: "no rate above 0 stands in the file" }
  return { rates }
}
