/**
 * Which models to run together on a glet: of those that allow a duty cycle, the set of most value whose batches fit into it. A knapsack, searched
 * depth first, densest first, to a limit.
 *
 * A cycle is given, so what each model needs there is known: the batch that carries what it lacks, which takes so much of the cycle.
 */
import type { SearchSpace } from "./searchSpace.js"

/** One model on a glet. */
export interface Choice {
  readonly model: number
  readonly batch: number
  /** Of the batch, ms. */
  readonly ms: number
  readonly value: number
}

export interface GletMenu {
  readonly kind: number
  readonly share: number
  readonly cycleMs: number
  /** Models to choose from. */
  readonly open: ArrayLike<number>
  /** What they lack, items per second, and what it is worth to carry it, by model. */
  readonly lack: Float64Array
  readonly value: Float64Array
  /** What loading a model costs, by model. */
  readonly loading: Float64Array
  /** Latencies are taken longer by this part, by model: interference to come. */
  readonly slowing: Float64Array
}

const slack = 1e-9
/** Models of most value per time that a knapsack looks at, and its nodes. */
const widest = 40
const mostNodes = 120

export const makeGletChooser = (space: SearchSpace) => {
  const { isStrict, maxModels, rows, sloMs } = space
  const model = new Int32Array(space.models)
  const batch = new Int32Array(space.models)
  const time = new Float64Array(space.models)
  const value = new Float64Array(space.models)
  const density = new Float64Array(space.models)
  let order: Array<number> = []

  /** What each model would take of the cycle, and be worth there; answers how many could stand there. */
  const list = (menu: GletMenu): number => {
    const { cycleMs, kind, lack, loading, open, share, slowing } = menu
    const { data, stride } = rows
    let count = 0
    for (let o = 0; o < open.length; o++) {
      const m = open[o]!
      const worth = menu.value[m]! - loading[m]!
      if (!(worth > 0)) continue
      const slo = sloMs[m]!
      const room = isStrict ? (2 * cycleMs <= slo + slack ? cycleMs : 0) : Math.min(cycleMs, slo - cycleMs + slack)
      if (!(room > 0)) continue
      const largest = rows.largest(kind, m, share)
      if (largest === 0) continue
      const start = rows.start(kind, m, share)
      const longer = 1 + slowing[m]!
      if (data[start + stride]! * longer > room) continue
      const wanted = Math.max(1, Math.ceil((lack[m]! * cycleMs) / 1000 - slack))
      let b = Math.min(wanted, largest)
      if (data[start + b * stride]! * longer > room) {
        let low = 1
        while (b - low > 1) {
          const middle = (low + b) >> 1
          if (data[start + middle * stride]! * longer > room) b = middle
          else low = middle
        }
        b = low
      }
      const carried = b >= wanted ? 1 : (1000 * b) / (cycleMs * lack[m]!)
      const gain = menu.value[m]! * carried - loading[m]!
      if (!(gain > 0)) continue
      model[count] = m
      batch[count] = b
      time[count] = data[start + b * stride]! * longer
      value[count] = gain
      density[count] = gain / time[count]!
      count++
    }
    order = []
    for (let i = 0; i < count; i++) order.push(i)
    order.sort((a, b) => density[b]! - density[a]!)
    return count
  }

  const taken: Array<number> = []
  let best = 0
  let bestSet: Array<number> = []
  let nodes = 0
  const search = (candidates: ReadonlyArray<number>, from: number, left: number, places: number, sum: number): void => {
    if (sum > best) {
      best = sum
      bestSet = [...taken]
    }
    if (places === 0) return
    for (let i = from; i < candidates.length; i++) {
      const at = candidates[i]!
      // The rest is no denser than this, and fills no more than what is left.
      if (sum + left * density[at]! <= best * (1 + 1e-9)) return
      if (time[at]! > left) continue
      if (nodes++ > mostNodes) return
      taken.push(at)
      search(candidates, i + 1, left - time[at]!, places - 1, sum + value[at]!)
      taken.pop()
    }
  }
  /** The best set of `order`, which loses it. */
  const chooseNext = (left: number, places: number): ReadonlyArray<number> => {
    best = 0
    bestSet = []
    nodes = 0
    search(order.length > widest ? order.slice(0, widest) : order, 0, left, places, 0)
    return bestSet
  }
  const choiceAt = (at: number): Choice => ({ model: model[at]!, batch: batch[at]!, ms: time[at]!, value: value[at]! })

  return {
    /** The best set; with an anchor, the best of those with it. */
    choose: (menu: GletMenu, anchor?: number): ReadonlyArray<Choice> => {
      list(menu)
      if (anchor === undefined) return chooseNext(menu.cycleMs, maxModels).map(choiceAt)
      const first = order.find((at) => model[at] === anchor)
      if (first === undefined) return []
      order = order.filter((at) => at !== first)
      return [first, ...chooseNext(menu.cycleMs - time[first]!, maxModels - 1)].map(choiceAt)
    },
    /** Sets that have no model in common, best first, each worth more than `least`, at most so many. */
    chooseSeveral: (menu: GletMenu, least: number, most: number): ReadonlyArray<ReadonlyArray<Choice>> => {
      list(menu)
      const sets: Array<ReadonlyArray<Choice>> = []
      while (sets.length < most) {
        const set = chooseNext(menu.cycleMs, maxModels)
        if (!(best > least)) break
        sets.push(set.map(choiceAt))
        order = order.filter((at) => !set.includes(at))
      }
      return sets
    }
  }
}
