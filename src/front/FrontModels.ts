/** The models that a front reads requests for, as the agent tells it. */
import type { ModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { DropReason, RequestDropped } from "../core/RequestError.js"
import { RequestDropped as Dropped } from "../core/RequestError.js"
import { makeSlotLayout } from "../core/SlotLayout.js"
import { Refusals } from "../scheduler/internal/refusals.js"
import type { KnownErrors } from "../server/fronts/endCodec.js"
import type { CatalogEntry, ModelCatalog } from "../server/ModelCatalog.js"

/** Errors of one model that are kept to be given again. */
const keptErrors = 256

/** One version of a model. */
export class FrontModel implements KnownErrors {
  readonly entry: CatalogEntry
  /** Makes errors as the scheduler does. */
  readonly refusals: Refusals
  private readonly drops = new Map<string, RequestDropped>()

  constructor(readonly number: number, readonly line: number, readonly model: Model) {
    this.entry = { model, layout: makeSlotLayout(model.signature), config: {}, state: "READY" }
    this.refusals = new Refusals(model.name)
  }

  get canceled(): KnownErrors["canceled"] {
    return this.refusals.canceled
  }

  /** What the scheduler said, word for word. */
  readonly dropped = (reason: DropReason, retryAfterMs: number): RequestDropped => {
    const key = `${reason} ${retryAfterMs}`
    let error = this.drops.get(key)
    if (error === undefined) {
      if (this.drops.size >= keptErrors) this.drops.clear()
      this.drops.set(key, error = new Dropped({ model: this.model.name, reason, retryAfterMs }))
    }
    return error
  }
}

export class FrontModels implements Pick<typeof ModelCatalog.Service, "find" | "index"> {
  private readonly byName = new Map<string, FrontModel>()
  /** Also of models that are gone, as long as requests were read as them. */
  private readonly byModel = new WeakMap<Model, FrontModel>()

  put(number: number, line: number, model: Model): void {
    const made = new FrontModel(number, line, model)
    this.byName.set(model.name, made)
    this.byModel.set(model, made)
  }

  forget(name: string): void {
    this.byName.delete(name)
  }

  readonly find = (name: string, version?: number): CatalogEntry | undefined => {
    const entry = this.byName.get(name)?.entry
    return entry !== undefined && (version === undefined || version === entry.model.version) ? entry : undefined
  }

  /** Models that it does not have are the agent's to speak of. */
  readonly index = (): [] => []

  named(name: ModelName): FrontModel | undefined {
    return this.byName.get(name)
  }

  of(model: Model): FrontModel {
    return this.byModel.get(model)!
  }
}
