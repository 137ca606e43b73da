/**
 * Models whose files are not those any more that they were loaded from, as glets found that had to read them again: after a death, for another plan.
 * Nothing is served from such files under the old name, and what was loaded is gone with the glets that had it; so what there is now is loaded in its
 * place, as if that was asked for, once it holds still.
 */
import * as Effect from "effect/Effect"
import type { Model } from "../../../core/Model.js"
import type { Scheduler } from "../../../scheduler/Scheduler.js"
import type { CatalogLoadFailed } from "../../ModelCatalog.js"
import type { RepositorySettings } from "../ModelSettings.js"
import type { RepositoryError } from "../RepositoryError.js"
import type { FoundModel } from "../Scan.js"
import { pollChanges } from "./pollChanges.js"
import type { Shelf } from "./shelf.js"

interface ChangedModelsOptions {
  readonly scheduler: Pick<typeof Scheduler.Service, "observe">
  readonly look: Effect.Effect<readonly [ReadonlyArray<FoundModel>, RepositorySettings], RepositoryError>
  readonly shelves: ReadonlyMap<string, Shelf>
  readonly load: (found: FoundModel, settings: RepositorySettings) => Effect.Effect<void, CatalogLoadFailed>
}

/** Between two looks at files that changed. Both must see the same. */
const lookInterval = "1 second"

/** Notices them from now on, until the scope closes. What it answers has them loaded, for as long as it runs. */
export const watchChanged = ({ load, look, scheduler, shelves }: ChangedModelsOptions) =>
  Effect.gen(function*() {
    /** By name: the model, what is wrong with its files, and whether that was not seen to yet. */
    const changed = new Map<string, { readonly model: Model; readonly what: string; isNew: boolean }>()
    const isWanted = yield* Effect.makeLatch(false)
    yield* scheduler.observe({
      loadFailed: ({ error, model }) => {
        const shelf = shelves.get(model.name)
        if (error.reason !== "changed" || shelf === undefined || !isOf(shelf, model)) return
        changed.set(model.name, { model, what: error.detail, isNew: true })
        isWanted.unsafeOpen()
      }
    })
    const poll = pollChanges({
      shelves, load,
      look: Effect.map(look, ([found, settings]) => [found.filter(({ name }) => changed.has(name)), settings] as const),
      // Other glets may have what was loaded from files that are gone.
      forget: () => Effect.void
    })
    const reload = Effect.gen(function*() {
      yield* isWanted.await
      for (const [name, one] of changed) {
        const shelf = shelves.get(name)
        if (shelf === undefined || !isOf(shelf, one.model)) {
          changed.delete(name)
        } else if (one.isNew) {
          one.isNew = false
          // Also where what the catalog saw of its files is the same, as when one was moved to its place with all its times.
          shelf.stamp = ""
          yield* Effect.annotateLogs(Effect.logWarning(`${one.what}: what is there now is loaded in its place once it holds still`), { model: name })
        }
      }
      if (changed.size === 0) return isWanted.unsafeClose()
      yield* poll
      yield* Effect.sleep(lookInterval)
    })
    return Effect.forever(reload)
  })

/** Whether that is what is served there, or should be. */
const isOf = ({ entry, phase }: Shelf, model: Model): boolean =>
  (phase.is === "registered" || phase.is === "loading") && entry !== undefined && entry.model.files === model.files
