/**
 * `Scheduler.follow` as a stream. Not of the service itself: pages that do not ask for one load 10 kB less.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Scheduler } from "./Scheduler.js"
import type { SchedulerStatus } from "./SchedulerStatus.js"

/**
 * The status now, and at every change of plan, glet or model state; who reads slowly gets the latest.
 * @since 0.1.0
 * @category streams
 */
export const statusStream = (scheduler: Pick<Scheduler["Type"], "follow">): Stream.Stream<SchedulerStatus> =>
  Stream.fromPull(Effect.map(scheduler.follow, Effect.map(Chunk.of)))
