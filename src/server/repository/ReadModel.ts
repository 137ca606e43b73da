/**
 * Makes a `Model` of what stands in the repository: the ONNX file, its configuration and the settings, each checked against the others.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { unsafeModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import { oneAtATime } from "../../core/Model.js"
import { modelFileOf } from "../../core/ModelFile.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { makeSlotLayout } from "../../core/SlotLayout.js"
import { completeConfig, narrowToConfig, unlistedOutputs } from "./ConfigMatch.js"
import { checkExternalData, isWithin } from "./ExternalData.js"
import { readText } from "./internal/readText.js"
import { readLabels } from "./Labels.js"
import type { ModelSettings, SettingsDefaults } from "./ModelSettings.js"
import { resolveSettings } from "./ModelSettings.js"
import { readOnnx } from "./OnnxFile.js"
import { fromFileSystem, RepositoryError } from "./RepositoryError.js"
import { withReshapes } from "./Reshape.js"
import type { FoundModel, ScanOptions } from "./Scan.js"
import { configFileName } from "./Scan.js"
import { readSignature } from "./Signature.js"
import type { TritonConfig } from "./TritonConfig.js"
import { noConfig, parseConfigText } from "./TritonConfig.js"

/** @since 0.1.0 @category repository */
export interface ReadModelOptions extends ScanOptions {
  readonly defaults: SettingsDefaults
  /** Replaces the model's `config.pbtxt`; what it says outranks everything. */
  readonly config?: TritonConfig
  /** What flags and `glet.json` say of it, in order of precedence. */
  readonly settings: ReadonlyArray<ModelSettings>
}

/** A model, ready to be registered. @since 0.1.0 @category repository */
export interface ReadModel {
  readonly model: Model
  readonly layout: SlotLayout
  /** Its configuration sets a largest batch above 1: whoever wrote it vouches for it that requests can be joined. */
  readonly isVouched: boolean
  /** Triton's configuration as JSON, auto-completed. */
  readonly config: Readonly<Record<string, unknown>>
  /** The same for the model as it became since. */
  readonly completedFor: (model: Model) => Readonly<Record<string, unknown>>
  /** What its operator should know, one line each. */
  readonly notes: ReadonlyArray<string>
}

/** The same, of a model that was read. @since 0.1.0 @category repository */
export const readOneAtATime = (read: ReadModel, why: string): ReadModel => {
  const model = oneAtATime(read.model)
  return { ...read, model, layout: makeSlotLayout(model.signature), config: read.completedFor(model), notes: [...read.notes, `one request at a time: ${why}`] }
}

/** Reads a model. @since 0.1.0 @category repository */
export const readModel = (found: FoundModel, options: ReadModelOptions): Effect.Effect<ReadModel, RepositoryError> =>
  Effect.gen(function*() {
    if (found.problem !== undefined) return yield* found.problem
    const config = options.config ?? (yield* readConfig(found))
    if (config.fields.name !== undefined && config.fields.name !== "" && config.fields.name !== found.name) {
      return yield* config.error("name", "mismatch", `is "${config.fields.name}", the model is called "${found.name}"`)
    }
    const version = yield* chooseVersion(found, config)
    const named = found.versions === undefined ? found.path : path.join(found.path, String(version), config.fields.default_model_filename ?? modelFileName)
    // Triton takes a folder in the file's place, for models with files beside them.
    const file = (yield* isFolder(named)) ? path.join(named, modelFileName) : named
    yield* checkPlace(found, file, options)
    // Before it is read: what is written meanwhile is another file.
    const own = yield* Effect.tryPromise({ try: () => fs.stat(file, { bigint: true }), catch: (cause) => fromFileSystem(file, cause) })
    const onnx = yield* readOnnx(file)
    if (onnx.sizeBytes > largestFileBytes) {
      return yield* new RepositoryError({
        file, reason: "unsupported", detail: `has ${onnx.sizeBytes} bytes, ONNX Runtime reads ${largestFileBytes} at most; save its weights as external data, in a file beside it`
      })
    }
    const external = yield* checkExternalData(file, onnx, options)

    const layers = options.config === undefined ? [...options.settings, config.settings] : [config.settings, ...options.settings]
    const resolved = resolveSettings(layers, options.defaults)
    const declaredBatch = config.fields.max_batch_size
    const asked = options.config === undefined || declaredBatch === undefined ? resolved.maxBatch ?? declaredBatch : declaredBatch
    const narrowed = yield* narrowToConfig(onnx, config)
    // A limit of 1 from our own settings says nothing of the shapes; Triton's max_batch_size of 1 does.
    const batching = asked === undefined ? "auto" : asked === 0 ? "off" : asked > 1 || (declaredBatch ?? 0) > 0 ? "on" : "auto"
    const { notBatchable, signature: ofFile } = yield* readSignature(file, narrowed, { batching })
    const signature = yield* withReshapes(ofFile, config)
    const labels = yield* readLabels(found, config, signature, options)
    const model: Model = {
      name: unsafeModelName(found.name),
      version,
      path: file,
      files: [modelFileOf(file, own), ...external.files],
      signature,
      maxBatch: signature.batchSymbol === undefined ? 1 : asked ?? options.defaults.maxBatch,
      serviceClass: resolved.serviceClass,
      ...(resolved.sloMs === undefined ? {} : { sloMs: resolved.sloMs }),
      ...(resolved.weight === undefined ? {} : { weight: resolved.weight }),
      expectedRateRps: resolved.expectedRateRps,
      ...(resolved.edge === true ? { edge: true } : {}),
      ...(labels === undefined ? {} : { labels }),
      weightBytes: onnx.sizeBytes + external.byteLength
    }
    const unlisted = unlistedOutputs(onnx, config)
    const completedFor = (model: Model) => completeConfig(model, config, path.basename(named))
    return {
      model,
      layout: makeSlotLayout(signature),
      isVouched: batching === "on",
      config: completedFor(model),
      completedFor,
      notes: [
        ...(resolved.sloIsDefault ? [`no SLO is given, ${model.sloMs} ms are taken; set it with --slo, glet.json or glet.slo_ms in ${configFileName}`] : []),
        ...(notBatchable === undefined || batching === "off" ? [] : [`requests are not joined into batches: ${notBatchable}`]),
        ...(unlisted.length === 0 ? [] : [`outputs that the configuration does not name are not served: ${unlisted.join(", ")}`]),
        ...config.notes
      ]
    }
  })

const modelFileName = "model.onnx"

const isFolder = (file: string): Effect.Effect<boolean> => Effect.promise(() => fs.stat(file).then((stat) => stat.isDirectory(), () => false))

/** Of a protobuf message. */
const largestFileBytes = 2 ** 31 - 1

const readConfig = (found: FoundModel): Effect.Effect<TritonConfig, RepositoryError> => {
  const file = path.join(found.path, configFileName)
  return found.hasConfig ? Effect.flatMap(readText(file), (text) => parseConfigText(file, text)) : Effect.succeed(noConfig(file))
}

/** The version to serve: one, for requests of a model go to one queue. */
const chooseVersion = (found: FoundModel, config: TritonConfig): Either.Either<number, RepositoryError> => {
  if (found.versions === undefined) return Either.right(1)
  const policy = config.fields.version_policy ?? {}
  const chosen = policy.specific !== undefined
    ? policy.specific.versions ?? []
    : policy.all !== undefined ? found.versions : found.versions.slice(-(policy.latest?.num_versions || 1))
  const missing = chosen.find((version) => !found.versions!.includes(version))
  if (missing !== undefined) {
    return Either.left(config.error("version_policy.specific", "mismatch", `version ${missing} is not there; there are ${found.versions.join(", ")}`))
  }
  const [version, ...others] = chosen
  if (version === undefined) return Either.left(config.error("version_policy.specific", "invalid", "names no version"))
  if (others.length > 0) {
    return Either.left(config.error("version_policy", "unsupported", `asks for versions ${chosen.join(", ")} at once; one version of a model is served`))
  }
  return Either.right(version)
}

/** The file itself may be a link too. */
const checkPlace = (found: FoundModel, file: string, options: ScanOptions): Effect.Effect<void, RepositoryError> =>
  Effect.tryPromise({ try: () => fs.realpath(file), catch: (cause) => cause }).pipe(
    Effect.mapError((cause) => {
      const error = fromFileSystem(file, cause)
      const name = path.basename(file)
      return error.reason === "missing" && found.versions !== undefined
        ? new RepositoryError({ file: path.dirname(file), reason: "missing", detail: `has no ${name}` })
        : error
    }),
    Effect.filterOrFail(
      (real) => options.followLinks || isWithin(path.dirname(found.path), real),
      () => new RepositoryError({ file, reason: "refused", detail: "is a link that leads out of the repository" })
    )
  )
