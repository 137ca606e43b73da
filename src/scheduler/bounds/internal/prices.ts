/**
 * Prices of resources, raised where demands use more than the best cut of a GPU offers and lowered where less, until the bound they prove stops
 * growing. Any prices prove a bound; only how good it is depends on them.
 */
import type { CoverTable } from "./covers.js"
import { leastCost, makeScratch } from "./covers.js"
import type { BestCut, Resources } from "./resources.js"
import { addOffer, bestCut } from "./resources.js"

/** What all demands cost at some prices, and what they use. */
interface Priced {
  readonly cost: number
  readonly used: Float64Array
  readonly cuts: ReadonlyArray<BestCut>
}

export const priceAll = (resources: Resources, tables: ReadonlyArray<CoverTable>, prices: ArrayLike<number>): Priced => {
  const used = new Float64Array(resources.size)
  const scratch = makeScratch(tables[0]?.cells ?? 1)
  let cost = 0
  for (const table of tables) cost += leastCost(table, prices, scratch, used)
  return { cost, used, cuts: resources.classes.map((_, gpuClass) => bestCut(resources, gpuClass, prices)) }
}

/** What the prices prove of a purpose, and how many GPUs of each class it takes there. */
interface Proof {
  readonly bound: number
  readonly gpus: ReadonlyArray<number>
}

/**
 * The least cost of GPUs that offer enough, `unitCosts` each, at most `counts` of them: with prices scaled by x, a GPU of class t brings at most
 * x v_t - c_t more than it costs, so the cost is at least x F - sum n_t max(0, x v_t - c_t). That is concave in x and bends where x v_t = c_t.
 * `Infinity` where all GPUs together do not offer enough.
 */
export const leastPurchase = (priced: Priced, unitCosts: ReadonlyArray<number>, counts: ReadonlyArray<number>): Proof => {
  const values = priced.cuts.map(({ value }) => Math.max(value, 0))
  const order = values.map((_, t) => t).filter((t) => values[t]! > 0).sort((a, b) => unitCosts[a]! / values[a]! - unitCosts[b]! / values[b]!)
  const gpus = values.map(() => 0)
  let left = priced.cost
  let bound = 0
  // The cheapest offer first, until all is covered: the bend at which the bound is highest.
  for (const t of order) {
    const amount = Math.min(counts[t]!, left / values[t]!)
    gpus[t] = amount
    bound += amount * unitCosts[t]!
    left -= amount * values[t]!
    if (amount < counts[t]!) return { bound, gpus }
  }
  return { bound: priced.cost === Infinity || left > 1e-9 * priced.cost ? Infinity : bound, gpus }
}

/**
 * Demand over offer of all GPUs there are: above 1 they do not carry it, whatever the plan.
 */
export const loadOf = (priced: Priced, counts: ReadonlyArray<number>): Proof => {
  const offer = priced.cuts.reduce((sum, { value }, t) => sum + counts[t]! * Math.max(value, 0), 0)
  const bound = priced.cost / offer
  return { bound, gpus: counts.map((count) => count * bound) }
}

/** Prices to begin with: share, and memory for a part. */
export const firstPrices = (resources: Resources, unitCosts: ReadonlyArray<number>): ReadonlyArray<Float64Array> =>
  [0.02, 0.3, 0.7].map((part) => pricesOf(resources, unitCosts, part))

/** Prices that were found before, where they are of these resources. */
export const knownPrices = ({ size }: Resources, prices: ReadonlyArray<number> | undefined): ReadonlyArray<Float64Array> | undefined =>
  prices?.length === size && prices.every((price) => price >= 0 && price < Infinity) ? [Float64Array.from(prices)] : undefined

const pricesOf = ({ at, classes, placesPerGlet, size }: Resources, unitCosts: ReadonlyArray<number>, memoryPart: number): Float64Array => {
  const prices = new Float64Array(size)
  classes.forEach(({ sharesPct }, t) => {
    const { memory, places, time } = at[t]!
    const scale = unitCosts[t]!
    sharesPct.forEach((share, s) => {
      prices[time + s] = (scale * (0.99 - memoryPart) * share) / 100
      prices[places + s] = (scale * 0.01 * share) / (100 * placesPerGlet)
    })
    prices[memory] = scale * memoryPart
  })
  return prices
}

const worth = ({ cuts }: Priced, gpus: ReadonlyArray<number>): number => gpus.reduce((sum, amount, t) => sum + amount * cuts[t]!.value, 0)

export interface Ascent {
  readonly bound: number
  readonly prices: Float64Array
}

/** How far prices move at first, how much of old usage each look remembers, and after how many looks in vain they move half as far. */
const firstStep = 0.3
const memoryOfUse = 0.5
const patience = 5
const leastStep = 1e-3

/**
 * Prices that move together: at first all shares of a class as one, for there are few ways to go wrong; then each for itself.
 */
const groupsOf = ({ at, classes, size }: Resources, isCoarse: boolean): ReadonlyArray<ReadonlyArray<number>> =>
  isCoarse
    ? classes.flatMap(({ sharesPct }, t) => {
      const { memory, places, time } = at[t]!
      return [sharesPct.map((_, s) => time + s), sharesPct.map((_, s) => places + s), [memory]]
    })
    : Array.from({ length: size }, (_, r) => [r])

/**
 * The best bound that `proofOf` finds within so many looks; it ends early where a bound of at least `enough` is proved. Prices follow the difference of
 * use and offer; where a few looks prove nothing better they go back to the best and move half as far.
 */
export const raisePrices = (
  resources: Resources,
  tables: ReadonlyArray<CoverTable>,
  proofOf: (priced: Priced) => Proof,
  starts: ReadonlyArray<Float64Array>,
  looks: number,
  enough = Infinity
): Ascent => {
  let best: Ascent = { bound: -1, prices: new Float64Array(resources.size) }
  let left = looks
  let bestPriced: Priced | undefined
  let bestProof: Proof | undefined
  const prove = (prices: Float64Array) => {
    left--
    const priced = priceAll(resources, tables, prices)
    const proof = proofOf(priced)
    const isBetter = proof.bound > best.bound
    if (isBetter) {
      best = { bound: proof.bound, prices: prices.slice() }
      bestPriced = priced
      bestProof = proof
    }
    return { priced, proof, isBetter }
  }
  for (const prices of starts) prove(prices)
  for (const isCoarse of [true, false]) {
    const groups = groupsOf(resources, isCoarse)
    const until = isCoarse ? looks / 2 : 0
    let step = firstStep
    while (left > until && step > leastStep && best.bound < enough) {
      const prices = best.prices.slice()
      let { priced, proof } = { priced: bestPriced!, proof: bestProof! }
      const offered = new Float64Array(resources.size)
      const used = new Float64Array(resources.size)
      let keep = 0
      let improved = false
      for (let vain = 0; vain < patience && left > until && best.bound < enough;) {
        for (let r = 0; r < prices.length; r++) {
          offered[r]! *= keep
          used[r] = keep * used[r]! + (1 - keep) * priced.used[r]!
        }
        const scale = proof.bound < Infinity ? 1 : priced.cost / worth(priced, proof.gpus)
        proof.gpus.forEach((amount, t) => addOffer(resources, t, priced.cuts[t]!, amount * scale * (1 - keep), offered))
        for (const group of groups) {
          let more = 0
          let sum = 0
          for (const r of group) {
            more += prices[r]! * (used[r]! - offered[r]!)
            sum += prices[r]! * (used[r]! + offered[r]!)
          }
          if (sum > 0) for (const r of group) prices[r]! *= Math.exp((step * more) / sum)
        }
        const next = prove(prices)
        priced = next.priced
        proof = next.proof
        if (next.isBetter) {
          improved = true
          vain = 0
        } else vain++
        keep = memoryOfUse
      }
      if (!improved) step /= 2
    }
  }
  return best
}
