/**
 * The load generator: open-loop, where nothing else is asked. Requests are sent when their schedule says, whether or not earlier ones were answered,
 * and latency counts from the scheduled time: a server that stalls, or a client that is late, shows in the figures instead of hiding in fewer requests
 * (coordinated omission). A stream of clients instead keeps as many requests in flight, for work that has no end.
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

/** A server that answered nothing any more. @since 0.1.0 @category load */
export interface Silence {
  readonly target: Target
  /** When the first exchange failed after which none was answered, ms after the start. */
  readonly sinceMs: number
  /** Exchanges that failed since then. */
  readonly exchanges: number
}

/** One scheduled request on its way through its steps. */
interface Job {
  readonly stream: number
  /** Its number in the stream. */
  readonly number: number
  readonly scheduledMs: number
  readonly counted: boolean
  /** Steps, by number, that each still waits for; -1 once it was sent. */
  readonly waitsFor: Int16Array
  inFlight: number
  /** How a step ended that was not answered: no further step is sent. */
  lost: Outcome | undefined
}

interface Pending {
  readonly job: Job
  readonly step: number
}

interface Slot {
  readonly connection: HttpConnection
  /** Scheduled time of the request in flight; undefined while idle. */
  scheduledMs: number | undefined
}

/** Connections to one server, and what waits for one of them. */
interface Pool {
  readonly target: Target
  readonly slots: Array<Slot>
  readonly idle: Array<Slot>
  waiting: Array<Pending>
  head: number
  silence: Silence | undefined
}

// Requests that wait for a connection; beyond it they fail as `client-overflow`, so that a dead server does not fill memory.
const maxWaiting = 20_000
const maxWindows = 10_000
/** A client whose request was not answered asks again after so long: who is refused at once must not ask without end. */
const refusedPauseMs = 10

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
    const next = streams.map((stream) => (stream.clients === undefined ? stream.schedule() : Infinity))
    const sent = streams.map(() => 0)
    const counted = streams.map(() => 0)
    const pools: Array<Pool> = []
    const poolOf = (target: Target): Pool => {
      const known = pools.find((pool) => pool.target.host === target.host && pool.target.port === target.port)
      if (known !== undefined) return known
      const made: Pool = { target, slots: [], idle: [], waiting: [], head: 0, silence: undefined }
      pools.push(made)
      return made
    }
    const routes = streams.map(({ steps }) => steps.map(({ target }) => poolOf(target ?? options.target)))
    let outstanding = 0
    let waited = 0
    let sending = true
    let aborted = false
    const pauses = new Set<NodeJS.Timeout>()
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
    const end = (job: Job): void => {
      if (streams[job.stream]!.clients !== undefined) askAgain(job)
      outstanding--
      if (!job.counted) return
      const outcome: Outcome = job.lost ?? { kind: "answered", latencyMs: nowMs() - job.scheduledMs }
      stats[job.stream]!.add(outcome)
      windowOf(job.stream, job.scheduledMs).add(outcome)
    }
    const begin = (i: number, scheduledMs: number, counts: boolean): void => {
      if (counts) counted[i]!++
      outstanding++
      advance({
        stream: i, number: sent[i]!++, scheduledMs, counted: counts, inFlight: 0, lost: undefined,
        waitsFor: Int16Array.from(streams[i]!.steps, ({ after }) => after.length)
      })
    }
    /** A client's next request. */
    const ask = (i: number): void => {
      const { endMs, maxRequests, warmUpMs } = streams[i]!
      const scheduledMs = nowMs()
      if (aborted || scheduledMs >= endMs || counted[i]! >= maxRequests) return
      begin(i, scheduledMs, scheduledMs >= warmUpMs)
    }
    const askAgain = ({ lost, stream }: Job): void => {
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
    /** Sends the steps whose time has come; those after a lost one never are. */
    const advance = (job: Job): void => {
      const { steps } = streams[job.stream]!
      for (let step = 0; step < steps.length && job.lost === undefined; step++) {
        if (job.waitsFor[step] !== 0) continue
        job.waitsFor[step] = -1
        job.inFlight++
        dispatch({ job, step })
      }
      if (job.inFlight === 0) end(job)
    }
    const stepEnded = ({ job, step }: Pending, outcome: Outcome): void => {
      job.inFlight--
      if (outcome.kind === "answered") {
        streams[job.stream]!.steps.forEach(({ after }, i) => {
          if (after.includes(step)) job.waitsFor[i]!--
        })
      } else job.lost ??= outcome
      advance(job)
    }

    const start = (pool: Pool, slot: Slot, pending: Pending): void => {
      const { job, step } = pending
      const stream = streams[job.stream]!
      const { requests } = stream.steps[step]!
      const index = job.number % requests.length
      slot.scheduledMs = job.scheduledMs
      slot.connection.send(requests[index]!, (exchange) => {
        slot.scheduledMs = undefined
        if (exchange.ok) pool.silence = undefined
        else if (!aborted) pool.silence = { target: pool.target, sinceMs: pool.silence?.sinceMs ?? nowMs(), exchanges: 1 + (pool.silence?.exchanges ?? 0) }
        if (job.counted && exchange.ok && exchange.status === 200) stream.onAnswer?.(index, exchange.body)
        const outcome = outcomeOf(exchange, nowMs() - job.scheduledMs)
        // Before a next step, which may take this connection.
        release(pool, slot)
        stepEnded(pending, outcome)
        finishIfDone()
      })
    }
    const release = (pool: Pool, slot: Slot): void => {
      if (pool.head < pool.waiting.length) {
        const pending = pool.waiting[pool.head++]!
        if (pool.head > 1024 && pool.head * 2 > pool.waiting.length) {
          pool.waiting = pool.waiting.slice(pool.head)
          pool.head = 0
        }
        start(pool, slot, pending)
      } else {
        pool.idle.push(slot)
      }
    }
    const dispatch = (pending: Pending): void => {
      const pool = routes[pending.job.stream]![pending.step]!
      const slot = pool.idle.pop()
      if (slot !== undefined) return start(pool, slot, pending)
      if (pool.slots.length < options.connections) {
        const made: Slot = { connection: new HttpConnection(pool.target), scheduledMs: undefined }
        pool.slots.push(made)
        return start(pool, made, pending)
      }
      waited++
      if (pool.waiting.length - pool.head >= maxWaiting) return stepEnded(pending, { kind: "failed", reason: "client-overflow" })
      pool.waiting.push(pending)
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

    const expire = (): void => {
      const limitMs = nowMs() - options.timeoutMs
      for (const pool of pools) {
        while (pool.head < pool.waiting.length && pool.waiting[pool.head]!.job.scheduledMs < limitMs) {
          stepEnded(pool.waiting[pool.head++]!, { kind: "failed", reason: "timeout" })
        }
        for (const slot of pool.slots) if (slot.scheduledMs !== undefined && slot.scheduledMs < limitMs) slot.connection.abort("timeout")
      }
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
      for (const { slots } of pools) for (const slot of slots) slot.connection.close()
      resolve({
        streams: streams.map((_, i) => ({ stats: stats[i]!, windows: windows[i]! })),
        elapsedMs: Math.max(0, nowMs() - countFromMs),
        sendLag,
        waited,
        silent: pools.flatMap(({ silence }) => silence ?? [])
      })
    }
    const abort = (): void => {
      sending = false
      aborted = true
      for (const pause of pauses) clearTimeout(pause)
      outstanding -= pauses.size
      pauses.clear()
      for (const pool of pools) {
        while (pool.head < pool.waiting.length) stepEnded(pool.waiting[pool.head++]!, { kind: "failed", reason: "aborted" })
        for (const slot of pool.slots) if (slot.scheduledMs !== undefined) slot.connection.abort("connection-lost")
      }
      finishIfDone()
    }
    if (options.signal?.aborted === true) return abort()
    options.signal?.addEventListener("abort", abort)
    streams.forEach(({ clients = 0 }, i) => {
      for (let client = 0; client < clients; client++) ask(i)
    })
    pump()
  })
