/**
 * A lock between processes: a file that only one of them can create. Held for milliseconds; one that is left by a process that died is broken
 * by whoever comes next.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { isAlive } from "./isAlive.js"

/** Someone else holds it. */
export interface Locked {
  readonly _tag: "Locked"
  readonly path: string
}

/** An age at which even a live owner is taken for hung: no writer needs a hundredth of it. */
const abandonedMs = 30_000
const pauseMs = 20

const codeOf = (cause: unknown): string => cause instanceof Error && "code" in cause ? String(cause.code) : ""


/**
 * Removes a lock whose owner died or hangs. A lock that vanished meanwhile is fine. Two that break the same lock at the same moment may both
 * hold one then, and an owner in another process namespace looks dead: at worst one of two changes is lost.
 */
const breakIfAbandoned = async (path: string): Promise<void> => {
  try {
    const [text, { mtimeMs }] = await Promise.all([fs.readFile(path, "utf8"), fs.stat(path)])
    const pid = Number.parseInt(text, 10)
    // The times of files are those of the wall clock, whatever clock the program runs by.
    const ageMs = Date.now() - mtimeMs
    // An owner writes its number right after it made the file: an empty one is young or lost.
    const dead = Number.isNaN(pid) ? ageMs > 1000 : !isAlive(pid)
    if (dead || ageMs > abandonedMs) await fs.rm(path, { force: true })
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause
  }
}

const tryLock = async (path: string): Promise<boolean> => {
  try {
    await fs.writeFile(path, String(process.pid), { flag: "wx" })
    return true
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause
    await breakIfAbandoned(path)
    return false
  }
}

/** Runs `use` while holding the lock; fails with `Locked` where it is not free within `waitMs`, with the cause where it cannot be made. */
export const withFileLock = <A, E>(
  path: string,
  waitMs: number,
  use: Effect.Effect<A, E>
): Effect.Effect<A, E | Locked | { readonly _tag: "LockError"; readonly cause: unknown }> => {
  const attempt = Effect.tryPromise({ try: () => tryLock(path), catch: (cause) => ({ _tag: "LockError" as const, cause }) })
  const acquire = Effect.gen(function*() {
    for (let left = Math.ceil(waitMs / pauseMs); left > 0; left--) {
      if (yield* attempt) return
      yield* Effect.interruptible(Effect.sleep(pauseMs))
    }
    return yield* Effect.fail<Locked>({ _tag: "Locked", path })
  })
  return Effect.acquireUseRelease(acquire, () => use, () => Effect.promise(() => fs.rm(path, { force: true })))
}
