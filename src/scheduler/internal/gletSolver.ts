/**
 * Duty cycles: whether given works fit on given glets, and with which batches.
 *
 * A glet with works of rates q_i and duty cycle d runs batches b_i(d) = max(1, ceil(q_i d / 1000)) and needs f(d) = sum L_i(b_i(d)) <= d. f does
 * not fall with d, so going from d = sum L_i(1) to f(d) again and again climbs to the least d that holds. Every limit (d + L_i, batches) only
 * gets worse with d: where the least d breaks one, no d keeps all. So the answer is exact, for given rates and slow-downs.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { PlanTables } from "./planTables.js"
import type { Effect } from "./slowdowns.js"
import { slowdownAmong } from "./slowdowns.js"

export interface Work {
  /** Number of the demand. */
  readonly demand: number
  /** The part of the demand's rate that is meant for this glet. */
  readonly rateRps: number
}

export interface BestEffortWork {
  readonly demand: number
  readonly batch: number
}

/** A glet in the making. */
export interface GletDraft {
  readonly sharePct: number
  readonly works: ReadonlyArray<Work>
  readonly bestEffort: ReadonlyArray<BestEffortWork>
  /** Multiple of the works' rates that it is made to carry. */
  readonly factor: number
  /** The works' batches, where they are given instead of searched for. */
  readonly batches?: ReadonlyArray<number>
}

/** How a glet runs: by work, and by best-effort work. */
export interface GletSolution {
  readonly dutyMs: number
  readonly batches: ReadonlyArray<number>
  readonly latenciesMs: ReadonlyArray<number>
  readonly blockingsMs: ReadonlyArray<number>
}

/** A GPU in the making. */
export interface GpuDraft {
  readonly gpu: Gpu
  readonly glets: ReadonlyArray<GletDraft>
  /** How these glets run, where whoever made them has solved them. */
  readonly solutions?: ReadonlyArray<GletSolution>
}

/** Multiples by which the neighbours slow works and best-effort works down. */
interface Slowdowns {
  readonly works: Array<number>
  readonly bestEffort: Array<number>
}

const slack = 1e-9

/** The solution with the shortest duty cycle; undefined where there is none. `leastMs`: no cycle is shorter, by what was found before. */
export const solveGlet = (
  tables: PlanTables,
  gpuType: string,
  glet: GletDraft,
  slowdowns?: Slowdowns,
  leastMs = 0
): GletSolution | undefined => {
  const { bestEffort, factor, sharePct, works } = glet
  const isStrict = tables.problem.options.dutyRule === "strict"
  const count = works.length
  // Most glets that searches ask about fail with one item each: told apart before anything is made.
  let dutyMs = 0
  let tightestMs = Infinity
  for (let i = 0; i < count; i++) {
    const { demand } = works[i]!
    dutyMs += tables.latencyMs(gpuType, demand, sharePct, 1) * (slowdowns?.works[i] ?? 1)
    tightestMs = Math.min(tightestMs, tables.demands[demand]!.sloMs)
  }
  if (dutyMs === Infinity || dutyMs * (isStrict ? 2 : 1) > tightestMs + slack) return undefined
  const blockingsMs: Array<number> = []
  let blockingMs = 0
  for (let i = 0; i < bestEffort.length; i++) {
    const { batch, demand } = bestEffort[i]!
    const ms = tables.latencyMs(gpuType, demand, sharePct, batch) * (slowdowns?.bestEffort[i] ?? 1)
    blockingsMs.push(ms)
    blockingMs = Math.max(blockingMs, ms)
  }
  if (blockingMs === Infinity) return undefined
  const found = new Array<number>(count).fill(1)
  const batches = glet.batches ?? found
  const latenciesMs = new Array<number>(count).fill(0)
  dutyMs = Math.max(dutyMs, leastMs)
  for (;;) {
    let sumMs = 0
    for (let i = 0; i < count; i++) {
      const { demand, rateRps } = works[i]!
      if (glet.batches === undefined) found[i] = Math.max(1, Math.ceil((rateRps * factor * dutyMs) / 1000 - slack))
      latenciesMs[i] = tables.latencyMs(gpuType, demand, sharePct, batches[i]!) * (slowdowns?.works[i] ?? 1)
      sumMs += latenciesMs[i]!
    }
    if (sumMs === Infinity) return undefined
    const settled = sumMs <= dutyMs
    dutyMs = Math.max(dutyMs, sumMs)
    for (let i = 0; i < count; i++) {
      const worstMs = dutyMs + (isStrict ? sumMs : latenciesMs[i]!) + blockingMs
      if (worstMs > tables.demands[works[i]!.demand]!.sloMs + slack) return undefined
    }
    if (settled) return { dutyMs, batches, latenciesMs, blockingsMs }
  }
}

/** Largest number of glets a GPU can hold. */
export const gletsAllowed = (tables: PlanTables, gpu: Gpu): number => Math.min(tables.problem.options.maxGletsPerGpu, gpu.units)

export const gletMemoryBytes = (tables: PlanTables, gpu: Gpu, glet: GletDraft): number => {
  let bytes = tables.gletMemoryBytes(gpu.type)
  for (const { demand } of glet.works) bytes += tables.memoryBytes(gpu.type, demand)
  for (const { demand } of glet.bestEffort) bytes += tables.memoryBytes(gpu.type, demand)
  return bytes
}

const fits = (tables: PlanTables, gpu: Gpu, glets: ReadonlyArray<GletDraft>): boolean => {
  if (glets.length > gletsAllowed(tables, gpu)) return false
  let share = 0
  let bytes = 0
  for (const glet of glets) {
    share += glet.sharePct
    bytes += gletMemoryBytes(tables, gpu, glet)
  }
  return share <= 100 && bytes <= gpu.memoryBytes * tables.problem.options.memoryFraction
}

/** Of a glet's works, then of its best-effort works. */
const effectsOf = (tables: PlanTables, gpuType: string, { bestEffort, sharePct, works }: GletDraft, batches: ReadonlyArray<number>): ReadonlyArray<Effect> => {
  const effects: Array<Effect> = []
  for (let i = 0; i < works.length; i++) effects.push(tables.effect(gpuType, works[i]!.demand, sharePct, batches[i]!))
  for (const { batch, demand } of bestEffort) effects.push(tables.effect(gpuType, demand, sharePct, batch))
  return effects
}

/** Raises slow-downs to what the glets' executions cause; answers whether one rose. */
const raise = (tables: PlanTables, slowdowns: ReadonlyArray<Slowdowns>, groups: ReadonlyArray<ReadonlyArray<Effect>>): boolean => {
  let isRaised = false
  for (let g = 0; g < groups.length; g++) {
    const { bestEffort, works } = slowdowns[g]!
    for (let i = 0; i < groups[g]!.length; i++) {
      const isWork = i < works.length
      const factors = isWork ? works : bestEffort
      const at = isWork ? i : i - works.length
      const factor = slowdownAmong(tables.problem.latency, groups[g]![i]!, groups, g)
      if (factor <= factors[at]!) continue
      if (factor > factors[at]! * (1 + slack)) isRaised = true
      factors[at] = factor
    }
  }
  return isRaised
}

/** Longer batches may mean more interference, and that longer batches: this many rounds, then the glets do not go together. */
const interferenceRounds = 24

/**
 * How the glets of one GPU run together; undefined where they do not. Slow-downs are only ever raised from round to round, so what is predicted
 * is never below what the final batches cause.
 */
export const solveGpu = (tables: PlanTables, gpu: Gpu, glets: ReadonlyArray<GletDraft>): ReadonlyArray<GletSolution> | undefined => {
  if (!fits(tables, gpu, glets)) return undefined
  const isAlone = !tables.problem.options.interference || glets.length < 2
  const slowdowns = glets.map(({ bestEffort, works }): Slowdowns => ({ works: works.map(() => 1), bestEffort: bestEffort.map(() => 1) }))
  // Given batches cause what they cause, before anything is solved.
  const isGiven = glets.every(({ batches }) => batches !== undefined)
  if (isGiven && !isAlone) raise(tables, slowdowns, glets.map((glet) => effectsOf(tables, gpu.type, glet, glet.batches!)))
  let solutions: ReadonlyArray<GletSolution> = []
  for (let round = 0; round < interferenceRounds; round++) {
    const next: Array<GletSolution> = []
    for (let i = 0; i < glets.length; i++) {
      const solution = solveGlet(tables, gpu.type, glets[i]!, slowdowns[i], solutions[i]?.dutyMs)
      if (solution === undefined) return undefined
      next.push(solution)
    }
    solutions = next
    if (isGiven || isAlone) return solutions
    if (!raise(tables, slowdowns, glets.map((glet, i) => effectsOf(tables, gpu.type, glet, next[i]!.batches)))) return solutions
  }
  return undefined
}
