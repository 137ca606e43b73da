/**
 * When an open-loop generator sends: times fixed by rate, distribution and seed alone, whatever the server does. `glet bench` sends by it in
 * real time, the simulator in simulated time.
 *
 * @since 0.1.0
 */
import { makeRandom } from "../core/internal/random.js"

/**
 * `uniform`: equal gaps. `exp`: exponential gaps, a Poisson process. `gamma`: gaps whose deviation is `cv` times their mean; above 1 they come
 * in bursts.
 * @since 0.1.0
 * @category schedule
 */
export type Distribution = "uniform" | "exp" | "gamma"

/** @since 0.1.0 @category schedule */
export interface ScheduleOptions {
  /** Arrivals per second, each for one period, then from the first again. */
  readonly ratesRps: ReadonlyArray<number>
  /** Length of a period in ms; irrelevant for one rate. */
  readonly periodMs: number
  readonly distribution: Distribution
  /** Coefficient of variation of `gamma` gaps; 1 by default, which is `exp`. */
  readonly cv?: number
  readonly seed: number
}

/** The gap between two arrivals of a Poisson process of rate 1. @since 0.1.0 @category schedule */
export const exponential = (random: () => number): number => -Math.log(1 - random())

/** A standard normal number (Box and Muller's transform). */
const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/**
 * A gap of mean 1 and deviation `cv`, gamma-distributed (G. Marsaglia, W. W. Tsang: A simple method for generating gamma variables, 2000; shapes
 * below 1 by their boost).
 * @since 0.1.0
 * @category schedule
 */
export const gammaGap = (cv: number, random: () => number): number => {
  const shape = 1 / (cv * cv)
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(random)
    const v = (1 + c * x) ** 3
    if (v <= 0 || Math.log(1 - random()) >= 0.5 * x * x + d - d * v + d * Math.log(v)) continue
    return ((d * v) / shape) * (shape < 1 ? (1 - random()) ** (1 / shape) : 1)
  }
}

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
    let gap = options.distribution === "exp" ? exponential(random) : options.distribution === "gamma" ? gammaGap(options.cv ?? 1, random) : 1
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

/**
 * The given times, ascending in ms, `speed` times as fast; with `repeatMs` from the start again after that long, for ever.
 * @since 0.1.0
 * @category schedule
 */
export const makeTrace = (timesMs: ReadonlyArray<number>, options: { readonly speed?: number; readonly repeatMs?: number } = {}): ArrivalSchedule => {
  const { repeatMs, speed = 1 } = options
  let next = 0
  let offsetMs = 0
  return () => {
    if (next === timesMs.length && repeatMs !== undefined && timesMs.length > 0) {
      next = 0
      offsetMs += repeatMs
    }
    return next === timesMs.length ? Infinity : (offsetMs + timesMs[next++]!) / speed
  }
}

/** Reads a trace: one time in ms per line, ascending, `#` starts a comment. The answer names the line that is wrong. @since 0.1.0 @category schedule */
export const parseTrace = (text: string): { readonly timesMs: ReadonlyArray<number> } | { readonly line: number; readonly problem: string } => {
  const timesMs: Array<number> = []
  const lines = text.split(/\r?\n/)
  for (let i = 0; i < lines.length; i++) {
    const value = lines[i]!.replace(/#.*/, "").trim()
    if (value === "") continue
    const time = Number(value)
    if (!Number.isFinite(time) || time < 0) return { line: i + 1, problem: `"${value}" is not a time: ms after the start, 0 or more` }
    if (time < (timesMs[timesMs.length - 1] ?? 0)) return { line: i + 1, problem: `${value} ms stands after a later time; times ascend` }
    timesMs.push(time)
  }
  if (timesMs.length === 0) return { line: lines.length, problem: "no time stands in the file" }
  return { timesMs }
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
