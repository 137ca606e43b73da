/** Finds out what changed in a repository since the last look, and has it loaded or forgotten. */
import * as Effect from "effect/Effect"
import type { CatalogLoadFailed } from "../../ModelCatalog.js"
import type { RepositorySettings } from "../ModelSettings.js"
import type { RepositoryError } from "../RepositoryError.js"
import type { FoundModel } from "../Scan.js"
import { stampOf } from "./modelLoader.js"
import type { Shelf } from "./shelf.js"

interface Polled {
  readonly look: Effect.Effect<readonly [ReadonlyArray<FoundModel>, RepositorySettings], RepositoryError>
  readonly shelves: ReadonlyMap<string, Shelf>
  readonly load: (found: FoundModel, settings: RepositorySettings) => Effect.Effect<void, CatalogLoadFailed>
  readonly forget: (shelf: Shelf) => Effect.Effect<void>
}

/**
 * One look at the folder. A change counts once it is seen twice: files that are still being written change between two looks. Models that were
 * unloaded on request stay so.
 */
export const pollChanges = ({ forget, load, look, shelves }: Polled): Effect.Effect<void> => {
  const seen = new Map<string, string>()
  let complaint = ""
  const isStable = (name: string, stamp: string): boolean => {
    if (seen.get(name) === stamp) return seen.delete(name)
    seen.set(name, stamp)
    return false
  }
  return Effect.gen(function*() {
    const [found, settings] = yield* look
    complaint = ""
    for (const model of found) {
      const stamp = stampOf(model, settings)
      const shelf = shelves.get(model.name)
      if (shelf !== undefined && (shelf.stamp === stamp || shelf.phase.is === "unloaded")) seen.delete(model.name)
      else if (isStable(model.name, stamp)) yield* Effect.ignore(load(model, settings))
    }
    const names = new Set(found.map(({ name }) => name))
    for (const shelf of [...shelves.values()]) {
      if (!names.has(shelf.name) && isStable(shelf.name, "gone")) yield* forget(shelf)
    }
    for (const name of [...seen.keys()]) if (!names.has(name) && !shelves.has(name)) seen.delete(name)
  }).pipe(
    Effect.catchAll((error) => {
      if (error.message === complaint) return Effect.void
      complaint = error.message
      return Effect.logWarning(`${error.message}; what was read before stays in force`)
    })
  )
}
