/**
 * What a glet will cost at the least once a model joins it or takes the place of another, from sums that are kept of it: without a look at its other models.
 * Nearly all that annealing proposes costs too much already by that, and need not be looked at exactly.
 *
 * Of each model counts what it takes of the longest cycle that its glet allows, and the least part that it takes of any cycle up to that.
 */
import type { GletTables } from "./gletTables.js"
import { batchFor, longestMs, onceMs, perRps, width as numbersOf } from "./gletTables.js"
import type { SearchSpace } from "./searchSpace.js"
import type { Trials } from "./trials.js"

export interface GletFloors {
  /** To be called when a slot has changed. */
  readonly note: (slot: number) => void
  /**
   * About the least that the slot's glet costs with another model, and without one that it has (-1: with all); infinite where that is more than `mostCost`.
   * Nothing that stays on its share costs less. On another share it may, a little: time is taken to be needed less only as shares grow larger, and a glet that
   * goes down by several shares to fill the last.
   */
  readonly floor: (slot: number, without: number, model: number, rps: number, mostCost: number) => number
}

/** Prices by kind and share, and by kind and model what it costs of memory; what a glet costs of it by kind. */
export interface GletPrices {
  readonly share: ReadonlyArray<Float64Array>
  readonly model: ReadonlyArray<Float64Array>
  readonly glet: ReadonlyArray<number>
}

/** Sums are kept for the glet's own share, one more, and one less. */
const levels = 3
const steps = [0, 1, -1]
const [own, more, fewer] = [0, 1, 2]
// Of a level: the longest cycle, 0 where there is none, and that without the tightest model; what all take of it, and the least that they take; both without the tightest.
const sums = 6
const [longest, later, longSum, partSum, longLater, partLater] = [0, 1, 2, 3, 4, 5]
/** What sums may be off by. */
const slack = 1e-6
const full = 1 + slack
/** A batch that is too large. */
const tooLong = 1e9

export const makeGletFloors = (
  { kinds, models: all }: SearchSpace, { batches, begins, largest, numbers, place, shares }: GletTables, trials: Trials, prices: GletPrices, worthOfFree: number
): GletFloors => {
  const { count, kind: kindOf, models, rps: rpsOf, share: shareOf, width } = trials
  const slots = count.length
  const sumsOf = new Float64Array(slots * levels * sums)
  const tightest = new Int32Array(slots * levels)
  const longOf = new Float64Array(slots * levels * width)
  const partOf = new Float64Array(slots * levels * width)
  const base = new Float64Array(slots)
  const pcts = new Float64Array(kinds.length * shares)
  const sharePrices = new Float64Array(kinds.length * shares)
  const modelPrices = new Float64Array(kinds.length * all)
  const lastOf = Int32Array.from(kinds, ({ sharesPct }) => sharesPct.length - 1)
  kinds.forEach(({ sharesPct }, kind) => {
    pcts.set(sharesPct, kind * shares)
    sharePrices.set(prices.share[kind]!, kind * shares)
    modelPrices.set(prices.model[kind]!, kind * all)
  })
  const costOn = (at: number, part: number, fixed: number): number => fixed + sharePrices[at]! * (1 - worthOfFree * (1 - part) * (1 - part))

  let long = 0
  let part = 0
  /** What a rate takes of a cycle, and the least part of any that is no longer. */
  const look = (at: number, rps: number, cycleMs: number): void => {
    const items = (rps * cycleMs) / 1000
    if (items <= 1) {
      long = numbers[at * numbersOf + onceMs]!
      part = long / cycleMs
      return
    }
    const batch = batchFor(items)
    const most = largest[at]!
    const begin = begins[at]!
    const whole = items < most ? items | 0 : most
    part = (rps * batches[begin + 2 * whole + 1]!) / 1000
    if (batch > most) {
      long = tooLong
      return
    }
    long = batches[begin + 2 * batch]!
    if (long < part * cycleMs) part = long / cycleMs
  }

  const note = (slot: number): void => {
    const kind = kindOf[slot]!
    const from = slot * width
    const to = from + count[slot]!
    let memory = prices.glet[kind]!
    for (let m = from; m < to; m++) memory += modelPrices[kind * all + models[m]!]!
    base[slot] = memory
    for (let level = 0; level < levels; level++) {
      const at = slot * levels + level
      const s = at * sums
      const share = shareOf[slot]! + steps[level]!
      sumsOf[s + longest] = sumsOf[s + later] = 0
      if (share < 0 || share > lastOf[kind]!) continue
      const start = place(kind, share, 0)
      let first = Infinity
      let second = Infinity
      let tight = from
      for (let m = from; m < to; m++) {
        const ms = numbers[(start + models[m]! * shares) * numbersOf + longestMs]!
        if (ms < first) {
          second = first
          first = ms
          tight = m
        } else if (ms < second) second = ms
      }
      let longs = 0
      let parts = 0
      let laterLongs = 0
      let laterParts = 0
      for (let m = from; m < to; m++) {
        const model = start + models[m]! * shares
        if (first > 0) {
          look(model, rpsOf[m]!, first)
          longs += longOf[at * width + m - from] = long
          parts += partOf[at * width + m - from] = part
        }
        if (m === tight || !(second > 0)) continue
        look(model, rpsOf[m]!, second)
        laterLongs += long
        laterParts += part
      }
      tightest[at] = tight - from
      sumsOf[s + longest] = Math.max(0, first)
      sumsOf[s + later] = Math.max(0, second)
      sumsOf[s + longSum] = longs
      sumsOf[s + partSum] = parts
      sumsOf[s + longLater] = laterLongs
      sumsOf[s + partLater] = laterParts
    }
  }

  /** What of its time the glet needs then, 1 where that is not known, and more where there is not enough. */
  const timeOn = (slot: number, level: number, without: number, model: number, rps: number): number => {
    const at = slot * levels + level
    const s = at * sums
    const first = (kindOf[slot]! * all) * shares + shareOf[slot]! + (level === own ? 0 : level === more ? 1 : -1)
    const joined = first + model * shares
    const mostMs = numbers[joined * numbersOf + longestMs]!
    let cycleMs: number
    let longs: number
    let parts: number
    if (without === tightest[at]) {
      cycleMs = sumsOf[s + later]!
      longs = sumsOf[s + longLater]!
      parts = sumsOf[s + partLater]!
    } else {
      cycleMs = sumsOf[s + longest]!
      longs = sumsOf[s + longSum]!
      parts = sumsOf[s + partSum]!
      if (without >= 0) {
        longs -= longOf[at * width + without]!
        parts -= partOf[at * width + without]!
      }
    }
    if (!(cycleMs > 0)) return Infinity
    // Alone it has any cycle.
    if (without >= 0 && count[slot] === 1) return Math.max(rps * numbers[joined * numbersOf + perRps]!, numbers[joined * numbersOf + onceMs]! / Math.max(0, mostMs))
    if (mostMs >= cycleMs) {
      look(joined, rps, cycleMs)
      if (parts + part > full) return parts + part
      return longs + long <= cycleMs * full ? (longs + long) / cycleMs : 1
    }
    if (!(mostMs > 0)) return Infinity
    look(joined, rps, mostMs)
    // The others take no less of a shorter cycle.
    if (parts + part > full) return parts + part
    longs = long
    parts = part
    const from = slot * width
    const to = from + count[slot]!
    for (let m = from; m < to; m++) {
      if (m === from + without) continue
      look(first + models[m]! * shares, rpsOf[m]!, mostMs)
      longs += long
      parts += part
      if (parts > full) return parts
    }
    return longs <= mostMs * full ? longs / mostMs : 1
  }

  /** What the glet costs at the least on a larger share than one on which it needs so much time, more than there is: that grows no shorter than the share grows larger. */
  const larger = (kind: number, share: number, time: number, fixed: number): number => {
    const needed = time * pcts[kind * shares + share]!
    for (let at = kind * shares + share + 1; at <= kind * shares + lastOf[kind]!; at++) if (needed <= pcts[at]!) return costOn(at, needed / pcts[at]!, fixed)
    return Infinity
  }

  const floor: GletFloors["floor"] = (slot, without, model, rps, mostCost) => {
    const kind = kindOf[slot]!
    const share = shareOf[slot]!
    if (without < 0 && count[slot] === width) return Infinity
    let fixed = base[slot]! + modelPrices[kind * all + model]!
    if (without >= 0) fixed -= modelPrices[kind * all + models[slot * width + without]!]!
    const time = timeOn(slot, own, without, model, rps)
    if (time <= full) {
      // What has one model more needs no less.
      const lower = without < 0 ? Infinity : timeOn(slot, fewer, without, model, rps)
      if (lower <= full) return share > 1 ? fixed + lower * sharePrices[kind * shares + share - 1]! : costOn(kind * shares + share - 1, Math.min(1, lower), fixed)
      return costOn(kind * shares + share, Math.min(1, time), fixed)
    }
    const least = larger(kind, share, time, fixed)
    if (least > mostCost) return Infinity
    const higher = timeOn(slot, more, without, model, rps)
    return higher <= full ? costOn(kind * shares + share + 1, Math.min(1, higher), fixed) : larger(kind, share + 1, higher, fixed)
  }
  return { note, floor }
}
