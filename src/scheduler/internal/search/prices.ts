/**
 * What it is worth to carry a model: prices of share and memory, and by them the least cost of each model's whole rate.
 *
 * A GPU offers one unit each of share and memory, at prices that sum to 1. For any such prices what all models cost at the least is no more than the
 * GPUs they need; the prices for which it is most are those at which neither resource is wanted more than the other. They are found by ternary
 * search: the least cost is a minimum of linear functions, hence concave in the price.
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

/** One way to carry a model. */
interface Way {
  readonly share: number
  readonly memory: number
}

const waysOf = (space: SearchSpace, rps: ArrayLike<number>, model: number): ReadonlyArray<Way> =>
  space.kinds.flatMap((kind, k) =>
    kind.sharesPct.flatMap((_, share): ReadonlyArray<Way> => {
      const best = space.best(k, model, share).rps
      if (best === 0) return []
      const visits = Math.max(1, rps[model]! / best)
      const time = visits > 1 ? 1 : Math.min(1, visitTime(space, k, model, share, rps[model]!))
      return [{
        share: visitCost(space, { share: visits, memory: 0 }, k, model, share, time),
        memory: visitCost(space, { share: 0, memory: visits }, k, model, share, time)
      }]
    })
  )

const least = (ways: ReadonlyArray<Way>, memory: number): number => {
  let cost = Infinity
  for (const way of ways) cost = Math.min(cost, (1 - memory) * way.share + memory * way.memory)
  return cost
}

const steps = 12

/** Balanced prices, and by them the least cost of each model's rate; 0 where it has none. */
export const balancedPrices = (space: SearchSpace, rps: ArrayLike<number>): { readonly prices: Prices; readonly costs: Float64Array } => {
  const ways = Array.from({ length: space.models }, (_, model) => (rps[model]! > 0 ? waysOf(space, rps, model) : []))
  const total = (memory: number): number => ways.reduce((sum, all) => (all.length === 0 ? sum : sum + least(all, memory)), 0)
  let low = 0
  let high = 1
  for (let step = 0; step < steps; step++) {
    const left = low + (high - low) / 3
    const right = high - (high - low) / 3
    if (total(left) < total(right)) low = left
    else high = right
  }
  // A resource that is never scarce has no price; a little keeps it from being wasted.
  const memory = Math.max(0.02, (low + high) / 2)
  return { prices: { share: 1 - memory, memory }, costs: Float64Array.from(ways, (all) => (all.length === 0 ? 0 : least(all, memory))) }
}
