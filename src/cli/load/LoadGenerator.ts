/**
 * The open-loop load generator. Requests are sent when their schedule says, whether or not earlier ones were answered, and latency counts from
 * the scheduled time: a server that stalls, or a client that is late, shows in the figures instead of hiding in fewer requests (coordinated
 * omission).
 *
 * @since 0.1.0
 */
import { makeAlarm, makeTimerAlarm } from "./Alarm.js"
import type { ArrivalSchedule } from "../../simulator/ArrivalSchedule.js"
import type { Exchange, Target } from "./HttpConnection.js"
import { headerOf, HttpConnection } from "./HttpConnection.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import type { Outcome } from "./StreamStats.js"
import { StreamStats } from "./StreamStats.js"

/** Requests of one kind. @since 0.1.0 @category load */
export interface LoadStream {
  /** Whole HTTP requests; sent in turn. */
  readonly requests: ReadonlyArray<Buffer>
  readonly schedule: ArrivalSchedule
  readonly sloMs: number | undefined
  /** Requests scheduled before this are sent and not counted. */
  readonly warmUpMs: number
  /** Counts requests until this time after the start. */
  readonly endMs: number
  /** Most requests to count. */
  readonly maxRequests: number
  /** Sees every counted answer of status 200; `index` is that of its request. The body is only valid during the call. */
  readonly onAnswer?: (index: number, body: Buffer) => void
}

/** @since 0.1.0 @category load */
export interface LoadOptions {
  readonly target: Target
  readonly connections: number
  /** A request without an answer for this long, from its scheduled time, has failed. */
  readonly timeoutMs: number
  /** Send to some microseconds, at the price of a thread and a little processor time. Else to a timer's 1 ms. */
  readonly precise: boolean
  /** Length of the windows of the time series in ms, from the start; `Infinity` for one. */
  readonly windowMs: number
  /** Called about every 500 ms with the time since the start. */
  readonly onTick?: (elapsedMs: number, streams: ReadonlyArray<StreamStats>) => void
  readonly signal?: AbortSignal
}

/** @since 0.1.0 @category load */
export interface LoadResult {
  readonly streams: ReadonlyArray<{ readonly stats: StreamStats; readonly windows: ReadonlyArray<StreamStats> }>
  /** From the start of counting to the last answer, ms. */
  readonly elapsedMs: number
  /** How late requests left, against their schedule; waiting for a free connection not included. */
  readonly sendLag: LatencyHistogram
  /** Requests that found no free connection. */
  readonly waited: number
}

interface Pending {
  readonly stream: number
  readonly index: number
  readonly scheduledMs: number
  readonly counted: boolean
}

interface Slot {
  readonly connection: HttpConnection
  /** Scheduled time of the request in flight; undefined while idle. */
  scheduledMs: number | undefined
}

// Requests that wait for a connection; beyond it they fail as `client-overflow`, so that a dead server does not fill memory.
const maxWaiting = 20_000
const maxWindows = 10_000

const outcomeOf = (exchange: Exchange, latencyMs: number): Outcome => {
  if (!exchange.ok) return { kind: "failed", reason: exchange.reason }
  if (exchange.status === 200) return { kind: "answered", latencyMs }
  const reason = headerOf(exchange.head, "x-glet-drop-reason")
  if (reason !== undefined || exchange.status === 429) return { kind: "dropped", reason: reason ?? "http-429" }
  return { kind: "failed", reason: `http-${exchange.status}` }
}

/**
 * Sends all streams and completes when every request has ended. An aborted run ends early, what is in flight counts as `aborted`.
 * @since 0.1.0
 * @category load
 */
export const runLoad = (options: LoadOptions, streams: ReadonlyArray<LoadStream>): Promise<LoadResult> =>
  new Promise((resolve) => {
    const stats = streams.map((stream) => new StreamStats(stream.sloMs))
    const windows = streams.map((): Array<StreamStats> => [])
    const sendLag = new LatencyHistogram()
    const next = streams.map((stream) => stream.schedule())
    const sent = streams.map(() => 0)
    const counted = streams.map(() => 0)
    const slots: Array<Slot> = []
    const idle: Array<Slot> = []
    let waiting: Array<Pending> = []
    let head = 0
    let outstanding = 0
    let waited = 0
    let sending = true
    let finished = false
    const alarm = options.precise ? makeAlarm() : makeTimerAlarm()
    const startMs = performance.now()
    const nowMs = (): number => performance.now() - startMs
    const countFromMs = Math.min(...streams.map((stream) => stream.warmUpMs))

    const windowOf = (stream: number, scheduledMs: number): StreamStats => {
      const at = Math.min(maxWindows - 1, Math.floor(scheduledMs / options.windowMs))
      const list = windows[stream]!
      while (list.length <= at) list.push(new StreamStats(streams[stream]!.sloMs))
      return list[at]!
    }
    const account = (pending: Pending, outcome: Outcome): void => {
      outstanding--
      if (!pending.counted) return
      stats[pending.stream]!.add(outcome)
      windowOf(pending.stream, pending.scheduledMs).add(outcome)
    }

    const start = (slot: Slot, pending: Pending): void => {
      const stream = streams[pending.stream]!
      slot.scheduledMs = pending.scheduledMs
      slot.connection.send(stream.requests[pending.index]!, (exchange) => {
        slot.scheduledMs = undefined
        account(pending, outcomeOf(exchange, nowMs() - pending.scheduledMs))
        if (pending.counted && exchange.ok && exchange.status === 200) stream.onAnswer?.(pending.index, exchange.body)
        release(slot)
      })
    }
    const release = (slot: Slot): void => {
      if (head < waiting.length) {
        const pending = waiting[head++]!
        if (head > 1024 && head * 2 > waiting.length) {
          waiting = waiting.slice(head)
          head = 0
        }
        start(slot, pending)
      } else {
        idle.push(slot)
        finishIfDone()
      }
    }
    const dispatch = (pending: Pending): void => {
      outstanding++
      const slot = idle.pop()
      if (slot !== undefined) return start(slot, pending)
      if (slots.length < options.connections) {
        const made: Slot = { connection: new HttpConnection(options.target), scheduledMs: undefined }
        slots.push(made)
        return start(made, pending)
      }
      waited++
      if (waiting.length - head >= maxWaiting) return account(pending, { kind: "failed", reason: "client-overflow" })
      waiting.push(pending)
    }

    /** The stream with the earliest request, -1 where all have ended. */
    const earliest = (): number => {
      let best = -1
      for (let i = 0; i < streams.length; i++) {
        const stream = streams[i]!
        if (next[i]! >= stream.endMs || counted[i]! >= stream.maxRequests) continue
        if (best < 0 || next[i]! < next[best]!) best = i
      }
      return best
    }
    const pump = (): void => {
      if (finished || !sending) return
      for (;;) {
        const i = earliest()
        if (i < 0) {
          sending = false
          return finishIfDone()
        }
        const scheduledMs = next[i]!
        const waitMs = scheduledMs - nowMs()
        if (waitMs > 0) {
          return alarm.set(waitMs, pump)
        }
        const stream = streams[i]!
        const isCounted = scheduledMs >= stream.warmUpMs
        if (isCounted) {
          counted[i]!++
          sendLag.add(-waitMs)
        }
        next[i] = stream.schedule()
        dispatch({ stream: i, index: sent[i]!++ % stream.requests.length, scheduledMs, counted: isCounted })
      }
    }

    const expire = (): void => {
      const limitMs = nowMs() - options.timeoutMs
      while (head < waiting.length && waiting[head]!.scheduledMs < limitMs) account(waiting[head++]!, { kind: "failed", reason: "timeout" })
      for (const slot of slots) if (slot.scheduledMs !== undefined && slot.scheduledMs < limitMs) slot.connection.abort("timeout")
      finishIfDone()
    }
    const ticker = setInterval(() => {
      expire()
      if (!finished) options.onTick?.(nowMs(), stats)
    }, 500)

    const finishIfDone = (): void => {
      if (sending || outstanding > 0 || finished) return
      finished = true
      clearInterval(ticker)
      alarm.close()
      options.signal?.removeEventListener("abort", abort)
      for (const slot of slots) slot.connection.close()
      resolve({
        streams: streams.map((_, i) => ({ stats: stats[i]!, windows: windows[i]! })),
        elapsedMs: Math.max(0, nowMs() - countFromMs),
        sendLag,
        waited
      })
    }
    const abort = (): void => {
      sending = false
      while (head < waiting.length) account(waiting[head++]!, { kind: "failed", reason: "aborted" })
      for (const slot of slots) if (slot.scheduledMs !== undefined) slot.connection.abort("connection-lost")
      finishIfDone()
    }
    if (options.signal?.aborted === true) return abort()
    options.signal?.addEventListener("abort", abort)
    pump()
  })
