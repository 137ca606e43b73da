/**
 * By how much best-effort work may delay a latency-critical model: a fraction of its SLO, searched by bisection against the measured tail.
 *
 * The tail is the part of the model's requests that were not answered within its SLO, counted in windows. A window with too many closes at once and
 * the fraction falls; a full window without falls to its lower half, and so on until the bracket is closed. Then a larger fraction is tried now and
 * then, more rarely each time that it fails, and a smaller one when the lower end no longer holds: loads change, and what was found is forgotten.
 * The bisection is by ratio, for fractions matter over three orders of magnitude.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category gate */
export interface DelayBoundOptions {
  /** Part of requests that may miss in a window, below what the operator is promised: the search needs some of it. */
  readonly missed: number
  /** Requests of a window. */
  readonly window: number
  /** Without a miss a window is good after so long, however few requests it has, ms: where nobody asks nothing can be delayed. */
  readonly patienceMs: number
  /** Fractions between which is searched, and the first one. */
  readonly smallest: number
  readonly largest: number
  readonly first: number
}

/** @since 0.1.0 @category gate */
export const defaultDelayBoundOptions: DelayBoundOptions = {
  missed: 0.005, window: 400, patienceMs: 5_000, smallest: 1 / 1024, largest: 1, first: 1 / 8
}

/** Ends of a bracket within this ratio are one value. */
const closeEnough = 1.15
/** A probe that failed is made again after twice as many good windows, up to so many. */
const longestPause = 32

/** Mutable for speed, without a clock: every call is told the time. @since 0.1.0 @category gate */
export class DelayBound {
  private current: number
  private low: number
  private high: number
  private ended = 0
  private misses = 0
  private windowFromMs = -Infinity
  /** Good windows until a larger fraction is tried, and how many it was. */
  private pause = 0
  private lastPause = 1

  constructor(private readonly options: DelayBoundOptions = defaultDelayBoundOptions) {
    this.current = options.first
    this.low = options.smallest
    this.high = options.largest
  }

  /** The fraction of the SLO, between `smallest` and `largest`. */
  fraction(nowMs: number): number {
    if (this.windowFromMs === -Infinity) this.windowFromMs = nowMs
    const patienceMs = this.options.patienceMs
    if (this.misses === 0 && nowMs - this.windowFromMs >= patienceMs) {
      if (this.ended === 0) this.forget(nowMs)
      else this.close(nowMs, true)
    }
    return this.current
  }

  /** A request of the model ended. */
  observe(nowMs: number, kept: boolean): void {
    const { missed, window } = this.options
    this.ended += 1
    if (!kept) this.misses += 1
    if (this.misses > missed * window) this.close(nowMs, false)
    else if (this.ended >= window) this.close(nowMs, true)
  }

  /** Nobody asks: what was found is of the load before. */
  private forget(nowMs: number): void {
    const { largest } = this.options
    this.windowFromMs = nowMs
    this.low = this.current = Math.min(largest, 4 * this.current)
    this.high = largest
    this.pause = 0
    this.lastPause = 1
  }

  private close(nowMs: number, good: boolean): void {
    const { largest, smallest } = this.options
    this.ended = 0
    this.misses = 0
    this.windowFromMs = nowMs
    if (good) {
      this.low = Math.max(this.low, this.current)
      if (this.high <= this.low * closeEnough) {
        if (this.pause > 0) {
          this.pause -= 1
          return
        }
        this.high = Math.min(largest, Math.max(this.high, this.low) * 2)
      }
    } else {
      if (this.high <= this.low * 2 && this.current > this.low) {
        // A probe beyond what was known to hold failed.
        this.lastPause = Math.min(longestPause, 2 * this.lastPause)
        this.pause = this.lastPause
      }
      this.high = this.current
      if (this.current <= this.low * closeEnough) {
        this.low = Math.max(smallest, this.low / 4)
        this.lastPause = 1
      }
    }
    this.current = Math.min(largest, Math.max(smallest, Math.sqrt(this.low * this.high)))
  }
}
