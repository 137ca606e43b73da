/**
 * Glets to begin with: the model with the tightest SLO that has no place yet gets a glet, and of those with the next SLOs goes beside it what fills its time
 * best, until all have a place. Glets of models with nearly the same SLO waste little of their cycles, and full ones nothing else.
 *
 * What fills a glet best is a knapsack: the time of a cycle is what there is, and each model is worth what it costs where it is cheapest.
 */
import { makeKnapsack } from "./knapsack.js"
import type { LooseGlet } from "./looseGlet.js"
import type { LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

/** Models that are looked at for a glet: those with the next SLOs. */
const mostNear = 60
/** A cycle is told apart in so many parts. */
const parts = 64
/** Places on the grid to either side of the share on which the tightest model is cheapest. */
const shareRange = 5
/** Batches of the tightest model that are tried, and the shortest cycle for one, as a part of the longest. */
const mostBatches = 3
const shortest = 0.5
/** A glet with more of the time needed than this is full, and stays as it is. */
const full = 0.999
/** Part of a GPU's memory that a glet with several models may take. */
const mostOfMemory = 0.6
/** Sums of floating-point milliseconds. */
const slack = 1e-9

/** What a model is worth: the least of all that it costs where others pay for the rest of its glet; and by kind the share on which that is so, or -1. */
interface Worth {
  readonly value: number
  readonly shares: ReadonlyArray<number>
}

const worthOf = ({ kinds, sloMs }: SearchSpace, loose: LooseGlets, model: number, rps: number): Worth => {
  let value = Infinity
  const shares = kinds.map(({ sharesPct }, kind) => {
    let least = Infinity
    let best = -1
    sharesPct.forEach((_, share) => {
      if (loose.most(kind, share, model) < rps) return
      let time = 1
      for (let batch = 1, ms = loose.batchMs(kind, share, model, 1); ms < Infinity; ms = loose.batchMs(kind, share, model, ++batch)) {
        const wait = ms / (sloMs[model]! - ms)
        if (wait >= time) break
        time = Math.min(time, Math.max(wait, (rps * ms) / (1000 * batch)))
      }
      const cost = loose.costOf(kind, share, model, time)
      if (cost >= least) return
      least = cost
      best = share
    })
    value = Math.min(value, least)
    return best
  })
  return { value, shares }
}

/** The same rates for no more, on glets that many models share. `single`: glets of one model each. */
export const packGlets = (space: SearchSpace, loose: LooseGlets, single: ReadonlyArray<LooseGlet>): ReadonlyArray<LooseGlet> => {
  const { isStrict, kinds, maxModels, sloMs } = space
  const done = single.filter(({ used }) => used >= full)
  const tight = single.filter(({ used }) => used < full).sort((a, b) => sloMs[a.models[0]!]! - sloMs[b.models[0]!]! || a.models[0]! - b.models[0]!)
  const models = tight.map((glet) => glet.models[0]!)
  const rates = tight.map((glet) => glet.rps[0]!)
  const worths = tight.map((_, i) => worthOf(space, loose, models[i]!, rates[i]!))
  const glets = [...done]
  const isPlaced = new Uint8Array(tight.length)
  const knapsack = makeKnapsack(mostNear, parts)
  const near = new Int32Array(mostNear)
  const sizes = new Int32Array(mostNear)

  /** Of what has no place yet, the most valuable that fits beside `first` into a cycle. */
  const fill = (first: number, kind: number, share: number, cycleMs: number, ownMs: number): ReadonlyArray<number> => {
    const leftMs = cycleMs - ownMs
    let count = 0
    for (let i = first + 1, looked = 0; i < tight.length && looked < mostNear; i++) {
      if (isPlaced[i] === 1 || models[i] === models[first]) continue
      looked++
      const ms = loose.batchMs(kind, share, models[i]!, Math.max(1, Math.ceil((rates[i]! * cycleMs) / 1000 - slack)))
      if (ms > leftMs || cycleMs + (isStrict ? cycleMs : ms) > sloMs[models[i]!]! + slack) continue
      near[count] = i
      sizes[count++] = Math.max(1, Math.ceil((ms / leftMs) * parts - slack))
    }
    // A model that needs several glets needs each of them.
    const chosen = knapsack(count, sizes, (n) => worths[near[n]!]!.value).map((n) => near[n]!)
      .filter((i, at, all) => all.findIndex((other) => models[other] === models[i]) === at)
    // The most valuable first: what is too much for memory or places is taken from the end.
    return chosen.sort((a, b) => worths[b]!.value - worths[a]!.value || a - b).slice(0, maxModels - 1)
  }

  for (let first = 0; first < tight.length; first++) {
    if (isPlaced[first] === 1) continue
    const model = models[first]!
    const rps = rates[first]!
    const slo = sloMs[model]!
    let [best, bestKind, bestShare]: [ReadonlyArray<number>, number, number] = [[first], -1, -1]
    let most = 0
    worths[first]!.shares.forEach((middle, kind) => {
      if (middle < 0) return
      const { gletBytes, modelBytes, roomBytes, sharesPct } = kinds[kind]!
      for (let share = Math.max(0, middle - shareRange); share <= Math.min(sharesPct.length - 1, middle + shareRange); share++) {
        let tries = 0
        let isLongest = false
        for (let batch = 1; tries < mostBatches && !isLongest; batch++) {
          const ms = loose.batchMs(kind, share, model, batch)
          const longestMs = isStrict ? slo / 2 : slo - ms
          if (!(ms <= longestMs)) break
          const cycleMs = Math.min(longestMs, (1000 * batch) / rps)
          isLongest = cycleMs === longestMs
          if (cycleMs < ms || cycleMs < shortest * longestMs) continue
          tries++
          const others = fill(first, kind, share, cycleMs, ms)
          let bytes = gletBytes + modelBytes[model]!
          let value = worths[first]!.value
          let count = 0
          for (; count < others.length && bytes + modelBytes[models[others[count]!]!]! <= mostOfMemory * roomBytes; count++) {
            bytes += modelBytes[models[others[count]!]!]!
            value += worths[others[count]!]!.value
          }
          let cost = loose.costOf(kind, share, model, 1)
          for (let i = 0; i < count; i++) cost += loose.costOf(kind, share, models[others[i]!]!, 0)
          if (value <= most * cost) continue
          most = value / cost
          best = [first, ...others.slice(0, count)]
          bestKind = kind
          bestShare = share
        }
      }
    })
    const apart = best.reduce((sum, i) => sum + tight[i]!.cost, 0)
    const glet = bestKind < 0 ? undefined : loose.make(bestKind, best.map((i) => models[i]!), best.map((i) => rates[i]!), bestShare, apart)
    if (glet === undefined) glets.push(tight[first]!)
    else {
      glets.push(glet)
      for (const i of best) isPlaced[i] = 1
    }
  }
  return glets
}
