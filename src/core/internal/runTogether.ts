/** Glets that all compute at once for a while, each its one batch again and again. */
import * as Effect from "effect/Effect"
import type { Batch, BatchEnd, GletHandle } from "../Executor.js"

/** Executions of each that count, however long they take: the time that was asked for is then exceeded, up to `mostTimes` of it. */
const fewest = 8
const mostTimes = 10

/** A glet and what it runs. */
export interface Companion {
  readonly handle: GletHandle
  readonly batch: Batch
}

/**
 * Execution times in ms, by glet, as their executor reports them, without the first `uncounted` of each: others may not have begun. None stops
 * before all have what they need: a neighbour that ended would no longer be one. Fails with the first batch that does.
 */
export const runTogether = (
  companions: ReadonlyArray<Companion>, { forMs, uncounted }: { readonly forMs: number; readonly uncounted: number }
): Effect.Effect<ReadonlyArray<ReadonlyArray<number>>, Extract<BatchEnd, { readonly ok: false }>> =>
  Effect.flatMap(Effect.clock, (clock) =>
    Effect.async((resume) => {
      const startMs = clock.unsafeCurrentTimeMillis()
      const durationsMs = companions.map((): Array<number> => [])
      let inFlight = 0
      let failure: Extract<BatchEnd, { readonly ok: false }> | undefined
      let isOver = false
      const mayEnd = (): boolean => {
        const passedMs = clock.unsafeCurrentTimeMillis() - startMs
        return passedMs >= mostTimes * forMs || (passedMs >= forMs && durationsMs.every(({ length }) => length >= uncounted + fewest))
      }
      const start = (i: number): void => {
        const { batch, handle } = companions[i]!
        inFlight++
        handle.start(batch, (end) => {
          inFlight--
          if (end.ok) durationsMs[i]!.push(end.inferMs)
          else failure ??= end
          isOver ||= failure !== undefined || mayEnd()
          if (!isOver) return start(i)
          if (inFlight > 0) return
          resume(failure === undefined ? Effect.succeed(durationsMs.map((all) => all.slice(Math.min(uncounted, all.length - 1)))) : Effect.fail(failure))
        })
      }
      for (const [i, { handle }] of companions.entries()) {
        // As a server under load does, so that copies overlap executions.
        for (let n = 0; n < handle.depth; n++) start(i)
      }
      return Effect.sync(() => {
        isOver = true
      })
    }))
