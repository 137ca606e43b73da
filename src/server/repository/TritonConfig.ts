/**
 * Triton's configuration of a model: `config.pbtxt`, or the JSON of a load request. Our own settings stand in its parameters, so that one
 * repository serves both servers:
 *
 * ```
 * parameters { key: "glet.slo_ms" value { string_value: "50" } }
 * parameters { key: "glet.class" value { string_value: "latency-critical" } }
 * parameters { key: "glet.rate_rps" value { string_value: "200" } }
 * ```
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { ServiceClass } from "../../core/Model.js"
import type { DecodedConfig } from "./internal/decodeConfig.js"
import { decodeConfig } from "./internal/decodeConfig.js"
import { parseJsonText } from "./internal/jsonText.js"
import { parsePbtxt } from "./internal/pbtxt.js"
import type { TextNode } from "./internal/textNode.js"
import { suggest } from "../../core/internal/suggest.js"
import { TextError } from "./internal/textNode.js"
import { modelConfig } from "./internal/tritonSchema.js"
import type { ModelSettings } from "./ModelSettings.js"
import { RateRps, SloMs, Weight } from "./ModelSettings.js"
import { RepositoryError } from "./RepositoryError.js"

/** An input or output of the configuration. @since 0.1.0 @category configuration */
export interface TritonTensor {
  readonly name?: string
  readonly data_type?: string
  /** Without the batch dimension where `max_batch_size` is above 0. */
  readonly dims?: ReadonlyArray<number>
  /** The shape that the model has, also without the batch, where that is not `dims`. */
  readonly reshape?: { readonly shape?: ReadonlyArray<number> }
  /** Of an input: what clients are told of its meaning. */
  readonly format?: string
  /** Of an output: the file of its classes' names, in the model's folder. */
  readonly label_filename?: string
}

/** The fields this server acts upon; the others are kept and shown. @since 0.1.0 @category configuration */
export interface TritonFields {
  readonly name?: string
  readonly platform?: string
  readonly backend?: string
  readonly max_batch_size?: number
  readonly input?: ReadonlyArray<TritonTensor>
  readonly output?: ReadonlyArray<TritonTensor>
  readonly default_model_filename?: string
  readonly version_policy?: {
    readonly latest?: { readonly num_versions?: number }
    readonly all?: object
    readonly specific?: { readonly versions?: ReadonlyArray<number> }
  }
  readonly dynamic_batching?: object
  readonly parameters?: Readonly<Record<string, { readonly string_value?: string }>>
}

/** A configuration that was read. @since 0.1.0 @category configuration */
export interface TritonConfig {
  readonly fields: TritonFields
  /** Our settings in it. */
  readonly settings: ModelSettings
  /** What is accepted and decides nothing here, one line each. */
  readonly notes: ReadonlyArray<string>
  /** An error about the value at a path, e.g. `input[0].dims`, with its position. */
  readonly error: (path: string, reason: RepositoryError["reason"], detail: string) => RepositoryError
}

/** Reads the text of a `config.pbtxt`. @since 0.1.0 @category configuration */
export const parseConfigText = (file: string, text: string): Either.Either<TritonConfig, RepositoryError> => parse(file, () => parsePbtxt(text))

/** Reads a configuration in Triton's JSON; `source` names it in errors. @since 0.1.0 @category configuration */
export const parseConfigJson = (source: string, text: string): Either.Either<TritonConfig, RepositoryError> => parse(source, () => parseJsonText(text))

/** The configuration of a model that has none. @since 0.1.0 @category configuration */
export const noConfig = (file: string): TritonConfig => ({
  fields: {},
  settings: {},
  notes: [],
  error: (path, reason, detail) => new RepositoryError({ file, reason, field: path, detail })
})

const parse = (file: string, read: () => TextNode): Either.Either<TritonConfig, RepositoryError> =>
  Either.gen(function*() {
    const decoded = yield* Either.try({
      try: () => decodeConfig(read(), modelConfig),
      catch: (cause) => {
        if (!(cause instanceof TextError)) throw cause
        return new RepositoryError({
          file, reason: cause.kind, detail: cause.message, ...cause.at, ...(cause.field === undefined ? {} : { field: cause.field })
        })
      }
    })
    const error = errorAt(file, decoded)
    // The descriptor has checked every field's type.
    const fields = decoded.json as TritonFields
    yield* checkFields(fields, error)
    return { fields, settings: yield* gletSettings(fields, error), notes: [...decoded.notes, ...otherParameters(fields)], error }
  })

/** The nearest position: an item that is absent stands where its message does. */
const errorAt = (file: string, decoded: DecodedConfig): TritonConfig["error"] => (path, reason, detail) => {
  let known = path
  while (known !== "" && !decoded.positions.has(known)) known = known.replace(/(\.[^.[]+|\[[^[]*\]|^[^.[]+)$/, "")
  return new RepositoryError({ file, reason, field: path, detail, ...decoded.positions.get(known) })
}

const checkFields = (fields: TritonFields, error: TritonConfig["error"]): Either.Either<void, RepositoryError> => {
  const { backend = "", max_batch_size: maxBatchSize = 0, platform = "", version_policy: policy } = fields
  if (!["", "onnxruntime_onnx", "onnx_onnxv1"].includes(platform)) {
    return Either.left(error("platform", "unsupported", `"${platform}" is not served; ONNX models have "onnxruntime_onnx"`))
  }
  if (!["", "onnxruntime"].includes(backend)) return Either.left(error("backend", "unsupported", `"${backend}" is not served; ONNX models have "onnxruntime"`))
  if (maxBatchSize < 0 || maxBatchSize > 65536) return Either.left(error("max_batch_size", "invalid", `expected 0 to 65536, found ${maxBatchSize}`))
  const file = fields.default_model_filename
  if (file !== undefined && (!/\.onnx$/.test(file) || /[/\\\0]/.test(file))) {
    return Either.left(error("default_model_filename", "invalid", `expected the name of an .onnx file in the version's folder, found "${file}"`))
  }
  if (policy !== undefined && Object.keys(policy).length !== 1) {
    return Either.left(error("version_policy", "invalid", "expected exactly one of latest, all, specific"))
  }
  return Either.void
}

const number = (text: string): number => (text.trim() === "" ? NaN : Number(text))

/** Our parameters: what they mean, and what to say of other values. */
const gletKeys = new Map<string, { readonly expected: string; readonly read: (text: string) => ModelSettings | undefined }>([
  ["glet.slo_ms", {
    expected: "milliseconds above 0, at most a day",
    read: (text) => (Schema.is(SloMs)(number(text)) ? { sloMs: number(text) } : undefined)
  }],
  ["glet.rate_rps", {
    expected: "items per second, 0 or above",
    read: (text) => (Schema.is(RateRps)(number(text)) ? { rateRps: number(text) } : undefined)
  }],
  ["glet.class", {
    expected: ServiceClass.literals.join(" or "),
    read: (text) => (Schema.is(ServiceClass)(text) ? { serviceClass: text } : undefined)
  }],
  ["glet.weight", {
    expected: "a number above 0, at most 1000",
    read: (text) => (Schema.is(Weight)(number(text)) ? { weight: number(text) } : undefined)
  }]
])

/** Triton's backends have settings of their own among the parameters. */
const otherParameters = (fields: TritonFields): ReadonlyArray<string> =>
  Object.keys(fields.parameters ?? {}).filter((key) => !key.startsWith("glet."))
    .map((key) => `parameters["${key}"] has no effect here: only those that begin with "glet." are settings of this server`)

const gletSettings = (fields: TritonFields, error: TritonConfig["error"]): Either.Either<ModelSettings, RepositoryError> => {
  let settings: ModelSettings = {}
  for (const [key, value] of Object.entries(fields.parameters ?? {})) {
    if (!key.startsWith("glet.")) continue
    const known = gletKeys.get(key)
    const path = `parameters["${key}"]`
    if (known === undefined) {
      const near = suggest(key, gletKeys.keys())
      return Either.left(error(path, "invalid", `unknown parameter${near === undefined ? "" : `; did you mean "${near}"?`}`))
    }
    const text = value.string_value ?? ""
    const read = known.read(text)
    if (read === undefined) return Either.left(error(path, "invalid", `expected ${known.expected} as string_value, found "${text.slice(0, 60)}"`))
    settings = { ...settings, ...read }
  }
  return Either.right(settings)
}
