/**
 * A clock that runs slower than the real one, so that people can watch what takes milliseconds. All that takes its time from Effect's Clock
 * lives in its time.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** `speed` 0.1: a second of this clock takes ten. @since 0.1.0 @category constructors */
export const make = (real: Clock.Clock, speed: number): Clock.Clock => {
  const startNanos = real.unsafeCurrentTimeNanos()
  const startMs = real.unsafeCurrentTimeMillis()
  const nanos = (): bigint => startNanos + BigInt(Math.round(Number(real.unsafeCurrentTimeNanos() - startNanos) * speed))
  const millis = (): number => startMs + (real.unsafeCurrentTimeMillis() - startMs) * speed
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeNanos: nanos,
    unsafeCurrentTimeMillis: millis,
    currentTimeNanos: Effect.sync(nanos),
    currentTimeMillis: Effect.sync(millis),
    sleep: (duration) => real.sleep(Duration.millis(Duration.toMillis(duration) / speed))
  }
}
