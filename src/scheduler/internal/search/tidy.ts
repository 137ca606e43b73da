/**
 * Fewer glets for the same rates: a search for head-room opens whatever helps a little, and every glet is a process, a copy of its models, and something
 * to understand.
 */
import { makeFleet } from "./fleet.js"
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/** Takes glets away, and makes one of two on a GPU, as long as all models get `target`. The states as they are where they do not get it. */
export const tidy = (space: SearchSpace, solver: GpuSolver, states: ReadonlyArray<GpuState>, target: Float64Array): ReadonlyArray<GpuState> => {
  const fleet = makeFleet(space, states, new Float64Array(space.models).fill(1), target)
  if (fleet.unmet.length > 0) return states
  /** Whether the GPU may look so; then it does. */
  const becomes = (at: number, state: GpuState | undefined): boolean => {
    if (state === undefined || fleet.change(at, state) > 0) return false
    fleet.set(at, state)
    return true
  }

  /** One glet with the share of two, and of what their models do as much as is needed. */
  const joined = ({ glets, kind, rps }: GpuState, g: number, h: number): GpuState | undefined => {
    const { sharesPct } = space.kinds[kind]!
    const begin = (of: number): number => glets.slice(0, of).reduce((sum, glet) => sum + glet.models.length, 0)
    const here = new Map<number, number>()
    for (const of of [g, h]) {
      glets[of]!.models.forEach((model, i) => here.set(model, (here.get(model) ?? 0) + rps[begin(of) + i]!))
    }
    const needs = [...here].map(([model, own]) => ({ model, needed: own + fleet.lack(model) })).filter(({ needed }) => needed > 0)
    const pct = sharesPct[glets[g]!.share]! + sharesPct[glets[h]!.share]!
    const share = sharesPct.findLastIndex((each) => each <= pct)
    const others = glets.filter((_, i) => i !== g && i !== h)
    const one = solver.fit(kind, others, others.length, share, needs.map(({ model }) => model), needs.map(({ needed }) => needed))
    return one === undefined ? undefined : solver.evaluate(kind, [...others, one])
  }

  /** All that it does on one glet. */
  const whole = ({ glets, kind, rps }: GpuState): GpuState | undefined => {
    const { sharesPct } = space.kinds[kind]!
    const here = new Map<number, number>()
    glets.flatMap(({ models }) => models).forEach((model, i) => here.set(model, (here.get(model) ?? 0) + rps[i]!))
    const needs = [...here].map(([model, own]) => ({ model, needed: own + fleet.lack(model) })).filter(({ needed }) => needed > 0)
    const one = solver.fit(kind, [], 0, sharesPct.length - 1, needs.map(({ model }) => model), needs.map(({ needed }) => needed))
    return one === undefined ? undefined : solver.evaluate(kind, [one])
  }

  const step = (at: number): boolean => {
    const state = fleet.gpus[at]!
    const { glets, kind } = state
    const rest = (without: number): ReadonlyArray<GletState> => glets.filter((_, g) => g !== without)
    for (let g = glets.length - 1; g >= 0; g--) if (becomes(at, solver.evaluate(kind, rest(g)))) return true
    for (let g = 0; g < glets.length; g++) {
      for (let h = g + 1; h < glets.length; h++) if (becomes(at, joined(state, g, h))) return true
    }
    return false
  }
  // Each step leaves one glet less.
  states.forEach((_, at) => {
    const { glets } = fleet.gpus[at]!
    if (glets.length > 2 && becomes(at, whole(fleet.gpus[at]!))) return
    while (step(at));
  })
  return [...fleet.gpus]
}
