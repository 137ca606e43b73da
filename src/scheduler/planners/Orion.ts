/**
 * The default planner: any number of glets per GPU, models over several glets, several models on a glet.
 *
 * It packs the latency-critical demands on the fewest GPUs (`whenShort: "fail"`) or takes all GPUs as given (`"degrade"`). On these GPUs it
 * looks for the packing that carries the largest multiple of all rates, up to tenfold; best-effort models get slack and idle share; what
 * share is still left makes glets larger. Where the rates do not fit on given GPUs, the largest part of them that does is planned, and the plan
 * says what it could not do.
 *
 * A deployed plan that carries nearly as much as the best one found is kept as it is, with new rates: moving models costs more than it gains.
 *
 * The lower bound on the number of GPUs: in a duty cycle d a model runs one batch b for L <= d within d + L <= SLO, so 2 L <= SLO; it gets the
 * part y = L / d of the glet's time, and the parts sum to at most 1. Its rate there is at most b / d = y (b / L), so at most y times the
 * throughput of its best batch with 2 L <= SLO on that share, hence at most y times the share times its best throughput per percent. Summed over
 * a GPU, the rates divided by the best throughputs per percent are at most 100.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { impossibleAlone, invalidDemands, shortage } from "../internal/diagnosis.js"
import { draftToPlan } from "../internal/draftToPlan.js"
import type { GpuDraft, Packing, PackingStart } from "../internal/packing.js"
import { pack } from "../internal/packing.js"
import type { Carried } from "../internal/packingSearch.js"
import { attemptCurrent, attemptStarts, factorFrom, fewestGpus, largestFactor, leastSharesPct, packingStarts } from "../internal/packingSearch.js"
import type { PlanTables } from "../internal/planTables.js"
import { makePlanTables } from "../internal/planTables.js"
import { fillBestEffort, growGlets } from "../internal/spareCapacity.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"

const name = "orion"

/** Beyond this multiple of the rates more replicas only cost memory; share that is left makes glets faster instead. */
const headroomLimit = 10

/** A deployed structure is kept if it carries this part of what the best one found does. */
const keepRatio = 0.8

const bisections = 6

/** A packing, as good as any found, of as many demands as have a place at all, however small their rates. */
const placeable = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  starts: ReadonlyArray<PackingStart>
): { readonly packing: Packing; readonly start: PackingStart } => {
  const [first] = starts
  let best = { packing: { gpus, unplaced: first?.order ?? [] } as Packing, order: first?.order ?? [] }
  for (const start of starts.slice(0, 6)) {
    const packing = pack(tables, { start, factor: 0, gpus, partial: true })
    if (packing !== undefined && packing.unplaced.length < best.packing.unplaced.length) best = { packing, order: start.order }
  }
  const unplaced = new Set(best.packing.unplaced)
  return { packing: best.packing, start: { order: best.order.filter((demand) => !unplaced.has(demand)), spread: true } }
}

interface Structure {
  readonly carried: Carried
  /** The way it was found, for other factors. */
  readonly attempt: (factor: number) => Packing | undefined
}

/** The structure that carries the largest factor, or the deployed one where that is nearly as good. */
const bestStructure = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  demands: ReadonlyArray<number>,
  starts: ReadonlyArray<PackingStart>,
  current: Plan | undefined
): Structure | undefined => {
  const leastPct = leastSharesPct(tables, gpus, demands).reduce((sum, pct) => sum + pct, 0)
  const most = Math.min(headroomLimit, leastPct > 0 ? (100 * gpus.length) / leastPct : headroomLimit)
  const kept = current === undefined || current.gpus.every((gpu) => gpu.glets.length === 0)
    ? undefined
    : attemptCurrent(tables, gpus, demands, current)
  const keptCarries = kept === undefined ? undefined : largestFactor(kept, most, bisections)
  const attempt = attemptStarts(tables, gpus, starts)
  if (kept === undefined || keptCarries === undefined) {
    const carried = largestFactor(attempt, most, bisections)
    return carried === undefined ? undefined : { carried, attempt }
  }
  // Another structure must be clearly better, or carry in full what the deployed one does not.
  const wanted = keptCarries.factor < 1 ? Math.min(1, keptCarries.factor / keepRatio) : keptCarries.factor / keepRatio
  const better = wanted > 0 && wanted <= most ? factorFrom(attempt, wanted, most, bisections) : undefined
  return better === undefined ? { carried: keptCarries, attempt: kept } : { carried: better, attempt }
}

/** Best-effort models beside the structure at its own factor, else beside what carries less. */
const withBestEffort = (
  tables: PlanTables,
  structure: Structure,
  demands: ReadonlyArray<number>,
  useIdle: boolean
): ReturnType<typeof fillBestEffort> => {
  const { factor, packing } = structure.carried
  let best = fillBestEffort(tables, packing.gpus, demands, useIdle)
  const lesser = factor > 1 ? [Math.sqrt(factor), 1] : []
  for (const less of lesser) {
    if (best.unplaced.length === 0) break
    const other = structure.attempt(less)
    if (other === undefined) continue
    const filled = fillBestEffort(tables, other.gpus, demands, useIdle)
    if (filled.unplaced.length < best.unplaced.length) best = filled
  }
  return best
}

const plan = (problem: PlanProblem, current?: Plan): Either.Either<Plan, Infeasible> => {
  const infeasible = (culprits: ReadonlyArray<Culprit>) =>
    Either.left(new Infeasible({ planner: name, culprits: culprits as [Culprit, ...Array<Culprit>] }))
  const invalid = invalidDemands(problem)
  if (invalid.length > 0) return infeasible(invalid)

  const tables = makePlanTables(problem)
  const all: ReadonlyArray<GpuDraft> = problem.gpus.map((gpu) => ({ gpu, glets: [] }))
  const mustFit = problem.options.whenShort === "fail"
  const numbers = problem.demands.map((_, demand) => demand)
  const isCritical = (demand: number): boolean => problem.demands[demand]!.serviceClass === "latency-critical"
  const impossible = new Map<number, Culprit>()
  for (const demand of numbers) {
    const culprit = impossibleAlone(tables, all, demand)
    if (culprit !== undefined) impossible.set(demand, culprit)
  }
  const critical = numbers.filter((demand) => isCritical(demand) && !impossible.has(demand))
  const bestEffort = numbers.filter((demand) => !isCritical(demand) && !impossible.has(demand))
  const hopeless = numbers.filter((demand) => isCritical(demand) && impossible.has(demand))
  if (mustFit && hopeless.length > 0) return infeasible(hopeless.map((demand) => impossible.get(demand)!))
  const reasons = new Map([...impossible].map(([demand, culprit]) => [demand, culprit.detail]))

  let gpus = all
  let demands: ReadonlyArray<number> = critical
  let starts = packingStarts(tables, all, critical)
  let lowerBound: number | undefined
  let fallback: Carried | undefined
  if (mustFit) {
    const leastPct = leastSharesPct(tables, all, critical).reduce((sum, pct) => sum + pct, 0)
    const bound = Math.max(critical.some((demand) => problem.demands[demand]!.rateRps > 0) ? 1 : 0, Math.ceil(leastPct / 100 - 1e-6))
    if (problem.gpus.every((gpu) => gpu.cost === undefined)) lowerBound = bound
    const fewest = fewestGpus(tables, all, starts, bound)
    if (fewest === undefined) return infeasible(shortage(tables, all, starts[0]!))
    gpus = all.slice(0, fewest.used)
    starts = [fewest.start, ...starts.filter((start) => start !== fewest.start)]
  } else {
    const placed = placeable(tables, all, starts)
    if (placed.packing.unplaced.length > 0) {
      for (const demand of placed.packing.unplaced) {
        reasons.set(demand, "no glet has room for it beside the other models; add a GPU or memory, or relax SLOs")
      }
      demands = [...placed.start.order].sort((a, b) => a - b)
      starts = [placed.start, ...packingStarts(tables, all, demands)]
    }
    fallback = { factor: 0, packing: placed.packing }
  }

  const structure = bestStructure(tables, gpus, demands, starts, current) ??
    (fallback === undefined ? undefined : { carried: fallback, attempt: () => undefined })
  if (structure === undefined) return infeasible(shortage(tables, gpus, starts[0]!))
  const filled = withBestEffort(tables, structure, bestEffort, !mustFit)
  for (const demand of filled.unplaced) reasons.set(demand, "no glet has slack for a batch of it, and no share is left for a glet of its own")
  const grown = filled.gpus.map((draft) => growGlets(tables, draft))
  const unused = all.slice(grown.length)
  const planned = draftToPlan(tables, {
    planner: name,
    gpus: [...grown, ...unused],
    reasons,
    shortReason: `the GPUs carry ${Math.floor(100 * structure.carried.factor)} % of what all models ask for together`,
    ...(lowerBound === undefined ? {} : { lowerBound })
  })
  return planned === undefined ? infeasible(shortage(tables, gpus, starts[0]!)) : Either.right(planned)
}

/**
 * The planner.
 * @since 0.1.0
 * @category planners
 */
export const orion: PlannerAlgorithm = {
  name,
  summary: "Any number of glets per GPU, replicas and time sharing; fewest GPUs, or most head-room where the GPUs are given. The default.",
  plan
}
