/** Places for GPUs that were searched as kinds. */
import type { GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/** States of kinds on the GPUs there are, the first ones first. */
export const onGpus = (space: SearchSpace, states: ReadonlyArray<GpuState>): ReadonlyArray<GpuState | undefined> => {
  const placed = new Array<GpuState | undefined>(space.tables.problem.gpus.length).fill(undefined)
  const next = space.kinds.map(() => 0)
  for (const state of states) if (state.glets.length > 0) placed[space.kinds[state.kind]!.members[next[state.kind]!++]!] = state
  return placed
}
