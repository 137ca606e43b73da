/**
 * Cycles of a glet from one length to another, and what batches in them can be worth. Batches last at least so much of the longest cycle and carry no more than in
 * the shortest, and what fills the time best costs no more than this, for any price of time: the price, and what each model is worth beyond it.
 */
import type { Batches } from "./wholeBatches.js"

/** Cycles, and the batches that are of use in them. */
export interface Interval extends Batches {
  readonly fromMs: number
  readonly toMs: number
  /** Places in `demands` of the models that have batches, ascending. */
  readonly models: Int32Array
  /** By batch: what it counts for in the shortest cycle, and how many items it has. */
  readonly parts: Float64Array
  readonly items: Int32Array
  /** Batches that are best at some price of time, model after model: where those of each of `models` begin, and where all end. */
  readonly hulls: Int32Array
  readonly hullBegins: Int32Array
  /** The price of time that proves most, as far as is known, and what is proved: an upper bound, whatever the price. */
  price: number
  most: number
  /** What is known of `most`: that values have changed since, that it is what an old price proves, that hardly any price proves less, that whole batches are counted. */
  state: "old" | "priced" | "least" | "whole"
}

/** Prices of time that are looked at, and the difference between what they prove and what they can prove that is not worth another. */
const mostPrices = 25
const enough = 1e-6

export interface Look {
  /** No batches in these cycles are worth more at this price of time. */
  readonly most: number
  /** The part of the time that those take that gain most by it. */
  readonly time: number
  /** What the first model gains that finds no place. */
  readonly placePrice: number
}

/** Looks at intervals, one after the other. */
export interface Looks {
  /** By batch, what it is worth: of the interval that `value` saw last. */
  readonly worths: () => Float64Array
  readonly value: (interval: Interval, values: Float64Array, memoryPrice: number, memory: ArrayLike<number>) => void
  readonly look: (interval: Interval, price: number) => Look
  /** Lowers `most` to what the best price of time proves. */
  readonly lower: (interval: Interval) => void
}

export const makeLooks = (places: number): Looks => {
  let worths = new Float64Array(1024)
  const gains = new Float64Array(places + 1)
  const times = new Float64Array(places + 1)
  const value: Looks["value"] = ({ begins, models, parts }, values, memoryPrice, memory) => {
    if (parts.length > worths.length) worths = new Float64Array(2 * parts.length)
    for (let n = 0; n < models.length; n++) {
      const own = values[models[n]!]!
      const fixed = memoryPrice * memory[models[n]!]!
      for (let batch = begins[n]!, end = begins[n + 1]!; batch < end; batch++) worths[batch] = own * parts[batch]! - fixed
    }
  }
  const look: Looks["look"] = ({ hullBegins, hulls, models, times: all }, price) => {
    // Those that gain most, one more than there are places, in ascending order.
    let count = 0
    for (let n = 0; n < models.length; n++) {
      let gain = 0
      let time = 0
      for (let h = hullBegins[n]!, end = hullBegins[n + 1]!; h < end; h++) {
        const batch = hulls[h]!
        const net = worths[batch]! - price * all[batch]!
        if (net <= gain) continue
        gain = net
        time = all[batch]!
      }
      if (gain === 0 || (count > places && gain <= gains[0]!)) continue
      let at = count > places ? 0 : count++
      if (at === 0) {
        for (; at + 1 < count && gains[at + 1]! < gain; at++) {
          gains[at] = gains[at + 1]!
          times[at] = times[at + 1]!
        }
      } else {
        for (; at > 0 && gains[at - 1]! > gain; at--) {
          gains[at] = gains[at - 1]!
          times[at] = times[at - 1]!
        }
      }
      gains[at] = gain
      times[at] = time
    }
    const isCrowded = count > places
    let most = price
    let time = 0
    for (let n = isCrowded ? 1 : 0; n < count; n++) {
      most += gains[n]!
      time += times[n]!
    }
    return { most, time, placePrice: isCrowded ? gains[0]! : 0 }
  }
  /** What prices prove is convex, and its slope is the time that is left. */
  const lower: Looks["lower"] = (interval) => {
    interval.state = "least"
    let [low, high] = [0, 0]
    for (let batch = 0; batch < interval.times.length; batch++) high = Math.max(high, worths[batch]! / interval.times[batch]!)
    let atLow = look(interval, low)
    if (atLow.time <= 1) {
      interval.most = Math.min(interval.most, atLow.most)
      interval.price = 0
      return
    }
    let atHigh = look(interval, high)
    let least = Math.min(atLow.most, atHigh.most)
    let price = interval.price > 0 && interval.price < high ? interval.price : high / 2
    interval.price = atLow.most < atHigh.most ? low : high
    for (let n = 0; n < mostPrices; n++) {
      const at = look(interval, price)
      if (at.most < least) {
        least = at.most
        interval.price = price
      }
      if (at.time > 1) [low, atLow] = [price, at]
      else [high, atHigh] = [price, at]
      // Where the tangents meet.
      price = (atHigh.most - atLow.most + (1 - atLow.time) * low - (1 - atHigh.time) * high) / (atHigh.time - atLow.time)
      if (!(price > low && price < high) || least - (atLow.most + (1 - atLow.time) * (price - low)) < enough * least) break
    }
    interval.most = Math.min(interval.most, least)
  }
  return { worths: () => worths, value, look, lower }
}

/** The places of batches from `begin` on, ascending in time and parts, that are worth most at some price of time, whatever a part is worth; they are put to `hulls`. */
export const addHull = (times: ReadonlyArray<number>, parts: ReadonlyArray<number>, begin: number, hulls: Array<number>): void => {
  const first = hulls.length
  for (let batch = begin; batch < times.length; batch++) {
    while (hulls.length > first + 1) {
      const [before, last] = [hulls.at(-2)!, hulls.at(-1)!]
      // The last is above the line between its neighbours, or is never best.
      if ((parts[last]! - parts[before]!) * (times[batch]! - times[before]!) > (parts[batch]! - parts[before]!) * (times[last]! - times[before]!)) break
      hulls.pop()
    }
    hulls.push(batch)
  }
}

/** Of a heap by `most`, the largest first: puts one more into it. */
export const push = (heap: Array<Interval>, interval: Interval): void => {
  let at = heap.push(interval) - 1
  while (at > 0) {
    const above = (at - 1) >> 1
    if (heap[above]!.most >= interval.most) break
    heap[at] = heap[above]!
    at = above
  }
  heap[at] = interval
}

/** Of such a heap: the first has become less. */
export const sink = (heap: Array<Interval>): void => {
  const interval = heap[0]!
  let at = 0
  for (;;) {
    let next = 2 * at + 1
    if (next + 1 < heap.length && heap[next + 1]!.most > heap[next]!.most) next++
    if (next >= heap.length || heap[next]!.most <= interval.most) break
    heap[at] = heap[next]!
    at = next
  }
  heap[at] = interval
}
