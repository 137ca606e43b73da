/**
 * Looks at all rings of this process: in every turn of the event loop while something comes, and not at all while nothing does. Who writes to a process
 * that does not look rings its bell, which costs two system calls and the time that a core takes to wake up.
 *
 * How long it goes on looking where nothing comes is the old question of renting skis. Messages that come by chance tell nothing by their absence, so
 * the answer is all or nothing: it looks on while they come more often, on average, than a bell is worth, and goes to sleep at once where they do not.
 */

/** What it looks at. */
export interface WatchedRing {
  /** Takes what has come; answers whether anything has. */
  readonly look: () => boolean
  /** From now on the other side rings. Answers false where something has come meanwhile. */
  readonly sleep: () => boolean
  /** From now on the other side need not ring. */
  readonly wake: () => void
}

/** What a bell and waking up by it cost both sides, ms. */
const bellMs = 0.05
/** Even where messages come often, so long without one is the end of it. */
const mostMs = 20 * bellMs
/** A turn with nothing to do takes microseconds. One that took so long was preempted: others want the core, and it sleeps where it can for a while. */
const preemptedMs = 1
const awayMs = 50

export class RingWatch {
  private readonly rings = new Set<WatchedRing>()
  private awake = false
  private holds = 0
  /** Smoothed time from nothing to do to the next message, ms. */
  private gapMs = 1
  /** Since when there is nothing to do. */
  private idleSinceMs = 0
  private lookedMs = 0
  private awayUntilMs = 0

  constructor(private readonly nowMs: () => number = () => performance.now(), private readonly nextTurn: (look: () => void) => void = setImmediate) {}

  add(ring: WatchedRing): void {
    this.rings.add(ring)
    ring.wake()
    this.wake()
  }

  delete(ring: WatchedRing): void {
    this.rings.delete(ring)
  }

  /** The bell rang: looks at once. Not for those who are in the middle of writing: what comes may have them write. */
  rang(): void {
    if (!this.awaken()) return
    this.look()
  }

  /** Looks from the next turn on: there is something to be looked after. */
  wake(): void {
    if (this.awaken()) this.nextTurn(this.look)
  }

  /** Looks on until it is let go as often: a message is expected soon, or the event loop turns anyway. */
  hold(): void {
    this.holds += 1
    this.wake()
  }

  letGo(): void {
    this.holds -= 1
  }

  /** Answers whether it slept, and there is something to look at: where sockets carry everything there is not. */
  private awaken(): boolean {
    if (this.awake || this.rings.size === 0) return false
    this.awake = true
    for (const ring of this.rings) ring.wake()
    this.lookedMs = this.nowMs()
    return true
  }

  private readonly look = (): void => {
    let came = false
    try {
      for (const ring of this.rings) if (ring.look()) came = true
    } catch (error) {
      // It ends the process, or is not for us to judge.
      this.nextTurn(this.look)
      throw error
    }
    const now = this.nowMs()
    if (came) {
      this.gapMs += (Math.min(mostMs, Math.max(0, this.lookedMs - this.idleSinceMs)) - this.gapMs) / 16
      this.idleSinceMs = now
    } else if (now - this.lookedMs > preemptedMs) {
      this.awayUntilMs = now + awayMs
    }
    this.lookedMs = now
    if (!came && !this.looksOn(now) && this.sleep()) return
    this.nextTurn(this.look)
  }

  private looksOn(now: number): boolean {
    return (this.holds > 0 && this.rings.size > 0) || (this.gapMs < bellMs && now - this.idleSinceMs < mostMs && now >= this.awayUntilMs)
  }

  /** Answers false where something came while it fell asleep. */
  private sleep(): boolean {
    for (const ring of this.rings) {
      if (ring.sleep()) continue
      for (const other of this.rings) other.wake()
      return false
    }
    this.awake = false
    return true
  }
}

/** Of this process: it has one event loop. */
export const ringWatch = new RingWatch()
