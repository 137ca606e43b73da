/** Keeps the admission page up to date: after every turn of the event loop the edges of the models are written of which something changed. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ModelName } from "../../core/Ids.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { AdmissionPage } from "./admissionPage.js"
import type { PublishedModels } from "./publishedModels.js"

/** For what no event tells of. */
const refreshInterval = "100 millis"

/** What else than an end changes a queue. */
interface AdmissionWatch {
  /** A request of the model was offered. */
  readonly offered: (model: ModelName) => void
  /** Writes the edge of the model as it is now. */
  readonly write: (model: ModelName) => void
}

export const watchAdmission = (
  scheduler: typeof Scheduler.Service,
  models: PublishedModels,
  page: AdmissionPage
): Effect.Effect<AdmissionWatch, never, Scope.Scope> =>
  Effect.gen(function*() {
    let changed = new Set<ModelName>()
    let scheduled = false
    const write = (model: ModelName): void => {
      const line = models.lineOf(model)
      if (line !== undefined) page.write(line, scheduler.admissionEdge(model))
    }
    const writeChanged = (): void => {
      scheduled = false
      for (const model of changed) write(model)
      // Not cleared: a Set that is cleared again and again leaves a chain of tables (link/numbered.ts).
      changed = new Set()
    }
    const touch = (model: ModelName): void => {
      changed.add(model)
      if (scheduled) return
      scheduled = true
      setImmediate(writeChanged)
    }
    const touchAll = (): void => {
      for (const [model] of models.inPage()) touch(model)
    }
    yield* scheduler.observe({
      requestEnded: ({ model }) => touch(model.name),
      batchEnded: ({ model }) => touch(model.name),
      planDeployed: touchAll,
      gletExited: touchAll
    })
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(touchAll), refreshInterval)))
    return { offered: touch, write }
  })
