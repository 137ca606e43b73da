/**
 * The highest load that keeps its objectives: the load is raised until too many requests miss, then the limit is closed in by bisection, and loads a
 * little above it are looked at, for they may have better plans. Once for each of several seeds, so that the answer comes with a confidence interval.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category peak */
export interface PeakOptions {
  /** Part of requests that may miss, of the stream that fares worst. */
  readonly limit: number
  /** Seeds, hence independent peaks; at least two for an interval. */
  readonly replications: number
  /** The bracket is closed to this ratio, e.g. 0.01 for 1 %. */
  readonly precision: number
  /** Where to begin. */
  readonly startFactor: number
  /** By what the load is raised or lowered at first; 2 where nothing is said. Less where the peak is known to be near. */
  readonly firstStep?: number
  /** So far above the limit that was closed in another load may keep it, e.g. 0.15 for 15 %; tried in steps of 2.5 %. Default 0: no further. */
  readonly lookAhead?: number
}

/** @since 0.1.0 @category peak */
export const defaultPeakOptions: PeakOptions = { limit: 0.01, replications: 3, precision: 0.01, startFactor: 1, lookAhead: 0.15 }

/** One load that was tried. @since 0.1.0 @category peak */
export interface PeakTrial {
  readonly factor: number
  readonly replication: number
  /** Part of requests that missed, of the stream that fared worst. */
  readonly violation: number
}

/** @since 0.1.0 @category peak */
export interface Peak {
  /** Mean of the replications' peaks: the largest factor found that keeps the limit. 0 where none does. */
  readonly factor: number
  /** Of the mean, with 95 % confidence (Student's t over the replications); the same as `factor` for one replication. */
  readonly lowFactor: number
  readonly highFactor: number
  readonly peaks: ReadonlyArray<number>
  readonly trials: ReadonlyArray<PeakTrial>
}

/** Ratio of loads that are tried in looking ahead. */
const aheadStep = 1.025
const smallestFactor = 1e-6
const largestFactor = 1e9

/** Two-sided 95 % points of Student's t by degrees of freedom. */
const t95: ReadonlyArray<number> = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]

/** A load to be tried; the answer is the part of requests that missed. @since 0.1.0 @category peak */
export interface PeakTry {
  readonly factor: number
  readonly replication: number
}

/**
 * The search as a dialogue: asks for loads to be tried, is told what each violates, and answers the peak. For those who try loads in real time.
 * @since 0.1.0
 * @category peak
 */
export function* searchPeak(options: PeakOptions = defaultPeakOptions): Generator<PeakTry, Peak, number> {
  const { limit, precision, replications, startFactor } = options
  const trials: Array<PeakTrial> = []
  const peaks: Array<number> = []
  let start = startFactor
  // The first bracket is wide; the others begin near the first peak.
  let step = options.firstStep ?? 2
  for (let replication = 0; replication < replications; replication++) {
    const keeps = function*(factor: number): Generator<PeakTry, boolean, number> {
      const violation = yield { factor, replication }
      trials.push({ factor, replication, violation })
      return violation <= limit
    }
    let low = start
    let high = start
    if (yield* keeps(start)) {
      do {
        low = high
        high *= step
      } while (high < largestFactor && (yield* keeps(high)))
    } else {
      do {
        high = low
        low /= step
      } while (low > smallestFactor && !(yield* keeps(low)))
    }
    if (low <= smallestFactor) low = 0
    while (low > 0 && high / low > 1 + precision) {
      const middle = Math.sqrt(low * high)
      if (yield* keeps(middle)) low = middle
      else high = middle
    }
    for (let ahead = low * aheadStep; low > 0 && low < largestFactor && ahead <= low * (1 + (options.lookAhead ?? 0)); ahead *= aheadStep) {
      if (yield* keeps(ahead)) low = ahead
    }
    peaks.push(low)
    if (low > 0) start = low
    step = 1.05
  }
  const factor = peaks.reduce((sum, peak) => sum + peak, 0) / peaks.length
  const variance = peaks.reduce((sum, peak) => sum + (peak - factor) ** 2, 0) / Math.max(1, peaks.length - 1)
  const halfWidth = peaks.length < 2 ? 0 : (t95[peaks.length - 1] ?? 1.96) * Math.sqrt(variance / peaks.length)
  return { factor, lowFactor: Math.max(0, factor - halfWidth), highFactor: factor + halfWidth, peaks, trials }
}

/**
 * The peak. `violation` runs the load at a factor with a replication's seed. It need not be monotone, as each load may have a plan of its own: then one
 * of its crossings of the limit is found, and none that keeps it by a step of looking ahead lies within `lookAhead` above.
 * @since 0.1.0
 * @category peak
 */
export const findPeak = (violation: (factor: number, replication: number) => number, options: PeakOptions = defaultPeakOptions): Peak => {
  const search = searchPeak(options)
  let asked = search.next()
  while (asked.done !== true) asked = search.next(violation(asked.value.factor, asked.value.replication))
  return asked.value
}
