/** What only one process does at a time, under a lock that is held for milliseconds. */
import * as Effect from "effect/Effect"
import { releaseLock, takeLock } from "./lockFile.js"

/** Someone else holds it. */
export interface Locked {
  readonly _tag: "Locked"
  readonly path: string
}

const pauseMs = 20

/** Runs `use` while holding the lock; fails with `Locked` where it is not free within `waitMs`, with the cause where it cannot be made. */
export const withFileLock = <A, E>(
  path: string,
  waitMs: number,
  use: Effect.Effect<A, E>
): Effect.Effect<A, E | Locked | { readonly _tag: "LockError"; readonly cause: unknown }> => {
  const attempt = Effect.try({ try: () => takeLock(path) === undefined, catch: (cause) => ({ _tag: "LockError" as const, cause }) })
  const acquire = Effect.gen(function*() {
    for (let left = Math.ceil(waitMs / pauseMs); left > 0; left--) {
      if (yield* attempt) return
      yield* Effect.interruptible(Effect.sleep(pauseMs))
    }
    return yield* Effect.fail<Locked>({ _tag: "Locked", path })
  })
  return Effect.acquireUseRelease(acquire, () => use, () => Effect.sync(() => releaseLock(path)))
}
