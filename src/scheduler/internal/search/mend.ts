/**
 * What a plan lacks, put where it fits as things stand: into the time that a glet has left, or onto share that is free. No search: most changes of rates
 * need no more, and what this leaves is for one.
 */
import type { Fleet } from "./fleet.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/** A lack that this part of remains is met. */
const negligible = 1e-9
/** GPUs that one model's lack is spread over at most. */
const mostParts = 3

/** A GPU that carries more of a model, and how much less is lacking then; share that is taken counts against it. */
interface Remedy {
  readonly at: number
  readonly state: GpuState
  readonly change: number
  readonly sharePct: number
}

/** By the most that is met, then by the least share. */
const isBetter = (one: Remedy, other: Remedy | undefined): boolean =>
  other === undefined || one.change < other.change - negligible || (one.change <= other.change + negligible && one.sharePct < other.sharePct)

/** Changes GPUs of `among` so that less is lacking; answers the changed ones. */
export const mend = (space: SearchSpace, solver: GpuSolver, fleet: Fleet, among: ReadonlyArray<number>): ReadonlyArray<number> => {
  const { best, kinds } = space

  /** The model beside a glet's works, which give up what they do not need. */
  const joined = (state: GpuState, g: number, first: number, model: number): GpuState | undefined => {
    const { glets, kind } = state
    const { models, share } = glets[g]!
    const there = models.indexOf(model)
    if (best(kind, model, share).batch === 0 || (there < 0 && (models.length >= space.maxModels || kinds[kind]!.modelBytes[model]! > state.freeBytes))) return undefined
    const rps = models.map((each, i) => Math.max(0, state.rps[first + i]! + Math.min(0, fleet.lack(each))))
    if (there >= 0) rps[there]! += fleet.lack(model)
    const fitted = solver.fit(kind, glets, g, share, there < 0 ? [...models, model] : models, there < 0 ? [...rps, fleet.lack(model)] : rps)
    return fitted === undefined ? undefined : solver.settle(kind, glets.map((glet, other) => (other === g ? fitted : glet)))
  }

  /** A glet of the model alone on the least share that carries what is lacking, else on all that is free. */
  const opened = (state: GpuState, model: number): GpuState | undefined => {
    const { freeBytes, freePct, glets, kind } = state
    const { gletBytes, modelBytes, sharesPct } = kinds[kind]!
    if (gletBytes + modelBytes[model]! > freeBytes || sharesPct[0]! > freePct) return undefined
    const most = sharesPct.findLastIndex((pct) => pct <= freePct)
    const enough = sharesPct.findIndex((_, share) => best(kind, model, share).rps >= fleet.lack(model))
    const share = enough < 0 ? most : Math.min(most, enough)
    const { batch } = best(kind, model, share)
    return batch === 0 ? undefined : solver.settle(kind, [...glets, { share, models: [model], batches: [batch] }])
  }

  /** A glet of the model alone on so much more share. */
  const widened = (state: GpuState, g: number, model: number): GpuState | undefined => {
    const { freePct, glets, kind } = state
    const { sharesPct } = kinds[kind]!
    const { models, share } = glets[g]!
    if (models.length > 1 || models[0] !== model) return undefined
    const wanted = best(kind, model, share).rps + fleet.lack(model)
    const within = sharesPct[share]! + freePct
    const enough = sharesPct.findIndex((pct, larger) => larger > share && pct <= within && best(kind, model, larger).rps >= wanted)
    return enough < 0 ? undefined : solver.settle(kind, glets.map((glet, other) => (other === g ? { share: enough, models, batches: [best(kind, model, enough).batch] } : glet)))
  }

  const remedy = (model: number): Remedy | undefined => {
    let found: Remedy | undefined
    for (const at of among) {
      const old = fleet.gpus[at]!
      const offer = (state: GpuState | undefined): void => {
        if (state === undefined) return
        const one = { at, state, change: fleet.change(at, state), sharePct: old.freePct - state.freePct }
        if (one.change < -negligible && isBetter(one, found)) found = one
      }
      for (let g = 0, first = 0; g < old.glets.length; first += old.glets[g++]!.models.length) {
        offer(joined(old, g, first, model))
        offer(widened(old, g, model))
      }
      offer(opened(old, model))
    }
    return found
  }

  const changed = new Set<number>()
  for (const model of [...fleet.unmet].sort((a, b) => a - b)) {
    for (let part = 0; part < mostParts && fleet.lack(model) > negligible * fleet.target[model]!; part++) {
      const one = remedy(model)
      if (one === undefined) break
      fleet.set(one.at, one.state)
      changed.add(one.at)
    }
  }
  return [...changed]
}
