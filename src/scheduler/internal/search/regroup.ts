/**
 * Which models share glets, of all at once: a covering program whose columns are glets. Models have prices, which rise where a model is in no glet that pays and
 * fall where it is in several (a subgradient method on the program's Lagrangian dual); glets that are worth more than they cost are made as prices ask for them
 * (column generation); then those that were used most over many prices are taken, a few at a time, while prices go on for what is left (diving).
 *
 * Annealing changes two glets at a time, and is left with groups of which no two can do better, though many can.
 */
import type { Item } from "./fillGlets.js"
import { makeGletFiller } from "./fillGlets.js"
import { makeGletPool } from "./gletPool.js"
import type { LooseGlet, LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

interface Regrouping {
  /** Rounds of making glets before the first are taken. */
  readonly rounds: number
  readonly random: () => number
}

/** Looks at prices in a round, and in one of those that follow as glets are taken. */
const looks = 60
const looksLater = 40
/** How far prices go, as a part of what they lack: at first; halved or raised after so many looks that differ by much, or by little. */
const firstStep = 0.1
const looksOfStep = 20
const much = 0.01
const little = 0.001
const raised = 1.5
/** Glets that cost this part more than they are worth are left out of a round. */
const near = 0.15
/** So much of a glet's use is that of the last look. */
const newUse = 0.05
/**
 * Glets are made at prices that are wrong by up to so much, at first, at the end and later, and kept where they save at the right ones: prices that prove
 * the same are many, and those near the last ones ask for what there is.
 */
const [firstNoise, lastNoise, laterNoise] = [0.7, 0.1, 0.1]
/** A glet that was used so much is taken, and of the others the most used, for this part of what is left. */
const surelyUsed = 0.97
const takenPart = 0.02
/** What is covered is forgotten as so much is left of what there was. */
const forgetAt = 0.8
/** Sums of floating-point costs and times. */
const slack = 1e-9

/** The same rates for less, on glets that are shared otherwise; the given ones where none are found. */
export const regroup = (
  space: SearchSpace, loose: LooseGlets, given: ReadonlyArray<LooseGlet>, { random, rounds }: Regrouping
): ReadonlyArray<LooseGlet> => {
  const { maxModels } = space
  const items: Array<Item> = []
  const firstPrices: Array<number> = []
  const groups = given.map((glet) => {
    const { models, rps } = glet
    return models.map((model, i) => {
      // To begin with all models of a glet pay the same.
      firstPrices.push(loose.fullCost(glet) / models.length)
      return items.push({ model, rps: rps[i]! }) - 1
    })
  })
  const pool = makeGletPool(space, loose, items)
  const { costs, covered, glets, lengths } = pool
  given.forEach((glet, at) => pool.add(glet, groups[at]!))
  for (let item = 0; item < items.length; item++) {
    const alone = pool.cheapest([item])
    if (alone !== undefined) pool.add(alone, [item])
  }

  const isCovered = new Uint8Array(items.length)
  let wanted = given.reduce((sum, glet) => sum + loose.fullCost(glet), 0)
  const givenCost = wanted
  /** Prices that prove most of what is left; of what is covered 0. */
  const best = Float64Array.from(firstPrices)
  const prices = new Float64Array(items.length)
  const excess = new Float64Array(items.length)
  const used = new Float64Array(costs.length)
  const active = new Int32Array(costs.length)
  let length = firstStep

  const worthOf = (column: number, at: Float64Array): number => {
    let worth = 0
    const from = column * maxModels
    for (let place = from, end = from + lengths[column]!; place < end; place++) worth += at[covered[place]!]!
    return worth
  }

  /** Prices follow what is covered too little and too often. */
  const follow = (times: number): void => {
    prices.set(best)
    const forgotten = (1 - newUse) ** times
    let actives = 0
    for (let column = 0; column < glets.length; column++) {
      if (costs[column]! * (1 - near) < worthOf(column, prices)) active[actives++] = column
      else used[column]! *= forgotten
    }
    let most = -Infinity
    let [low, high] = [Infinity, -Infinity]
    for (let look = 1; look <= times; look++) {
      let value = 0
      for (let item = 0; item < items.length; item++) {
        value += prices[item]!
        excess[item] = 1 - isCovered[item]!
      }
      for (let n = 0; n < actives; n++) {
        const column = active[n]!
        const saved = worthOf(column, prices) - costs[column]!
        used[column]! *= 1 - newUse
        if (saved <= 0) continue
        used[column]! += newUse
        value -= saved
        const from = column * maxModels
        for (let place = from, end = from + lengths[column]!; place < end; place++) excess[covered[place]!]!--
      }
      if (value > most) {
        most = value
        best.set(prices)
      }
      low = Math.min(low, value)
      high = Math.max(high, value)
      let norm = 0
      for (let item = 0; item < items.length; item++) {
        if (isCovered[item] === 1 || (excess[item]! < 0 && prices[item] === 0)) excess[item] = 0
        norm += excess[item]! ** 2
      }
      if (norm === 0) return
      const step = (length * Math.max(little * givenCost, wanted - value)) / norm
      for (let item = 0; item < items.length; item++) prices[item] = Math.max(0, prices[item]! + step * excess[item]!)
      if (look % looksOfStep > 0) continue
      if (high - low > much * high) length /= 2
      else if (high - low < little * high) length *= raised
      low = Infinity
      high = -Infinity
    }
  }

  const filler = makeGletFiller(space, loose, items)
  const asked = new Float64Array(items.length)
  const noisy = new Float64Array(items.length)
  const extend = (noise: number): void => {
    // Lower, until none of the glets there are costs less than it is worth: else prices ask for these again.
    asked.set(best)
    for (let column = 0; column < glets.length; column++) {
      const worth = worthOf(column, asked)
      if (worth <= costs[column]!) continue
      const from = column * maxModels
      for (let place = from, end = from + lengths[column]!; place < end; place++) asked[covered[place]!]! *= costs[column]! / worth
    }
    for (let item = 0; item < items.length; item++) noisy[item] = asked[item]! * (1 + noise * (2 * random() - 1))
    filler.fill(noisy, (kind, share, group) => {
      // Sizes are rounded: what is too much goes from the end.
      let worth = 0
      for (const item of group) worth += asked[item]!
      // At noisy prices most look better than they are.
      const least = loose.costOf(kind, Math.max(0, share - 1), items[group[0]!]!.model, 1)
      for (; worth > least; worth -= asked[group.pop()!]!) {
        const glet = pool.gletUpTo(kind, share, group)
        if (glet === undefined) continue
        if (loose.fullCost(glet) < worth) pool.add(glet, group)
        return
      }
    })
  }

  for (let round = 0; round < rounds; round++) {
    follow(looks)
    extend(firstNoise + (lastNoise - firstNoise) * (round / rounds))
  }
  const end: Array<LooseGlet> = []
  let remembered = items.length
  for (let left = items.length; left > 0;) {
    length = firstStep
    follow(looksLater)
    extend(laterNoise)
    follow(looksLater)
    const order = glets.map((_, column) => column).filter((column) => used[column]! > 0 && worthOf(column, best) > 0)
      .sort((a, b) => used[b]! - used[a]! || a - b)
    const quota = Math.max(1, takenPart * left)
    let taken = 0
    for (const column of order) {
      if (taken >= quota && used[column]! <= surelyUsed) break
      const all = pool.groupOf(column)
      const group = all.filter((item) => isCovered[item] === 0)
      // What another has just taken a part of can wait.
      if (group.length === 0 || (taken > 0 && group.length < all.length)) continue
      const glet = group.length === all.length ? glets[column]! : pool.cheapest(group) ?? glets[column]!
      end.push(glet)
      wanted -= loose.fullCost(glet)
      taken += group.length
      left -= group.length
      for (const item of group) {
        isCovered[item] = 1
        best[item] = 0
      }
    }
    if (left < forgetAt * remembered) {
      filler.forget(isCovered)
      remembered = left
    }
    // More than there was, or nothing that goes on.
    if (taken === 0 || wanted < -slack) return given
  }
  return wanted > slack ? end : given
}
