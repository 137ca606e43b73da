/**
 * Tries packings: for the fewest GPUs, and for the largest factor by which all rates can grow on given ones. Bounded by counts, not by time, so
 * that equal problems give equal plans.
 */
import type { Gpu } from "../../core/Gpu.js"
import type { Plan } from "../../core/Plan.js"
import type { GletDraft } from "./gletSolver.js"
import { solveGpu } from "./gletSolver.js"
import type { GpuDraft, Packing, PackingStart } from "./packing.js"
import { pack } from "./packing.js"
import type { PlanTables } from "./planTables.js"
import { makeRandom } from "../../core/internal/random.js"

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value))

/** One GPU of each kind, as far as throughput goes: type and offered shares. */
const kindsOf = (gpus: ReadonlyArray<GpuDraft>): ReadonlyArray<Gpu> => [
  ...new Map(gpus.map(({ gpu }) => [`${gpu.type} ${gpu.sharesPct.join()}`, gpu])).values()
]

/** The share of a GPU, in percent, that each demand needs at the least on the GPUs that suit it best; Infinity where none can serve it. */
export const leastSharesPct = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  demands: ReadonlyArray<number>
): ReadonlyArray<number> => {
  const kinds = kindsOf(gpus)
  return demands.map((demand) =>
    kinds.reduce((least, gpu) => {
      const share = tables.preferredShare(gpu, demand)
      return share === 0 ? least : Math.min(least, (tables.demands[demand]!.rateRps * share) / tables.saturation(gpu.type, demand, share).rateRps)
    }, Infinity)
  )
}

/**
 * Ways to go about packing, the most promising first: large demands first, tight ones first, loose ones first, then large ones first with their
 * sizes shaken.
 */
export const packingStarts = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  demands: ReadonlyArray<number>
): ReadonlyArray<PackingStart> => {
  const leastPct = leastSharesPct(tables, gpus, demands)
  const sizes = new Map(demands.map((demand, i) => [demand, leastPct[i]!]))
  const size = (demand: number): number => sizes.get(demand)!
  const slo = (demand: number): number => tables.demands[demand]!.sloMs
  const bySize = [...demands].sort((a, b) => size(b) - size(a) || slo(a) - slo(b) || a - b)
  const byTightness = [...demands].sort((a, b) => slo(a) - slo(b) || size(b) - size(a) || a - b)
  const orders = [bySize, byTightness, [...byTightness].reverse()]
  const random = makeRandom(tables.problem.options.seed)
  const count = clamp(Math.floor(600 / Math.max(1, demands.length)), 4, 48)
  while (orders.length < count / 2) {
    const shaken = new Map(demands.map((demand) => [demand, size(demand) * (0.5 + random())]))
    orders.push([...bySize].sort((a, b) => shaken.get(b)! - shaken.get(a)! || a - b))
  }
  return orders.flatMap((order) => [{ order, spread: true }, { order, spread: false }])
}

const lastUsed = (gpus: ReadonlyArray<GpuDraft>): number => gpus.reduce((last, { glets }, i) => (glets.length > 0 ? i + 1 : last), 0)

/** The packing on the fewest leading GPUs among all starts; undefined where none fits. Stops at `enough` GPUs. */
export const fewestGpus = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  starts: ReadonlyArray<PackingStart>,
  enough: number
): { readonly packing: Packing; readonly start: PackingStart; readonly used: number } | undefined => {
  let best: { readonly packing: Packing; readonly start: PackingStart; readonly used: number } | undefined
  for (const start of starts) {
    const packing = pack(tables, { start, factor: 1, gpus: best === undefined ? gpus : gpus.slice(0, best.used - 1) })
    if (packing === undefined) continue
    best = { packing, start, used: lastUsed(packing.gpus) }
    if (best.used <= enough) break
  }
  return best
}

/** A way to carry a factor of all rates. */
export type Attempt = (factor: number) => Packing | undefined

/** Tries the starts in turn, the one that worked last first. */
export const attemptStarts = (tables: PlanTables, gpus: ReadonlyArray<GpuDraft>, starts: ReadonlyArray<PackingStart>): Attempt => {
  const queue = starts.slice(0, clamp(Math.floor(100 / Math.max(1, starts[0]?.order.length ?? 1)), 2, 12))
  return (factor) => {
    for (let i = 0; i < queue.length; i++) {
      const packing = pack(tables, { start: queue[i]!, factor, gpus })
      if (packing === undefined) continue
      queue.unshift(...queue.splice(i, 1))
      return packing
    }
    return undefined
  }
}

/**
 * The structure of a deployed plan, its glets and where its models are, with today's rates; models it does not have are added to it.
 */
export const attemptCurrent = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  demands: ReadonlyArray<number>,
  current: Plan
): Attempt => {
  const numbers = new Map<string, number>(demands.map((demand) => [tables.demands[demand]!.model, demand]))
  const deployed = new Map(current.gpus.map((planned) => [planned.gpu, planned]))
  const kept = gpus.map(({ gpu }) => {
    const planned = deployed.get(gpu.id)
    const glets = planned?.type !== gpu.type ? [] : planned.glets
      .filter((glet) => gpu.sharesPct.includes(glet.sharePct))
      .map(({ assignments, sharePct }) => ({ sharePct, assignments: assignments.filter(({ model }) => numbers.has(model)) }))
      .filter(({ assignments }) => assignments.length > 0)
    return { gpu, glets }
  })
  const carriedRps = new Map<number, number>()
  for (const { assignments } of kept.flatMap(({ glets }) => glets)) {
    for (const { capacityRps, model } of assignments) {
      const demand = numbers.get(model)!
      carriedRps.set(demand, (carriedRps.get(demand) ?? 0) + capacityRps)
    }
  }
  const missing = demands.filter((demand) => !((carriedRps.get(demand) ?? 0) > 0))
  const draftsFor = (factor: number): ReadonlyArray<GpuDraft> =>
    kept.map(({ glets, gpu }) => ({
      gpu,
      glets: glets.map(({ assignments, sharePct }): GletDraft => ({
        sharePct,
        factor,
        bestEffort: [],
        works: assignments.flatMap(({ capacityRps, model }) => {
          const demand = numbers.get(model)!
          const totalRps = carriedRps.get(demand)!
          return totalRps > 0 ? [{ demand, rateRps: (tables.demands[demand]!.rateRps * capacityRps) / totalRps }] : []
        })
      })).filter(({ works }) => works.length > 0)
    }))
  return (factor) => {
    const drafts = draftsFor(factor)
    const holds = drafts.every(({ glets, gpu }) =>
      glets.every(({ works }) => works.length <= tables.problem.options.maxModelsPerGlet) && solveGpu(tables, gpu, glets) !== undefined
    )
    return holds ? pack(tables, { start: { order: missing, spread: true }, factor, gpus: drafts }) : undefined
  }
}

/** A factor that an attempt could carry, and how. */
export interface Carried {
  readonly factor: number
  readonly packing: Packing
}

const carriedBy = (attempt: Attempt, factor: number): Carried | undefined => {
  const packing = attempt(factor)
  return packing === undefined ? undefined : { factor, packing }
}

/** Closes in on the largest factor between one that was carried and one that was not. */
const bisect = (attempt: Attempt, carried: Carried, tooMuch: number, steps: number): Carried => {
  let best = carried
  let failed = tooMuch
  for (let step = 0; step < steps && failed > best.factor * 1.02; step++) {
    const factor = Math.sqrt(best.factor * failed)
    const middle = carriedBy(attempt, factor)
    if (middle === undefined) failed = factor
    else best = middle
  }
  return best
}

/** The largest factor from `least` to `most` that an attempt carries, to a few percent; undefined where not even `least`. */
export const factorFrom = (attempt: Attempt, least: number, most: number, steps: number): Carried | undefined => {
  const carried = carriedBy(attempt, least)
  if (carried === undefined || !(most > least)) return carried
  return carriedBy(attempt, most) ?? bisect(attempt, carried, most, steps)
}

/**
 * The same from 1 on; below 1 where the rates themselves do not fit, 0 where every model has a place but no rate can be promised; undefined
 * where not even that. `most` may be below 1.
 */
export const largestFactor = (attempt: Attempt, most: number, steps: number): Carried | undefined => {
  const full = most < 1 ? undefined : factorFrom(attempt, 1, most, steps)
  if (full !== undefined) return full
  let tooMuch = Math.min(1, most)
  for (let halving = 0; halving < 10; halving++) {
    const part = carriedBy(attempt, tooMuch / 2)
    if (part !== undefined) return bisect(attempt, part, tooMuch, steps)
    tooMuch /= 2
  }
  return carriedBy(attempt, 0)
}
