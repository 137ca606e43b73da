/**
 * What to do with what a packing leaves: lend slack and idle share to best-effort work, and let glets grow into the rest.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { BestEffortWork, GletDraft, GletSolution, GpuDraft } from "./gletSolver.js"
import { gletsAllowed, solveGlet, solveGpu } from "./gletSolver.js"
import type { PlanTables } from "./planTables.js"

/** Head-room a glet keeps for itself when it lends the rest of its slack to best-effort work. */
const keptHeadroom = 1.5

const sharePctLeft = ({ glets }: GpuDraft): number => glets.reduce((left, glet) => left - glet.sharePct, 100)
const largestShare = (gpu: Gpu, upToPct: number): number | undefined => gpu.sharesPct.filter((share) => share <= upToPct).at(-1)

/** The batch of most throughput that takes at most `limitMs`; undefined where not even one item does. */
const bestBatch = (tables: PlanTables, gpuType: string, demand: number, sharePct: number, limitMs: number) => {
  let best: { readonly batch: number; readonly rateRps: number } | undefined
  for (let batch = 1; batch <= tables.largestBatch(demand); batch++) {
    const ms = tables.latencyMs(gpuType, demand, sharePct, batch)
    if (ms > limitMs || ms === Infinity) break
    if ((1000 * batch) / ms > (best?.rateRps ?? 0)) best = { batch, rateRps: (1000 * batch) / ms }
  }
  return best
}

/** How long a glet may be kept from its latency-critical works; undefined where they do not fit even alone. */
const slackMs = (tables: PlanTables, gpuType: string, glet: GletDraft): number | undefined => {
  const solution = solveGlet(tables, gpuType, { ...glet, bestEffort: [] })
  if (solution === undefined) return undefined
  const sumMs = solution.latenciesMs.reduce((sum, ms) => sum + ms, 0)
  return glet.works.reduce((least, { demand }, i) => {
    const ownMs = tables.problem.options.dutyRule === "strict" ? sumMs : solution.latenciesMs[i]!
    return Math.min(least, tables.demands[demand]!.sloMs - solution.dutyMs - ownMs)
  }, Infinity)
}

const lending = (glet: GletDraft, work: BestEffortWork): GletDraft => ({
  ...glet, factor: Math.min(glet.factor, keptHeadroom), bestEffort: [...glet.bestEffort, work]
})

/** Loads one best-effort model wherever it gets something done and memory allows; answers how many copies found a place. */
const placeBestEffort = (tables: PlanTables, drafts: Array<GpuDraft>, demand: number): number => {
  const offers = drafts.flatMap(({ glets, gpu }, at) =>
    glets.flatMap((glet, index) => {
      const limitMs = slackMs(tables, gpu.type, { ...glet, factor: Math.min(glet.factor, keptHeadroom) })
      const best = limitMs === undefined ? undefined : bestBatch(tables, gpu.type, demand, glet.sharePct, limitMs)
      return best === undefined ? [] : [{ at, index, ...best }]
    })
  ).sort((a, b) => b.rateRps - a.rateRps || a.at - b.at || a.index - b.index)
  let copies = 0
  for (const { at, batch, index } of offers) {
    const { glets, gpu } = drafts[at]!
    // Interference may take some of the slack that the glet has alone.
    for (let size = batch; size >= 1; size = Math.floor(size / 2)) {
      const next = glets.map((glet, i) => (i === index ? lending(glet, { demand, batch: size }) : glet))
      if (solveGpu(tables, gpu, next) === undefined) continue
      drafts[at] = { gpu, glets: next }
      copies++
      break
    }
  }
  return copies
}

interface Filled {
  readonly gpus: ReadonlyArray<GpuDraft>
  /** Best-effort demands that found no place. */
  readonly unplaced: ReadonlyArray<number>
}

/**
 * Loads best-effort models on glets whose slack allows a batch of them, else on a glet of their own in the share that is left. `useIdle`: GPUs
 * that carry nothing are given to them as well.
 */
export const fillBestEffort = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  demands: ReadonlyArray<number>,
  useIdle: boolean
): Filled => {
  if (demands.length === 0) return { gpus, unplaced: [] }
  const drafts = [...gpus]
  const openGlet = (at: number): boolean => {
    const { glets, gpu } = drafts[at]!
    const sharePct = largestShare(gpu, sharePctLeft(drafts[at]!))
    if (sharePct === undefined || glets.length >= gletsAllowed(tables, gpu)) return false
    drafts[at] = { gpu, glets: [...glets, { sharePct, works: [], bestEffort: [], factor: 1 }] }
    return true
  }
  if (useIdle) drafts.forEach((draft, at) => draft.glets.length === 0 && openGlet(at))
  const unplaced: Array<number> = []
  for (const demand of demands) {
    if (placeBestEffort(tables, drafts, demand) > 0) continue
    const roomiest = drafts
      .map((draft, at) => ({ at, left: sharePctLeft(draft) }))
      .filter(({ at }) => useIdle || drafts[at]!.glets.length > 0 || gpus.every((gpu) => gpu.glets.length === 0))
      .sort((a, b) => b.left - a.left || a.at - b.at)
    if (!roomiest.some(({ at }) => openGlet(at)) || placeBestEffort(tables, drafts, demand) === 0) unplaced.push(demand)
  }
  const isUsed = (glet: GletDraft): boolean => glet.works.length + glet.bestEffort.length > 0
  return { gpus: drafts.map((draft) => (draft.glets.every(isUsed) ? draft : { gpu: draft.gpu, glets: draft.glets.filter(isUsed) })), unplaced }
}

/** The glet that does what two do, on the larger share of the two. */
const merged = (a: GletDraft, b: GletDraft): GletDraft => {
  const works = [...a.works]
  for (const work of b.works) {
    const at = works.findIndex(({ demand }) => demand === work.demand)
    if (at < 0) works.push(work)
    else works[at] = { ...work, rateRps: work.rateRps + works[at]!.rateRps }
  }
  const lent = b.bestEffort.filter(({ demand }) => a.bestEffort.every((work) => work.demand !== demand))
  return { sharePct: Math.max(a.sharePct, b.sharePct), works, bestEffort: [...a.bestEffort, ...lent], factor: Math.max(a.factor, b.factor) }
}

/** The same works on as little share of the GPU as they need: glets become one where they can, and smaller. */
export const tightenGlets = (tables: PlanTables, draft: GpuDraft): GpuDraft => {
  const { gpu } = draft
  let glets = draft.glets
  const holds = (next: ReadonlyArray<GletDraft>): boolean =>
    next.every(({ works }) => works.length <= tables.problem.options.maxModelsPerGlet) && solveGpu(tables, gpu, next) !== undefined
  const attempt = (next: ReadonlyArray<GletDraft>): boolean => {
    if (!holds(next)) return false
    glets = next
    return true
  }
  for (let i = 0; i < glets.length; i++) {
    for (let j = glets.length - 1; j > i; j--) {
      attempt(glets.filter((_, g) => g !== j).map((glet, g) => (g === i ? merged(glets[i]!, glets[j]!) : glet)))
    }
  }
  for (let i = 0; i < glets.length; i++) {
    for (const sharePct of gpu.sharesPct) {
      if (sharePct >= glets[i]!.sharePct || attempt(glets.map((glet, g) => (g === i ? { ...glet, sharePct } : glet)))) break
    }
  }
  return { gpu, glets }
}

/** What a glet can carry as a multiple of what it is asked, over the work where that is least. */
const headroomOf = (glet: GletDraft, solution: GletSolution): number =>
  glet.works.reduce(
    (least, { rateRps }, i) => (rateRps > 0 ? Math.min(least, (1000 * solution.batches[i]!) / solution.dutyMs / rateRps) : least),
    Infinity
  )

/** Lets the glets of a GPU grow into the share that is left, the one with least head-room first. */
export const growGlets = (tables: PlanTables, draft: GpuDraft): GpuDraft => {
  const { gpu } = draft
  let glets = draft.glets
  let solutions = draft.solutions ?? solveGpu(tables, gpu, glets)
  if (solutions === undefined) return draft
  const grown = new Set<number>()
  for (;;) {
    const current = solutions
    const left = sharePctLeft({ gpu, glets })
    const [next] = glets
      .map((glet, i) => ({
        i,
        sharePct: gpu.sharesPct.find((share) => share > glet.sharePct),
        headroom: headroomOf(glet, current[i]!)
      }))
      .filter(({ i, sharePct }) => sharePct !== undefined && sharePct - glets[i]!.sharePct <= left && !grown.has(i))
      .sort((a, b) => a.headroom - b.headroom || a.i - b.i)
    if (next === undefined) break
    const larger = glets.map((glet, i) => (i === next.i ? { ...glet, sharePct: next.sharePct! } : glet))
    const solved = solveGpu(tables, gpu, larger)
    if (solved === undefined) {
      // Its neighbours would suffer from it.
      grown.add(next.i)
      continue
    }
    glets = larger
    solutions = solved
  }
  return { gpu, glets, solutions }
}
