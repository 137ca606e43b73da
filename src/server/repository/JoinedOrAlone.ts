/**
 * Measures a model that was read, and finds out whether its requests can be joined where nobody vouches for it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { ModelLoadFailed } from "../../core/ExecutorError.js"
import type { ReadModel } from "./ReadModel.js"
import { readOneAtATime } from "./ReadModel.js"

/**
 * Measures a model; where it answers requests otherwise when they are joined, once more as one that takes one at a time, and says so in the log.
 * @since 0.1.0
 * @category profiles
 */
export const joinedOrAlone = <A, E>(
  read: ReadModel,
  measure: (read: ReadModel, mayJoin: boolean) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  measure(read, read.isVouched).pipe(
    Effect.catchAll((error) =>
      error instanceof ModelLoadFailed && error.reason === "items-depend"
        ? Effect.zipRight(
          Effect.logWarning(`${read.model.name} takes one request at a time: ${error.detail}; a max_batch_size, or maxBatch, above 1 joins them all the same`),
          measure(readOneAtATime(read, error.detail), true)
        )
        : Effect.fail(error))
  )
