/**
 * Fewer GPUs for given rates: those that are worth least are taken away, the others are annealed, and what is still lacking gets new GPUs.
 */
import { anneal } from "./anneal.js"
import { construct } from "./construct.js"
import { makeFleet } from "./fleet.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { Prices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

export interface ShrinkRequest {
  readonly states: ReadonlyArray<GpuState>
  readonly target: Float64Array
  readonly weights: Float64Array
  readonly prices: Prices
  /** No plan costs less. */
  readonly bound: number
  /** Annealing steps in all. */
  readonly steps: number
  readonly random: () => number
}

const part = 0.25

const costOf = (space: SearchSpace, states: ReadonlyArray<GpuState>): number => states.reduce((sum, { kind }) => sum + space.kinds[kind]!.cost, 0)

/** Copies of one state stand side by side where a pattern repeats: these are as good as they get. */
const single = (states: ReadonlyArray<GpuState>): ReadonlyArray<number> => {
  const counts = new Map<GpuState, number>()
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1)
  const places = states.map((_, at) => at).filter((at) => counts.get(states[at]!) === 1)
  return places.length === 0 ? states.map((_, at) => at) : places
}

export const shrink = (space: SearchSpace, solver: GpuSolver, request: ShrinkRequest): ReadonlyArray<GpuState> => {
  const { bound, prices, random, target, weights } = request
  const valueOf = ({ kind, models, rps }: GpuState): number =>
    models.reduce((sum, model, i) => sum + weights[model]! * rps[i]!, 0) / space.kinds[kind]!.cost
  let states = request.states
  let left = request.steps
  let share = part
  while (left > 0) {
    const cost = costOf(space, states)
    const gap = cost - bound
    if (gap < 1e-9) break
    const among = single(states)
    const byValue = [...among].sort((a, b) => valueOf(states[a]!) - valueOf(states[b]!) || a - b)
    const gone = new Set<number>()
    // At least one, at most what the bound allows; not always the same ones.
    for (const at of byValue) {
      if (gone.size > 0 && gone.size >= share * gap) break
      if (random() < 0.8) gone.add(at)
    }
    if (gone.size === 0) gone.add(byValue[0]!)
    const kept = states.map((_, at) => at).filter((at) => !gone.has(at))
    const place = new Map(kept.map((at, i) => [at, i]))
    const fleet = makeFleet(space, kept.map((at) => states[at]!), weights, target)
    const steps = Math.min(left, 400 * Math.max(20, among.length))
    left -= steps
    anneal(space, solver, fleet, random, { steps, hot: 0.03, cold: 0.003, among: among.filter((at) => !gone.has(at)).map((at) => place.get(at)!) })
    const lack = new Float64Array(space.models)
    for (const model of fleet.unmet) lack[model] = fleet.lack(model)
    const kinds = [...gone].map((at) => states[at]!.kind).sort((a, b) => space.kinds[a]!.cost - space.kinds[b]!.cost)
    const more = fleet.unmet.length === 0 ? [] : construct(space, solver, { lack, prices, weights, random, polishing: 0 }, kinds)
    const isWhole = target.every((rps, model) => fleet.unmet.length === 0 || lack[model]! <= 1e-9 * rps)
    const next = [...fleet.gpus, ...more]
    if (isWhole && costOf(space, next) < cost - 1e-9) states = next
    else if (share * gap > 1) share /= 2
    else if (isWhole && costOf(space, next) <= cost + 1e-9) states = next
  }
  return states
}
