/**
 * A line per request in a file, with the columns of gpulet's `log.txt`. Lines wait in a bounded buffer; the hot path never waits for the disk.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type FileHandle, open } from "node:fs/promises"
import type { RequestTimes } from "../core/Request.js"
import { Scheduler, type SchedulerObserver } from "../scheduler/Scheduler.js"
import { RequestLogError } from "./ServerError.js"

/** First line of the file. @since 0.1.0 @category format */
export const header = "timestamp,task,BatchID,ReqID,deviceID,QUEUEING_DELAY,WAIT_EXEC,BATCH_LAT,EXEC,TO CMPQ,CMPQ_WRITE"

/** Lines that may wait for the disk; further ones are counted and lost. @since 0.1.0 @category format */
export const capacityLines = 65536

const flushInterval = "100 millis"

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
  lost = 0

  add(line: string): void {
    if (this.lines.length < capacityLines) this.lines.push(line)
    else this.lost++
  }

  take(): string {
    const text = this.lines.join("")
    this.lines = []
    return text
  }
}

/**
 * Logs all requests to `path` (appended to, where it is there) until the scope closes.
 * @since 0.1.0
 * @category constructors
 */
export const observe = (path: string): Effect.Effect<void, RequestLogError, Scheduler | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const clock = yield* Effect.clock
    const failed = (cause: unknown) => new RequestLogError({ path, detail: cause instanceof Error ? cause.message : String(cause) })
    const file = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => open(path, "a"), catch: failed }),
      (handle) => Effect.ignore(Effect.tryPromise(() => handle.close()))
    )
    const buffer = new LineBuffer()
    const { size } = yield* Effect.tryPromise({ try: () => file.stat(), catch: failed })
    if (size === 0) buffer.add(`${header}\n`)
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
    const flush = Effect.suspend(() => {
      const text = buffer.take()
      return text === "" ? Effect.void : writeAll(file, text)
    })
    let reported = 0
    const flushAndReport = flush.pipe(
      Effect.catchAll((cause) => Effect.logError(`request log ${path}: lines were lost: ${cause.message}`)),
      Effect.zipRight(Effect.suspend(() => {
        const lost = buffer.lost - reported
        reported = buffer.lost
        return lost === 0 ? Effect.void : Effect.logWarning(`request log ${path}: the disk is too slow, ${lost} lines were lost`)
      }))
    )
    // Released in reverse order: the observer goes first, then the last flush, then the file.
    yield* Effect.addFinalizer(() => flushAndReport)
    yield* flushAndReport.pipe(Effect.delay(flushInterval), Effect.forever, Effect.forkScoped)
    yield* scheduler.observe({ requestEnded })
  }).pipe(Effect.annotateLogs({ module: "RequestLog" }))

const writeAll = (file: FileHandle, text: string): Effect.Effect<void, Error> =>
  Effect.tryPromise({
    try: () => file.writeFile(text),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })
