/**
 * Glets that are worth more than they cost, where each of some models has a price: what fills a cycle best is a knapsack, for each share and for cycles that are
 * a little apart.
 */
import { makeKnapsack } from "./knapsack.js"
import type { LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

/** A model, with the rate that it carries on a glet. */
export interface Item {
  readonly model: number
  readonly rps: number
}

/** A share and a cycle: the items that may be in it, and the parts of the cycle that they take. */
interface Frame {
  readonly kind: number
  readonly share: number
  readonly items: Int32Array
  readonly sizes: Uint8Array
  /** Looks that are left out, for the last found nothing near. */
  rests: number
}

/** For each share and cycle the group of items that is worth most, where it may be worth more than the glet costs. */
type GletFiller = (prices: Float64Array, found: (kind: number, share: number, group: Array<number>) => void) => void

/** Cycles that are looked at are longer than the one before by this part, or more where there would be too many. */
const cycleStep = 0.05
const mostFrames = 4e6
/** The shortest, as a part of the tightest SLO. */
const shortestCycle = 0.3
/** A cycle is told apart in so many parts. */
const parts = 100
/** Items are looked at in the order of price for a part, until there is so many times as much as a cycle has room for. */
const core = 3
/** Where there are too many items for a glet, places get a price: from this part of the highest on, twice as much until it is enough. */
const firstPlace = 1 / 32
/** What is short of its cost by this part of it is looked at again after a pause, longer the more it is short. */
const pause = 0.02
const longestPause = 6
/** Sums of floating-point milliseconds. */
const slack = 1e-9
const ranks = 256

export const makeGletFiller = (space: SearchSpace, loose: LooseGlets, items: ReadonlyArray<Item>): GletFiller => {
  const { isStrict, kinds, maxModels, sloMs } = space
  const frames: Array<Frame> = []
  let shortest = Infinity
  let longest = 0
  for (const { model } of items) {
    shortest = Math.min(shortest, sloMs[model]! * shortestCycle)
    longest = Math.max(longest, sloMs[model]!)
  }
  const shares = kinds.reduce((sum, { sharesPct }) => sum + sharesPct.length, 0)
  const longer = Math.max(1 + cycleStep, (longest / shortest) ** ((items.length * shares) / mostFrames))
  const inside = new Int32Array(items.length)
  const sizesOf = new Uint8Array(items.length)
  kinds.forEach(({ sharesPct }, kind) => sharesPct.forEach((_, share) => {
    for (let cycleMs = shortest; cycleMs < longest; cycleMs *= longer) {
      let count = 0
      for (let i = 0; i < items.length; i++) {
        const { model, rps } = items[i]!
        if (cycleMs >= sloMs[model]!) continue
        const ms = loose.batchMs(kind, share, model, Math.max(1, Math.ceil((rps * cycleMs) / 1000 - slack)))
        if (ms > cycleMs || cycleMs + (isStrict ? cycleMs : ms) > sloMs[model]! + slack) continue
        inside[count] = i
        sizesOf[count++] = Math.max(1, Math.round((ms / cycleMs) * parts))
      }
      if (count > 0) frames.push({ kind, share, items: inside.slice(0, count), sizes: sizesOf.slice(0, count), rests: 0 })
    }
  }))

  const knapsack = makeKnapsack(items.length, parts)
  const chosen = new Int32Array(items.length)
  const chosenSizes = new Int32Array(items.length)
  const rankOf = new Uint8Array(items.length)
  const amounts = new Int32Array(ranks)

  /** Those with the best prices for their size. */
  const select = ({ items: inside, sizes }: Frame, prices: Float64Array, highest: number): number => {
    amounts.fill(0)
    const scale = (ranks - 1) / highest
    for (let n = 0; n < inside.length; n++) {
      const price = prices[inside[n]!]!
      // By the root: most are worth little.
      const rank = price <= slack ? 0 : 1 + Math.floor(Math.min(ranks - 2, scale * Math.sqrt(price / sizes[n]!)))
      rankOf[n] = rank
      amounts[rank]! += sizes[n]!
    }
    let last = ranks - 1
    for (let sum = 0; last > 0 && sum < core * parts; last--) sum += amounts[last]!
    let count = 0
    for (let n = 0; n < inside.length; n++) {
      if (rankOf[n]! <= last || rankOf[n] === 0) continue
      chosen[count] = inside[n]!
      chosenSizes[count++] = sizes[n]!
    }
    return count
  }
  /** The best of the first so many, each for its price less `place`. A model that needs several glets needs each of them. */
  const fill = (count: number, prices: Float64Array, place: number): Array<number> =>
    knapsack(count, chosenSizes, (n) => prices[chosen[n]!]! - place).map((n) => chosen[n]!)
      .filter((item, i, all) => all.findIndex((other) => items[other]!.model === items[item]!.model) === i)

  return (prices, found) => {
    let highest = 0
    for (let i = 0; i < items.length; i++) highest = Math.max(highest, prices[i]!)
    if (highest <= slack) return
    for (const frame of frames) {
      if (frame.rests > 0) {
        frame.rests--
        continue
      }
      const count = select(frame, prices, Math.sqrt(highest))
      if (count === 0) continue
      let place = firstPlace * highest
      let group = fill(count, prices, 0)
      for (; group.length > maxModels && place < highest; place *= 2) group = fill(count, prices, place)
      if (group.length === 0) continue
      group.sort((a, b) => prices[b]! - prices[a]! || a - b)
      group.length = Math.min(group.length, maxModels)
      let worth = 0
      for (const item of group) worth += prices[item]!
      const short = 1 - worth / loose.costOf(frame.kind, frame.share, items[group[0]!]!.model, 1)
      if (short > pause) frame.rests = Math.min(longestPause, Math.floor(short / pause))
      if (short < 2 * pause) found(frame.kind, frame.share, group)
    }
  }
}
