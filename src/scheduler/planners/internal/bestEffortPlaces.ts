/** Where best-effort models go, once latency-critical ones have their places. */
import type { GpuDraft } from "../../internal/gletSolver.js"
import { usesOverlays } from "../../internal/overlays.js"
import type { Direction } from "../../internal/search/direction.js"
import { scaled } from "../../internal/search/direction.js"
import type { GpuSolver, GpuState } from "../../internal/search/gpuState.js"
import type { Structure } from "../../internal/search/keep.js"
import { factorOf } from "../../internal/search/keep.js"
import { onGpus } from "../../internal/search/onGpus.js"
import type { SearchSpace } from "../../internal/search/searchSpace.js"
import { headroomLimit, tidy } from "../../internal/search/tidy.js"
import { toDrafts } from "../../internal/search/toDrafts.js"
import { fillBestEffort, tightenGlets } from "../../internal/spareCapacity.js"

/** What fewer glets must carry where best-effort work lies over them: it is in nobody's way, and the search for more head-room is a plan away. */
const headroomsUnderBestEffort = [2.5, 1.5]

interface Filled {
  readonly gpus: ReadonlyArray<GpuDraft>
  readonly unplaced: ReadonlyArray<number>
}

/** The same with ever fewer glets that still carry what is asked for. */
export const joinedGlets = (space: SearchSpace, solver: GpuSolver, direction: Direction, { factor, states }: Structure): ReadonlyArray<Structure> => {
  const used = states.flatMap((state) => (state === undefined ? [] : [state]))
  const gletsOf = (all: ReadonlyArray<GpuState>): number => all.reduce((sum, { glets }) => sum + glets.length, 0)
  let fewest = gletsOf(used)
  return headroomsUnderBestEffort.flatMap((wanted) => {
    const fewer = tidy(space, solver, used, scaled(direction.unit, Math.min(factor, wanted) * direction.length))
    const count = gletsOf(fewer)
    if (count >= fewest) return []
    fewest = count
    return [{ states: onGpus(space, fewer), factor: factorOf(direction, fewer) }]
  })
}

/** Best-effort models on the GPUs that nothing else uses: over the others an overlay is laid. */
const onIdleGpus = (space: SearchSpace, drafts: ReadonlyArray<GpuDraft>, demands: ReadonlyArray<number>): Filled => {
  const idle = drafts.filter(({ glets }) => glets.length === 0)
  const filled = fillBestEffort(space.tables, idle, demands, true).gpus
  return { gpus: drafts.map((draft) => (draft.glets.length === 0 ? filled[idle.indexOf(draft)]! : draft)), unplaced: [] }
}

/**
 * Best-effort models where an overlay will lie over them too: on the GPUs that nothing else uses, and on latency-critical glets that have neighbours, for
 * what lies over those waits until most of them have nothing to do. On the only one of a GPU they would be in its way for nothing.
 */
const besideOverlays = (space: SearchSpace, drafts: ReadonlyArray<GpuDraft>, demands: ReadonlyArray<number>): Filled => ({
  gpus: fillBestEffort(space.tables, drafts, demands, true).gpus.map((draft) => {
    const [first] = draft.glets
    return draft.glets.length === 1 && first!.works.length > 0 ? { ...draft, glets: [{ ...first!, bestEffort: [] }] } : draft
  }),
  unplaced: []
})

/** Best-effort models beside the structure at its own factor, else at less. */
export const withBestEffort = (space: SearchSpace, structure: Structure, demands: ReadonlyArray<number>, useIdle: boolean): Filled => {
  const { factor, states } = structure
  const draftsAt = (multiple: number): ReadonlyArray<GpuDraft> => toDrafts(space, states, multiple, (at) => structure.kept?.has(at) === true)
  const most = Math.min(factor, headroomLimit)
  if (useIdle && usesOverlays(space.tables.problem)) {
    return space.tables.problem.options.overlayPct === undefined ? besideOverlays(space, draftsAt(most), demands) : onIdleGpus(space, draftsAt(most), demands)
  }
  let best = fillBestEffort(space.tables, draftsAt(most), demands, useIdle)
  for (const less of most > 1 ? [Math.sqrt(most), 1] : []) {
    if (best.unplaced.length === 0) break
    const filled = fillBestEffort(space.tables, draftsAt(less), demands, useIdle)
    if (filled.unplaced.length < best.unplaced.length) best = filled
  }
  if (best.unplaced.length === 0 || states.every((state) => state === undefined)) return best
  const tight = fillBestEffort(space.tables, draftsAt(Math.min(most, 1)).map((draft) => tightenGlets(space.tables, draft)), demands, useIdle)
  return tight.unplaced.length < best.unplaced.length ? tight : best
}
