/**
 * Copies on GPUs that nothing else uses: a search for head-room leaves GPUs empty where they add none, but a server loses the models of a GPU that dies
 * until it has planned anew, unless they stand on another one too.
 */
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/**
 * The states, by place in the problem, with glets copied to empty GPUs of the same kind until each of their models stands on two GPUs, or nothing more fits.
 * A glet with more models that stand on one GPU only goes first.
 */
export const copyToSpares = (space: SearchSpace, solver: GpuSolver, states: ReadonlyArray<GpuState | undefined>): ReadonlyArray<GpuState | undefined> => {
  const gpus = new Int32Array(space.models)
  for (const state of states) for (const model of new Set(state?.models)) gpus[model]!++
  const alone = ({ models }: GletState): number => models.reduce((count, model) => count + (gpus[model] === 1 ? 1 : 0), 0)
  const next = [...states]
  space.kinds.forEach(({ members }, kind) => {
    const glets = members.flatMap((at) => states[at]?.glets ?? [])
    for (const at of members) {
      if ((states[at]?.glets.length ?? 0) > 0) continue
      let copy = solver.empty(kind)
      for (const glet of [...glets].sort((a, b) => alone(b) - alone(a))) {
        if (alone(glet) === 0) continue
        const more = solver.evaluate(kind, [...copy.glets, glet])
        if (more === undefined) continue
        for (const model of glet.models) if (!copy.models.includes(model)) gpus[model]!++
        copy = more
      }
      if (copy.glets.length === 0) break
      next[at] = copy
    }
  })
  return next
}
