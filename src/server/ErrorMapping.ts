/**
 * The one table from errors to what a client or a shell sees of them.
 *
 * @since 0.1.0
 */
import type { RequestError } from "../core/RequestError.js"
import type { Infeasible } from "../scheduler/Planner.js"
import type { CatalogLoadFailed } from "./ModelCatalog.js"
import type { RefusalReason, RequestLogError, RequestRefused, ServerConfigError, ServerStartError } from "./ServerError.js"

/** Error names of Triton's protocol; gRPC's codes follow from them. @since 0.1.0 @category errors */
export type TritonCode =
  | "UNKNOWN" | "INTERNAL" | "NOT_FOUND" | "INVALID_ARG" | "UNAVAILABLE" | "UNSUPPORTED" | "ALREADY_EXISTS" | "CANCELLED"

/** How one error is shown. @since 0.1.0 @category errors */
export interface ErrorView {
  readonly status: number
  readonly code: TritonCode
  /** Exit code of a command that ends with this error. */
  readonly exitCode: number
}

/** Every typed error that can leave the system. @since 0.1.0 @category errors */
export type MappedError =
  | RequestError | RequestRefused | CatalogLoadFailed | Infeasible | ServerStartError | ServerConfigError | RequestLogError

const view = (status: number, code: TritonCode, exitCode = 1): ErrorView => ({ status, code, exitCode })

const refusals: Readonly<Record<RefusalReason, ErrorView>> = {
  "malformed": view(400, "INVALID_ARG"),
  "body-too-large": view(413, "INVALID_ARG"),
  "headers-too-large": view(431, "INVALID_ARG"),
  "unsupported-encoding": view(415, "UNSUPPORTED"),
  "not-implemented": view(501, "UNSUPPORTED"),
  "route-not-found": view(404, "NOT_FOUND"),
  "method-not-allowed": view(405, "INVALID_ARG"),
  "too-slow": view(408, "CANCELLED"),
  "bodies-full": view(429, "UNAVAILABLE")
}

const table: {
  readonly [Tag in MappedError["_tag"]]: (error: Extract<MappedError, { readonly _tag: Tag }>) => ErrorView
} = {
  RequestDropped: () => view(429, "UNAVAILABLE", 4),
  ModelUnavailable: () => view(503, "UNAVAILABLE", 4),
  ModelNotFound: () => view(404, "NOT_FOUND"),
  InvalidRequest: () => view(400, "INVALID_ARG"),
  ExecutionFailed: () => view(500, "INTERNAL"),
  // Never sent: there is nobody left to read it. The number is nginx's.
  RequestCanceled: () => view(499, "CANCELLED"),
  RequestRefused: (error) => refusals[error.reason],
  CatalogLoadFailed: (error) => error.reason === "invalid" ? view(400, "INVALID_ARG") : view(503, "UNAVAILABLE", 4),
  Infeasible: () => view(409, "UNAVAILABLE", 3),
  ServerStartError: () => view(503, "UNAVAILABLE"),
  ServerConfigError: () => view(400, "INVALID_ARG", 2),
  RequestLogError: () => view(503, "UNAVAILABLE")
}

/**
 * How an error is shown.
 * @since 0.1.0
 * @category errors
 */
export const errorView = <E extends MappedError>(error: E): ErrorView =>
  (table[error._tag] as (error: MappedError) => ErrorView)(error)

/** What of an error goes on the wire. @since 0.1.0 @category errors */
export interface ErrorResponse {
  readonly status: number
  /** Name, value, name, value, …, as `writeHead` takes them. */
  readonly headers: ReadonlyArray<string>
  readonly body: string
}

const retryAfterSeconds = (retryAfterMs: number): string =>
  String(Math.min(3600, Math.max(1, Math.ceil(Number.isFinite(retryAfterMs) ? retryAfterMs / 1000 : 1))))

/**
 * Status, headers and JSON body of an error. `compatTritonErrors`: drops are answered as Triton does, 503 instead of 429.
 * @since 0.1.0
 * @category errors
 */
export const errorResponse = (error: MappedError, options?: { readonly compatTritonErrors?: boolean }): ErrorResponse => {
  const shown = errorView(error)
  const headers: Array<string> = []
  if (error._tag === "RequestDropped") {
    headers.push("Retry-After", retryAfterSeconds(error.retryAfterMs), "x-glet-drop-reason", error.reason)
  } else if (error._tag === "ModelUnavailable") {
    headers.push("Retry-After", "1", "x-glet-unavailable-reason", error.reason)
  } else if (error._tag === "RequestRefused") {
    if (error.allow !== undefined) headers.push("Allow", error.allow.join(", "))
    if (error.reason === "unsupported-encoding") headers.push("Accept-Encoding", "gzip, deflate")
    if (error.reason === "bodies-full") headers.push("Retry-After", "1", "x-glet-drop-reason", "memory-full")
  }
  const status = shown.status === 429 && options?.compatTritonErrors === true ? 503 : shown.status
  return { status, headers, body: JSON.stringify({ error: error.message }) }
}
