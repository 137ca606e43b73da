/**
 * Fewer glets for the same rates: a search for head-room opens whatever helps a little, and every glet is a process, a copy of its models, and something
 * to understand.
 */
import { makeFleet } from "./fleet.js"
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/** Beyond this multiple of the rates more capacity is of no use; share that is left makes glets faster instead. */
export const headroomLimit = 10

/** Of the bound on the head-room, and of the head-room that was found: nobody looks for the last percent, and fewer glets are worth it. */
export const nearEnough = 0.99

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

  /** One glet with the share of several, or all of it where no other is left, and of what their models do as much as is needed. */
  const joined = ({ glets, kind, rps }: GpuState, which: ReadonlyArray<number>): GpuState | undefined => {
    const { sharesPct } = space.kinds[kind]!
    const here = new Map<number, number>()
    let pct = 0
    let at = 0
    glets.forEach(({ models, share }, g) => {
      if (which.includes(g)) {
        pct += sharesPct[share]!
        models.forEach((model, i) => here.set(model, (here.get(model) ?? 0) + rps[at + i]!))
      }
      at += models.length
    })
    const needs = [...here].map(([model, own]) => ({ model, needed: own + fleet.lack(model) })).filter(({ needed }) => needed > 0)
    const others = glets.filter((_, g) => !which.includes(g))
    const share = others.length === 0 ? sharesPct.length - 1 : sharesPct.findLastIndex((each) => each <= pct)
    const one = solver.fit(kind, others, others.length, share, needs.map(({ model }) => model), needs.map(({ needed }) => needed))
    return one === undefined ? undefined : solver.evaluate(kind, [...others, one])
  }

  const step = (at: number): boolean => {
    const state = fleet.gpus[at]!
    const { glets, kind } = state
    const rest = (without: number): ReadonlyArray<GletState> => glets.filter((_, g) => g !== without)
    for (let g = glets.length - 1; g >= 0; g--) if (becomes(at, solver.evaluate(kind, rest(g)))) return true
    for (let g = 0; g < glets.length; g++) {
      for (let h = g + 1; h < glets.length; h++) if (becomes(at, joined(state, [g, h]))) return true
    }
    return false
  }
  // Each step leaves one glet less.
  states.forEach((_, at) => {
    const { glets } = fleet.gpus[at]!
    if (glets.length > 2 && becomes(at, joined(fleet.gpus[at]!, glets.map((_, g) => g)))) return
    while (step(at));
  })
  return [...fleet.gpus]
}
