/**
 * Tells a process that hangs from one at work, by what comes from it. Whoever watches looks at it now and then and asks it something where it has
 * been silent; a process that answers nothing for many looks hangs. Looks are counted, not time: where the watcher itself did not run, as in a
 * virtual machine that was paused, it has not looked.
 */
import * as Effect from "effect/Effect"

/** What to do after a look. */
export type Look = "nothing" | "ask" | "hangs" | "stalls"

/** Looks without a sign of life, and without progress, that are too many. */
export interface Patience {
  readonly silent: number
  readonly stalled: number
}

export class HangWatch {
  private heard = -1
  private ended = -1
  private silent = 0
  private stalled = 0

  /**
   * `heard`: messages that came from it so far. `ended`: how much of its work it has done so far; `works`: whether it has some to do. Both counts
   * never fall.
   */
  look(heard: number, ended: number, works: boolean, { silent, stalled }: Patience): Look {
    this.silent = heard === this.heard ? this.silent + 1 : 0
    this.stalled = works && ended === this.ended ? this.stalled + 1 : 0
    this.heard = heard
    this.ended = ended
    if (this.silent > silent) return "hangs"
    if (this.stalled > stalled) return "stalls"
    return this.silent === 1 ? "ask" : "nothing"
  }
}

/** What is watched. */
export interface Watched {
  readonly lookMs: number
  readonly look: (watch: HangWatch) => Look
  /** Has it say something. */
  readonly ask: () => void
}

/** Watches until it hangs. */
export const untilItHangs = ({ ask, look, lookMs }: Watched): Effect.Effect<"hangs" | "stalls"> =>
  Effect.gen(function*() {
    const watch = new HangWatch()
    for (;;) {
      yield* Effect.sleep(lookMs)
      const seen = look(watch)
      if (seen === "ask") ask()
      if (seen === "hangs" || seen === "stalls") return seen
    }
  })
