/**
 * Simulated annealing over complete plans: GPUs are given, what is not carried is the penalty.
 */
import type { Fleet } from "./fleet.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import { makeMoves } from "./moves.js"
import type { SearchSpace } from "./searchSpace.js"

export interface Annealing {
  /** Proposals. */
  readonly steps: number
  /** Parts of a GPU. */
  readonly hot: number
  readonly cold: number
  /** GPUs that may be changed; all where it is left out. */
  readonly among?: ReadonlyArray<number>
}

const met = 1e-9

/** Anneals until nothing is unmet (answers true) or all steps are done. */
export const anneal = (space: SearchSpace, solver: GpuSolver, fleet: Fleet, random: () => number, { among, cold, hot, steps }: Annealing): boolean => {
  const moves = makeMoves(space, solver, fleet, random)
  const count = among?.length ?? fleet.gpus.length
  if (count === 0) return fleet.unmet.length === 0
  const pick = (n: number): number => Math.floor(random() * n)
  const pickGpu = (): number => (among === undefined ? pick(count) : among[pick(count)]!)
  const cooling = (cold / hot) ** (1 / Math.max(1, steps))
  let temperature = hot
  const accepts = (change: number): boolean => change <= met || random() < Math.exp(-change / temperature)

  for (let step = 0; step < steps; step++, temperature *= cooling) {
    const { unmet } = fleet
    if (unmet.length === 0) return true
    const at = pickGpu()
    const way = random()
    let state: GpuState | undefined
    if (way < 0.35) {
      state = moves.place(at, unmet[pick(unmet.length)]!)
    } else if (way < 0.5) {
      state = moves.reshape(at)
    } else if (way < 0.65) {
      state = moves.rebatch(at)
    } else if (way < 0.72) {
      const old = fleet.gpus[at]!
      if (old.glets.length === 0) continue
      const glet = pick(old.glets.length)
      state = moves.remove(old, glet, pick(old.glets[glet]!.models.length))
    } else {
      // A work goes from one GPU to another, or another model of that one comes in return.
      const old = fleet.gpus[at]!
      if (old.glets.length === 0) continue
      const glet = pick(old.glets.length)
      const index = pick(old.glets[glet]!.models.length)
      const model = old.glets[glet]!.models[index]!
      const left = moves.remove(old, glet, index)
      const to = pickGpu()
      if (left === undefined) continue
      if (to === at) {
        fleet.set(at, left)
        const put = moves.place(at, model)
        if (put === undefined) {
          fleet.set(at, old)
          continue
        }
        fleet.set(at, old)
        state = put
      } else {
        const before = fleet.change(at, left)
        const other = fleet.gpus[to]!
        fleet.set(at, left)
        const put = moves.place(to, model)
        if (put === undefined) {
          fleet.set(at, old)
          continue
        }
        let total = before + fleet.change(to, put)
        if (total > met && way > 0.86) {
          // Something that is unmet now may take the place that was left.
          fleet.set(to, put)
          const wanted = fleet.unmet.length === 0 ? undefined : moves.place(at, fleet.unmet[pick(fleet.unmet.length)]!)
          if (wanted !== undefined) {
            total += fleet.change(at, wanted)
            if (accepts(total)) fleet.set(at, wanted)
            else {
              fleet.set(at, old)
              fleet.set(to, other)
            }
            continue
          }
          fleet.set(to, other)
        }
        if (accepts(total)) fleet.set(to, put)
        else fleet.set(at, old)
        continue
      }
    }
    if (state !== undefined && accepts(fleet.change(at, state))) fleet.set(at, state)
  }
  return fleet.unmet.length === 0
}
