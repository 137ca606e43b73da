import * as Effect from "effect/Effect"
import { endSignal } from "../internal/signals.js"
import type { LoadOptions, LoadResult, LoadStream } from "./LoadGenerator.js"
import { runLoad } from "./LoadGenerator.js"

/** Runs the load; the first signal ends it early, and what was measured is reported. */
export const runUntilSignal = (options: LoadOptions, streams: ReadonlyArray<LoadStream>): Effect.Effect<LoadResult> =>
  Effect.suspend(() => {
    const stop = new AbortController()
    const onSignal = endSignal.pipe(Effect.flatMap(() => Effect.sync(() => stop.abort())), Effect.zipRight(Effect.never))
    return Effect.promise(() => runLoad({ ...options, signal: stop.signal }, streams)).pipe(
      Effect.raceFirst(onSignal),
      Effect.onInterrupt(() => Effect.sync(() => stop.abort()))
    )
  })
