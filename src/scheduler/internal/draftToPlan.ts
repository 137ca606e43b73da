/**
 * The plan of finished drafts.
 */
import type { Gpu } from "../../core/Gpu.js"
import { unsafeGletId } from "../../core/Ids.js"
import type { Assignment, Plan, PlannedGlet, Shortfall } from "../../core/Plan.js"
import type { PlanOptions } from "../../core/PlanProblem.js"
import type { GletDraft, GletSolution, GpuDraft } from "./gletSolver.js"
import { solveGpu } from "./gletSolver.js"
import type { PlanTables } from "./planTables.js"

interface PlanOutline {
  readonly planner: string
  readonly gpus: ReadonlyArray<GpuDraft>
  /** Why demands that are not carried in full are not, by number; those without an entry get `shortReason`. */
  readonly reasons: ReadonlyMap<number, string>
  readonly shortReason: string
  readonly objective?: "fewest" | "headroom"
  readonly lowerBound?: number
  readonly headroom?: number
  readonly headroomBound?: number
  readonly boundPrices?: ReadonlyArray<number>
}

const capacityOf = (solution: GletSolution, i: number): number => (1000 * solution.batches[i]!) / solution.dutyMs

/** Of a glet's streams or process: best-effort work gives way. */
export const priorityOf = ({ priorities = true }: PlanOptions, isBestEffort: boolean): number => (isBestEffort && priorities ? 1 : 0)

/** What is carried in full needs no exact sum, nor what searches round up to (`direction.ts`); the judge forgives a hundred times as much. */
const negligible = 1e-8

/** Undefined where a draft does not hold, which none that was solved before does. */
export const draftToPlan = (tables: PlanTables, outline: PlanOutline): Plan | undefined => {
  const { demands, problem } = tables
  const capacities = new Float64Array(demands.length)
  const meant = new Float64Array(demands.length)
  const solved: Array<ReadonlyArray<GletSolution>> = []
  const known = new Map<GpuDraft["glets"], ReadonlyArray<GletSolution>>()
  for (const { glets, gpu, solutions: given } of outline.gpus) {
    // GPUs with the same glets are of one kind and run alike.
    const solutions = given ?? known.get(glets) ?? solveGpu(tables, gpu, glets)
    if (solutions === undefined) return undefined
    known.set(glets, solutions)
    solved.push(solutions)
    for (let g = 0; g < glets.length; g++) {
      const { works } = glets[g]!
      for (let i = 0; i < works.length; i++) {
        const { demand, rateRps } = works[i]!
        const capacityRps = capacityOf(solutions[g]!, i)
        capacities[demand]! += capacityRps
        meant[demand]! += Math.min(rateRps, capacityRps)
      }
    }
  }
  /** In full where every glet carries what was meant for it; else what the glets can, each in proportion. */
  const isFull = (demand: number): boolean => meant[demand]! >= demands[demand]!.rateRps * (1 - negligible)
  const plannedRps = (demand: number): number => Math.min(demands[demand]!.rateRps, capacities[demand]!)

  const gletOf = (glet: GletDraft, solution: GletSolution, id: PlannedGlet["id"]): PlannedGlet => {
    let blockingMs = 0
    for (const ms of solution.blockingsMs) blockingMs = Math.max(blockingMs, ms)
    let sumMs = 0
    for (const ms of solution.latenciesMs) sumMs += ms
    return {
      id,
      sharePct: glet.sharePct,
      priority: priorityOf(problem.options, glet.works.length === 0),
      dutyMs: solution.dutyMs,
      assignments: glet.works.map(({ demand, rateRps }, i): Assignment => {
        const latencyMs = solution.latenciesMs[i]!
        const worstMs = solution.dutyMs + (problem.options.dutyRule === "strict" ? sumMs : latencyMs) + blockingMs
        const capacityRps = capacityOf(solution, i)
        const { model, sloMs } = demands[demand]!
        return {
          model,
          batch: solution.batches[i]!,
          rateRps: isFull(demand) ? rateRps : (plannedRps(demand) * capacityRps) / capacities[demand]!,
          latencyMs,
          worstMs,
          slackMs: sloMs - worstMs,
          capacityRps
        }
      }),
      bestEffort: glet.bestEffort.map(({ batch, demand }, i) => ({ model: demands[demand]!.model, batch, blockingMs: solution.blockingsMs[i]! }))
    }
  }

  const planned = new Map<GpuDraft["glets"], ReadonlyArray<PlannedGlet>>()
  const gletsOf = (gpu: Gpu, glets: GpuDraft["glets"], solutions: ReadonlyArray<GletSolution>): ReadonlyArray<PlannedGlet> => {
    const idOf = (g: number): PlannedGlet["id"] => unsafeGletId(`${gpu.id}/${g}`)
    const alike = planned.get(glets)
    if (alike !== undefined) return alike.map((glet, g) => ({ ...glet, id: idOf(g) }))
    const made = glets.map((glet, g) => gletOf(glet, solutions[g]!, idOf(g)))
    planned.set(glets, made)
    return made
  }

  const shortfalls: Array<Shortfall> = []
  demands.forEach(({ model, rateRps, serviceClass }, demand) => {
    const reason = outline.reasons.get(demand)
    if (serviceClass === "best-effort") {
      if (reason !== undefined) shortfalls.push({ model, askedRps: rateRps >= 0 && rateRps < Infinity ? rateRps : 0, plannedRps: 0, reason })
    } else if (reason !== undefined || (!isFull(demand) && plannedRps(demand) < rateRps * (1 - negligible))) {
      shortfalls.push({ model, askedRps: rateRps, plannedRps: plannedRps(demand), reason: reason ?? outline.shortReason })
    }
  })
  return {
    apiVersion: "glet/v1alpha1",
    kind: "Plan",
    generation: 0,
    planner: outline.planner,
    dutyRule: problem.options.dutyRule,
    gpus: outline.gpus.map(({ glets, gpu }, at) => ({
      gpu: gpu.id,
      type: gpu.type,
      glets: gletsOf(gpu, glets, solved[at]!)
    })),
    shortfalls,
    ...(outline.lowerBound === undefined ? {} : { lowerBound: outline.lowerBound }),
    ...(outline.objective === undefined ? {} : { objective: outline.objective }),
    ...(outline.headroom === undefined ? {} : { headroom: outline.headroom }),
    ...(outline.headroomBound === undefined ? {} : { headroomBound: outline.headroomBound }),
    ...(outline.boundPrices === undefined ? {} : { boundPrices: outline.boundPrices })
  }
}
