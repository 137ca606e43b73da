/**
 * By how much best-effort work may delay a latency-critical model: a fraction of its SLO, searched by bisection against the measured tail.
 *
 * The tail is the part of the model's requests that were not answered within its SLO, counted in windows. A window with too many closes at once and
 * the fraction falls; a full window without falls to its lower half, and so on until the bracket is closed. Then a larger fraction is tried now and
 * then, more rarely each time that it fails, and a smaller one when the lower end no longer holds: loads change, and what was found is forgotten.
 * The bisection is by ratio, for fractions matter over three orders of magnitude.
 *
 * What the model misses without best-effort work too is not its doing. So now and then, when a window was bad, the next is a control: the fraction is 0,
 * and the part that misses nonetheless is allowed on top from then on. Without that an objective near the model's own tail would close the gate for
 * ever, and nothing be gained by it.
 *
 * @since 0.1.0
 */

/** How the bound is searched. @since 0.1.0 @category gate */
export interface DelayBoundOptions {
  /** Part of requests that may miss in a window because of best-effort work, below what the operator is promised: the search needs some of it. */
  readonly missed: number
  /** Most that is believed to miss without best-effort work: beyond it the model has other troubles than a tight objective. */
  readonly mostUnavoidable: number
  /** Windows from one control to the next at least; a bad one counts as four. Infinity: there are none. */
  readonly controlEvery: number
  /** Requests of a window. */
  readonly window: number
  /** Without a miss a window is good after so long, however few requests it has, ms: where nobody asks nothing can be delayed. */
  readonly patienceMs: number
  /** Fractions between which is searched, and the first one. */
  readonly smallest: number
  readonly largest: number
  readonly first: number
}

/** What the online service searches by. @since 0.1.0 @category gate */
export const defaultDelayBoundOptions: DelayBoundOptions = {
  missed: 0.005, mostUnavoidable: 0.05, controlEvery: 16, window: 400, patienceMs: 5_000, smallest: 1 / 1024, largest: 1, first: 1 / 8
}

/** Ends of a bracket within this ratio are one value. */
const closeEnough = 1.15
/** A probe that failed is made again after twice as many good windows, up to so many. */
const longestPause = 32

/** Where nothing missed without best-effort work, controls become as many times rarer. */
const rarerControls = 8
/** A control takes so many times `patienceMs` at most: of few requests a miss says little. */
const controlPatience = 4
/** A bad window counts as so many: what misses without best-effort work may have become more. */
const badWeight = 4

/** Mutable for speed, without a clock: every call is told the time. @since 0.1.0 @category gate */
export class DelayBound {
  private current: number
  private low: number
  private high: number
  private ended = 0
  private misses = 0
  private windowFromMs = -Infinity
  /** When the last request ended. */
  private lastMs = -Infinity
  /** Good windows until a larger fraction is tried, and how many it was. */
  private pause = 0
  private lastPause = 1
  /** What is known to miss without best-effort work: as of the last control, so many windows ago. */
  private unavoidable = 0
  private inControl = false
  private sinceControl: number
  private controlPause: number

  constructor(private readonly options: DelayBoundOptions = defaultDelayBoundOptions) {
    this.sinceControl = this.controlPause = options.controlEvery
    this.current = options.first
    this.low = options.smallest
    this.high = options.largest
  }

  /** The fraction of the SLO, between `smallest` and `largest`; 0 in a control. */
  fraction(nowMs: number): number {
    if (this.windowFromMs === -Infinity) this.windowFromMs = nowMs
    const { patienceMs } = this.options
    const openMs = nowMs - this.windowFromMs
    if (openMs >= patienceMs) {
      if (nowMs - this.lastMs >= patienceMs) this.forget(nowMs)
      else if (this.inControl ? openMs >= controlPatience * patienceMs : this.misses === 0) this.close(nowMs, true)
    }
    return this.inControl ? 0 : this.current
  }

  /** Requests of a window: more where there are unavoidable misses, for chance must not hide in them what is searched. */
  private get requests(): number {
    const { missed, window } = this.options
    return window * (1 + this.unavoidable / missed)
  }

  /** A request of the model ended. */
  observe(nowMs: number, kept: boolean): void {
    const { missed } = this.options
    const { requests } = this
    this.lastMs = nowMs
    this.ended += 1
    if (!kept) this.misses += 1
    if (!this.inControl && this.misses > (missed + this.unavoidable) * requests) this.close(nowMs, false)
    else if (this.ended >= requests) this.close(nowMs, true)
  }

  /** Nobody asks: what was found is of the load before. */
  private forget(nowMs: number): void {
    const { largest } = this.options
    this.windowFromMs = nowMs
    this.low = this.current = Math.min(largest, 4 * this.current)
    this.high = largest
    this.pause = 0
    this.lastPause = 1
    this.unavoidable = 0
    this.inControl = false
    this.sinceControl = this.controlPause = this.options.controlEvery
  }

  private close(nowMs: number, good: boolean): void {
    const { controlEvery, largest, missed, mostUnavoidable, smallest, window } = this.options
    const missedPart = this.misses / Math.max(this.ended, window / 4)
    this.ended = 0
    this.misses = 0
    this.windowFromMs = nowMs
    if (this.inControl) {
      this.unavoidable = Math.min(mostUnavoidable, this.unavoidable > 0 ? (this.unavoidable + missedPart) / 2 : missedPart)
      if (this.unavoidable < missed / 100) this.unavoidable = 0
      this.inControl = false
      this.sinceControl = 0
      this.controlPause = this.unavoidable > 0 ? controlEvery : Math.min(rarerControls * controlEvery, 2 * this.controlPause)
      return
    }
    this.sinceControl += good ? 1 : badWeight
    if (this.sinceControl > this.controlPause && (!good || this.unavoidable > 0)) {
      // Whether it was bad because of best-effort work is not known yet.
      this.inControl = true
      return
    }
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
