/**
 * Measures one model on one open glet within a given time: first up the batch sizes, a few executions each, as far as the time carries, or further where
 * batches are of use; then
 * all of them again in rounds, so that a slow moment of the machine falls on all sizes alike. After the first round, when the medians have
 * settled, come a few sizes where the curve bends. Last, sizes of which a few runs were far slower, which says little of how often that
 * happens, are run again, for half of the time more at most: a pause of the host takes a few runs in a row.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { BatchEnd } from "../Executor.js"
import { firstBatches, nextBatch } from "./batchSizes.js"
import { isolatedFrom, median, tail } from "./latencyStatistics.js"

/** Executions of one size before it counts as measured. */
const fewestSamples = 3
/**
 * More executions say no more. Of a model that takes 0.07 ms 500 were 0.04 s, and five of them its 99th percentile, which is the host's pauses: from size to size
 * it was 0.11 to 0.29 ms.
 */
const mostSamples = 5000
const rounds = 4
/** Sizes measured for the sake of bends: each takes time, hence samples, from the others. */
const mostBends = 3
/** Relative deviation from a straight line above which another size is measured there; noise makes smaller ones. */
const bendTolerance = 0.15
/** A tail that takes so many times the median is doubted where there are few executions. */
const doubtfulFactor = 1.5
/** From so many executions on a tail is a tail. */
const settledFrom = 300

/** How many executions would tell whether the slow ones among these are a tail; as many as there are where none is doubted. */
const wantedCount = (durationsMs: ReadonlyArray<number>): number => {
  const { length } = durationsMs
  const ascending = [...durationsMs].sort((a, b) => a - b)
  const limitMs = doubtfulFactor * ascending[length >> 1]!
  if (length < isolatedFrom && ascending[length - 1]! > limitMs) return isolatedFrom
  return length < settledFrom && tail(ascending) > limitMs ? settledFrom : length
}

export interface MeasureOptions<E> {
  readonly maxBatch: number
  readonly budgetMs: number
  /** Batches that are expected to end within `withinMs` are measured a few times also where that takes longer than the budget, up to `forMs`. */
  readonly useful?: { readonly withinMs: number; readonly forMs: number } | undefined
  /** Runs of a size that come before those that count; one by default. */
  readonly warmRuns?: number | undefined
  /** Only these sizes. */
  readonly batches?: ReadonlyArray<number> | undefined
  /** Runs one batch of so many items. */
  readonly run: (items: number) => Effect.Effect<BatchEnd>
  /** What a failure of the smallest batch becomes; a larger one that fails only ends the climb. */
  readonly failed: (end: Extract<BatchEnd, { readonly ok: false }>) => E
}

/** Durations in ms by batch size, ascending. */
export type Samples = ReadonlyArray<{ readonly batch: number; readonly durationsMs: ReadonlyArray<number> }>

export const measureShare = <E>({ batches, budgetMs, failed, maxBatch, run, useful, warmRuns = 1 }: MeasureOptions<E>): Effect.Effect<Samples, E> =>
  Effect.gen(function*() {
    const now = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
    const startMs = yield* now
    const endMs = startMs + budgetMs
    const left = Effect.map(now, (nowMs) => endMs - nowMs)
    const measured = new Map<number, Array<number>>()
    const ascending = () => [...measured.keys()].sort((a, b) => a - b)
    const medians = () => ascending().map((batch) => ({ batch, ms: median(measured.get(batch)!) }))

    /** Runs until there are `count` more samples or `untilMs` has come. */
    const sample = (batch: number, count: number, untilMs: number) =>
      Effect.gen(function*() {
        for (let i = 0; i < count; i++) {
          const end = yield* run(batch)
          if (!end.ok) return end
          measured.get(batch)!.push(end.inputMs + end.inferMs + end.outputMs)
          if ((yield* now) >= untilMs) break
        }
        return undefined
      })

    /** First runs that do not count, then a few that do. False where the size cannot be run. */
    const begin = (batch: number) =>
      Effect.gen(function*() {
        let warm = yield* run(batch)
        for (let i = 1; i < warmRuns && warm.ok; i++) warm = yield* run(batch)
        if (warm.ok) measured.set(batch, [])
        const end = warm.ok ? yield* sample(batch, fewestSamples, Infinity) : warm
        if (end === undefined) return true
        measured.delete(batch)
        if (measured.size === 0 || end.error._tag === "GletExited") return yield* Effect.fail(failed(end))
        yield* Effect.logDebug(`batch ${batch} cannot be run: ${end.error.detail}`)
        return false
      })

    /** What one execution would take at most, guessed by the next smaller size. */
    const guessMs = (batch: number): number => {
      const smaller = medians().findLast((one) => one.batch < batch)
      return smaller === undefined ? 0 : smaller.ms * (batch / smaller.batch)
    }
    /** What `begin` would take. */
    const costMs = (batch: number): number => (fewestSamples + warmRuns) * guessMs(batch)
    const isUseful = (batch: number, nowMs: number): boolean =>
      useful !== undefined && guessMs(batch) <= useful.withinMs && nowMs - startMs + costMs(batch) <= useful.forMs

    for (const batch of batches ?? firstBatches(maxBatch)) {
      if ((measured.size > 0 && costMs(batch) > (yield* left) && !isUseful(batch, yield* now)) || !(yield* begin(batch))) break
    }
    for (let round = 0; round < rounds; round++) {
      const open = ascending().filter((batch) => measured.get(batch)!.length < mostSamples)
      for (const [i, batch] of open.entries()) {
        const durations = measured.get(batch)!
        const leftMs = yield* left
        if (median(durations) > leftMs) continue
        const sliceMs = leftMs / (open.length - i + open.length * (rounds - round - 1))
        const end = yield* sample(batch, Math.min(mostSamples - durations.length, Math.ceil(mostSamples / rounds)), endMs - leftMs + sliceMs)
        if (end !== undefined) return yield* Effect.fail(failed(end))
      }
      for (let bends = 0; batches === undefined && round === 0 && bends < mostBends; bends++) {
        const batch = nextBatch(medians(), bendTolerance)
        if (batch === undefined || costMs(batch) > (yield* left) / 4 || !(yield* begin(batch))) break
      }
    }
    const lastMs = (yield* now) + budgetMs / 2
    for (const batch of ascending()) {
      const durations = measured.get(batch)!
      for (let wanted = wantedCount(durations); wanted > durations.length && (yield* now) < lastMs; wanted = wantedCount(durations)) {
        const end = yield* sample(batch, wanted - durations.length, lastMs)
        if (end !== undefined) return yield* Effect.fail(failed(end))
      }
    }
    return ascending().map((batch) => ({ batch, durationsMs: measured.get(batch)! }))
  })
