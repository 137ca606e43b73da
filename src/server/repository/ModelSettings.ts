/**
 * What an operator may say of a model, and the file in which to say it: `glet.json` in the repository.
 *
 * ```json
 * {
 *   "apiVersion": "glet/v1alpha1",
 *   "models": {
 *     "lenet-digits": { "sloMs": 50, "rateRps": 200 },
 *     "ranking-batch": { "class": "best-effort", "maxBatch": 16 }
 *   }
 * }
 * ```
 * Precedence: flags, then `glet.json`, then `config.pbtxt`, then defaults; field by field.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { decodeProblem, fieldName } from "../../core/internal/decodeProblem.js"
import type { Model } from "../../core/Model.js"
import { ServiceClass } from "../../core/Model.js"
import { parseJsonText, plainValue, positionAt } from "./internal/jsonText.js"
import { readText } from "./internal/readText.js"
import type { TextNode } from "./internal/textNode.js"
import { suggest } from "../../core/internal/suggest.js"
import { TextError } from "./internal/textNode.js"
import { RepositoryError } from "./RepositoryError.js"

/** What may be said of one model; what is absent is decided elsewhere. @since 0.1.0 @category settings */
export interface ModelSettings {
  readonly sloMs?: number
  readonly serviceClass?: ServiceClass
  readonly rateRps?: number
  readonly maxBatch?: number
  readonly weight?: number
  /** It may run on edge nodes. */
  readonly edge?: boolean
}

/** Latency objective in ms. @since 0.1.0 @category settings */
export const SloMs = Schema.Number.pipe(Schema.greaterThan(0), Schema.lessThanOrEqualTo(86_400_000))
/** Items per second. @since 0.1.0 @category settings */
export const RateRps = Schema.Number.pipe(Schema.greaterThanOrEqualTo(0), Schema.lessThanOrEqualTo(10_000_000))
/** The largest batch of a model; a model without a batch dimension has 1. @since 0.1.0 @category settings */
export const MaxBatch = Schema.Int.pipe(Schema.between(1, 65536))

/** A best-effort model's part of the time that is left, in proportion to the others'. @since 0.1.0 @category settings */
export const Weight = Schema.Number.pipe(Schema.greaterThan(0), Schema.lessThanOrEqualTo(1000))

/** One model in `glet.json`. @since 0.1.0 @category settings */
export const SettingsEntry = Schema.Struct({
  /** Latency objective in ms, from arrival to answer. */
  sloMs: Schema.optionalWith(SloMs, { exact: true }),
  class: Schema.optionalWith(ServiceClass, { exact: true }),
  /** Rate to plan for before any was seen, items per second. */
  rateRps: Schema.optionalWith(RateRps, { exact: true }),
  /** Largest number of items in one execution. */
  maxBatch: Schema.optionalWith(MaxBatch, { exact: true }),
  /** Best-effort: its part of the time that is left, in proportion to the others'. */
  weight: Schema.optionalWith(Weight, { exact: true }),
  /** It may run on edge nodes: machines of others, to which its weights and its requests go. */
  edge: Schema.optionalWith(Schema.Boolean, { exact: true })
})

/** All of `glet.json`, for its JSON schema; `readSettings` decodes model by model. @since 0.1.0 @category settings */
export const SettingsFile = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  models: Schema.Record({ key: Schema.String, value: SettingsEntry })
})

/** The settings of a repository. @since 0.1.0 @category settings */
export interface RepositorySettings {
  /** Mistakes in one model's entry are that model's; the others are served. */
  readonly models: ReadonlyMap<string, Either.Either<ModelSettings, RepositoryError>>
}

/** Name of the settings file in a repository. @since 0.1.0 @category settings */
export const settingsFileName = "glet.json"

/** Reads a repository's `glet.json`; without one there are no settings. @since 0.1.0 @category settings */
export const readSettings = (directory: string): Effect.Effect<RepositorySettings, RepositoryError> => {
  const file = path.join(directory, settingsFileName)
  return readText(file).pipe(
    Effect.flatMap((text) => parseSettings(file, text)),
    Effect.catchIf((error) => error.reason === "missing", () => Effect.succeed({ models: new Map() }))
  )
}

/** Decodes the text of a `glet.json`. @since 0.1.0 @category settings */
export const parseSettings = (file: string, text: string): Either.Either<RepositorySettings, RepositoryError> =>
  Either.gen(function*() {
    const root = yield* parseJson(file, text)
    yield* decodeAt(file, root, [], Envelope, root)
    const fields = root.kind === "message" ? root.fields : []
    const models = fields.find(({ name }) => name === "models")?.value
    const entries = models?.kind === "message" ? models.fields : []
    return {
      models: new Map(entries.map((entry) => [
        entry.name,
        Either.map(decodeAt(file, root, ["models", entry.name], SettingsEntry, entry.value), ({ class: serviceClass, ...rest }) => ({
          ...rest,
          ...(serviceClass === undefined ? {} : { serviceClass })
        }))
      ]))
    }
  })

const Envelope = Schema.Struct({ apiVersion: SettingsFile.fields.apiVersion, models: Schema.Record({ key: Schema.String, value: Schema.Unknown }) })

const parseJson = (file: string, text: string): Either.Either<TextNode, RepositoryError> =>
  Either.try({
    try: () => parseJsonText(text),
    catch: (cause) => {
      if (!(cause instanceof TextError)) throw cause
      return new RepositoryError({ file, reason: "invalid", detail: cause.message, ...cause.at })
    }
  })

const decodeAt = <A, I>(
  file: string,
  root: TextNode,
  path: ReadonlyArray<string>,
  schema: Schema.Schema<A, I>,
  node: TextNode
): Either.Either<A, RepositoryError> =>
  Either.mapLeft(Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(plainValue(node)), (error) => {
    const problem = decodeProblem(error)
    const where = [...path, ...problem.path]
    const unknown = problem.isUnknown ? String(where.at(-1)) : undefined
    const near = unknown === undefined || !("fields" in schema) ? undefined : suggest(unknown, Object.keys(schema.fields as object))
    return new RepositoryError({
      file,
      reason: "invalid",
      ...(where.length === 0 ? {} : { field: fieldName(where) }),
      detail: unknown === undefined ? problem.message : `unknown field${near === undefined ? "" : `; did you mean "${near}"?`}`,
      ...positionAt(root, where)
    })
  })

/** Where nobody said anything. @since 0.1.0 @category settings */
export interface SettingsDefaults {
  /** Of a latency-critical model. A model of which nothing is said is latency-critical. */
  readonly sloMs: number
  readonly rateRps: number
  /** Of a model that can batch. */
  readonly maxBatch: number
}

/** What holds for a model of which nothing is said. @since 0.1.0 @category settings */
export const defaultSettings: SettingsDefaults = { sloMs: 100, rateRps: 1, maxBatch: 32 }

/** Settings that count, with what was left to the defaults. @since 0.1.0 @category settings */
export interface ResolvedSettings extends Pick<Model, "serviceClass" | "sloMs" | "expectedRateRps" | "weight" | "edge"> {
  readonly maxBatch: number | undefined
  /** The SLO is the default one. */
  readonly sloIsDefault: boolean
}

/** The first layer that says something of a field decides it. @since 0.1.0 @category settings */
export const resolveSettings = (layers: ReadonlyArray<ModelSettings>, defaults: SettingsDefaults): ResolvedSettings => {
  const first = <K extends keyof ModelSettings>(key: K): ModelSettings[K] | undefined => layers.find((layer) => layer[key] !== undefined)?.[key]
  const serviceClass = first("serviceClass") ?? "latency-critical"
  const sloMs = first("sloMs")
  const weight = first("weight")
  return {
    serviceClass,
    ...(serviceClass === "best-effort" ? (weight === undefined ? {} : { weight }) : { sloMs: sloMs ?? defaults.sloMs }),
    sloIsDefault: serviceClass === "latency-critical" && sloMs === undefined,
    expectedRateRps: first("rateRps") ?? defaults.rateRps,
    maxBatch: first("maxBatch"),
    ...(first("edge") === true ? { edge: true } : {})
  }
}
