/**
 * Which shares saturated glets of large models stand on: each alone stands where it is cheapest, but then all of a model stand on the same share, and what
 * fits beside so many of them may not be there. So parts of each model go to the share that is cheapest at the prices of shares as they are then, less and
 * less each time (Frank and Wolfe on what GPUs cost if parts of them could be had).
 */
import { cutting } from "./cutPrices.js"
import type { LooseGlet } from "./looseGlet.js"
import type { LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

interface Remixed {
  /** Saturated glets of one model each. */
  readonly whole: ReadonlyArray<LooseGlet>
  /** Of the same models, what is left by rounding. */
  readonly left: ReadonlyArray<LooseGlet>
}

const looks = 16
/** Rounding: what is this near to a whole number is one, and such a part of a rate nothing. */
const nearlyWhole = 1e-6
const negligible = 1e-9
/** A better mix saves so much of a GPU. */
const leastSaved = 0.05

/** A share on which a model can stand, and the glet that carries the most there. */
interface Stand {
  readonly kind: number
  readonly share: number
  readonly most: number
  readonly glet: LooseGlet
}

/** The same rates of saturated glets on other shares, beside the others; undefined where they stand well. */
export const remix = (space: SearchSpace, loose: LooseGlets, whole: ReadonlyArray<LooseGlet>, others: ReadonlyArray<LooseGlet>, scarcity: ReadonlyArray<number>): Remixed | undefined => {
  const { kinds } = space
  const rates = new Map<number, number>()
  for (const { models, rps } of whole) rates.set(models[0]!, (rates.get(models[0]!) ?? 0) + rps[0]!)
  const mixes = [...rates].map(([model, rate]) => {
    const stands = kinds.flatMap(({ sharesPct }, kind) => sharesPct.flatMap((_, share): ReadonlyArray<Stand> => {
      const most = loose.most(kind, share, model)
      const glet = most > 0 ? loose.make(kind, [model], [most], share, Infinity) : undefined
      return glet === undefined ? [] : [{ kind, share: glet.share, most, glet }]
    }))
    const counts = new Float64Array(stands.length)
    for (const glet of whole) if (glet.models[0] === model) counts[stands.findIndex(({ kind, share }) => kind === glet.kind && share === glet.share)]!++
    return { model, rate, stands, counts, best: counts }
  })
  const fixed = kinds.map(({ sharesPct }) => new Float64Array(sharesPct.length))
  for (const { kind, share } of others) fixed[kind]![share]!++

  let least = Infinity
  let first = Infinity
  for (let look = 0; look < looks; look++) {
    const all = fixed.map((counts) => counts.slice())
    for (const { counts, stands } of mixes) stands.forEach(({ kind, share }, at) => all[kind]![share]! += counts[at]!)
    const cuts = kinds.map(({ maxGlets, sharesPct }, kind) => cutting(sharesPct, all[kind]!, maxGlets))
    const cost = cuts.reduce((sum, { ways }, kind) => sum + kinds[kind]!.cost * scarcity[kind]! * ways.reduce((gpus, { times }) => gpus + times, 0), 0)
    if (look === 0) first = cost
    if (cost < least) {
      least = cost
      for (const mix of mixes) mix.best = mix.counts
    }
    const part = 1 / (look + 3)
    for (const mix of mixes) {
      let cheapest = 0
      let lowest = Infinity
      mix.stands.forEach(({ kind, most, share }, at) => {
        const price = (kinds[kind]!.cost * scarcity[kind]! * cuts[kind]!.prices[share]!) / most
        if (price >= lowest) return
        lowest = price
        cheapest = at
      })
      mix.counts = mix.counts.map((count, at) => (1 - part) * count + (at === cheapest ? (part * mix.rate) / mix.stands[at]!.most : 0))
    }
  }
  if (least > first - leastSaved) return undefined
  const next: Array<LooseGlet> = []
  const left: Array<LooseGlet> = []
  for (const { best, model, rate, stands } of mixes) {
    let lacking = rate
    let chosen = 0
    stands.forEach(({ glet, most }, at) => {
      if (best[at]! * most > best[chosen]! * stands[chosen]!.most) chosen = at
      const count = Math.floor(best[at]! + nearlyWhole)
      if (count === 0) return
      for (let i = 0; i < count; i++) next.push(glet)
      lacking -= count * most
    })
    const { kind, most } = stands[chosen]!
    while (lacking > negligible * rate) {
      const rps = Math.min(lacking, most)
      left.push(loose.make(kind, [model], [rps], 0, Infinity)!)
      lacking -= rps
    }
  }
  return { whole: next, left }
}
