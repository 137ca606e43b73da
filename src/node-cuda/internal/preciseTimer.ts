/**
 * Timers finer than Node's: `setTimeout` counts whole milliseconds and fires late, so it is used only to sleep until shortly before the next
 * due time; the rest is polled by `setImmediate`, between which sockets and other work go on. One heap serves all entries, so the cost of
 * polling does not grow with their number. While something is due within the poll window, one core is busy.
 */

interface Entry {
  readonly dueMs: number
  /** Keeps entries of equal due time in order. */
  readonly order: number
  /** Undefined once it is taken back. */
  fire: (() => void) | undefined
}

export interface PreciseTimer {
  /** The clock that it goes by, ms. */
  readonly nowMs: () => number
  /** Calls `fire` once, not before the clock reaches `dueMs`, never before this returns; what it answers takes that back. */
  readonly at: (dueMs: number, fire: () => void) => () => void
  /** Forgets all entries. */
  readonly close: () => void
}

/** How long before a due time sleeping ends: more than `setTimeout` is usually late. */
const pollWindowMs = 1.5

const before = (a: Entry, b: Entry): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)

const push = (heap: Array<Entry>, entry: Entry): void => {
  let at = heap.length
  heap.push(entry)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(entry, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = entry
}

const pop = (heap: Array<Entry>): Entry | undefined => {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || last === undefined || heap.length === 0) return top
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return top
}

export const makePreciseTimer = (): PreciseTimer => {
  const heap: Array<Entry> = []
  let order = 0
  let sleep: ReturnType<typeof setTimeout> | undefined
  let poll: ReturnType<typeof setImmediate> | undefined
  /** When the sleep in progress ends. */
  let wakeMs = Infinity

  const disarm = (): void => {
    clearTimeout(sleep)
    if (poll !== undefined) clearImmediate(poll)
    sleep = poll = undefined
    wakeMs = Infinity
  }

  const arm = (): void => {
    while (heap.length > 0 && heap[0]!.fire === undefined) pop(heap)
    const next = heap[0]
    if (next === undefined || poll !== undefined) return
    const nowMs = performance.now()
    const pauseMs = Math.floor(next.dueMs - nowMs - pollWindowMs)
    if (pauseMs < 1) {
      disarm()
      poll = setImmediate(tick)
    } else if (sleep === undefined || nowMs + pauseMs < wakeMs) {
      disarm()
      wakeMs = nowMs + pauseMs
      // Node holds at most 2^31 - 1 ms; an entry further away sleeps again.
      sleep = setTimeout(tick, Math.min(pauseMs, 0x7fffffff))
    }
  }

  const tick = (): void => {
    disarm()
    try {
      while (heap.length > 0 && heap[0]!.dueMs <= performance.now()) pop(heap)!.fire?.()
    } finally {
      arm()
    }
  }

  return {
    nowMs: () => performance.now(),
    at: (dueMs, fire) => {
      const entry: Entry = { dueMs, order: order++, fire }
      push(heap, entry)
      arm()
      return () => {
        entry.fire = undefined
      }
    },
    close: () => {
      disarm()
      heap.length = 0
    }
  }
}
