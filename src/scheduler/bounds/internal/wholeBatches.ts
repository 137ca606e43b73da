/**
 * The most that whole batches in one cycle are worth: a knapsack of its time with so many places, of each model one batch at the most.
 *
 * At a price of time and one of places, what is worth most leaves nothing of either, and takes of each model what gains most beyond these prices. Anything else loses some
 * of that: time or places that are left over, a model that gains and is not taken, a batch that gains less. Depth first, models that gain most come first, and what
 * has lost so much that it is worth no more than the best is not followed. Prices near the best ones leave little to look at.
 */
import { relativeSlack } from "./slack.js"

/** Batches by model: those of the n-th stand from `begins[n]` to `begins[n + 1]`, and take so much of the time. */
export interface Batches {
  readonly begins: Int32Array
  readonly times: Float64Array
}

interface Best {
  /** No whole batches are worth more. */
  readonly worth: number
  /** Those that are worth as much, as places in `Batches` with the places of their models; undefined where none are worth more than was asked for. */
  readonly chosen: ReadonlyArray<{ readonly model: number; readonly batch: number }> | undefined
}

/** Steps after which nothing is said. */
const mostSteps = 20_000

export interface WholeBatches {
  /** The batches that are worth most, where that is more than `above`; undefined where it takes too long to tell. Batches of a model ascend in time. */
  readonly best: (batches: Batches, worths: Float64Array, timePrice: number, placePrice: number, above: number) => Best | undefined
}

export const wholeBatches = (models: number, places: number): WholeBatches => {
  const gains = new Float64Array(models)
  const quickest = new Float64Array(models + 1)
  const chosenModels = new Int32Array(places)
  const chosenBatches = new Int32Array(places)
  return {
    best: ({ begins, times }, worths, timePrice, placePrice, above) => {
      const count = begins.length - 1
      let most = timePrice + places * placePrice
      for (let n = 0; n < count; n++) {
        let gain = -Infinity
        for (let batch = begins[n]!, end = begins[n + 1]!; batch < end; batch++) gain = Math.max(gain, worths[batch]! - timePrice * times[batch]!)
        gains[n] = gain - placePrice
        if (gains[n]! > 0) most += gains[n]!
      }
      const order = Int32Array.from({ length: count }, (_, n) => n).sort((one, other) => gains[other]! - gains[one]!)
      quickest[count] = Infinity
      // Of each model the first batch takes the least.
      for (let at = count - 1; at >= 0; at--) quickest[at] = Math.min(quickest[at + 1]!, times[begins[order[at]!]!]!)

      let worth = above
      let chosen: Best["chosen"] | undefined
      let steps = 0
      const extend = (from: number, depth: number, time: number, sum: number, bound: number): boolean => {
        if (++steps > mostSteps) return false
        if (sum > worth) {
          worth = sum
          chosen = Array.from({ length: depth }, (_, n) => ({ model: chosenModels[n]!, batch: chosenBatches[n]! }))
        }
        if (depth === places) return true
        let left = bound
        for (let at = from; at < count && quickest[at]! <= time; at++) {
          const model = order[at]!
          const gain = gains[model]!
          // All models that follow gain no more.
          if (left + Math.min(0, gain) <= worth) return true
          for (let batch = begins[model + 1]! - 1; batch >= begins[model]!; batch--) {
            const rest = time - times[batch]!
            if (rest < 0) continue
            const next = left - Math.max(0, gain) + worths[batch]! - timePrice * times[batch]! - placePrice
            if (next <= worth) continue
            chosenModels[depth] = model
            chosenBatches[depth] = batch
            if (!extend(at + 1, depth + 1, rest, sum + worths[batch]!, next)) return false
          }
          if (gain > 0) left -= gain
        }
        return true
      }
      if (most > above && !extend(0, 0, 1 + relativeSlack, 0, most + relativeSlack * timePrice)) return undefined
      return { worth, chosen }
    }
  }
}
