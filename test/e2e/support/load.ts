/** Open-loop load over HTTP: every request ends as an outcome, also the one that nobody answers. */
import { Agent, request } from "node:http"

export interface Outcome {
  readonly stream: Omit<Stream, "rateRps">
  /** When it was sent, ms of `performance.now`. */
  readonly sentMs: number
  readonly latencyMs: number
  /** HTTP's status; 0 where no answer came. */
  readonly status: number
  /** What the server says of a refusal, or how the connection ended. */
  readonly reason: string
  readonly retryAfter: string | undefined
  /** Whether the answer is the one to this request's own input. */
  readonly own: boolean
}

export interface Stream {
  readonly model: string
  readonly rateRps: number
  /** Values of the input `x`; all their first elements differ, so that answers can be told apart. */
  readonly width: number
  /** The model answers its input. */
  readonly echoes: boolean
  /** The client's own limit, ms. */
  readonly timeoutMs?: number
}

export interface Load {
  /** No more requests; completes when all have ended. */
  readonly stop: () => Promise<ReadonlyArray<Outcome>>
  readonly sent: () => number
}

/** Longer than any deadline in these tests: what is not answered by then hangs. */
export const hungAfterMs = 30_000

const valuesOf = (width: number, mark: number): ReadonlyArray<number> => Array.from({ length: width }, (_, i) => (i === 0 ? mark : (mark + i) % 7))

export const bodyOf = ({ timeoutMs, width }: Pick<Stream, "timeoutMs" | "width">, mark: number): string =>
  JSON.stringify({
    ...(timeoutMs === undefined ? {} : { parameters: { timeout: timeoutMs * 1000 } }),
    inputs: [{ name: "x", datatype: "FP32", shape: [1, width], data: valuesOf(width, mark) }]
  })

interface InferAnswer {
  readonly outputs: ReadonlyArray<{ readonly data: ReadonlyArray<number> }>
}

/** Sends one request; never rejects. */
export const ask = (port: number, stream: Omit<Stream, "rateRps">, mark: number, agent: Agent): Promise<Outcome> =>
  new Promise((resolve) => {
    const body = bodyOf(stream, mark)
    const sentMs = performance.now()
    const end = (status: number, reason: string, own = false, retryAfter?: string): void =>
      resolve({ stream, sentMs, latencyMs: performance.now() - sentMs, status, reason, retryAfter, own })
    const outgoing = request({
      agent, host: "127.0.0.1", port, method: "POST", path: `/v2/models/${stream.model}/infer`, headers: { "content-length": Buffer.byteLength(body) }
    }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("error", (error) => end(0, error.message))
      response.on("end", () => {
        const { headers, statusCode } = response
        const reason = headers["x-glet-drop-reason"] ?? headers["x-glet-unavailable-reason"] ?? ""
        const text = Buffer.concat(parts).toString()
        const first = statusCode === 200 ? (JSON.parse(text) as InferAnswer).outputs[0]!.data : []
        const own = statusCode === 200 && (stream.echoes ? String(first) === String(valuesOf(stream.width, mark)) : first.length > 0)
        end(statusCode!, reason === "" && statusCode !== 200 ? text : String(reason), own, headers["retry-after"])
      })
    })
    outgoing.setTimeout(hungAfterMs, () => {
      end(0, "hung")
      outgoing.destroy()
    })
    outgoing.on("error", (error) => end(0, error.message))
    outgoing.end(body)
  })

/** Sends each stream's requests at equal gaps, whatever becomes of them. */
export const startLoad = (port: number, streams: ReadonlyArray<Stream>): Load => {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  const pending: Array<Promise<Outcome>> = []
  const startMs = performance.now()
  const counts = streams.map(() => 0)
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - startMs
    streams.forEach((stream, i) => {
      while ((counts[i]! * 1000) / stream.rateRps <= elapsedMs) {
        counts[i]! += 1
        pending.push(ask(port, stream, pending.length + 1, agent))
      }
    })
  }, 4)
  return {
    sent: () => pending.length,
    stop: async () => {
      clearInterval(timer)
      const outcomes = await Promise.all(pending)
      agent.destroy()
      return outcomes
    }
  }
}

/** Outcomes by status and reason, for messages: `200: 95, 503 glet-exited: 5`. */
export const tally = (outcomes: ReadonlyArray<Outcome>): string => {
  const counts = new Map<string, number>()
  for (const { reason, status } of outcomes) {
    const key = `${status} ${reason}`.trim()
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return [...counts].map(([key, count]) => `${key}: ${count}`).join(", ")
}
