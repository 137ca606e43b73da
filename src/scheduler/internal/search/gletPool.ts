/**
 * Glets that may be used, by the items that each covers: the columns of a covering program.
 */
import type { Item } from "./fillGlets.js"
import type { LooseGlet, LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

/** Glets to choose from, and places for models on them. */
const mostGlets = 20_000
const mostPlaces = 1_000_000

export interface GletPool {
  readonly glets: ReadonlyArray<LooseGlet>
  readonly costs: Float64Array
  readonly lengths: Uint16Array
  /** Items of each glet, `maxModels` places for one. */
  readonly covered: Int32Array
  /** Those of a glet. */
  readonly groupOf: (column: number) => ReadonlyArray<number>
  /** The glet that covers just these on the smallest share that does, up to `share`; undefined where there is none. */
  readonly gletUpTo: (kind: number, share: number, group: ReadonlyArray<number>) => LooseGlet | undefined
  /** The cheapest that covers just these. */
  readonly cheapest: (group: ReadonlyArray<number>) => LooseGlet | undefined
  /** One that is there already, or too much, is left out. */
  readonly add: (glet: LooseGlet, group: ReadonlyArray<number>) => void
}

export const makeGletPool = ({ kinds, maxModels }: SearchSpace, loose: LooseGlets, items: ReadonlyArray<Item>): GletPool => {
  // Those to begin with have a place in any case.
  const most = 2 * items.length + Math.min(mostGlets, Math.floor(mostPlaces / maxModels))
  const glets: Array<LooseGlet> = []
  const seen = new Set<string>()
  const costs = new Float64Array(most)
  const lengths = new Uint16Array(most)
  const covered = new Int32Array(most * maxModels)
  const make = (kind: number, near: number, group: ReadonlyArray<number>, largest?: number): LooseGlet | undefined =>
    loose.make(kind, group.map((item) => items[item]!.model), group.map((item) => items[item]!.rps), near, Infinity, largest)
  return {
    glets,
    costs,
    lengths,
    covered,
    groupOf: (column) => Array.from(covered.subarray(column * maxModels, column * maxModels + lengths[column]!)),
    gletUpTo: (kind, share, group) => make(kind, share, group, share),
    cheapest: (group) => {
      let best: LooseGlet | undefined
      for (let kind = 0; kind < kinds.length; kind++) {
        const glet = make(kind, 0, group)
        if (glet !== undefined && (best === undefined || loose.fullCost(glet) < loose.fullCost(best))) best = glet
      }
      return best
    },
    add: (glet, group) => {
      const sorted = [...group].sort((a, b) => a - b)
      const key = `${glet.kind} ${glet.share} ${sorted.join()}`
      if (glets.length === most || seen.has(key)) return
      seen.add(key)
      const column = glets.push(glet) - 1
      costs[column] = loose.fullCost(glet)
      lengths[column] = sorted.length
      covered.set(sorted, column * maxModels)
    }
  }
}
