/**
 * Drafts of what the search found: with the shortest duty cycles that carry a multiple of the rates, else as they are.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { BestEffortWork, GletDraft, GpuDraft, Work } from "../gletSolver.js"
import { solveGpu } from "../gletSolver.js"
import type { GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

const none: ReadonlyArray<GletDraft> = []

/**
 * `states` by place of the GPU in the problem; `factor` is what every model gets of its rate at the least. `isKept`: GPUs whose batches stay what they
 * are.
 */
export const toDrafts = (space: SearchSpace, states: ReadonlyArray<GpuState | undefined>, factor: number, isKept: (at: number) => boolean): ReadonlyArray<GpuDraft> => {
  const { demands, problem } = space.tables
  const carried = new Float64Array(space.models)
  for (const state of states) state?.models.forEach((model, i) => carried[model]! += state.rps[i]!)
  // Copies of a state have the same glets: later steps know them by it.
  const made = new Map<GpuState, Omit<GpuDraft, "gpu">>()
  const draftOf = (gpu: Gpu, state: GpuState, isKept: boolean): Omit<GpuDraft, "gpu"> => {
    let next = 0
    const pinned = state.glets.map((glet): GletDraft => {
      const works: Array<Work> = []
      const batches: Array<number> = []
      const bestEffort: Array<BestEffortWork> = []
      for (let i = 0; i < glet.models.length; i++) {
        const demand = glet.models[i]!
        const batch = glet.batches[i]!
        const { rateRps, serviceClass } = demands[demand]!
        const rps = state.rps[next++]!
        // A best-effort model's part of the cycle is the time for which it may be in the way.
        if (serviceClass === "best-effort") bestEffort.push({ demand, batch })
        else {
          works.push({ demand, rateRps: (rateRps * rps) / carried[demand]! })
          batches.push(batch)
        }
      }
      return { sharePct: gpu.sharesPct[glet.share]!, works, bestEffort, factor, batches }
    })
    if (isKept) return { glets: pinned }
    const free = pinned.map(({ batches: _, ...glet }): GletDraft => glet)
    const solutions = solveGpu(space.tables, gpu, free)
    return solutions === undefined ? { glets: pinned } : { glets: free, solutions }
  }
  return states.map((state, at): GpuDraft => {
    const gpu = problem.gpus[at]!
    if (state === undefined || state.glets.length === 0) return { gpu, glets: none }
    const draft = made.get(state) ?? draftOf(gpu, state, isKept(at))
    made.set(state, draft)
    return { gpu, ...draft }
  })
}
