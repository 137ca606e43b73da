/**
 * What it is worth to carry a model: prices of share and memory, and by them the least cost of each model's whole rate.
 *
 * A GPU offers one unit each of share and memory, at prices that sum to 1. For any such prices what all models cost at the least is no more than the
 * GPUs they need; the prices for which it is most are those at which neither resource is wanted more than the other. They are found by
 * bisection: the least cost is a minimum of linear functions, hence concave in the price, and its slope is that of the ways that are cheapest there.
 */
import type { SearchSpace } from "./searchSpace.js"

/** Parts of a glet's time that a rate needs there at the least, 1 or more where the glet does nothing else; `Infinity` where it cannot run. */
export const visitTime = (space: SearchSpace, kind: number, model: number, share: number, rps: number): number => {
  const { data, stride } = space.rows
  const start = space.rows.start(kind, model, share)
  const most = space.rows.largest(kind, model, share)
  const slo = space.sloMs[model]!
  let least = Infinity
  for (let batch = 1; batch <= most; batch++) {
    const ms = data[start + batch * stride]!
    const wait = ms / (slo - ms)
    // Later batches only take longer.
    if (wait >= least) break
    const time = Math.max(wait, (rps * ms) / (1000 * batch))
    if (time < least) least = time
  }
  return least
}

export interface Prices {
  /** Of a GPU's share and of its memory. */
  readonly share: number
  readonly memory: number
}

/** Cost of a visit: its part of the glet's share and memory, and the model's memory. */
export const visitCost = (space: SearchSpace, prices: Prices, kind: number, model: number, share: number, time: number): number => {
  const { cost, gletBytes, modelBytes, roomBytes, sharesPct } = space.kinds[kind]!
  return cost * ((prices.share * time * sharesPct[share]!) / 100 + (prices.memory * (time * gletBytes + modelBytes[model]!)) / roomBytes)
}

/** What carrying each model takes of GPUs' share and memory, by all ways to carry it: those of a model stand from its place to the next one's. */
interface Ways {
  readonly begins: Int32Array
  readonly shares: Float64Array
  readonly memories: Float64Array
}

const waysOf = (space: SearchSpace, rps: ArrayLike<number>): Ways => {
  const { kinds, models } = space
  const most = kinds.reduce((sum, { sharesPct }) => sum + sharesPct.length, 0)
  const begins = new Int32Array(models + 1)
  const shares = new Float64Array(models * most)
  const memories = new Float64Array(models * most)
  let end = 0
  for (let model = 0; model < models; model++) {
    begins[model] = end
    if (!(rps[model]! > 0)) continue
    for (let k = 0; k < kinds.length; k++) {
      const { cost, gletBytes, modelBytes, roomBytes, sharesPct } = kinds[k]!
      for (let share = 0; share < sharesPct.length; share++) {
        const best = space.best(k, model, share).rps
        if (best === 0) continue
        const visits = Math.max(1, rps[model]! / best)
        const time = visits > 1 ? 1 : Math.min(1, visitTime(space, k, model, share, rps[model]!))
        const ofShare = cost * ((visits * time * sharesPct[share]!) / 100)
        const ofMemory = cost * ((visits * (time * gletBytes + modelBytes[model]!)) / roomBytes)
        // Of two ways the one that takes more of both is the cheaper at no price.
        let isWorse = false
        let kept = begins[model]!
        for (let way = kept; way < end && !isWorse; way++) {
          if (shares[way]! <= ofShare && memories[way]! <= ofMemory) isWorse = true
          else if (shares[way]! < ofShare || memories[way]! < ofMemory) {
            shares[kept] = shares[way]!
            memories[kept++] = memories[way]!
          }
        }
        if (isWorse) continue
        shares[kept] = ofShare
        memories[kept] = ofMemory
        end = kept + 1
      }
    }
  }
  begins[models] = end
  return { begins, shares, memories }
}

/** The cheapest way of a model at a price of memory; -1 where it has no rate, or nowhere to run. */
const cheapest = ({ begins, memories, shares }: Ways, model: number, memory: number): number => {
  let best = -1
  let cost = Infinity
  for (let way = begins[model]!, end = begins[model + 1]!; way < end; way++) {
    const each = (1 - memory) * shares[way]! + memory * memories[way]!
    if (each < cost) {
      cost = each
      best = way
    }
  }
  return best
}

const steps = 9

/** Balanced prices, and by them the least cost of each model's rate; 0 where it has none. */
export const balancedPrices = (space: SearchSpace, rps: ArrayLike<number>): { readonly prices: Prices; readonly costs: Float64Array } => {
  const ways = waysOf(space, rps)
  const { memories, shares } = ways
  let low = 0
  let high = 1
  for (let step = 0; step < steps; step++) {
    const middle = (low + high) / 2
    let slope = 0
    for (let model = 0; model < space.models; model++) {
      const way = cheapest(ways, model, middle)
      if (way >= 0) slope += memories[way]! - shares[way]!
    }
    if (slope > 0) low = middle
    else high = middle
  }
  // A resource that is never scarce has no price; a little keeps it from being wasted.
  const memory = Math.max(0.02, (low + high) / 2)
  const costs = new Float64Array(space.models)
  for (let model = 0; model < space.models; model++) {
    const way = cheapest(ways, model, memory)
    if (way >= 0) costs[model] = (1 - memory) * shares[way]! + memory * memories[way]!
  }
  return { prices: { share: 1 - memory, memory }, costs }
}
