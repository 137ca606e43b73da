/**
 * Which models share glets, of all at once: a covering program whose columns are glets. Models have prices, which rise where a model is in no glet that pays and
 * fall where it is in several (a subgradient method on the program's Lagrangian dual); glets that are worth more than they cost are made as prices ask for them
 * (column generation); then those that were used most over many prices are taken, a few at a time, while prices go on for what is left (diving).
 *
 * Annealing changes two glets at a time, and is left with groups of which no two can do better, though many can.
 */
import type { Item } from "./fillGlets.js"
import { makeGletFiller } from "./fillGlets.js"
import type { LooseGlet } from "./looseGlet.js"
import type { LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

interface Regrouping {
  /** Rounds of making glets before the first are taken. */
  readonly rounds: number
  readonly random: () => number
}

/** Glets to choose from. */
const mostGlets = 20_000
/** Looks at prices in a round, and in one of those that follow as glets are taken. */
const looks = 60
const looksLater = 40
/** How far prices go, as a part of what they lack, which is taken to be no less than this part of all. */
const length = 0.1
const little = 0.001
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
/** Sums of floating-point costs and times. */
const slack = 1e-9

/** A glet to choose from, with the items that it covers. */
interface Column {
  readonly glet: LooseGlet
  readonly cost: number
  readonly group: ReadonlyArray<number>
  used: number
}

const worthOf = (group: ReadonlyArray<number>, prices: Float64Array): number => {
  let worth = 0
  for (let i = 0; i < group.length; i++) worth += prices[group[i]!]!
  return worth
}

/** The same rates for less, on glets that are shared otherwise; the given ones where none are found. */
export const regroup = (
  space: SearchSpace, loose: LooseGlets, given: ReadonlyArray<LooseGlet>, { random, rounds }: Regrouping
): ReadonlyArray<LooseGlet> => {
  const items: Array<Item> = []
  const columns: Array<Column> = []
  const seen = new Set<string>()
  const add = (glet: LooseGlet, group: ReadonlyArray<number>): void => {
    const key = [glet.kind, glet.share, ...[...group].sort((a, b) => a - b)].join()
    if (columns.length >= mostGlets || seen.has(key)) return
    seen.add(key)
    columns.push({ glet, cost: loose.fullCost(glet), group, used: 0 })
  }
  /** On the smallest share that carries the group, up to this one. */
  const gletOf = (kind: number, share: number, group: ReadonlyArray<number>): LooseGlet | undefined =>
    loose.make(kind, group.map((item) => items[item]!.model), group.map((item) => items[item]!.rps), share, Infinity, share)
  let wanted = 0
  /** Prices that prove most of what is left; of what is covered 0. To begin with all models of a glet pay the same. */
  const best = Float64Array.from(given.flatMap((glet) => {
    const { models, rps } = glet
    const cost = loose.fullCost(glet)
    wanted += cost
    add(glet, models.map((model, i) => items.push({ model, rps: rps[i]! }) - 1))
    return models.map(() => cost / models.length)
  }))
  const least = little * wanted
  const isCovered = new Uint8Array(items.length)
  const prices = new Float64Array(items.length)
  const excess = new Float64Array(items.length)

  /** Prices follow what is covered too little and too often. */
  const follow = (times: number): void => {
    prices.set(best)
    const active = columns.filter((column) => {
      const isNear = column.cost * (1 - near) < worthOf(column.group, prices)
      if (!isNear) column.used *= (1 - newUse) ** times
      return isNear
    })
    let most = -Infinity
    for (let look = 1; look <= times; look++) {
      let value = 0
      for (let item = 0; item < items.length; item++) {
        value += prices[item]!
        excess[item] = 1 - isCovered[item]!
      }
      for (const column of active) {
        const { cost, group } = column
        const saved = worthOf(group, prices) - cost
        column.used *= 1 - newUse
        if (saved <= 0) continue
        column.used += newUse
        value -= saved
        for (let i = 0; i < group.length; i++) excess[group[i]!]!--
      }
      if (value > most) {
        most = value
        best.set(prices)
      }
      let norm = 0
      for (let item = 0; item < items.length; item++) {
        if (isCovered[item] === 1 || (excess[item]! < 0 && prices[item] === 0)) excess[item] = 0
        norm += excess[item]! ** 2
      }
      if (norm === 0) return
      const step = (length * Math.max(least, wanted - value)) / norm
      for (let item = 0; item < items.length; item++) prices[item] = Math.max(0, prices[item]! + step * excess[item]!)
    }
  }

  const fill = makeGletFiller(space, loose, items)
  const extend = (noise: number): void => {
    // Lower, until none of the glets there are costs less than it is worth: else prices ask for these again.
    const asked = best.slice()
    for (const { cost, group } of columns) {
      const worth = worthOf(group, asked)
      if (worth > cost) for (const item of group) asked[item]! *= cost / worth
    }
    fill(asked.map((price) => price * (1 + noise * (2 * random() - 1))), (kind, share, group) => {
      let worth = worthOf(group, asked)
      // Sizes are rounded: what is too much goes from the end.
      for (; group.length > 0; worth -= asked[group.pop()!]!) {
        const glet = gletOf(kind, share, group)
        if (glet === undefined) continue
        if (loose.fullCost(glet) < worth) add(glet, group)
        return
      }
    })
  }

  for (let round = 0; round < rounds; round++) {
    follow(looks)
    extend(firstNoise + (lastNoise - firstNoise) * (round / rounds))
  }
  const end: Array<LooseGlet> = []
  for (let left = items.length; left > 0;) {
    follow(looksLater)
    extend(laterNoise)
    follow(looksLater)
    const quota = Math.max(1, takenPart * left)
    let taken = 0
    for (const { glet, group, used } of columns.filter((column) => column.used > 0).sort((a, b) => b.used - a.used)) {
      if (taken >= quota && used <= surelyUsed) break
      const rest = group.filter((item) => isCovered[item] === 0)
      // What another has just taken a part of can wait.
      if (rest.length === 0 || (taken > 0 && rest.length < group.length)) continue
      const next = gletOf(glet.kind, glet.share, rest) ?? glet
      end.push(next)
      wanted -= loose.fullCost(next)
      taken += rest.length
      for (const item of rest) isCovered[item] = 1
      for (const item of rest) best[item] = 0
    }
    left -= taken
    // More than there was, or nothing that goes on.
    if (taken === 0 || wanted < -slack) return given
  }
  return wanted > slack ? end : given
}

export type Regroup = typeof regroup
