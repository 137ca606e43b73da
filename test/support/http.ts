/** Requests over real connections, and raw bytes where a client library would not send what a test needs. */
import { Agent, type IncomingHttpHeaders, request } from "node:http"
import { connect } from "node:net"
import type { ModelStatistics } from "../../src/server/internal/statistics.js"

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The body as JSON; where it is none, nothing is in it. */
  readonly json: AnswerJson
}

/** What tests look for in answers. */
export interface AnswerJson {
  readonly error: string
  readonly name: string
  readonly model_name: string
  readonly model_version: string
  readonly extensions: ReadonlyArray<string>
  readonly max_batch_size: number
  readonly generation: number
  readonly models: ReadonlyArray<{ readonly name: string; readonly sloMs?: number }>
  readonly outputs: ReadonlyArray<{ readonly data: ReadonlyArray<unknown>; readonly shape: ReadonlyArray<number> }>
  readonly model_stats: ReadonlyArray<ModelStatistics>
}

export interface Call {
  readonly method?: string
  readonly path: string
  readonly headers?: Record<string, string | Array<string>>
  readonly body?: string | Buffer | ReadonlyArray<Buffer>
  readonly agent?: Agent
}

const asJson = (body: Buffer): AnswerJson => {
  try {
    return JSON.parse(body.toString()) as AnswerJson
  } catch {
    return {} as AnswerJson
  }
}

export const call = (port: number, { agent, body, headers, method, path }: Call): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const chunks = body === undefined ? [] : typeof body === "string" ? [Buffer.from(body)] : Buffer.isBuffer(body) ? [body] : body
    const chunked = Array.isArray(body)
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const outgoing = request({
      host: "127.0.0.1", port, path, method: method ?? (body === undefined ? "GET" : "POST"), agent: agent ?? new Agent({ keepAlive: false }),
      headers: { ...(body === undefined || chunked ? {} : { "content-length": String(length) }), ...headers }
    }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () => {
        const all = Buffer.concat(parts)
        resolve({ status: response.statusCode!, headers: response.headers, body: all, json: asJson(all) })
      })
      response.on("error", reject)
    })
    outgoing.on("error", reject)
    for (const chunk of chunks) outgoing.write(chunk)
    outgoing.end()
  })

/** Sends bytes and collects what comes until the server closes or `untilMs` of silence have passed. */
export const rawExchange = (port: number, bytes: string | Buffer, silenceMs = 1500): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes))
    let text = ""
    const finish = () => {
      socket.destroy()
      resolve(text)
    }
    socket.setTimeout(silenceMs, finish)
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
    })
    socket.on("close", finish)
    socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" || error.code === "EPIPE" ? finish() : reject(error)))
  })
