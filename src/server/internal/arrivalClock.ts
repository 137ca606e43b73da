/**
 * When the bytes that are read now came. What an event loop reads in one turn arrived while it was busy with the turn before: under load that is
 * where requests wait, unseen, in the kernel's buffers. Counted from when they are read they would all look fresh, and a server that is late
 * with everything would think itself in time.
 */

/** What the clock asks of the event loop. */
export interface LoopView {
  /** Monotonic ms. */
  readonly nowMs: () => number
  /** Turns since the loop began. */
  readonly turns: () => number
  /** Time the loop has slept since it began, in ms. */
  readonly sleptMs: () => number
  /** Calls back when all that could be read in this turn was read. */
  readonly afterReading: (done: () => void) => void
}

/** This thread's event loop. */
export const loopView = (nowMs: () => number): LoopView => ({
  nowMs,
  turns: () => performance.nodeTiming.uvMetricsInfo.loopCount,
  sleptMs: () => performance.nodeTiming.idleTime,
  afterReading: setImmediate
})

/** A shorter sleep was ended by what had come before it began. */
const shortSleepMs = 0.02

export class ArrivalClock {
  private isReading = false
  private arrivedMs = -Infinity
  /** Of the last turn that read something. */
  private beganMs: number
  private turn = 0
  private sleptMs = 0

  constructor(private readonly loop: LoopView) {
    this.beganMs = loop.nowMs()
  }

  /** Monotonic ms at which what is read now came, at the earliest. Costs the test of a flag, but for the first call in a turn. */
  read(): number {
    if (this.isReading) return this.arrivedMs
    this.isReading = true
    const now = this.loop.nowMs()
    const turn = this.loop.turns()
    // A loop that slept was woken by these bytes. One that did not read them as soon as the turn before was over; where that one and others
    // read nothing, they are taken to have been equally long.
    this.arrivedMs = this.loop.sleptMs() - this.sleptMs > shortSleepMs ? now : now - (now - this.beganMs) / Math.max(1, turn - this.turn)
    this.beganMs = now
    this.turn = turn
    this.loop.afterReading(this.endReading)
    return this.arrivedMs
  }

  private readonly endReading = (): void => {
    this.isReading = false
    this.sleptMs = this.loop.sleptMs()
  }
}
