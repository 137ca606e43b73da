/**
 * Builds GPUs one after the other, each filled with what is worth most of what is still lacking.
 */
import { anneal } from "./anneal.js"
import { makeFleet } from "./fleet.js"
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { Prices } from "./prices.js"
import { visitCost, visitTime } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

/** Models that are looked at for one glet. */
const looks = 24

export interface Construction {
  readonly prices: Prices
  /** Parts of a GPU that an item per second is worth, by model. */
  readonly weights: Float64Array
  /** Items per second still lacking, by model; the builder takes away what its GPUs carry. */
  readonly lack: Float64Array
  readonly random: () => number
  /** Steps of annealing for each GPU that is built. */
  readonly polishing: number
}

export const makeBuilder = (space: SearchSpace, solver: GpuSolver, { lack, polishing, prices, random, weights }: Construction) => {
  const { best, kinds } = space
  // Largest first: what is left of it moves back as it shrinks.
  const worth = (model: number): number => lack[model]! * weights[model]!
  let open = Array.from({ length: space.models }, (_, model) => model).filter((model) => lack[model]! > 0)
  const pick = (count: number): number => Math.floor(random() * count)
  const isOpen = (model: number): boolean => lack[model]! > 1e-9

  /** Lacking models, some of the largest and some others. */
  const candidates = (): ReadonlyArray<number> => {
    if (open.length <= looks) return open
    const chosen = new Set(open.slice(0, looks >> 1))
    for (let i = 0; i < looks >> 1; i++) chosen.add(open[pick(open.length)]!)
    return [...chosen]
  }

  const build = (kind: number): GpuState => {
    const { gletBytes, modelBytes, sharesPct } = kinds[kind]!
    let state = solver.empty(kind)
    // What the GPU under construction carries by model.
    const lacking = (model: number): number => {
      let left = lack[model]!
      for (let i = 0; i < state.models.length; i++) if (state.models[i] === model) left -= state.rps[i]!
      return left
    }
    const banned = new Set<number>()
    const seen = new Set<number>()
    for (let round = 0; round < 40; round++) {
      const models = candidates()
      for (const model of models) seen.add(model)
      let bestScore = 0
      let choice: { readonly model: number; readonly share: number } | undefined
      // Of several glets each takes part of the memory, as of the share.
      for (const model of models) {
        const left = lacking(model)
        if (!(left > 1e-9)) continue
        const bytes = gletBytes + modelBytes[model]!
        if (bytes > state.freeBytes) continue
        for (let share = 0; share < sharesPct.length && sharesPct[share]! <= state.freePct; share++) {
          const { rps } = best(kind, model, share)
          if (rps === 0 || banned.has(model * 128 + share)) continue
          const time = rps <= left ? 1 : Math.min(1, visitTime(space, kind, model, share, left))
          const score = ((weights[model]! * Math.min(rps, left)) / visitCost(space, prices, kind, model, share, time)) * (0.9 + 0.2 * random())
          if (score > bestScore) {
            bestScore = score
            choice = { model, share }
          }
        }
      }
      if (choice === undefined) break
      const { model, share } = choice
      const left = lacking(model)
      const top = best(kind, model, share)
      const glet: GletState | undefined = top.rps <= left
        ? { share, models: [model], batches: [top.batch] }
        : solver.fit(kind, state.glets, state.glets.length, share, [model], [left])
      const next = glet === undefined ? undefined : solver.settle(kind, [...state.glets, glet])
      if (next === undefined || !worthIt(state, next)) {
        banned.add(model * 128 + share)
        continue
      }
      state = next
      if (top.rps > left) state = fillGlet(state, state.glets.length - 1, lacking)
    }
    if (polishing === 0 || state.glets.length === 0) return state
    for (const model of state.models) seen.add(model)
    const target = new Float64Array(space.models)
    for (const model of seen) target[model] = lack[model]!
    const fleet = makeFleet(space, [state], weights, target)
    anneal(space, solver, fleet, random, { steps: polishing, hot: 0.05, cold: 0.002 })
    return valueOf(fleet.gpus[0]!) > valueOf(state) ? fleet.gpus[0]! : state
  }

  const valueOf = (state: GpuState): number => {
    let sum = 0
    const seen = new Map<number, number>()
    for (let i = 0; i < state.models.length; i++) seen.set(state.models[i]!, (seen.get(state.models[i]!) ?? 0) + state.rps[i]!)
    for (const [model, rps] of seen) sum += weights[model]! * Math.min(rps, lack[model]!)
    return sum
  }
  const worthIt = (before: GpuState, after: GpuState): boolean => valueOf(after) > valueOf(before) + 1e-9

  /** Other models into the time that a glet has left, those that lose least by its cycle first. */
  const fillGlet = (given: GpuState, at: number, lacking: (model: number) => number): GpuState => {
    let state = given
    const { kind } = state
    const { modelBytes } = kinds[kind]!
    const { isStrict, sloMs } = space
    const share = state.glets[at]!.share
    const tried = new Set(state.glets[at]!.models)
    for (;;) {
      const glet = state.glets[at]!
      if (glet.models.length >= space.maxModels) return state
      // The longest cycle that the glet's models allow, and what is left of it.
      let cycleMs = Infinity
      let usedMs = 0
      const first = state.models.length - glet.models.length
      const rps = glet.models.map((each, i) => Math.max(0, state.rps[first + i]! + Math.min(0, lacking(each))))
      glet.models.forEach((model, i) => {
        const ms = space.rows.data[space.rows.start(kind, model, share) + glet.batches[i]! * space.rows.stride]!
        usedMs += ms
        cycleMs = Math.min(cycleMs, isStrict ? sloMs[model]! / 2 : sloMs[model]! - ms)
      })
      const leftMs = cycleMs - usedMs
      let chosen = -1
      let bestScore = 0
      for (const model of open) {
        if (tried.has(model) || modelBytes[model]! > state.freeBytes) continue
        const left = lacking(model)
        if (!(left > 1e-9)) continue
        const duty = Math.min(cycleMs, sloMs[model]! / 2)
        const batch = Math.max(1, Math.ceil((left * duty) / 1000))
        if (batch > space.rows.largest(kind, model, share)) continue
        const latency = space.rows.data[space.rows.start(kind, model, share) + batch * space.rows.stride]!
        if (latency > leftMs - (cycleMs - duty)) continue
        const score = ((weights[model]! * left) / visitCost(space, prices, kind, model, share, latency / duty)) * (duty / cycleMs) * (0.9 + 0.2 * random())
        if (score > bestScore) {
          bestScore = score
          chosen = model
        }
      }
      if (chosen < 0) return state
      tried.add(chosen)
      const fitted = solver.fit(kind, state.glets, at, share, [...glet.models, chosen], [...rps, lacking(chosen)])
      const next = fitted === undefined ? undefined : solver.settle(kind, state.glets.map((old, g) => (g === at ? fitted : old)))
      if (next !== undefined && worthIt(state, next)) state = next
    }
  }

  return {
    /** What a state carries of what is lacking, in parts of a GPU. */
    valueOf,
    /** The next GPU of a kind, and how many of it may stand there. Undefined where nothing more can be carried. */
    next: (kind: number): GpuState | undefined => {
      open = open.filter(isOpen).sort((a, b) => worth(b) - worth(a))
      if (open.length === 0) return undefined
      const state = build(kind)
      return state.glets.length === 0 ? undefined : state
    },
    /** Takes what copies of the state carry from what is lacking. */
    take: (state: GpuState, copies: number): void => {
      for (let i = 0; i < state.models.length; i++) {
        const model = state.models[i]!
        lack[model] = Math.max(0, lack[model]! - copies * state.rps[i]!)
      }
    },
    /** Copies of the state of which each is used in full. */
    copies: (state: GpuState): number => {
      const carried = new Map<number, number>()
      state.models.forEach((model, i) => carried.set(model, (carried.get(model) ?? 0) + state.rps[i]!))
      let most = Infinity
      for (const [model, rps] of carried) most = Math.min(most, Math.floor(lack[model]! / rps))
      return Math.max(1, most)
    }
  }
}

/** GPUs of the kinds in turn, until nothing is lacking or all kinds are used. */
export const construct = (space: SearchSpace, solver: GpuSolver, construction: Construction, kinds: ReadonlyArray<number>): ReadonlyArray<GpuState> => {
  const builder = makeBuilder(space, solver, construction)
  const states: Array<GpuState> = []
  while (states.length < kinds.length) {
    const kind = kinds[states.length]!
    const state = builder.next(kind)
    if (state === undefined) break
    const copies = builder.copies(state)
    let made = 0
    while (made < copies && kinds[states.length] === kind) {
      states.push(state)
      made++
    }
    builder.take(state, made)
  }
  return states
}

/** GPUs of whatever kind is worth most for its cost, until nothing is lacking; undefined where what is available does not suffice. */
export const constructBest = (
  space: SearchSpace,
  solver: GpuSolver,
  construction: Construction,
  available: ReadonlyArray<number>
): ReadonlyArray<GpuState> | undefined => {
  const builder = makeBuilder(space, solver, construction)
  const states: Array<GpuState> = []
  const left = [...available]
  for (;;) {
    let best: GpuState | undefined
    let bestWorth = 0
    for (let kind = 0; kind < left.length; kind++) {
      if (left[kind] === 0) continue
      const state = builder.next(kind)
      if (state === undefined) continue
      const worth = builder.valueOf(state) / space.kinds[kind]!.cost
      if (worth <= bestWorth) continue
      best = state
      bestWorth = worth
    }
    if (best === undefined) return construction.lack.some((rps) => rps > 1e-9) ? undefined : states
    const copies = Math.min(builder.copies(best), left[best.kind]!)
    for (let i = 0; i < copies; i++) states.push(best)
    left[best.kind]! -= copies
    builder.take(best, copies)
  }
}
