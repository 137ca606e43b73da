/**
 * One request of an offline job, until it has its answer: a server that is busy, restarting or away is asked again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as http from "node:http"
import { CliError } from "../CliError.js"
import { urlOf } from "../internal/serverClient.js"
import type { Target } from "../load/HttpConnection.js"
import { asBestEffort } from "./requestText.js"

/** The answer, as one line of JSON; `failed` where the server says that this request cannot be answered. @since 0.1.0 @category batch */
export interface BatchAnswer {
  readonly line: string
  readonly failed: boolean
}

/** @since 0.1.0 @category batch */
export interface BatchSender {
  /** Answers a request's text. Fails where the server gives no answer to anything for as long as the patience lasts. */
  readonly ask: (text: string) => Effect.Effect<BatchAnswer, CliError>
  readonly close: () => void
}

interface Reply {
  readonly status: number
  readonly text: string
  readonly retryAfterMs: number | undefined
  /** The request may itself be what breaks its runner. */
  readonly isSuspect: boolean
}

const answerTimeoutMs = 600_000
const maxReplyBytes = 256 * 1024 * 1024
const firstWaitMs = 250
const longestWaitMs = 15_000
/** Times that a request may break its execution before it is answered with that. */
const suspectAttempts = 3

const failure = (error: string, status?: number): BatchAnswer => ({ line: JSON.stringify({ error, ...(status === undefined ? {} : { status }) }), failed: true })

/** Line breaks in JSON stand between its tokens only, where any space may. */
const oneLine = (text: string): string | undefined => {
  try {
    JSON.parse(text)
    return text.replace(/[\r\n]+/g, " ")
  } catch {
    return undefined
  }
}

const errorOf = (text: string): string => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null && "error" in value && typeof value.error === "string") return value.error
  } catch {
    // Not the protocol's: as it is.
  }
  return text.slice(0, 500)
}

/** A client of one model. @since 0.1.0 @category batch */
export const makeBatchSender = (
  target: Target,
  model: string,
  options: { readonly connections: number; readonly patienceMs: number; readonly onWait: (why: string) => void }
): BatchSender => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: options.connections })
  const url = `${urlOf(target)}/v2/models/${encodeURIComponent(model)}/infer`
  let lastAnswerMs = performance.now()

  const post = (body: string): Effect.Effect<Reply, string> =>
    Effect.async((resume) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
      const request = http.request(url, { method: "POST", agent, headers, timeout: answerTimeoutMs }, (response) => {
        const chunks: Array<Buffer> = []
        let size = 0
        response.on("data", (chunk: Buffer) => {
          size += chunk.length
          if (size > maxReplyBytes) request.destroy(new Error("its answer is too large"))
          chunks.push(chunk)
        })
        response.on("error", (error) => resume(Effect.fail(error.message)))
        response.on("end", () => {
          const seconds = Number(response.headers["retry-after"])
          const status = response.statusCode ?? 0
          resume(Effect.succeed({
            status,
            text: Buffer.concat(chunks).toString("utf8"),
            retryAfterMs: seconds > 0 ? seconds * 1000 : undefined,
            isSuspect: status === 500 || response.headers["x-glet-unavailable-reason"] === "glet-exited"
          }))
        })
      })
      request.on("timeout", () => request.destroy(new Error(`no answer for ${answerTimeoutMs / 1000} s`)))
      request.on("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error.code ?? error.message)))
      request.end(body)
      return Effect.sync(() => request.destroy())
    })

  const ask = (text: string): Effect.Effect<BatchAnswer, CliError> => {
    const request = asBestEffort(text)
    if ("problem" in request) return Effect.succeed(failure(request.problem))
    const attempt = (number: number, suspects: number): Effect.Effect<BatchAnswer, CliError> =>
      post(request.body).pipe(
        Effect.catchAll((why): Effect.Effect<Reply> => Effect.succeed({ status: 0, text: why, retryAfterMs: undefined, isSuspect: false })),
        Effect.flatMap((reply): Effect.Effect<BatchAnswer, CliError> => {
          const { retryAfterMs, status } = reply
          if (status === 200) {
            lastAnswerMs = performance.now()
            const line = oneLine(reply.text)
            return Effect.succeed(line === undefined ? failure("the server's answer is not JSON", status) : { line, failed: false })
          }
          const suspicions = suspects + (reply.isSuspect ? 1 : 0)
          // The model was there when the job began: it may come back.
          const mayPass = status === 0 || status === 404 || status === 408 || status === 429 || (status >= 500 && status !== 501)
          if (!mayPass || suspicions >= suspectAttempts) {
            lastAnswerMs = performance.now()
            return Effect.succeed(failure(errorOf(reply.text), status))
          }
          const why = status === 0 ? `${urlOf(target)} does not answer (${reply.text})` : `${urlOf(target)} answers ${status}: ${errorOf(reply.text)}`
          if (performance.now() - lastAnswerMs > options.patienceMs) {
            return Effect.fail(new CliError({
              reason: "unreachable", problem: `nothing was answered for ${Math.round(options.patienceMs / 1000)} s: ${why}`, hint: "the same command goes on where this one ends"
            }))
          }
          options.onWait(why)
          const waitMs = Math.min(longestWaitMs, retryAfterMs ?? firstWaitMs * 2 ** Math.min(number, 10))
          return Effect.sleep(waitMs * (0.75 + 0.5 * Math.random())).pipe(Effect.zipRight(Effect.suspend(() => attempt(number + 1, suspicions))))
        })
      )
    return attempt(0, 0)
  }
  return { ask, close: () => agent.destroy() }
}
