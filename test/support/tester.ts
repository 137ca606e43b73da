/**
 * What `layer` of @effect/vitest makes of `it` for its own suite it leaves to all later ones of a process, some without a test clock: each file begins with
 * the methods that there were at first.
 */
import { it } from "@effect/vitest"

const key = Symbol.for("glet/test/methods")
const kept = globalThis as { [key]?: object }
Object.assign(it, kept[key] ??= { ...it } as object)
