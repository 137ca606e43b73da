/**
 * What goes wrong before a request reaches a model, and before the server runs.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** Why HTTP itself refuses a request. @since 0.1.0 @category errors */
export const RefusalReason = Schema.Literal(
  "malformed", "body-too-large", "headers-too-large", "unsupported-encoding", "not-implemented", "route-not-found", "method-not-allowed",
  "too-slow", "bodies-full"
)
/** @since 0.1.0 @category errors */
export type RefusalReason = typeof RefusalReason.Type

/**
 * The request cannot be taken as it is; the model was not asked.
 * @since 0.1.0
 * @category errors
 */
export class RequestRefused extends Schema.TaggedError<RequestRefused>()("RequestRefused", {
  reason: RefusalReason,
  /** What it is about: a path, a header, a field. */
  subject: Schema.String,
  detail: Schema.String,
  /** Methods the path has, for `method-not-allowed`. */
  allow: Schema.optionalWith(Schema.Array(Schema.String), { exact: true })
}) {
  override get message(): string {
    return `${this.subject}: ${this.detail}`
  }
}

const startHints: Readonly<Record<string, string>> = {
  "port-in-use": "another process listens there; stop it, or give --port another one (0 takes a free one)",
  "bad-host": "the address does not belong to this machine or cannot be resolved; give --host one of its own, e.g. 127.0.0.1",
  "permission-denied": "ports below 1024 need rights; give --port one above",
  "failed": "the system refused; --host and --port say where"
}

/**
 * The server could not start to listen.
 * @since 0.1.0
 * @category errors
 */
export class ServerStartError extends Schema.TaggedError<ServerStartError>()("ServerStartError", {
  reason: Schema.Literal("port-in-use", "bad-host", "permission-denied", "failed"),
  host: Schema.String,
  port: Schema.Number,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot listen on ${this.host}:${this.port}: ${startHints[this.reason]} (${this.detail})`
  }
}

const startReasons = new Map<string | undefined, ServerStartError["reason"]>([
  ["EADDRINUSE", "port-in-use"], ["EADDRNOTAVAIL", "bad-host"], ["ENOTFOUND", "bad-host"], ["EAI_AGAIN", "bad-host"], ["EINVAL", "bad-host"],
  ["EACCES", "permission-denied"], ["EPERM", "permission-denied"]
])

/** What a socket's error at its start means. @since 0.1.0 @category errors */
export const startErrorOf = ({ host, port }: { readonly host: string; readonly port: number }, cause: NodeJS.ErrnoException): ServerStartError =>
  new ServerStartError({ reason: startReasons.get(cause.code) ?? "failed", host, port, detail: cause.message })

/**
 * A setting has a value that cannot be used.
 * @since 0.1.0
 * @category errors
 */
export class ServerConfigError extends Schema.TaggedError<ServerConfigError>()("ServerConfigError", {
  setting: Schema.String,
  source: Schema.Literal("flag", "env", "file"),
  problem: Schema.String
}) {
  override get message(): string {
    return `setting ${this.setting} (from ${this.source}): ${this.problem}`
  }
}

/**
 * The request log cannot be written.
 * @since 0.1.0
 * @category errors
 */
export class RequestLogError extends Schema.TaggedError<RequestLogError>()("RequestLogError", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `request log ${this.path} cannot be written: ${this.detail}; name a file in a folder that may be written to`
  }
}
