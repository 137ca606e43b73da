import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as http from "node:http"
import { CliError } from "../CliError.js"
import type { Target } from "../load/HttpConnection.js"
import { schemaProblem } from "./schemaProblem.js"

/** The address behind `--server`. */
export const targetOf = (url: string): Effect.Effect<Target, CliError> =>
  Effect.try({
    try: () => {
      const parsed = new URL(url.includes("://") ? url : `http://${url}`)
      if (parsed.protocol !== "http:") throw new Error("only http is spoken")
      return { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: parsed.port === "" ? 80 : Number(parsed.port) }
    },
    catch: () => new CliError({ reason: "usage", problem: `--server "${url}" is not an address such as http://127.0.0.1:8000` })
  })

export const urlOf = (target: Target): string => `http://${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`

// A status of thousands of models is below this; another server's endless answer is not read.
const maxBytes = 64 * 1024 * 1024
const timeoutMs = 30_000

/** One call of the server's API, its answer decoded. */
export const callServer = <A, I>(
  target: Target,
  path: string,
  schema: Schema.Schema<A, I>,
  options: { readonly method?: "GET" | "POST"; readonly body?: unknown } = {}
): Effect.Effect<A, CliError> => {
  const url = `${urlOf(target)}/${path}`
  const call = Effect.async<{ readonly status: number; readonly text: string }, CliError>((resume) => {
    const unreachable = (detail: string): void =>
      resume(Effect.fail(new CliError({
        reason: "unreachable",
        problem: `no server answers at ${urlOf(target)} (${detail})`,
        hint: "start one with glet serve, or name another with --server"
      })))
    const body = options.body === undefined ? undefined : JSON.stringify(options.body)
    const request = http.request(url, { method: options.method ?? "GET", agent: false, timeout: timeoutMs }, (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      response.on("data", (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) request.destroy(new Error("its answer is too large"))
        chunks.push(chunk)
      })
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") })))
      response.on("error", (error) => unreachable(error.message))
    })
    request.on("timeout", () => request.destroy(new Error(`no answer for ${timeoutMs / 1000} s`)))
    request.on("error", (error: NodeJS.ErrnoException) => unreachable(error.code ?? error.message))
    request.end(body)
    return Effect.sync(() => request.destroy())
  })
  return call.pipe(
    Effect.flatMap(({ status, text }) =>
      status === 200
        ? Schema.decodeUnknown(Schema.parseJson(schema))(text).pipe(
          Effect.mapError((error) => new CliError({ reason: "failed", problem: `${url} answered something else than expected: ${schemaProblem(error)}`, hint: "--server names a server of glet, of the same version" }))
        )
        : Effect.fail(new CliError({ reason: "refused", problem: `${url} answered ${status}: ${errorText(text)}` }))
    )
  )
}

/** The text of the protocol's error body, or the start of whatever came. */
const errorText = (text: string): string => {
  const decoded = Schema.decodeUnknownEither(Schema.parseJson(Schema.Struct({ error: Schema.String })))(text)
  return decoded._tag === "Right" ? decoded.right.error : text.slice(0, 200)
}
