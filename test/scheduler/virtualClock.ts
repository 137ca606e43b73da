/**
 * A clock that a test advances, as TestClock does, but without waiting in real time for fibers to be seen suspended: thousands of steps in a
 * second. Between two wake-ups all microtasks run, which is where Effect's fibers run.
 */
import type { Clock } from "effect/Clock"
import { ClockTypeId } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface VirtualClock extends Clock {
  readonly advance: (ms: number) => Effect.Effect<void>
}

export const makeVirtualClock = (): VirtualClock => {
  let now = 1_000_000
  let sleepers: Array<{ readonly atMs: number; readonly wake: () => void }> = []
  const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  const next = (): number => sleepers.reduce((least, sleeper) => Math.min(least, sleeper.atMs), Infinity)
  const nanos = (): bigint => BigInt(Math.round(now * 1e6))
  return {
    [ClockTypeId]: ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleeper = { atMs: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.push(sleeper)
        return Effect.sync(() => {
          sleepers = sleepers.filter((other) => other !== sleeper)
        })
      }),
    advance: (ms) =>
      Effect.gen(function*() {
        yield* settle
        const target = now + ms
        for (let due = next(); due <= target; due = next()) {
          now = Math.max(now, due)
          const awake = sleepers.filter((sleeper) => sleeper.atMs <= now)
          sleepers = sleepers.filter((sleeper) => sleeper.atMs > now)
          for (const sleeper of awake) sleeper.wake()
          yield* settle
        }
        now = target
      })
  }
}
