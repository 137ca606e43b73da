/** The place of one model in the catalog: what was read of it, and where it stands. */
import type * as Effect from "effect/Effect"
import type { ModelReadiness } from "../../../scheduler/Scheduler.js"
import type { CatalogEntry, CatalogIndexEntry, CatalogState } from "../../ModelCatalog.js"
import type { ReadModel } from "../ReadModel.js"
import type { TritonConfig } from "../TritonConfig.js"

export type Phase =
  | { readonly is: "loading" }
  /** The scheduler has it. `note`: why files that are newer are not served. */
  | { readonly is: "registered"; readonly note: string }
  | { readonly is: "unloading" }
  | { readonly is: "unloaded" }
  | { readonly is: "broken"; readonly reason: string }

export class Shelf {
  phase: Phase = { is: "loading" }
  /** What requests are read as: what the scheduler takes them for. */
  entry: CatalogEntry | undefined
  /** What is to serve in its place, until it does. */
  private coming: ReadModel | undefined
  /** Its files are gone, and the catalog has it no more: what waited for its lock goes to another shelf of that name. */
  isForgotten = false
  /** The configuration that a load request brought, if what is served was loaded with one. */
  given: TritonConfig | undefined
  /** Of the files and settings last looked at. */
  stamp = ""

  constructor(
    readonly name: string,
    /** Held while it is loaded or unloaded: one at a time. */
    readonly lock: Effect.Semaphore,
    private readonly readiness: (name: string) => ModelReadiness | undefined
  ) {}

  /** A phase of the catalog's own, and where the model is registered, what the scheduler says. */
  get standing(): { readonly state: CatalogState; readonly reason: string } {
    switch (this.phase.is) {
      case "loading": return { state: "LOADING", reason: "" }
      case "unloading": return { state: "UNLOADING", reason: "" }
      case "unloaded": return { state: "UNAVAILABLE", reason: "unloaded" }
      case "broken": return { state: "UNAVAILABLE", reason: this.phase.reason }
      case "registered": {
        const { note } = this.phase
        const readiness = this.readiness(this.name)
        if (readiness?.state === "ready") return { state: "READY", reason: note === "" ? "" : `still serving what was loaded before: ${note}` }
        if (readiness?.state === "failed") return { state: "UNAVAILABLE", reason: note === "" ? readiness.reason : `${readiness.reason}; a load failed since: ${note}` }
        return { state: "LOADING", reason: "no glet serves it yet; see `glet status`" }
      }
    }
  }

  /** Something was read, and is being loaded. */
  expect(read: ReadModel): void {
    this.coming = read
  }

  /** It will not serve. */
  giveUp(): void {
    this.coming = undefined
  }

  /** It serves: requests are read by it from now on. False: they were already. */
  take(): boolean {
    if (this.coming === undefined) return false
    const { config, layout, model } = this.coming
    this.coming = undefined
    const standing = () => this.standing
    this.entry = {
      model,
      layout,
      config,
      // Asked once per request, so that it never lags behind.
      get state() {
        return standing().state
      }
    }
    return true
  }

  /** One for what is served, and one for another version that is being loaded. */
  get lines(): ReadonlyArray<CatalogIndexEntry> {
    const { coming, entry, name } = this
    const line: CatalogIndexEntry = { name, ...(entry === undefined ? {} : { version: String(entry.model.version) }), ...this.standing }
    if (entry === undefined || coming === undefined || coming.model.version === entry.model.version) return [line]
    const next: CatalogIndexEntry = { name, version: String(coming.model.version), state: "LOADING", reason: "" }
    return coming.model.version < entry.model.version ? [next, line] : [line, next]
  }
}
