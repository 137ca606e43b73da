/**
 * The models of a repository and the state of each: what the protocol's repository, metadata and readiness calls speak of.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Model } from "../core/Model.js"
import type { ModelNotFound } from "../core/RequestError.js"
import type { SlotLayout } from "../core/SlotLayout.js"

/** States of Triton's model_repository extension. @since 0.1.0 @category catalog */
export type CatalogState = "READY" | "UNAVAILABLE" | "LOADING" | "UNLOADING"

/** One line of `POST v2/repository/index`. @since 0.1.0 @category catalog */
export interface CatalogIndexEntry {
  readonly name: string
  /** Absent where the model could not be read at all. */
  readonly version?: string
  readonly state: CatalogState
  /** Empty, or why it is not READY (or why newer files are not served): file, line where there is one, cause, what to do. */
  readonly reason: string
}

/** A model that was read: what a front needs to parse its requests. @since 0.1.0 @category catalog */
export interface CatalogEntry {
  readonly model: Model
  readonly layout: SlotLayout
  /** Triton's model configuration as JSON (`GET v2/models/{m}/config`), auto-completed. */
  readonly config: Readonly<Record<string, unknown>>
  readonly state: CatalogState
}

/** What the catalog is doing, for people who wait. @since 0.1.0 @category catalog */
export type CatalogProgress =
  | { readonly kind: "found"; readonly models: number; readonly toMeasure: number }
  | { readonly kind: "measuring"; readonly model: string; readonly gpuType: string; readonly done: number; readonly total: number }
  | { readonly kind: "state"; readonly model: string; readonly state: CatalogState; readonly reason: string }

/** A model could not be loaded; the reason is in the index too. @since 0.1.0 @category errors */
export class CatalogLoadFailed extends Schema.TaggedError<CatalogLoadFailed>()("CatalogLoadFailed", {
  model: Schema.String,
  /** `invalid`: the caller's configuration or the files are wrong; `failed`: the system could not. */
  reason: Schema.Literal("invalid", "failed"),
  detail: Schema.String
}) {
  override get message(): string {
    return `model "${this.model}" could not be loaded: ${this.detail}`
  }
}

/**
 * The catalog.
 * @since 0.1.0
 * @category services
 */
export class ModelCatalog extends Context.Tag("glet/server/ModelCatalog")<ModelCatalog, {
  /** Every model found, broken ones too, by name; where another version of one is being loaded, both. */
  readonly index: () => ReadonlyArray<CatalogIndexEntry>
  /** A model by name and version (the served one where absent); none that is still to take another's place. Hot path: a Map look-up. */
  readonly find: (name: string, version?: number) => CatalogEntry | undefined
  /**
   * Reads the model's files again and (re)loads it; `config` replaces its configuration (Triton's JSON). Completes when it is READY. What was
   * served before goes on being served where the new files are no good.
   */
  readonly load: (name: string, config?: string) => Effect.Effect<void, ModelNotFound | CatalogLoadFailed>
  /** Stops serving it; it stays in the index as UNAVAILABLE with reason `unloaded`. Unknown names fail. */
  readonly unload: (name: string) => Effect.Effect<void, ModelNotFound>
  /** Completes when every model found at the start is READY or UNAVAILABLE. */
  readonly settled: Effect.Effect<void>
  /** Whether that is so. */
  readonly isSettled: Effect.Effect<boolean>
  /**
   * Until the scope closes, has `changed` run with the name of every model of which something changed, and waits for it: whoever reads requests
   * elsewhere hears of a change before a `load`, an `unload` or `settled` completes, and of new tensors before the model is READY with them.
   */
  readonly observe: (changed: (name: string) => Effect.Effect<void>) => Effect.Effect<void, never, Scope.Scope>
}>() {}
