/**
 * Learns when batches on the GPU have ended. Asking an event whether it is done takes a microsecond, waiting for it on another thread and
 * coming back 30 to 50: so the event loop asks in every turn when an end is near, and sleeps until then.
 */

/** Something with batches in flight, which end in order. */
export interface Pollable {
  /** Ends what is done. Returns when the next end is expected, on `performance.now`'s clock; undefined where nothing is in flight. */
  readonly poll: (nowMs: number) => number | undefined
}

/** A timer is late by up to so much: asking begins so long before the expected end. */
const nearMs = 1.6

/** An end expected so much later is asked for after a nap, the shortest that a timer takes, ms. */
export const napMs = nearMs + 1.01

export class CompletionPoll {
  private readonly watched = new Set<Pollable>()
  private immediate: NodeJS.Immediate | undefined
  private timer: NodeJS.Timeout | undefined

  /** Polls it until nothing is in flight. */
  watch(pollable: Pollable): void {
    this.watched.add(pollable)
    // It may end before what the timer waits for.
    if (this.timer !== undefined) {
      clearTimeout(this.timer)
      this.timer = undefined
    }
    this.immediate ??= setImmediate(this.tick)
  }

  private readonly tick = (): void => {
    this.immediate = undefined
    this.timer = undefined
    const nowMs = performance.now()
    let earliestMs = Infinity
    for (const pollable of this.watched) {
      const expectedMs = pollable.poll(nowMs)
      if (expectedMs === undefined) this.watched.delete(pollable)
      else earliestMs = Math.min(earliestMs, expectedMs)
    }
    // An end may have started the next batch, which has watched already.
    if (this.watched.size === 0 || this.immediate !== undefined) return
    const sleepMs = Math.floor(earliestMs - nowMs - nearMs)
    if (sleepMs >= 1) this.timer = setTimeout(this.tick, Math.min(sleepMs, 1000))
    else this.immediate = setImmediate(this.tick)
  }
}
