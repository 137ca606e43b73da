/**
 * gpulet's way to place one model after the other (gpulet §3): pieces of the preferred part and a rest; best fit among free slices, whole GPUs
 * first; then whatever is free; then beside the same model; then beside others, time-shared; then beside neighbours that carry less for it, what
 * they owe being placed once more.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { PlanTables } from "../../internal/planTables.js"
import { preferredPart } from "../../original/Rates.js"
import type { Slice, SlicedGpu, Work } from "./slices.js"
import { runGpu } from "./slices.js"

/** What distinguishes the planners of the family. */
export interface ElasticRules {
  /** Whether predictions count the slices of one GPU slowing each other down. */
  readonly interference: boolean
  /** Whether works may share a slice. */
  readonly timeSharing: boolean
  /** Shares to cut with, of those the GPU offers, ascending. */
  readonly sharesOf: (gpu: Gpu) => ReadonlyArray<number>
  /** Which part a piece of a model is given. `preferred`: the one with the best gain; `smallest`: the first that carries it. */
  readonly sizing: "preferred" | "smallest"
}

export type Sliced = ReadonlyArray<SlicedGpu>

interface Piece extends Work {
  readonly sharePct: number
}

/** Part of a demand's rate below which a piece is not worth a copy of its model. */
const leastPiece = 0.02
const bisections = 14

/** Works do not give up more than half of their rate to a neighbour. */
const leastKept = 0.5

export const makeSearch = (tables: PlanTables, rules: ElasticRules) => {
  const { demands, problem } = tables

  const preferredMemo = new Map<string, number>()
  const preferredOn = (gpu: Gpu, demand: number): number => {
    const shares = rules.sharesOf(gpu)
    const key = `${demand} ${gpu.type} ${shares.join()}`
    const known = preferredMemo.get(key)
    if (known !== undefined) return known
    const preferred = preferredPart(shares, (share) => tables.saturation(gpu.type, demand, share).rateRps)
    preferredMemo.set(key, preferred)
    return preferred
  }

  const runs = (sliced: SlicedGpu): boolean => runGpu(tables, sliced, rules.interference) !== undefined
  const runsAlone = (gpu: Gpu, sharePct: number, work: Work): boolean => runs({ gpu, slices: [{ sharePct, works: [work] }] })

  /** The smallest part up to `mostPct` that carries a work alone. */
  const partFor = (gpu: Gpu, work: Work, mostPct: number): number | undefined =>
    rules.sharesOf(gpu).find((share) => share <= mostPct && runsAlone(gpu, share, work))

  /** Saturated pieces of the preferred part, and the rest; undefined where the model cannot run on such a GPU. */
  const estimate = (gpu: Gpu, { demand, rateRps }: Work): ReadonlyArray<Piece> | undefined => {
    const shares = rules.sharesOf(gpu)
    const largest = shares.at(-1)
    if (largest === undefined) return undefined
    const whole = rules.sizing === "smallest" ? largest : preferredOn(gpu, demand)
    const saturatedRps = tables.saturation(gpu.type, demand, whole).rateRps
    if (saturatedRps === 0) return undefined
    // More pieces than slices there can be need no counting.
    const count = Math.min(Math.floor(rateRps / saturatedRps), 2 * problem.gpus.length + 1)
    const pieces = Array.from({ length: count }, (): Piece => ({ demand, rateRps: saturatedRps, sharePct: whole }))
    const rest = { demand, rateRps: rateRps - count * saturatedRps }
    if (rest.rateRps <= 1e-9 * rateRps && count > 0) return pieces
    return [...pieces, { ...rest, sharePct: partFor(gpu, rest, whole) ?? whole }]
  }

  const replaced = (sliced: Sliced, at: number, slices: ReadonlyArray<Slice>): Sliced =>
    sliced.map((each, i) => (i === at ? { gpu: each.gpu, slices } : each))

  /** A whole GPU cut into a part and what is left. */
  const cut = (gpu: Gpu, sharePct: number, works: ReadonlyArray<Work>): ReadonlyArray<Slice> => {
    const restPct = Math.min(problem.options.maxGletsPerGpu, gpu.units) < 2 ? undefined : rules.sharesOf(gpu).findLast((share) => share <= 100 - sharePct)
    return [{ sharePct, works }, ...(restPct === undefined ? [] : [{ sharePct: restPct, works: [] }])]
  }
  const withWork = (slices: ReadonlyArray<Slice>, at: number, work: Work): ReadonlyArray<Slice> =>
    slices.map((slice, i) => {
      if (i !== at) return slice
      const isThere = slice.works.some(({ demand }) => demand === work.demand)
      return {
        ...slice,
        works: isThere
          ? slice.works.map((old) => (old.demand === work.demand ? { ...old, rateRps: old.rateRps + work.rateRps } : old))
          : [...slice.works, work]
      }
    })

  interface Place {
    readonly at: number
    readonly sharePct: number
    /** The GPU's slices with a work in this place. */
    readonly with: (work: Work) => ReadonlyArray<Slice>
  }

  /** Whole GPUs, one of each kind: the others are alike. */
  const wholes = (sliced: Sliced): ReadonlyArray<{ readonly at: number; readonly gpu: Gpu }> => {
    const kinds = new Set<string>()
    return sliced.flatMap(({ gpu, slices }, at) => {
      const kind = `${gpu.type} ${gpu.memoryBytes} ${gpu.sharesPct.join()}`
      if (slices.length > 0 || kinds.has(kind)) return []
      kinds.add(kind)
      return [{ at, gpu }]
    })
  }
  const slicesWhere = (sliced: Sliced, accepts: (slice: Slice) => boolean): ReadonlyArray<Place> =>
    sliced
      .flatMap(({ slices }, at) => slices.flatMap((slice, i): ReadonlyArray<Place> =>
        accepts(slice) ? [{ at, sharePct: slice.sharePct, with: (work) => withWork(slices, i, work) }] : []))
      .sort((a, b) => a.sharePct - b.sharePct || a.at - b.at)

  const put = (sliced: Sliced, place: Place, work: Work): Sliced | undefined => {
    const slices = place.with(work)
    return runs({ gpu: sliced[place.at]!.gpu, slices }) ? replaced(sliced, place.at, slices) : undefined
  }
  const putFirst = (sliced: Sliced, places: ReadonlyArray<Place>, work: Work): Sliced | undefined => {
    for (const place of places) {
      const next = put(sliced, place, work)
      if (next !== undefined) return next
    }
    return undefined
  }

  /** Best fit among the free slices of at least the wanted part, whole GPUs first. */
  const allocate = (sliced: Sliced, piece: Piece): Sliced | undefined => {
    const whole = wholes(sliced).flatMap(({ at, gpu }): ReadonlyArray<Place> =>
      rules.sharesOf(gpu).includes(piece.sharePct)
        ? [{ at, sharePct: piece.sharePct, with: (work) => cut(gpu, piece.sharePct, [work]) }]
        : [])
    const free = slicesWhere(sliced, ({ sharePct, works }) => works.length === 0 && sharePct >= piece.sharePct)
    return putFirst(sliced, [...whole, ...free], { demand: piece.demand, rateRps: piece.rateRps })
  }

  /** The largest part of a work's rate that runs in a place, 0 where too little does. */
  const carries = (sliced: Sliced, place: Place, work: Work): number => {
    const holds = (rateRps: number): boolean => put(sliced, place, { ...work, rateRps }) !== undefined
    if (holds(work.rateRps)) return work.rateRps
    let low = 0
    let high = Math.min(work.rateRps, tables.saturation(sliced[place.at]!.gpu.type, work.demand, place.sharePct).rateRps)
    for (let step = 0; step < bisections; step++) {
      const middle = (low + high) / 2
      if (holds(middle)) low = middle
      else high = middle
    }
    return low >= leastPiece * demands[work.demand]!.rateRps ? low : 0
  }

  /** Spreads a work over whatever is free; answers what it could not. */
  const readjust = (start: Sliced, whole: Work): { readonly sliced: Sliced; readonly restRps: number } => {
    let sliced = start
    let restRps = whole.rateRps
    for (;;) {
      const places = [
        ...slicesWhere(sliced, ({ works }) => works.length === 0),
        ...wholes(sliced).flatMap(({ at, gpu }) =>
          rules.sharesOf(gpu).map((sharePct): Place => ({ at, sharePct, with: (work) => cut(gpu, sharePct, [work]) })))
      ]
      let best: { readonly place: Place; readonly rateRps: number } | undefined
      for (const place of places) {
        const rateRps = carries(sliced, place, { ...whole, rateRps: restRps })
        if (rateRps > (best?.rateRps ?? 0)) best = { place, rateRps }
        if (rateRps >= restRps) break
      }
      if (best === undefined) return { sliced, restRps }
      sliced = put(sliced, best.place, { ...whole, rateRps: best.rateRps })!
      if (best.rateRps >= restRps) return { sliced, restRps: 0 }
      restRps -= best.rateRps
    }
  }

  const joins = (sliced: Sliced, work: Work): Sliced | undefined => {
    const has = ({ works }: Slice): boolean => works.some(({ demand }) => demand === work.demand)
    const merged = putFirst(sliced, slicesWhere(sliced, has), work)
    if (merged !== undefined || !rules.timeSharing) return merged
    return putFirst(sliced, slicesWhere(sliced, (slice) => slice.works.length > 0 && !has(slice)), work)
  }

  /** A piece in a free slice beside works that then carry less, and what they owe. */
  interface Yielded {
    readonly sliced: Sliced
    readonly owed: ReadonlyArray<Work>
  }

  /** Where a piece fits only if its neighbours, slowed down by it, carry less: the place where they lose least. */
  const allocateYielding = (sliced: Sliced, { demand, rateRps, sharePct: wantedPct }: Piece): Yielded | undefined => {
    let best: { readonly at: number; readonly slices: ReadonlyArray<Slice>; readonly keeps: number } | undefined
    for (const place of slicesWhere(sliced, ({ sharePct, works }) => works.length === 0 && sharePct >= wantedPct)) {
      const { gpu, slices: before } = sliced[place.at]!
      const neighbours = before.filter(({ works }) => works.length > 0)
      const scaled = (keeps: number): ReadonlyArray<Slice> =>
        place.with({ demand, rateRps }).map((slice) =>
          neighbours.includes(slice) ? { ...slice, works: slice.works.map((work) => ({ ...work, rateRps: work.rateRps * keeps })) } : slice)
      let low = best?.keeps ?? leastKept
      if (neighbours.length === 0 || !runs({ gpu, slices: scaled(low) })) continue
      let high = 1
      for (let step = 0; step < bisections; step++) {
        const middle = (low + high) / 2
        if (runs({ gpu, slices: scaled(middle) })) low = middle
        else high = middle
      }
      if (best === undefined || low > best.keeps) best = { at: place.at, slices: scaled(low), keeps: low }
    }
    if (best === undefined) return undefined
    const { at, keeps, slices } = best
    const owed = sliced[at]!.slices.flatMap(({ works }) => works.map((work) => ({ ...work, rateRps: work.rateRps * (1 - keeps) }))).filter(({ rateRps }) => rateRps > 0)
    return { sliced: replaced(sliced, at, slices), owed }
  }

  /** All pieces in slices of their own; undefined where one finds none. Neighbours may lose rate to them, which is then placed once more. */
  const allocateAll = (sliced: Sliced, pieces: ReadonlyArray<Piece>, mayYield: boolean): Sliced | undefined => {
    let state = sliced
    const owed: Array<Work> = []
    for (const piece of pieces) {
      const placed = allocate(state, piece)
      const yielded = placed === undefined && mayYield ? allocateYielding(state, piece) : undefined
      if (yielded !== undefined) owed.push(...yielded.owed)
      const next = placed ?? yielded?.sliced
      if (next === undefined) return undefined
      state = next
    }
    return owed.reduce<Sliced | undefined>((each, work) => each && add(each, work, false), state)
  }

  /** Places a work whole; undefined where it cannot. */
  const add = (sliced: Sliced, work: Work, mayYield = rules.interference): Sliced | undefined => {
    const estimates = [...new Map(problem.gpus.map((gpu) => [gpu.type, gpu])).values()].flatMap((gpu) => {
      const pieces = estimate(gpu, work)
      return pieces === undefined ? [] : [pieces]
    })
    for (const pieces of estimates) {
      const placed = allocateAll(sliced, pieces, false)
      if (placed !== undefined) return placed
    }
    // Of nothing no part can be spread; it still needs a place.
    if (work.rateRps === 0) return joins(sliced, work)
    const { restRps, sliced: spread } = readjust(sliced, work)
    if (restRps === 0) return spread
    const joined = joins(spread, { ...work, rateRps: restRps }) ?? joins(sliced, work)
    if (joined !== undefined || !mayYield) return joined
    for (const pieces of estimates) {
      const placed = allocateAll(sliced, pieces, true)
      if (placed !== undefined) return placed
    }
    return undefined
  }

  return { add }
}
