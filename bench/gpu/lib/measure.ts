/** Measuring what calls back: one at a time for latency, several at a time for throughput. */

/** Starts one; the callback may come at once. */
export type Start = (done: () => void) => void

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly meanMs: number
  readonly count: number
}

export const summary = (durations: ReadonlyArray<number>): Latency => {
  const sorted = [...durations].sort((a, b) => a - b)
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? NaN
  return { p50Ms: at(0.5), p99Ms: at(0.99), meanMs: sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length, count: sorted.length }
}

/** One after the other, for so long. The first few do not count. */
export const latencyOf = async (start: Start, forMs: number): Promise<Latency> => {
  const durations: Array<number> = []
  const endMs = performance.now() + forMs
  for (let i = 0; performance.now() < endMs || i < 8; i++) {
    const began = performance.now()
    await new Promise<void>((resolve) => start(resolve))
    if (i >= 5) durations.push(performance.now() - began)
  }
  return summary(durations)
}

/** So many at a time, each followed by the next. Batches a second. */
export const throughputOf = (starts: ReadonlyArray<Start>, forMs: number): Promise<number> =>
  new Promise((resolve) => {
    let ended = 0
    let running = starts.length
    const begin = performance.now()
    const next = (start: Start): void => {
      start(() => {
        ended++
        const spent = performance.now() - begin
        if (spent < forMs) setImmediate(next, start)
        else if (--running === 0) resolve((1000 * ended) / spent)
      })
    }
    for (const start of starts) next(start)
  })

/** Arrivals of a Poisson process at so many a second; durations count from when a request was due. Stops after `forMs`. */
export const openLoop = (start: Start, ratePerS: number, forMs: number, random: () => number): Promise<Latency> =>
  new Promise((resolve) => {
    const durations: Array<number> = []
    const begin = performance.now()
    let dueMs = begin
    let waiting = 0
    let isOver = false
    const finish = () => isOver && waiting === 0 && resolve(summary(durations))
    const tick = (): void => {
      const nowMs = performance.now()
      while (dueMs <= nowMs && dueMs < begin + forMs) {
        const due = dueMs
        dueMs += (-Math.log(1 - random()) * 1000) / ratePerS
        waiting++
        start(() => {
          durations.push(performance.now() - due)
          waiting--
          finish()
        })
      }
      if (nowMs < begin + forMs) {
        setImmediate(tick)
        return
      }
      isOver = true
      finish()
    }
    tick()
  })
