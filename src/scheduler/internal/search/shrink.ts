/**
 * Fewer GPUs for given rates: a few are taken apart again and again and built anew, so that less and less is left for the last of them.
 *
 * One of the few is always the one that is worth least. What is built is built greedily, most valuable first, so what does not fit ends up on the last
 * GPU; the change stays if that one is worth no more than before, and a GPU is gone when nothing is left for it.
 */
import { makeBuilder } from "./construct.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { Prices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

interface ShrinkRequest {
  readonly states: ReadonlyArray<GpuState>
  readonly target: Float64Array
  readonly weights: Float64Array
  readonly prices: Prices
  /** No plan costs less. */
  readonly bound: number
  /** GPUs to build, for each that is worked on, and in all. */
  readonly buildsEach: number
  readonly builds: number
  readonly random: () => number
}

const smallestGroup = 2
const largestGroup = 6
/** What is left may be worth so much more than before, at first. */
const leniency = 0.05

export const shrink = (space: SearchSpace, solver: GpuSolver, request: ShrinkRequest): ReadonlyArray<GpuState> => {
  const { bound, prices, random, target, weights } = request
  // Copies of a pattern are as good as they get; the others are worked on.
  const counts = new Map<GpuState, number>()
  for (const state of request.states) counts.set(state, (counts.get(state) ?? 0) + 1)
  const copies = request.states.filter((state) => counts.get(state)! > 1)
  const states = request.states.filter((state) => counts.get(state) === 1)
  const builds = Math.min(request.builds, request.buildsEach * states.length)
  const carried = new Float64Array(space.models)
  const lack = new Float64Array(space.models)
  const add = ({ models, rps }: GpuState, sign: number): void => {
    for (let i = 0; i < models.length; i++) carried[models[i]!]! += sign * rps[i]!
  }
  for (const state of request.states) add(state, 1)
  const builder = makeBuilder(space, solver, { lack, prices, weights, random })
  let cost = request.states.reduce((sum, { kind }) => sum + space.kinds[kind]!.cost, 0)
  // What is needed of a state, given all others.
  const needOf = ({ models, rps }: GpuState): number => {
    let sum = 0
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      sum += weights[model]! * Math.max(0, Math.min(rps[i]!, target[model]! - (carried[model]! - rps[i]!)))
    }
    return sum
  }
  const pick = (count: number): number => Math.floor(random() * count)
  let least = -1
  let built = 0
  while (built < builds && states.length > 1 && cost > bound + 1e-9) {
    if (least < 0) {
      least = 0
      let need = Infinity
      states.forEach((state, at) => {
        const value = needOf(state) / space.kinds[state.kind]!.cost
        if (value >= need) return
        need = value
        least = at
      })
    }
    const group = new Set([least])
    const size = Math.min(states.length, smallestGroup + pick(largestGroup - smallestGroup + 1))
    // GPUs that have a model in common with one of the group, or any.
    for (let tries = 0; group.size < size && tries < 8 * size; tries++) group.add(pick(states.length))
    const members = [...group]
    const old = members.map((at) => states[at]!)
    const before = needOf(states[least]!)
    for (const state of old) add(state, -1)
    const models = new Set<number>()
    lack.fill(0)
    for (const state of old) for (const model of state.models) {
      const rps = target[model]! - carried[model]!
      if (rps > 1e-9 * target[model]!) {
        lack[model] = rps
        models.add(model)
      }
    }
    builder.restart([...models])
    const kinds = old.map(({ kind }) => kind).sort((a, b) => space.kinds[b]!.cost - space.kinds[a]!.cost || a - b)
    const next: Array<GpuState> = []
    let last = 0
    while (next.length < kinds.length) {
      const state = builder.next(kinds[next.length]!)
      built++
      if (state === undefined) break
      last = builder.valueOf(state)
      builder.take(state, 1)
      next.push(state)
    }
    const isWhole = [...models].every((model) => lack[model]! <= 1e-9 * target[model]!)
    const allowed = before * (1 + leniency * (1 - built / builds))
    if (!isWhole || (next.length === kinds.length && last > allowed)) {
      for (const state of old) add(state, 1)
      continue
    }
    for (const state of next) add(state, 1)
    members.forEach((at, i) => {
      if (next[i] !== undefined) states[at] = next[i]!
    })
    least = next.length === kinds.length ? members[kinds.length - 1]! : -1
    if (next.length < kinds.length) {
      for (const at of members.slice(next.length).sort((a, b) => b - a)) {
        cost -= space.kinds[states[at]!.kind]!.cost
        states.splice(at, 1)
      }
    }
  }
  return [...copies, ...states]
}
