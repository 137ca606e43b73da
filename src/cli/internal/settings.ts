import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ServiceClass } from "../../core/Model.js"
import type { ResolvedConfig, ServerConfig } from "../../server/ServerConfig.js"
import { resolveConfig } from "../../server/ServerConfig.js"
import type { ModelSettings } from "../../server/repository/ModelSettings.js"
import { MaxBatch, RateRps, SettingsEntry, SloMs } from "../../server/repository/ModelSettings.js"
import type { ServerConfigError } from "../../server/ServerError.js"
import { CliError, usageError } from "../CliError.js"
import { parseJson, readText } from "./files.js"
import { schemaProblem } from "./schemaProblem.js"

/** The file behind `--config`. `server` is decoded by the server's own table. */
const ConfigFile = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  server: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.Unknown }), { default: () => ({}) }),
  models: Schema.optionalWith(Schema.Record({ key: Schema.String, value: SettingsEntry }), { default: () => ({}) })
})

const noFile: typeof ConfigFile.Type = { apiVersion: "glet/v1alpha1", server: {}, models: {} }

/** Reads `--config`; nothing where there is none. */
export const readConfigFile = (file: string | undefined): Effect.Effect<typeof ConfigFile.Type, CliError> =>
  file === undefined ? Effect.succeed(noFile) : readText(file, "the configuration").pipe(
    Effect.flatMap((text) => parseJson(text, file)),
    Effect.flatMap(Schema.decodeUnknown(ConfigFile, { onExcessProperty: "error" })),
    Effect.mapError((error) =>
      error instanceof CliError ? error : new CliError({ reason: "input", problem: `${file}: ${schemaProblem(error)}` })
    )
  )

const frontsOf = (text: string): Effect.Effect<ServerConfig["fronts"], CliError> =>
  text === "auto" || /^[0-9]{1,4}$/.test(text)
    ? Effect.succeed(text === "auto" ? text : Number(text))
    : Effect.fail(usageError(`--fronts ${text}: expected a whole number, or auto`))

/** The server's settings from flags, environment and file, each with its source. */
export const resolveServerConfig = (args: {
  readonly config: string | undefined
  readonly port: number | undefined
  readonly host: string | undefined
  readonly requestLog: string | undefined
  readonly compatTritonErrors: boolean
  readonly sharedMemory: boolean
  readonly sharedMemoryDirect: ServerConfig["sharedMemoryDirect"] | undefined
  readonly fronts: string | undefined
}): Effect.Effect<ResolvedConfig, CliError | ServerConfigError> =>
  Effect.gen(function*() {
    const file = yield* readConfigFile(args.config)
    const flags: Partial<ServerConfig> = {
      ...(args.port === undefined ? {} : { port: args.port }),
      ...(args.host === undefined ? {} : { host: args.host }),
      ...(args.requestLog === undefined ? {} : { requestLog: args.requestLog }),
      ...(args.compatTritonErrors ? { compatTritonErrors: true } : {}),
      ...(args.sharedMemory ? { sharedMemory: true } : {}),
      ...(args.sharedMemoryDirect === undefined ? {} : { sharedMemoryDirect: args.sharedMemoryDirect }),
      ...(args.fronts === undefined ? {} : { fronts: yield* frontsOf(args.fronts) })
    }
    const env = new Map(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined))
    return yield* resolveConfig({ flags, env, file: file.server })
  })

const decodePair = <A, I>(flag: string, schema: Schema.Schema<A, I>, expected: string, model: string, value: unknown) =>
  Schema.decodeUnknown(schema)(value).pipe(Effect.mapError(() => usageError(`--${flag} ${model}: expected ${expected}`)))

/** Per model: flags before the file. */
export const modelSettings = (args: {
  readonly slo: ReadonlyMap<string, string>
  readonly rate: ReadonlyMap<string, string>
  readonly class: ReadonlyMap<string, string>
  readonly maxBatch: ReadonlyMap<string, string>
  readonly edge?: ReadonlyArray<string>
}, file: Readonly<Record<string, typeof SettingsEntry.Type>>): Effect.Effect<ReadonlyMap<string, ModelSettings>, CliError> =>
  Effect.gen(function*() {
    const merged = new Map<string, ModelSettings>()
    const set = (model: string, settings: ModelSettings) => merged.set(model, { ...merged.get(model), ...settings })
    for (const [model, { class: serviceClass, ...rest }] of Object.entries(file)) {
      set(model, { ...rest, ...(serviceClass === undefined ? {} : { serviceClass }) })
    }
    for (const [model, text] of args.slo) set(model, { sloMs: yield* decodePair("slo", SloMs, "milliseconds above 0", model, Number(text)) })
    for (const [model, text] of args.rate) set(model, { rateRps: yield* decodePair("rate", RateRps, "items per second, 0 or more", model, Number(text)) })
    for (const [model, text] of args.class) {
      set(model, { serviceClass: yield* decodePair("class", ServiceClass, "latency-critical or best-effort", model, text) })
    }
    for (const [model, text] of args.maxBatch) set(model, { maxBatch: yield* decodePair("max-batch", MaxBatch, "a whole number from 1 to 65536", model, Number(text)) })
    for (const model of args.edge ?? []) set(model, { edge: true })
    return merged
  })
