/**
 * The most that the contents of one glet can be worth, where every demand has a value and every visit counts for a part of its demand's: models of one glet
 * share its cycle, and run whole batches in it.
 *
 * Cycles are told apart by intervals. In one of them batches last at least so much of the longest cycle and carry no more than in the shortest, and what fills
 * the time best costs no more than this, for any price of time: the price, and what each model is worth beyond it. Intervals that decide are halved.
 */
import { latencyRows } from "../../internal/latencyRows.js"
import type { BoundModel } from "./boundModel.js"
import { rateSlack, relativeSlack } from "./slack.js"
import type { Worth } from "./worths.js"

/** What demands are worth, in the currency of prices, and what all of a GPU's memory costs, by class. */
export interface Values {
  readonly demands: Float64Array
  readonly memory: Float64Array
}

/** Contents of a glet: of each of some models the part of its value that it counts for there, and the memory of all; mixes of contents count as such. */
export interface Content {
  readonly demands: ReadonlyArray<number>
  readonly parts: ReadonlyArray<number>
  readonly memory: number
}

/** A share of a class of GPUs. */
export interface GletContents {
  readonly gpuClass: number
  readonly share: number
  /** No contents of such a glet are worth more, less what their memory costs; and some that are worth about as much. */
  readonly most: (values: Values) => { readonly worth: number; readonly contents: ReadonlyArray<Content> }
}

/** Cycles from one length to another, and the batches that are of use in them. */
interface Interval {
  readonly fromMs: number
  readonly toMs: number
  /** Places in `demands`, ascending. */
  readonly models: Int32Array
  /** Where the batches of each of `models` begin, and where all end. */
  readonly begins: Int32Array
  /** By batch: what it counts for, and the part of the time that it takes. */
  readonly parts: Float64Array
  readonly times: Float64Array
  /** The price of time that proves most, as far as is known, and what it proves: an upper bound, whatever the price. */
  price: number
  most: number
  /** What is known of `most`: that values have changed since, that it is what an old price proves, that hardly any price proves less. */
  state: "old" | "priced" | "least"
  content: Content | undefined
}

/** Intervals at first, and those that are not halved any more: the longest cycle is longer than the shortest by this part. */
const wide = 0.15
const narrow = 0.002
/** Contents that are worth less than the best by more than this part are not told of. */
const near = 0.1
/** Prices of time that are looked at, and the difference between what they prove and what they can prove that is not worth another. */
const mostPrices = 25
const enough = 1e-6
/** A bound that follows from an older one is that much larger: our own rounding. */
const rounding = 1 + 1e-9

export const gletContents = (model: BoundModel, worths: ReadonlyArray<Worth>): ReadonlyArray<GletContents> => {
  const { classes, demands, problem, resources: { placesPerGlet } } = model
  const { dutyRule, latencyHeadroom } = problem.options
  const isStrict = dutyRule === "strict"
  const rates = demands.map((demand) => problem.demands[demand]!.rateRps * (1 - rateSlack))
  const limits = demands.map((demand) => problem.demands[demand]!.sloMs * (1 + relativeSlack))
  const all = demands.map((_, i) => i)

  // What `look` found: the batches, as places in their interval, of models, as places in its list.
  let count = 0
  let usedTime = 0
  const batchOf = new Int32Array(demands.length)
  const modelOf = new Int32Array(demands.length)
  const gainOf = new Float64Array(demands.length)
  let batchWorths = new Float64Array(1024)

  /** What the batches of an interval are worth. */
  const value = ({ begins, models, parts }: Interval, values: Float64Array, memoryPrice: number, memory: Float64Array): void => {
    if (parts.length > batchWorths.length) batchWorths = new Float64Array(2 * parts.length)
    for (let n = 0; n < models.length; n++) {
      const own = values[models[n]!]!
      const fixed = memoryPrice * memory[models[n]!]!
      for (let batch = begins[n]!, end = begins[n + 1]!; batch < end; batch++) batchWorths[batch] = own * parts[batch]! - fixed
    }
  }
  /** What a price of time proves: the price, and of the models that gain most by it, as many as there are places, what their batches are worth beyond. */
  const look = ({ begins, models, times }: Interval, price: number): number => {
    count = 0
    for (let n = 0; n < models.length; n++) {
      let gain = 0
      let chosen = -1
      for (let batch = begins[n]!, end = begins[n + 1]!; batch < end; batch++) {
        const net = batchWorths[batch]! - price * times[batch]!
        if (net <= gain) continue
        gain = net
        chosen = batch
      }
      if (chosen < 0) continue
      batchOf[count] = chosen
      modelOf[count] = n
      gainOf[count++] = gain
    }
    while (count > placesPerGlet) {
      let least = 0
      for (let n = 1; n < count; n++) if (gainOf[n]! < gainOf[least]!) least = n
      count--
      batchOf[least] = batchOf[count]!
      modelOf[least] = modelOf[count]!
      gainOf[least] = gainOf[count]!
    }
    let sum = price
    usedTime = 0
    for (let n = 0; n < count; n++) {
      sum += gainOf[n]!
      usedTime += times[batchOf[n]!]!
    }
    return sum
  }

  return classes.flatMap(({ gletBytes, maxGlets, memoryBytes, sharesPct, type }, gpuClass) => {
    const memory = Float64Array.from(demands, (demand) => problem.latency.memoryBytes(type, problem.demands[demand]!.model) / memoryBytes)
    const mostMemory = placesPerGlet * memory.reduce((a, b) => Math.max(a, b), 0)
    const hasRoom = (i: number): boolean => maxGlets >= 1 && memory[i]! + gletBytes / memoryBytes <= 1 + relativeSlack

    return sharesPct.map((sharePct, share): GletContents => {
      const rows = demands.map((demand, i) => {
        const { maxBatch, model: name } = problem.demands[demand]!
        return hasRoom(i) ? latencyRows(problem.latency).row(type, name, sharePct, maxBatch).map((ms) => ms * latencyHeadroom) : new Float64Array(0)
      })

      const makeInterval = (fromMs: number, toMs: number, among: ArrayLike<number>, price: number): Interval => {
        const models: Array<number> = []
        const begins: Array<number> = []
        const parts: Array<number> = []
        const times: Array<number> = []
        for (let n = 0; n < among.length; n++) {
          const i = among[n]!
          const row = rows[i]!
          const begin = parts.length
          for (let batch = 1; batch < row.length; batch++) {
            const ms = row[batch]!
            if (!(ms > 0) || ms > toMs || (isStrict ? 2 * fromMs : fromMs + ms) > limits[i]!) continue
            const part = worths[i]!.ofPart(Math.min(1, (1000 * batch) / fromMs / rates[i]!))
            const time = ms / toMs
            while (parts.length > begin && times.at(-1)! >= time && parts.at(-1)! <= part) {
              parts.pop()
              times.pop()
            }
            if (parts.length > begin && part <= parts.at(-1)!) continue
            parts.push(part)
            times.push(time)
          }
          if (parts.length === begin) continue
          models.push(i)
          begins.push(begin)
        }
        return {
          fromMs, toMs, price, most: Infinity, state: "old", content: undefined,
          models: Int32Array.from(models), begins: Int32Array.from([...begins, parts.length]), parts: Float64Array.from(parts), times: Float64Array.from(times)
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
      const intervals: Array<Interval> = []
      for (let fromMs = shortestMs; fromMs < longestMs;) {
        const toMs = Math.min(longestMs, fromMs * (1 + wide))
        intervals.push(makeInterval(fromMs, toMs, all, 0))
        fromMs = toMs
      }
      // A single cycle is an interval too.
      if (shortestMs === longestMs) intervals.push(makeInterval(shortestMs, longestMs, all, 0))

      /** What was found, of a mix of two looks. */
      const found = ({ models, parts }: Interval, weight: number): Content => {
        const content = { demands: [] as Array<number>, parts: [] as Array<number>, memory: 0 }
        for (let n = 0; n < count; n++) {
          const i = models[modelOf[n]!]!
          content.demands.push(i)
          content.parts.push(weight * parts[batchOf[n]!]!)
          content.memory += weight * memory[i]!
        }
        return content
      }
      const mixed = (interval: Interval, low: number, lowTime: number, high: number, highTime: number): Content => {
        const ofLow = lowTime > highTime ? Math.max(0, Math.min(1, (1 - highTime) / (lowTime - highTime))) : 0
        look(interval, low)
        const one = found(interval, ofLow)
        look(interval, high)
        const other = found(interval, 1 - ofLow)
        return { demands: [...one.demands, ...other.demands], parts: [...one.parts, ...other.parts], memory: one.memory + other.memory }
      }
      /** Looks for the price that proves most: what prices prove is convex, and its slope is the time that is left. */
      const lower = (interval: Interval): void => {
        interval.state = "least"
        let [low, high] = [0, 0]
        for (let n = 0; n < interval.parts.length; n++) high = Math.max(high, batchWorths[n]! / interval.times[n]!)
        let lowMost = look(interval, low)
        let lowTime = usedTime
        if (lowTime <= 1) {
          interval.most = lowMost
          interval.price = 0
          interval.content = found(interval, 1)
          return
        }
        let highMost = look(interval, high)
        let highTime = usedTime
        interval.most = Math.min(lowMost, highMost)
        let price = interval.price > 0 && interval.price < high ? interval.price : high / 2
        interval.price = lowMost < highMost ? low : high
        for (let n = 0; n < mostPrices; n++) {
          const most = look(interval, price)
          if (most < interval.most) {
            interval.most = most
            interval.price = price
          }
          if (usedTime > 1) [low, lowMost, lowTime] = [price, most, usedTime]
          else [high, highMost, highTime] = [price, most, usedTime]
          // Where the tangents meet.
          price = (highMost - lowMost + (1 - lowTime) * low - (1 - highTime) * high) / (highTime - lowTime)
          if (!(price > low && price < high) || interval.most - (lowMost + (1 - lowTime) * (price - low)) < enough * interval.most) break
        }
        interval.content = mixed(interval, low, lowTime, high, highTime)
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
        most: (values) => {
          age(values)
          const memoryPrice = values.memory[gpuClass]!
          const halve = (at: number): void => {
            const { fromMs, models, price, toMs } = intervals[at]!
            const middleMs = Math.sqrt(fromMs * toMs)
            intervals.splice(at, 1, makeInterval(fromMs, middleMs, models, price), makeInterval(middleMs, toMs, models, price))
          }
          let worth = 0
          for (;;) {
            let at = -1
            worth = 0
            for (let n = 0; n < intervals.length; n++) {
              if (intervals[n]!.most <= worth) continue
              worth = intervals[n]!.most
              at = n
            }
            if (at < 0) break
            const top = intervals[at]!
            if (top.state !== "least") {
              value(top, values.demands, memoryPrice, memory)
              if (top.state === "old") {
                top.most = Math.min(top.most, look(top, top.price))
                top.state = "priced"
              } else lower(top)
            } else if (top.toMs > top.fromMs * (1 + narrow)) halve(at)
            else break
          }
          const contents: Array<Content> = []
          intervals.forEach((interval, at) => {
            const { most, state } = interval
            if (most < worth * (1 - near) || most < (intervals[at - 1]?.most ?? 0) || most < (intervals[at + 1]?.most ?? 0)) return
            if (state !== "least") {
              value(interval, values.demands, memoryPrice, memory)
              lower(interval)
            }
            contents.push(interval.content!)
          })
          return { worth, contents }
        }
      }
    })
  })
}
