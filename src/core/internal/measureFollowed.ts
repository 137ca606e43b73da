/** What a batch takes where others go before and after it without a gap, added to what it takes by itself. */
import * as Effect from "effect/Effect"
import type { Batch, GletHandle } from "../Executor.js"
import type { GletExited } from "../ExecutorError.js"
import type { ProfilePoint } from "../Profile.js"
import { median } from "./latencyStatistics.js"
import { runTogether } from "./runTogether.js"

/** Of the time that the share's batches by themselves have. */
const budgetPart = 1 / 4
/** The first executions of a set of buffers are slow, until its kernels are recorded; a glet has some sets. */
const uncounted = 12

/** The points with `followedMs`, at most their median; one whose batch fails stays as it is. */
export const withFollowed = (
  handle: GletHandle, points: ReadonlyArray<ProfilePoint>, batchOf: (items: number) => Batch, budgetMs: number
): Effect.Effect<ReadonlyArray<ProfilePoint>, GletExited> =>
  Effect.forEach(points, (point) =>
    runTogether([{ handle, batch: batchOf(point.batch) }], { forMs: (budgetPart * budgetMs) / points.length, uncounted }).pipe(
      Effect.map(([durationsMs]): ProfilePoint => ({ ...point, followedMs: Math.max(1e-4, Math.min(median(durationsMs!), point.p50Ms)) })),
      Effect.catchAll(({ error }) => (error._tag === "GletExited" ? Effect.fail(error) : Effect.succeed(point)))
    ))
