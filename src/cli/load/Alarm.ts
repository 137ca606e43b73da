/**
 * Wakes the event loop at a time, to a few microseconds: Node's timers know whole milliseconds only, and polling for the rest would take a core
 * from the server under test.
 *
 * A thread sleeps until shortly before the time (a futex wakes to some tens of microseconds) and wakes the loop; the loop polls for what is
 * left. At 1,000 wake-ups per second that costs about a tenth of a core, polling alone nearly a half.
 *
 * @since 0.1.0
 */
import { Worker } from "node:worker_threads"

/** @since 0.1.0 @category alarms */
export interface Alarm {
  /** Calls `fire` after `waitMs`; replaces what was set before. */
  readonly set: (waitMs: number, fire: () => void) => void
  readonly close: () => void
}

// The thread wakes the loop this long before the time: about what the way takes.
const earlyMs = 0.2
const idle = 0n
const ended = -1n

/** Sleeps until the due time (ns of the monotonic clock, which all threads share), then posts it back. */
const sleeper = `
const { parentPort, workerData } = require("node:worker_threads")
const changed = new Int32Array(workerData, 0, 1)
const due = new BigInt64Array(workerData, 8, 1)
for (;;) {
  const seen = Atomics.load(changed, 0)
  const at = Atomics.load(due, 0)
  if (at === ${ended}n) break
  if (at === ${idle}n) {
    Atomics.wait(changed, 0, seen)
    continue
  }
  const leftMs = Number(at - process.hrtime.bigint()) / 1e6
  if (leftMs > 0 && Atomics.wait(changed, 0, seen, leftMs) !== "timed-out") continue
  if (Atomics.compareExchange(due, 0, at, ${idle}n) === at) parentPort.postMessage(at)
}
`

/** An exact alarm. @since 0.1.0 @category alarms */
export const makeAlarm = (): Alarm => {
  const shared = new SharedArrayBuffer(16)
  const changed = new Int32Array(shared, 0, 1)
  const due = new BigInt64Array(shared, 8, 1)
  const worker = new Worker(sleeper, { eval: true, workerData: shared })
  let awake = false
  worker.once("online", () => {
    awake = true
  })
  let wake: bigint = idle
  let fireAtNs = idle
  let fire: (() => void) | undefined
  const tell = (at: bigint): void => {
    wake = at
    Atomics.store(due, 0, at)
    Atomics.add(changed, 0, 1)
    Atomics.notify(changed, 0)
  }
  const poll = (expected: () => void): void => {
    if (fire !== expected) return
    if (process.hrtime.bigint() < fireAtNs) {
      setImmediate(poll, expected)
      return
    }
    fire = undefined
    expected()
  }
  // An answer to an alarm that was set anew meanwhile is not meant.
  worker.on("message", (at: bigint) => {
    if (at === wake && fire !== undefined) poll(fire)
  })
  return {
    set: (waitMs, then) => {
      const now = process.hrtime.bigint()
      fire = then
      fireAtNs = now + BigInt(Math.max(0, Math.round(waitMs * 1e6)))
      if (waitMs <= earlyMs) setImmediate(poll, then)
      // Until the thread has started, the loop's own timer must do: up to a millisecond early, then polling.
      else if (!awake) setTimeout(poll, waitMs - 1, then)
      else tell(fireAtNs - BigInt(Math.round(earlyMs * 1e6)))
    },
    close: () => {
      fire = undefined
      tell(ended)
    }
  }
}

/** An alarm that is up to a millisecond early or late and costs nothing. @since 0.1.0 @category alarms */
export const makeTimerAlarm = (): Alarm => {
  let timer: NodeJS.Timeout | undefined
  return {
    set: (waitMs, fire) => {
      clearTimeout(timer)
      timer = setTimeout(fire, Math.ceil(waitMs))
    },
    close: () => clearTimeout(timer)
  }
}
