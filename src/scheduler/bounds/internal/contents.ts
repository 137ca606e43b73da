/**
 * The most that the contents of one glet can be worth, where every demand has a value and every visit counts for a part of its demand's: models of one glet
 * share its cycle, and run whole batches in it.
 *
 * Cycles are told apart by intervals. Those that decide are looked at more and more closely: what a price of time proves of them, what whole batches are worth in
 * them, then both halves.
 */
import { latencyRows } from "../../internal/latencyRows.js"
import type { BoundModel } from "./boundModel.js"
import type { Interval } from "./cycles.js"
import { addHull, makeLooks, push, sink } from "./cycles.js"
import { rateSlack, relativeSlack } from "./slack.js"
import { wholeBatches } from "./wholeBatches.js"
import type { Worth } from "./worths.js"

/** What demands are worth, in the currency of prices, and what all of a GPU's memory costs, by class. */
export interface Values {
  readonly demands: Float64Array
  readonly memory: Float64Array
}

/** Contents of a glet: of each of some models the part of its value that it counts for there, and the memory of all. */
export interface Content {
  readonly demands: ReadonlyArray<number>
  readonly parts: ReadonlyArray<number>
  readonly memory: number
}

/** A share of a class of GPUs. */
export interface GletContents {
  readonly gpuClass: number
  readonly share: number
  /**
   * Asks at these values. No contents of such a glet are worth more than `most` says, less what their memory costs: `roughly` as prices of time prove, quicker, or
   * as whole batches do, with some contents that are worth about as much.
   */
  readonly at: (values: Values) => { readonly roughly: () => number; readonly most: () => { readonly worth: number; readonly contents: ReadonlyArray<Content> } }
}

/** The longest cycle of an interval is longer than the shortest by this part: at first, where whole batches are counted, and where it is not halved any more. */
const wide = 0.15
const narrow = 0.01
const narrowest = 0.0005
/** Contents that are worth less than the best by more than this part are not told of, nor more of them than this. */
const near = 0.03
const mostTold = 12
/** A bound that follows from an older one is that much larger: our own rounding. */
const rounding = 1 + 1e-9

export const gletContents = (model: BoundModel, worths: ReadonlyArray<Worth>): ReadonlyArray<GletContents> => {
  const { classes, demands, problem, resources: { placesPerGlet } } = model
  const { dutyRule, latencyHeadroom } = problem.options
  const isStrict = dutyRule === "strict"
  const rates = demands.map((demand) => problem.demands[demand]!.rateRps * (1 - rateSlack))
  const limits = demands.map((demand) => problem.demands[demand]!.sloMs * (1 + relativeSlack))
  const all = demands.map((_, i) => i)
  const looks = makeLooks(placesPerGlet)
  const whole = wholeBatches(demands.length, placesPerGlet)
  const isSlow = (i: number, cycleMs: number, ms: number): boolean => (isStrict ? 2 * cycleMs : cycleMs + ms) > limits[i]!
  const partOf = (i: number, batch: number, cycleMs: number): number => worths[i]!.ofPart(Math.min(1, (1000 * batch) / cycleMs / rates[i]!))

  return classes.flatMap(({ gletBytes, maxGlets, memoryBytes, sharesPct, type }, gpuClass) => {
    const memory = Float64Array.from(demands, (demand) => problem.latency.memoryBytes(type, problem.demands[demand]!.model) / memoryBytes)
    const mostMemory = placesPerGlet * memory.reduce((a, b) => Math.max(a, b), 0)
    const hasRoom = (i: number): boolean => maxGlets >= 1 && memory[i]! + gletBytes / memoryBytes <= 1 + relativeSlack
    const worthOf = ({ demands: models, memory: taken, parts }: Content, values: Values): number => {
      let worth = -values.memory[gpuClass]! * taken
      for (let n = 0; n < models.length; n++) worth += values.demands[models[n]!]! * parts[n]!
      return worth
    }

    return sharesPct.map((sharePct, share): GletContents => {
      const rows = demands.map((demand, i) => {
        const { maxBatch, model: name } = problem.demands[demand]!
        return hasRoom(i) ? latencyRows(problem.latency).row(type, name, sharePct, maxBatch).map((ms) => ms * latencyHeadroom) : new Float64Array(0)
      })

      const makeInterval = (fromMs: number, toMs: number, among: ArrayLike<number>, price: number, most: number): Interval => {
        const models: Array<number> = []
        const begins: Array<number> = []
        const parts: Array<number> = []
        const times: Array<number> = []
        const items: Array<number> = []
        const hulls: Array<number> = []
        const hullBegins: Array<number> = []
        for (let n = 0; n < among.length; n++) {
          const i = among[n]!
          const row = rows[i]!
          const begin = parts.length
          for (let batch = 1; batch < row.length; batch++) {
            const ms = row[batch]!
            if (!(ms > 0) || ms > toMs || isSlow(i, fromMs, ms)) continue
            // No cycle is shorter than its batch.
            const part = partOf(i, batch, Math.max(fromMs, ms))
            const time = ms / toMs
            while (parts.length > begin && times.at(-1)! >= time && parts.at(-1)! <= part) {
              parts.pop()
              times.pop()
              items.pop()
            }
            if (parts.length > begin && part <= parts.at(-1)!) continue
            parts.push(part)
            times.push(time)
            items.push(batch)
          }
          if (parts.length === begin) continue
          models.push(i)
          begins.push(begin)
          hullBegins.push(hulls.length)
          addHull(times, parts, begin, hulls)
        }
        return {
          fromMs, toMs, price, most, state: "old", models: Int32Array.from(models), begins: Int32Array.from([...begins, parts.length]),
          parts: Float64Array.from(parts), times: Float64Array.from(times), items: Int32Array.from(items),
          hulls: Int32Array.from(hulls), hullBegins: Int32Array.from([...hullBegins, hulls.length])
        }
      }

      let [shortestMs, longestMs] = [Infinity, 0]
      rows.forEach((row, i) => {
        for (let batch = 1; batch < row.length; batch++) {
          const ms = row[batch]!
          if (!(ms > 0) || 2 * ms > limits[i]!) continue
          shortestMs = Math.min(shortestMs, ms)
          longestMs = Math.max(longestMs, isStrict ? limits[i]! / 2 : limits[i]! - ms)
        }
      })
      /** A heap by `most`. */
      const intervals: Array<Interval> = []
      for (let fromMs = shortestMs; fromMs < longestMs;) {
        const toMs = Math.min(longestMs, fromMs * (1 + wide))
        intervals.push(makeInterval(fromMs, toMs, all, 0, Infinity))
        fromMs = toMs
      }
      // A single cycle is an interval too.
      if (shortestMs === longestMs) intervals.push(makeInterval(shortestMs, longestMs, all, 0, Infinity))

      /** Those that were worth most once, each in the cycle that its batches take. */
      const known: Array<Content> = []
      const contentOf = (interval: Interval, chosen: ReadonlyArray<{ readonly model: number; readonly batch: number }>): Content => {
        const msOf = (batch: number): number => interval.times[batch]! * interval.toMs
        const cycleMs = Math.max(interval.fromMs, chosen.reduce((sum, { batch }) => sum + msOf(batch), 0))
        const kept = chosen.filter(({ batch, model: n }) => !isSlow(interval.models[n]!, cycleMs, msOf(batch)))
        const models = kept.map(({ model: n }) => interval.models[n]!)
        return {
          demands: models,
          parts: kept.map(({ batch }, n) => partOf(models[n]!, interval.items[batch]!, cycleMs)),
          memory: models.reduce((sum, i) => sum + memory[i]!, 0)
        }
      }

      let before: Values | undefined
      /** What was proved of older values holds for new ones, times what the values have grown by at most, and what memory has become cheaper. */
      const age = ({ demands: values, memory: prices }: Values): void => {
        let growth = 0
        if (before === undefined) growth = Infinity
        else for (let i = 0; i < values.length; i++) if (values[i]! > 0) growth = Math.max(growth, values[i]! / before.demands[i]!)
        const cheaper = before === undefined ? 0 : mostMemory * Math.max(0, growth * before.memory[gpuClass]! - prices[gpuClass]!)
        for (const interval of intervals) {
          interval.most = growth < Infinity ? (interval.most * growth + cheaper) * rounding : Infinity
          interval.state = "old"
        }
        before = { demands: values.slice(), memory: prices.slice() }
      }

      return {
        gpuClass,
        share,
        at: (values) => {
          age(values)
          const found: Array<{ readonly content: Content; readonly worth: number }> = []
          let best = 0
          /** Looks for whole batches that are worth more than the best contents that are known. */
          const search = (interval: Interval): void => {
            interval.state = "whole"
            const { placePrice } = looks.look(interval, interval.price)
            const answer = whole.best(interval, looks.worths(), interval.price, placePrice, best)
            if (answer === undefined) return
            interval.most = Math.min(interval.most, answer.worth)
            if (answer.chosen === undefined) return
            const content = contentOf(interval, answer.chosen)
            const worth = worthOf(content, values)
            found.push({ content, worth })
            if (worth <= best) return
            best = worth
            known.push(content)
          }
          const look = (isRough: boolean): number => {
            while (intervals.length > 0) {
              const top = intervals[0]!
              const { fromMs, models, most, price, state, toMs } = top
              const isNarrow = toMs <= fromMs * (1 + narrow)
              if (most <= best || (isRough && isNarrow && state === "least") || (state === "whole" && toMs <= fromMs * (1 + narrowest))) break
              if (state === "whole" || (state === "least" && !isNarrow)) {
                const middleMs = Math.sqrt(fromMs * toMs)
                intervals[0] = makeInterval(fromMs, middleMs, models, price, most)
                push(intervals, makeInterval(middleMs, toMs, models, price, most))
                continue
              }
              looks.value(top, values.demands, values.memory[gpuClass]!, memory)
              if (state === "old") {
                top.most = Math.min(most, looks.look(top, price).most)
                top.state = "priced"
              } else if (state === "priced") looks.lower(top)
              else search(top)
              sink(intervals)
            }
            return intervals[0]?.most ?? 0
          }
          return {
            roughly: () => look(true),
            most: () => {
              for (const content of known) {
                const worth = worthOf(content, values)
                if (worth <= best) continue
                best = worth
                found[0] = { content, worth }
              }
              const worth = look(false)
              const contents = found.filter((each) => each.worth > best * (1 - near)).sort((one, other) => other.worth - one.worth).slice(0, mostTold).map(({ content }) => content)
              return { worth, contents }
            }
          }
        }
      }
    })
  })
}
