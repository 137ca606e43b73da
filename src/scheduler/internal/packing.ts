/**
 * Puts demands on GPUs one after the other, each where it costs least share.
 *
 * A demand goes whole onto a glet that can take it, onto one that can grow to take it, or onto a new glet; the least added share wins, then
 * the fuller GPU. What is above the throughput of its preferred share is first cut into glets of that share. Where nothing on the GPUs in use
 * takes the rest whole, it is spread over what they have left (`spread`), else the next GPU is opened.
 *
 * GPUs are opened in their order, and only when everything else failed: given more GPUs the same steps are taken, so what fits on some GPUs
 * fits when others are added behind them.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { GletDraft, Work } from "./gletSolver.js"
import { gletMemoryBytes, gletsAllowed, solveGlet, solveGpu } from "./gletSolver.js"
import type { PlanTables } from "./planTables.js"

export interface GpuDraft {
  readonly gpu: Gpu
  readonly glets: ReadonlyArray<GletDraft>
}

/** One way to go about packing. */
export interface PackingStart {
  /** Numbers of the demands to place. */
  readonly order: ReadonlyArray<number>
  /** Whether rates are spread over what used GPUs have left before another is opened. */
  readonly spread: boolean
}

export interface PackingRequest {
  readonly start: PackingStart
  /** Multiple of all rates to carry. */
  readonly factor: number
  /** The GPUs that may be used, first ones first, with what stands on them already. */
  readonly gpus: ReadonlyArray<GpuDraft>
  /** Go on after a demand that does not fit. */
  readonly partial?: boolean
}

export interface Packing {
  readonly gpus: ReadonlyArray<GpuDraft>
  /** Demands that have no place, or not for all of their rate. Empty unless partial. */
  readonly unplaced: ReadonlyArray<number>
}

interface Candidate {
  readonly at: number
  readonly glets: ReadonlyArray<GletDraft>
  readonly addedPct: number
  readonly leftPct: number
}

const leftPct = (draft: GpuDraft): number => draft.glets.reduce((left, glet) => left - glet.sharePct, 100)
const leftBytes = (tables: PlanTables, { glets, gpu }: GpuDraft): number =>
  glets.reduce((left, glet) => left - gletMemoryBytes(tables, gpu, glet), gpu.memoryBytes * tables.problem.options.memoryFraction)

const withWork = (glet: GletDraft, work: Work): GletDraft => {
  const at = glet.works.findIndex(({ demand }) => demand === work.demand)
  return {
    ...glet,
    works: at < 0
      ? [...glet.works, work]
      : glet.works.map((old, i) => (i === at ? { ...old, rateRps: old.rateRps + work.rateRps } : old))
  }
}

/** Part of a glet's time that its works would need at the least on some share, at their best batches; above 1 it cannot hold. */
const leastLoad = (tables: PlanTables, gpuType: string, glet: GletDraft, sharePct = glet.sharePct): number => {
  let load = 0
  for (const { demand, rateRps } of glet.works) {
    const most = tables.saturation(gpuType, demand, sharePct).rateRps
    if (most === 0) return Infinity
    load += (rateRps * glet.factor) / most
  }
  return load
}

const fullLoad = 1 + 1e-9

const works = (tables: PlanTables, gpuType: string, glet: GletDraft): boolean =>
  leastLoad(tables, gpuType, glet) <= fullLoad && solveGlet(tables, gpuType, glet) !== undefined

/** The glet at the smallest offered share within `fromPct..toPct` that works alone; it gets no slower with more share. */
const atLeastShare = (
  tables: PlanTables,
  gpu: Gpu,
  glet: GletDraft,
  fromPct: number,
  toPct: number
): GletDraft | undefined => {
  const shares = gpu.sharesPct.filter((share) => share >= fromPct && share <= toPct)
  if (shares.length === 0 || !works(tables, gpu.type, { ...glet, sharePct: shares[shares.length - 1]! })) return undefined
  let low = 0
  let high = shares.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (works(tables, gpu.type, { ...glet, sharePct: shares[middle]! })) high = middle
    else low = middle + 1
  }
  return { ...glet, sharePct: shares[high]! }
}

const replaced = (glets: ReadonlyArray<GletDraft>, at: number, glet: GletDraft): ReadonlyArray<GletDraft> =>
  at === glets.length ? [...glets, glet] : glets.map((old, i) => (i === at ? glet : old))

/** Ways to put a work whole onto one GPU that add at most `mostPct` share. */
const candidatesOn = (
  tables: PlanTables,
  draft: GpuDraft,
  at: number,
  work: Work,
  factor: number,
  mostPct: number
): Array<Candidate> => {
  const { glets, gpu } = draft
  const left = leftPct(draft)
  const most = Math.min(left, mostPct)
  const bytes = leftBytes(tables, draft)
  const modelBytes = tables.memoryBytes(gpu.type, work.demand)
  const candidates: Array<Candidate> = []
  const add = (index: number, glet: GletDraft | undefined, fromPct: number): void => {
    if (glet === undefined) return
    const addedPct = glet.sharePct - fromPct
    candidates.push({ at, glets: replaced(glets, index, glet), addedPct, leftPct: left - addedPct })
  }
  glets.forEach((glet, i) => {
    // Most glets are too full whatever their batches: told apart before anything is made.
    const largestPct = most === 0 ? glet.sharePct : gpu.sharesPct.findLast((share) => share <= glet.sharePct + most) ?? glet.sharePct
    const ownLoad = (work.rateRps * factor) / tables.saturation(gpu.type, work.demand, largestPct).rateRps
    if (!(ownLoad + leastLoad(tables, gpu.type, glet, largestPct) <= fullLoad)) return
    const isThere = glet.works.some(({ demand }) => demand === work.demand)
    if (!isThere && (glet.works.length >= tables.problem.options.maxModelsPerGlet || modelBytes > bytes)) return
    add(i, atLeastShare(tables, gpu, withWork(glet, work), glet.sharePct, glet.sharePct + most), glet.sharePct)
  })
  if (glets.length < gletsAllowed(tables, gpu) && tables.gletMemoryBytes(gpu.type) + modelBytes <= bytes) {
    add(glets.length, atLeastShare(tables, gpu, { sharePct: 0, works: [work], bestEffort: [], factor }, 1, most), 0)
  }
  return candidates
}

/** Part of a demand's rate below which a piece is not worth a copy of its model. */
const leastPiece = 0.02

/** The largest part of a work that some glet, or a new one, on this GPU still takes. */
const largestPieceOn = (
  tables: PlanTables,
  draft: GpuDraft,
  work: Work,
  factor: number
): { readonly glets: ReadonlyArray<GletDraft>; readonly rateRps: number } | undefined => {
  const { glets, gpu } = draft
  let best: { readonly glets: ReadonlyArray<GletDraft>; readonly rateRps: number } | undefined
  const attempt = (index: number, glet: GletDraft, roomRps: number): void => {
    let rateRps = Math.min(work.rateRps, roomRps)
    const least = Math.max(work.rateRps * leastPiece, best?.rateRps ?? 0)
    // The room at the best batch alone is an upper bound; what really fits is found by stepping down from it.
    for (let step = 0; step < 6 && rateRps > least; step++, rateRps *= 0.8) {
      const next = replaced(glets, index, withWork(glet, { ...work, rateRps }))
      if (!works(tables, gpu.type, next[index]!) || solveGpu(tables, gpu, next) === undefined) continue
      best = { glets: next, rateRps }
      return
    }
  }
  const left = leftPct(draft)
  if (glets.length < gletsAllowed(tables, gpu)) {
    const shares = gpu.sharesPct.filter((share) => share <= left)
    const largest = shares[shares.length - 1]
    const preferred = tables.preferredShare(gpu, work.demand)
    const sharePct = preferred > 0 && preferred <= left ? preferred : largest
    if (sharePct !== undefined) {
      attempt(glets.length, { sharePct, works: [], bestEffort: [], factor }, tables.saturation(gpu.type, work.demand, sharePct).rateRps / factor)
    }
  }
  glets.forEach((glet, i) => {
    const isThere = glet.works.some(({ demand }) => demand === work.demand)
    if (!isThere && glet.works.length >= tables.problem.options.maxModelsPerGlet) return
    const idle = 1 - leastLoad(tables, gpu.type, glet)
    attempt(i, glet, (idle * tables.saturation(gpu.type, work.demand, glet.sharePct).rateRps) / factor)
  })
  return best
}

/** Packs; undefined where a demand finds no place and `partial` is not set. */
export const pack = (tables: PlanTables, request: PackingRequest): Packing | undefined => {
  const { factor, start } = request
  const drafts = [...request.gpus]
  // GPUs with something on them count as open.
  let open = drafts.reduce((count, draft, i) => (draft.glets.length > 0 ? i + 1 : count), 0)

  const takeBest = (candidates: Array<Candidate>): boolean => {
    candidates.sort((a, b) => a.addedPct - b.addedPct || a.leftPct - b.leftPct || a.at - b.at)
    for (const { at, glets } of candidates) {
      const { gpu } = drafts[at]!
      if (solveGpu(tables, gpu, glets) === undefined) continue
      drafts[at] = { gpu, glets }
      return true
    }
    return false
  }

  const placeWhole = (work: Work): boolean => {
    const close: Array<Candidate> = []
    let leastPct = Infinity
    for (let at = 0; at < open; at++) {
      // What adds more than another way already known is looked at only if that one fails for interference.
      for (const candidate of candidatesOn(tables, drafts[at]!, at, work, factor, leastPct)) {
        leastPct = Math.min(leastPct, candidate.addedPct)
        close.push(candidate)
      }
    }
    if (close.length === 0 || takeBest(close)) return close.length > 0
    return takeBest(drafts.slice(0, open).flatMap((draft, at) => candidatesOn(tables, draft, at, work, factor, Infinity)))
  }

  /** A glet of the preferred share that does nothing but this work, as much as it can. Answers what it took. */
  const placeSaturated = (work: Work): number => {
    let best: { readonly at: number; readonly glets: ReadonlyArray<GletDraft>; readonly rateRps: number; readonly left: number } | undefined
    for (let at = 0; at < open; at++) {
      const { glets, gpu } = drafts[at]!
      const sharePct = tables.preferredShare(gpu, work.demand)
      const left = leftPct(drafts[at]!) - sharePct
      if (sharePct === 0 || left < 0 || (best !== undefined && left >= best.left)) continue
      const rateRps = tables.saturation(gpu.type, work.demand, sharePct).rateRps / factor
      if (rateRps >= work.rateRps) continue
      const next = [...glets, { sharePct, works: [{ ...work, rateRps }], bestEffort: [], factor }]
      if (solveGpu(tables, gpu, next) !== undefined) best = { at, glets: next, rateRps, left }
    }
    if (best === undefined) return 0
    drafts[best.at] = { gpu: drafts[best.at]!.gpu, glets: best.glets }
    return best.rateRps
  }

  const placePiece = (work: Work): number => {
    let best: { readonly at: number; readonly glets: ReadonlyArray<GletDraft>; readonly rateRps: number } | undefined
    for (let at = 0; at < open; at++) {
      const piece = largestPieceOn(tables, drafts[at]!, work, factor)
      if (piece !== undefined && piece.rateRps > (best?.rateRps ?? 0)) best = { at, ...piece }
    }
    if (best === undefined) return 0
    drafts[best.at] = { gpu: drafts[best.at]!.gpu, glets: best.glets }
    return best.rateRps
  }

  const place = (demand: number): boolean => {
    let rateRps = tables.demands[demand]!.rateRps
    // Every step places a piece, opens a GPU or ends.
    for (;;) {
      const work = { demand, rateRps }
      const saturatedRps = placeSaturated(work)
      if (saturatedRps > 0) {
        rateRps -= saturatedRps
        continue
      }
      if (placeWhole(work)) return true
      const pieceRps = start.spread && rateRps > 0 ? placePiece(work) : 0
      if (pieceRps > 0) {
        if (pieceRps >= rateRps) return true
        rateRps -= pieceRps
      } else if (open === drafts.length) {
        return false
      } else {
        open++
      }
    }
  }

  const unplaced: Array<number> = []
  for (const demand of start.order) {
    if (place(demand)) continue
    if (request.partial !== true) return undefined
    unplaced.push(demand)
  }
  return { gpus: drafts, unplaced }
}
