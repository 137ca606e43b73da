import * as Effect from "effect/Effect"
import { endSignal } from "../internal/signals.js"
import type { LoadResult } from "./LoadGenerator.js"

/** Runs a load; the first signal ends it early, and what was measured is reported. */
export const untilSignal = (run: (signal: AbortSignal) => Promise<LoadResult>): Effect.Effect<LoadResult> =>
  Effect.suspend(() => {
    const stop = new AbortController()
    const onSignal = endSignal.pipe(Effect.flatMap(() => Effect.sync(() => stop.abort())), Effect.zipRight(Effect.never))
    return Effect.promise(() => run(stop.signal)).pipe(
      Effect.raceFirst(onSignal),
      Effect.onInterrupt(() => Effect.sync(() => stop.abort()))
    )
  })
