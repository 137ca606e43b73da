import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { GletHandle } from "../../../src/core/Executor.js"

/** Kills the process behind a glet, at once. */
export const killGlet = (handle: GletHandle): Effect.Effect<void> =>
  Effect.map(handle.stats, ({ pid }) => {
    assert(pid !== undefined)
    process.kill(pid, "SIGKILL")
  })
