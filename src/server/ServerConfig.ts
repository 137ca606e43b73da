/**
 * Settings of the HTTP server: one table says of each its name, default, environment variable and meaning.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ServerConfigError } from "./ServerError.js"

const Port = Schema.Int.pipe(Schema.between(0, 65535))
const Count = Schema.Int.pipe(Schema.between(1, 1_000_000))
const Bytes = Schema.Int.pipe(Schema.between(1024, 2 ** 40))
const Duration = Schema.Int.pipe(Schema.between(1, 86_400_000))

/**
 * Settings of the HTTP server.
 * @since 0.1.0
 * @category configuration
 */
export const ServerConfig = Schema.Struct({
  /** Address to listen on. */
  host: Schema.String.pipe(Schema.minLength(1)),
  /** Port to listen on; 0 takes a free one. */
  port: Port,
  /** Largest request body in bytes, inflated where it came compressed. */
  maxBodyBytes: Bytes,
  /** Bytes of all JSON bodies that are being read at one time; above, requests get 429. */
  maxBufferedBytes: Bytes,
  /** Largest request line and headers in bytes. */
  maxHeaderBytes: Schema.Int.pipe(Schema.between(1024, 1_048_576)),
  /** Connections open at one time; further ones are closed at once. */
  maxConnections: Count,
  /** Time a client has to send its headers, ms. */
  headersTimeoutMs: Duration,
  /** Time a client has to send a whole request, ms. */
  requestTimeoutMs: Duration,
  /** Time an idle connection is kept, ms. */
  keepAliveTimeoutMs: Duration,
  /** Largest number of requests over one connection; 0 is no limit. */
  maxRequestsPerConnection: Schema.NonNegativeInt,
  /** Time that accepted requests have to end when the server stops, ms. */
  drainTimeoutMs: Duration,
  /** Responses of at least this many bytes are compressed for clients that ask for it. */
  gzipMinBytes: Schema.NonNegativeInt,
  /** Memory for the tensors of all requests, in bytes; 0: a quarter of what is free, at most 1 GiB. */
  tensorMemoryBytes: Schema.NonNegativeInt,
  /** Dropped requests get 503, as Triton answers, instead of 429. */
  compatTritonErrors: Schema.Boolean,
  /** Clients on this host may register shared memory (Linux). */
  sharedMemory: Schema.Boolean,
  /** Whether glets read and write large tensors in that memory themselves; `auto`: where that has been measured to help. */
  sharedMemoryDirect: Schema.Literal("auto", "on", "off").annotations({ message: () => ({ message: "expected auto, on or off", override: true }) }),
  /** File for the request log; none where empty. */
  requestLog: Schema.String,
  /** Processes that read and answer requests; 0: the agent does it itself; `auto`: as the cores allow. */
  fronts: Schema.Union(Schema.Int.pipe(Schema.between(0, 64)), Schema.Literal("auto")).annotations({
    message: () => ({ message: "expected a whole number from 0 to 64, or auto", override: true })
  })
})
/** @since 0.1.0 @category configuration */
export type ServerConfig = typeof ServerConfig.Type

/** @since 0.1.0 @category configuration */
export type SettingName = keyof ServerConfig

/** What is said of one setting. @since 0.1.0 @category configuration */
export interface Setting<Name extends SettingName = SettingName> {
  readonly name: Name
  readonly env: string
  readonly default: ServerConfig[Name]
  readonly summary: string
}

const setting = <Name extends SettingName>(name: Name, value: ServerConfig[Name], env: string, summary: string): Setting<Name> =>
  ({ name, env, default: value, summary })

/** All settings, in the order people read them. @since 0.1.0 @category configuration */
export const settings: ReadonlyArray<Setting> = [
  setting("host", "127.0.0.1", "GLET_HOST", "address to listen on"),
  setting("port", 8000, "GLET_PORT", "port to listen on; 0 takes a free one"),
  setting("maxBodyBytes", 64 * 1024 * 1024, "GLET_MAX_BODY_BYTES", "largest request body, inflated where it came compressed"),
  setting("maxBufferedBytes", 512 * 1024 * 1024, "GLET_MAX_BUFFERED_BYTES", "bytes of all JSON bodies being read at one time"),
  setting("tensorMemoryBytes", 0, "GLET_TENSOR_MEMORY_BYTES", "memory for tensors of requests, on a CPU or CUDA; 0: a quarter of what is free, at most 1 GiB"),
  setting("maxHeaderBytes", 32 * 1024, "GLET_MAX_HEADER_BYTES", "largest request line and headers"),
  setting("maxConnections", 4096, "GLET_MAX_CONNECTIONS", "connections open at one time"),
  setting("headersTimeoutMs", 10_000, "GLET_HEADERS_TIMEOUT_MS", "time a client has to send its headers"),
  setting("requestTimeoutMs", 60_000, "GLET_REQUEST_TIMEOUT_MS", "time a client has to send a whole request"),
  setting("keepAliveTimeoutMs", 75_000, "GLET_KEEP_ALIVE_TIMEOUT_MS", "time an idle connection is kept"),
  setting("maxRequestsPerConnection", 0, "GLET_MAX_REQUESTS_PER_CONNECTION", "requests over one connection; 0 is no limit"),
  setting("drainTimeoutMs", 30_000, "GLET_DRAIN_TIMEOUT_MS", "time accepted requests have to end when the server stops"),
  setting("gzipMinBytes", 16 * 1024, "GLET_GZIP_MIN_BYTES", "smallest response that is compressed for clients that ask"),
  setting("compatTritonErrors", false, "GLET_COMPAT_TRITON_ERRORS", "answer dropped requests with 503 instead of 429"),
  setting("sharedMemory", false, "GLET_SHARED_MEMORY", "clients on this host may pass tensors in shared memory"),
  setting("sharedMemoryDirect", "auto", "GLET_SHARED_MEMORY_DIRECT", "glets read and write large tensors in clients' shared memory themselves; auto: on a CPU"),
  setting("requestLog", "", "GLET_REQUEST_LOG", "file for the request log; none where empty"),
  setting("fronts", 0, "GLET_FRONTS", "processes that read and answer requests; 0: the server's own; auto: as the cores allow")
]

/** The defaults. @since 0.1.0 @category configuration */
export const defaultConfig: ServerConfig = Object.fromEntries(settings.map(({ default: value, name }) => [name, value])) as ServerConfig

/** Where a value came from. @since 0.1.0 @category configuration */
export type SettingSource = "flag" | "env" | "file" | "default"

/** One line of `glet config show`. @since 0.1.0 @category configuration */
export interface ResolvedSetting {
  readonly name: SettingName
  readonly value: ServerConfig[SettingName]
  readonly source: SettingSource
  readonly env: string
  readonly summary: string
}

/** A configuration with the source of each value. @since 0.1.0 @category configuration */
export interface ResolvedConfig {
  readonly config: ServerConfig
  readonly settings: ReadonlyArray<ResolvedSetting>
}

const environmentValue = (text: string, like: unknown): unknown => {
  const trimmed = text.trim()
  if (typeof like === "number") return trimmed === "" || Number.isNaN(Number(trimmed)) ? trimmed : Number(trimmed)
  if (typeof like === "boolean") {
    if (/^(true|yes|on|1)$/i.test(trimmed)) return true
    if (/^(false|no|off|0)$/i.test(trimmed)) return false
  }
  return text
}

const problemOf = (error: unknown): string =>
  String((error as { readonly message?: unknown }).message ?? error).split("\n").filter((line) => line.trim() !== "").at(-1)!.replace(/^[\s└─]+/, "")

/**
 * Merges the sources: flags before environment before file before defaults. The first value that cannot be used is the error; so is a name in
 * `file` that is no setting.
 * @since 0.1.0
 * @category configuration
 */
export const resolveConfig = (sources: {
  readonly flags?: Partial<ServerConfig>
  readonly env?: ReadonlyMap<string, string>
  readonly file?: Readonly<Record<string, unknown>>
}): Either.Either<ResolvedConfig, ServerConfigError> =>
  Either.gen(function*() {
    const names = new Set<string>(settings.map(({ name }) => name))
    const file = new Map(Object.entries(sources.file ?? {}))
    for (const name of file.keys()) {
      if (!names.has(name)) {
        return yield* Either.left(new ServerConfigError({ setting: name, source: "file", problem: `is not a setting; there are ${[...names].join(", ")}` }))
      }
    }
    const resolved: Array<ResolvedSetting> = []
    for (const { default: fallback, env, name, summary } of settings) {
      const flag = sources.flags?.[name]
      const variable = sources.env?.get(env)
      const [source, raw]: readonly [SettingSource, unknown] = flag !== undefined
        ? ["flag", flag]
        : variable !== undefined
        ? ["env", environmentValue(variable, fallback)]
        : file.has(name)
        ? ["file", file.get(name)]
        : ["default", fallback]
      const value = yield* Schema.decodeUnknownEither(ServerConfig.fields[name] as Schema.Schema<ServerConfig[SettingName]>)(raw).pipe(
        Either.mapLeft((error) =>
          new ServerConfigError({
            setting: source === "env" ? env : name,
            source: source === "default" ? "flag" : source,
            problem: `cannot be ${JSON.stringify(source === "env" ? variable : raw)}: ${problemOf(error)}`
          })
        )
      )
      resolved.push({ name, value, source, env, summary })
    }
    return { config: Object.fromEntries(resolved.map(({ name, value }) => [name, value])) as ServerConfig, settings: resolved }
  })

/**
 * The configuration from Effect's ConfigProvider (the environment, where nothing else is set), with defaults.
 * @since 0.1.0
 * @category configuration
 */
export const configFromEnv: Effect.Effect<ServerConfig, ServerConfigError> = Effect.gen(function*() {
  const env = new Map<string, string>()
  for (const { env: name } of settings) {
    const value = yield* Effect.orElseSucceed(Config.option(Config.string(name)), () => Option.none<string>())
    if (Option.isSome(value)) env.set(name, value.value)
  }
  const { config } = yield* resolveConfig({ env })
  return config
})
