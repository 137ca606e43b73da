import * as Effect from "effect/Effect"
import { textOf } from "../../core/internal/loadFailure.js"
import { CliError } from "../CliError.js"
import { endSignal } from "../internal/signals.js"

/** Runs a load; the first signal ends it early, and what was measured is reported. */
export const untilSignal = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, CliError> =>
  Effect.suspend(() => {
    const stop = new AbortController()
    const onSignal = endSignal.pipe(Effect.flatMap(() => Effect.sync(() => stop.abort())), Effect.zipRight(Effect.never))
    return Effect.tryPromise({ try: () => run(stop.signal), catch: (error) => new CliError({ reason: "failed", problem: `the load could not be sent: ${textOf(error)}` }) }).pipe(
      Effect.raceFirst(onSignal),
      Effect.onInterrupt(() => Effect.sync(() => stop.abort()))
    )
  })
