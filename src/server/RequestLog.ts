/**
 * A line per request in a file, with the columns of gpulet's `log.txt`. Lines wait in a bounded buffer; the hot path never waits for the disk.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RequestTimes } from "../core/Request.js"
import { Scheduler, type SchedulerObserver } from "../scheduler/Scheduler.js"
import { AppendedFile } from "./internal/appendedFile.js"
import { RequestLogError } from "./ServerError.js"

/** First line of the file. @since 0.1.0 @category format */
export const header = "timestamp,task,BatchID,ReqID,deviceID,QUEUEING_DELAY,WAIT_EXEC,BATCH_LAT,EXEC,TO CMPQ,CMPQ_WRITE"

/** Lines that may wait for the disk; further ones are counted and lost. @since 0.1.0 @category format */
export const capacityLines = 65536

const flushInterval = "100 millis"
/** How often the name is looked at again: its file may have been turned over. */
const flushesPerLook = 10
/** How often it is told of lines that were lost, at most. */
const lostIntervalMs = 60_000

const ms = (value: number): string => (Number.isFinite(value) && value > 0 ? value.toFixed(3) : "0")

/**
 * One line. QUEUEING_DELAY: arrival to the close of its batch; WAIT_EXEC: batch closed to started; BATCH_LAT: taken from the queue to batch
 * closed, which is one step here; EXEC: started to ended; TO CMPQ and CMPQ_WRITE: ended to this line, where there is no queue between. ReqID is -1
 * for a request that was dropped or failed.
 * @since 0.1.0
 * @category format
 */
export const formatLine = (entry: {
  readonly timestampMs: number
  readonly nowMs: number
  readonly model: string
  readonly batchId: number
  readonly requestId: number
  readonly device: string
  readonly times: RequestTimes
}): string => {
  const { times } = entry
  const ran = times.startedMs > 0
  const name = /[",\n\r]/.test(entry.model) ? `"${entry.model.replace(/"/g, "\"\"").replace(/[\n\r]/g, " ")}"` : entry.model
  const columns = ran
    ? [times.batchClosedMs - times.arrivedMs, times.startedMs - times.batchClosedMs, 0, times.endedMs - times.startedMs, 0, entry.nowMs - times.endedMs]
    : [times.endedMs - times.arrivedMs, 0, 0, 0, 0, 0]
  return `${entry.timestampMs.toFixed(3)},${name},${entry.batchId},${entry.requestId},${entry.device},${columns.map(ms).join(",")}\n`
}

/** Lines between the hot path and the disk. */
class LineBuffer {
  private lines: Array<string> = []
  private lost = 0

  add(line: string): void {
    if (this.lines.length < capacityLines) this.lines.push(line)
    else this.lost++
  }

  take(): { readonly text: string; readonly count: number; readonly lost: number } {
    const { lines, lost } = this
    this.lines = []
    this.lost = 0
    return { text: lines.join(""), count: lines.length, lost }
  }
}

/**
 * Logs all requests to `path` (appended to, where it is there) until the scope closes. The file may be renamed, removed or emptied meanwhile: within
 * a second lines go to a new one of that name, which nobody needs to ask for.
 * @since 0.1.0
 * @category constructors
 */
export const observe = (path: string): Effect.Effect<void, RequestLogError, Scheduler | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const clock = yield* Effect.clock
    const failed = (cause: unknown) => new RequestLogError({ path, detail: cause instanceof Error ? cause.message : String(cause) })
    const file = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => AppendedFile.open(path, `${header}\n`), catch: failed }),
      (file) => Effect.ignore(Effect.tryPromise(() => file.close()))
    )
    const buffer = new LineBuffer()
    let requests = 0
    const requestEnded: NonNullable<SchedulerObserver["requestEnded"]> = ({ batchId, end, glet, model, times }) => {
      requests++
      buffer.add(formatLine({
        timestampMs: clock.unsafeCurrentTimeMillis(),
        nowMs: scheduler.nowMs(),
        model: model.name,
        batchId,
        requestId: end.ok ? requests : -1,
        device: glet ?? "-",
        times
      }))
    }
    let told = -Infinity
    let lost = 0
    let why = ""
    /** A full disk stays full for long: the log of the server is not to fill what is left. */
    const tellOfLost = Effect.suspend(() => {
      if (why === "" || scheduler.nowMs() - told < lostIntervalMs) return Effect.void
      told = scheduler.nowMs()
      const message = `request log ${path}: ${lost === 0 ? "" : `${lost} lines were lost: `}${why}`
      lost = 0
      why = ""
      return Effect.logError(message)
    })
    const append = Effect.suspend(() => {
      const { count, lost: overflown, text } = buffer.take()
      if (overflown > 0) {
        lost += overflown
        why = "the disk is too slow"
      }
      if (count === 0) return Effect.void
      return Effect.catchAll(Effect.tryPromise({ try: () => file.append(text), catch: failed }), ({ detail }) => Effect.sync(() => {
        lost += count
        why = detail
      }))
    })
    let flushes = 0
    const follow = Effect.suspend(() =>
      ++flushes % flushesPerLook !== 0 ? Effect.void : Effect.catchAll(Effect.tryPromise({ try: () => file.follow(), catch: failed }), ({ detail }) =>
        Effect.sync(() => why = `it was moved, and cannot be opened anew (${detail}): lines still go to the old one`)))
    // What has begun ends: nothing may be under way when the last lines are written.
    const flush = Effect.uninterruptible(append.pipe(Effect.zipRight(follow), Effect.zipRight(tellOfLost)))
    // Released in reverse order: the observer goes first, then the last flush, then the file.
    yield* Effect.addFinalizer(() => flush)
    yield* flush.pipe(Effect.delay(flushInterval), Effect.forever, Effect.forkScoped)
    yield* scheduler.observe({ requestEnded })
  }).pipe(Effect.annotateLogs({ module: "RequestLog" }))
