/**
 * One GPU less, or a cheaper one: the one that is needed least is taken away or replaced, and all are annealed until they carry everything, or steps
 * run out.
 */
import { anneal } from "./anneal.js"
import { makeFleet } from "./fleet.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

interface SqueezeRequest {
  readonly states: ReadonlyArray<GpuState>
  readonly target: Float64Array
  /** Parts of a GPU that an item per second is worth, by model. */
  readonly weights: Float64Array
  /** No plan costs less. */
  readonly bound: number
  /** Annealing steps for one try, and in all. */
  readonly stepsEach: number
  readonly steps: number
  readonly random: () => number
}

/** A GPU that goes, or that another kind takes the place of. */
interface Change {
  readonly at: number
  readonly other: GpuState | undefined
  readonly regret: number
}

export const squeeze = (space: SearchSpace, solver: GpuSolver, request: SqueezeRequest): ReadonlyArray<GpuState> => {
  const { bound, random, stepsEach, target, weights } = request
  let { states } = request
  let left = request.steps
  let skipped = 0
  while (left > 0 && states.length > 1) {
    const whole = makeFleet(space, states, weights, target)
    const empty = space.kinds.map((_, kind) => solver.empty(kind))
    const cost = states.reduce((sum, { kind }) => sum + space.kinds[kind]!.cost, 0)
    const used = space.kinds.map((_, kind) => states.filter((state) => state.kind === kind).length)
    const changes = states.flatMap((state, at): ReadonlyArray<Change> => {
      const lost = whole.change(at, empty[state.kind]!)
      return [undefined, ...empty].flatMap((other): ReadonlyArray<Change> => {
        const otherCost = other === undefined ? 0 : space.kinds[other.kind]!.cost
        const saved = space.kinds[state.kind]!.cost - otherCost
        const exists = other === undefined || used[other.kind]! < space.kinds[other.kind]!.members.length
        if (saved <= 1e-9 || !exists || cost - saved < bound - 1e-9) return []
        // The other is worth what it costs, about.
        return [{ at, other, regret: (lost - otherCost) / saved }]
      })
    }).sort((a, b) => a.regret - b.regret || a.at - b.at)
    const change = changes[skipped]
    if (change === undefined) break
    const next = states.flatMap((state, at) => (at !== change.at ? [state] : change.other === undefined ? [] : [change.other]))
    const fleet = makeFleet(space, next, weights, target)
    const steps = Math.min(left, stepsEach)
    left -= steps
    if (anneal(space, solver, fleet, random, { steps, hot: 0.03, cold: 0.002 })) {
      states = [...fleet.gpus]
      skipped = 0
    } else skipped++
  }
  return states
}
