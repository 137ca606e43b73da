/**
 * One request of a load on its way through its steps: which of them may be sent, and when all is over.
 *
 * @since 0.1.0
 */
import type { Outcome } from "./StreamStats.js"

/** @since 0.1.0 @category load */
export class LoadJob {
  /** How a step ended that was not answered: no further step is sent. */
  lost: Outcome | undefined
  private inFlight = 0
  /** Steps, by number, that each still waits for; -1 once it was sent. */
  private readonly waitsFor: Int16Array

  constructor(
    readonly stream: number,
    /** Its number in the stream. */
    readonly number: number,
    readonly scheduledMs: number,
    readonly counted: boolean,
    private readonly steps: ReadonlyArray<{ readonly after: ReadonlyArray<number> }>
  ) {
    this.waitsFor = Int16Array.from(steps, ({ after }) => after.length)
  }

  /**
   * Sends the steps whose time has come; those after a lost one never are. `send` answers why a step cannot be sent, and calls nothing of this job.
   * True: it has ended.
   */
  advance(send: (step: number) => Outcome | undefined): boolean {
    for (let step = 0; step < this.steps.length && this.lost === undefined; step++) {
      if (this.waitsFor[step] !== 0) continue
      this.waitsFor[step] = -1
      this.lost = send(step)
      if (this.lost === undefined) this.inFlight++
    }
    return this.inFlight === 0
  }

  stepEnded(step: number, outcome: Outcome): void {
    this.inFlight--
    if (outcome.kind !== "answered") this.lost ??= outcome
    else {
      this.steps.forEach(({ after }, i) => {
        if (after.includes(step)) this.waitsFor[i]!--
      })
    }
  }
}
