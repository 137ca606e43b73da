/**
 * Whether agent and runner should poll for each other's messages or sleep: by measurement, since the one is faster on idle cores and the other
 * on busy ones. The way to the runner and back is measured in both manners; the better one is used, the other tried now and then.
 */
export class PollChoice {
  /** Smoothed ms on the way, asleep and polling; NaN before the first measurement. */
  private readonly wayMs: [number, number] = [NaN, NaN]
  private count = 0

  /** For the next batch. */
  next(): boolean {
    const inTrial = this.count++ % period < trial
    return inTrial !== this.polls
  }

  /** A batch that was alone on its way took so long besides its execution. */
  observe(polled: boolean, wayMs: number): void {
    const i = polled ? 1 : 0
    const before = this.wayMs[i]
    // A stall of the machine must not decide.
    this.wayMs[i] = Number.isNaN(before) ? Math.min(wayMs, 1) : before + (Math.min(wayMs, 4 * before) - before) / 16
  }

  /** Polling costs time of a core: it must be worth it. */
  private get polls(): boolean {
    return this.wayMs[1] < 0.85 * this.wayMs[0]
  }
}

/** Batches from one trial of the other manner to the next, and in a trial. */
const period = 256
const trial = 16
