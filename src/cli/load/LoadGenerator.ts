/**
 * The load generator: open-loop, where nothing else is asked. Requests are sent when their schedule says, whether or not earlier ones were answered,
 * and latency counts from the scheduled time: a server that stalls, or a client that is late, shows in the figures instead of hiding in fewer requests
 * (coordinated omission). A stream of clients instead keeps as many requests in flight, for work that has no end.
 *
 * @since 0.1.0
 */
import { makeAlarm, makeTimerAlarm } from "./Alarm.js"
import type { ArrivalSchedule } from "../../simulator/ArrivalSchedule.js"
import type { Target } from "./HttpConnection.js"
import { headerOf } from "./HttpConnection.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import { LoadJob } from "./LoadJob.js"
import type { SendEnd, Silence } from "./ServerPool.js"
import { ServerPool } from "./ServerPool.js"
import type { Outcome } from "./StreamStats.js"
import { StreamStats } from "./StreamStats.js"

/** One request of several that an answer is made of. @since 0.1.0 @category load */
export interface LoadStep {
  /** Whole HTTP requests; sent in turn. */
  readonly requests: ReadonlyArray<Buffer>
  /** Steps, by number, that must be answered before. */
  readonly after: ReadonlyArray<number>
  /** Where the model is served, where that is not the target of all. */
  readonly target?: Target
}

/** Requests of one kind. @since 0.1.0 @category load */
export interface LoadStream {
  /** What one request is made of; answered when all steps are, and gone with the first that is not. */
  readonly steps: ReadonlyArray<LoadStep>
  readonly schedule: ArrivalSchedule
  /** So many clients, each with one request at a time and the next right after its answer; `schedule` is not asked. */
  readonly clients?: number
  readonly sloMs: number | undefined
  /** Requests scheduled before this are sent and not counted. */
  readonly warmUpMs: number
  /** Counts requests until this time after the start. */
  readonly endMs: number
  /** Most requests to count. */
  readonly maxRequests: number
  /** Sees every counted answer of status 200, of each step; `index` is that of its request. The body is only valid during the call. */
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
  /** Begins at this time, ms of the epoch, with connections that are open and were tried out; at once, and with none, where it is left out. */
  readonly startAtMs?: number
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
  /** Servers that answered nothing any more at the end. */
  readonly silent: ReadonlyArray<Silence>
}

const maxWindows = 10_000
/** A client whose request was not answered asks again after so long: who is refused at once must not ask without end. */
const refusedPauseMs = 10
/** So many of the connections to each server are open before a load that begins at a time of its own. */
const openedAhead = 64

const outcomeOf = (end: SendEnd, latencyMs: number): Outcome => {
  if (!end.ok) return { kind: "failed", reason: end.reason }
  if (end.status === 200) return { kind: "answered", latencyMs }
  const reason = headerOf(end.head, "x-glet-drop-reason")
  if (reason !== undefined || end.status === 429) return { kind: "dropped", reason: reason ?? "http-429" }
  return { kind: "failed", reason: `http-${end.status}` }
}

/** What there is to count, by stream. */
class Tally {
  readonly stats: ReadonlyArray<StreamStats>
  readonly windows: ReadonlyArray<Array<StreamStats>>

  constructor(private readonly streams: ReadonlyArray<LoadStream>, private readonly windowMs: number) {
    this.stats = streams.map(({ sloMs }) => new StreamStats(sloMs))
    this.windows = streams.map(() => [])
  }

  add(stream: number, scheduledMs: number, outcome: Outcome): void {
    this.stats[stream]!.add(outcome, scheduledMs)
    this.windowOf(stream, scheduledMs).add(outcome)
  }

  private windowOf(stream: number, scheduledMs: number): StreamStats {
    const at = Math.min(maxWindows - 1, Math.floor(scheduledMs / this.windowMs))
    const list = this.windows[stream]!
    while (list.length <= at) list.push(new StreamStats(this.streams[stream]!.sloMs))
    return list[at]!
  }
}

/**
 * Sends all streams and completes when every request has ended. An aborted run ends early, what waits counts as `aborted`.
 * @since 0.1.0
 * @category load
 */
export const runLoad = (options: LoadOptions, streams: ReadonlyArray<LoadStream>): Promise<LoadResult> =>
  new Promise((resolve) => {
    const tally = new Tally(streams, options.windowMs)
    const sendLag = new LatencyHistogram()
    const next = streams.map((stream) => (stream.clients === undefined ? stream.schedule() : Infinity))
    const sent = streams.map(() => 0)
    const counted = streams.map(() => 0)
    const pools: Array<ServerPool> = []
    let outstanding = 0
    let sending = true
    let aborted = false
    const pauses = new Set<NodeJS.Timeout>()
    let finished = false
    const alarm = options.precise ? makeAlarm() : makeTimerAlarm()
    let startMs = performance.now()
    const nowMs = (): number => performance.now() - startMs
    const countFromMs = Math.min(...streams.map((stream) => stream.warmUpMs))

    const poolOf = (target: Target): ServerPool => {
      const known = pools.find((pool) => pool.target.host === target.host && pool.target.port === target.port)
      if (known !== undefined) return known
      const made = new ServerPool(target, options.connections, nowMs)
      pools.push(made)
      return made
    }
    const routes = streams.map(({ steps }) => steps.map(({ target }) => poolOf(target ?? options.target)))

    const advance = (job: LoadJob): void => {
      if (!job.advance((step) => send(job, step))) return
      if (streams[job.stream]!.clients !== undefined) askAgain(job)
      outstanding--
      if (job.counted) tally.add(job.stream, job.scheduledMs, job.lost ?? { kind: "answered", latencyMs: nowMs() - job.scheduledMs })
    }
    /** Answers why not. */
    const send = (job: LoadJob, step: number): Outcome | undefined => {
      const { scheduledMs, stream } = job
      const { onAnswer, steps } = streams[stream]!
      const { requests } = steps[step]!
      const index = job.number % requests.length
      const accepted = routes[stream]![step]!.send({
        request: requests[index]!, scheduledMs,
        onEnd: (end, endedMs) => {
          if (job.counted && end.ok && end.status === 200) onAnswer?.(index, end.body)
          job.stepEnded(step, outcomeOf(end, endedMs - scheduledMs))
          advance(job)
          finishIfDone()
        }
      })
      return accepted ? undefined : { kind: "failed", reason: "client-overflow" }
    }
    const begin = (i: number, scheduledMs: number, counts: boolean): void => {
      if (counts) counted[i]!++
      outstanding++
      advance(new LoadJob(i, sent[i]!++, scheduledMs, counts, streams[i]!.steps))
    }
    /** A client's next request. */
    const ask = (i: number): void => {
      const { endMs, maxRequests, warmUpMs } = streams[i]!
      const scheduledMs = nowMs()
      if (aborted || scheduledMs >= endMs || counted[i]! >= maxRequests) return
      begin(i, scheduledMs, scheduledMs >= warmUpMs)
    }
    const askAgain = ({ lost, stream }: LoadJob): void => {
      if (lost === undefined) return ask(stream)
      outstanding++
      const pause = setTimeout(() => {
        pauses.delete(pause)
        ask(stream)
        outstanding--
        finishIfDone()
      }, refusedPauseMs)
      pauses.add(pause)
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
        if (isCounted) sendLag.add(-waitMs)
        next[i] = stream.schedule()
        begin(i, scheduledMs, isCounted)
      }
    }

    const ticker = setInterval(() => {
      for (const pool of pools) pool.expire(nowMs() - options.timeoutMs)
      finishIfDone()
      if (!finished) options.onTick?.(nowMs(), tally.stats)
    }, 500)

    const finishIfDone = (): void => {
      if (sending || outstanding > 0 || finished) return
      finished = true
      clearInterval(ticker)
      alarm.close()
      options.signal?.removeEventListener("abort", abort)
      for (const pool of pools) pool.close()
      resolve({
        streams: streams.map((_, i) => ({ stats: tally.stats[i]!, windows: tally.windows[i]! })),
        elapsedMs: Math.max(0, nowMs() - countFromMs),
        sendLag,
        waited: pools.reduce((sum, pool) => sum + pool.waited, 0),
        silent: pools.flatMap(({ silence }) => silence ?? [])
      })
    }
    const abort = (): void => {
      sending = false
      aborted = true
      for (const pause of pauses) clearTimeout(pause)
      outstanding -= pauses.size
      pauses.clear()
      for (const pool of pools) pool.abort()
      finishIfDone()
    }
    if (options.signal?.aborted === true) return abort()
    options.signal?.addEventListener("abort", abort)
    const start = (): void => {
      startMs = performance.now()
      streams.forEach(({ clients = 0 }, i) => {
        for (let client = 0; client < clients; client++) ask(i)
      })
      pump()
    }
    const { startAtMs } = options
    if (startAtMs === undefined) return start()
    void Promise.all(pools.map((pool) => pool.open(openedAhead))).then(() => setTimeout(start, Math.max(0, startAtMs - Date.now())))
  })
