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

/** And for the rest of a glet's time. */
const mostFillers = 160

/** Annealing steps, and how often at most, for a pattern that repeats: between few models there is little to try. */
const polishOf = (models: number) => (models <= looks ? { steps: 30, rounds: 1 } : { steps: 150, rounds: 3 })

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

interface Construction {
  readonly prices: Prices
  /** Parts of a GPU that an item per second is worth, by model. */
  readonly weights: Float64Array
  /** Items per second still lacking, by model; the builder takes away what its GPUs carry. */
  readonly lack: Float64Array
  readonly random: () => number
}

export const makeBuilder = (space: SearchSpace, solver: GpuSolver, { lack, prices, random, weights }: Construction) => {
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

  // What the GPU under construction carries by model.
  const here = new Float64Array(space.models)
  let noted: GpuState | undefined
  const note = (state: GpuState): void => {
    if (noted !== undefined) for (const model of noted.models) here[model] = 0
    for (let i = 0; i < state.models.length; i++) here[state.models[i]!]! += state.rps[i]!
    noted = state
  }
  const lacking = (model: number): number => lack[model]! - here[model]!

  // By kind and model: what the model is worth for its cost, by share, and of what lack that was reckoned.
  const scores = kinds.map(({ sharesPct }) => Array.from({ length: space.models }, () => new Float64Array(sharesPct.length)))
  const scoredLacks = kinds.map(() => new Float64Array(space.models).fill(-1))
  const scoresOf = (kind: number, model: number, left: number): Float64Array => {
    const known = scores[kind]![model]!
    if (scoredLacks[kind]![model] === left) return known
    scoredLacks[kind]![model] = left
    for (let share = 0; share < known.length; share++) {
      const { rps } = best(kind, model, share)
      const time = rps <= left ? 1 : Math.min(1, visitTime(space, kind, model, share, left))
      known[share] = rps === 0 ? 0 : (weights[model]! * Math.min(rps, left)) / visitCost(space, prices, kind, model, share, time)
    }
    return known
  }

  const build = (kind: number): GpuState => {
    const { gletBytes, modelBytes, sharesPct } = kinds[kind]!
    let state = solver.empty(kind)
    note(state)
    const banned = new Set<number>()
    for (let round = 0; round < 40; round++) {
      const models = candidates()
      let bestScore = 0
      let choice: { readonly model: number; readonly share: number } | undefined
      // Of several glets each takes part of the memory, as of the share.
      for (const model of models) {
        const left = lacking(model)
        if (!(left > 1e-9)) continue
        const bytes = gletBytes + modelBytes[model]!
        if (bytes > state.freeBytes) continue
        const scores = scoresOf(kind, model, left)
        for (let share = 0; share < sharesPct.length && sharesPct[share]! <= state.freePct; share++) {
          if (scores[share] === 0 || (banned.size > 0 && banned.has(model * 128 + share))) continue
          const score = scores[share]! * (0.9 + 0.2 * random())
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
      note(state)
      if (top.rps > left) state = fillGlet(state, state.glets.length - 1)
    }
    return state
  }

  const grids = kinds.map(({ sharesPct }) => {
    const unit = sharesPct.reduce(gcd, 0)
    return { width: Math.floor(100 / unit), sizes: sharesPct.map((share) => share / unit) }
  })

  /** The cut of a GPU that is worth most if each of its glets does the one model that is worth most there: a knapsack of shares. */
  const bestCut = (kind: number): GpuState | undefined => {
    const { gletBytes, maxGlets, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    const models = candidates()
    const values = new Float64Array(sharesPct.length)
    const chosen = new Int32Array(sharesPct.length).fill(-1)
    for (const model of models) {
      const bytes = (prices.memory * (gletBytes + modelBytes[model]!)) / roomBytes
      for (let share = 0; share < sharesPct.length; share++) {
        const value = weights[model]! * Math.min(best(kind, model, share).rps, lack[model]!) - bytes
        if (value > values[share]!) {
          values[share] = value
          chosen[share] = model
        }
      }
    }
    // In steps of what all shares are multiples of.
    const { sizes, width } = grids[kind]!
    const most = new Float64Array(width + 1)
    const taken = new Int32Array(width + 1).fill(-1)
    for (let at = 1; at <= width; at++) {
      most[at] = most[at - 1]!
      for (let share = 0; share < sizes.length && sizes[share]! <= at; share++) {
        const value = most[at - sizes[share]!]! + values[share]!
        if (value > most[at]! + 1e-12) {
          most[at] = value
          taken[at] = share
        }
      }
    }
    let glets: Array<GletState> = []
    for (let at = width; at > 0;) {
      const share = taken[at]!
      if (share < 0) {
        at--
        continue
      }
      glets.push({ share, models: [chosen[share]!], batches: [best(kind, chosen[share]!, share).batch] })
      at -= sizes[share]!
    }
    for (glets = glets.slice(0, maxGlets); glets.length > 0; glets.pop()) {
      const state = solver.settle(kind, glets)
      if (state !== undefined) return state
    }
    return undefined
  }

  /** A pattern that repeats is worth the time to make it as good as it gets. */
  const polished = (state: GpuState): GpuState => {
    const target = new Float64Array(space.models)
    for (const model of [...candidates(), ...state.models]) target[model] = lack[model]!
    const fleet = makeFleet(space, [state], weights, target)
    let most = state
    const { rounds, steps } = polishOf(open.length)
    const tries = Math.min(rounds, copiesOf(state) - 1)
    for (let round = 0; round < tries; round++) {
      fleet.set(0, most)
      anneal(space, solver, fleet, random, { steps, hot: 0.05, cold: 0.002 })
      if (valueOf(fleet.gpus[0]!) > valueOf(most)) most = fleet.gpus[0]!
    }
    return most
  }

  const valueOf = ({ models, rps }: GpuState): number => {
    let sum = 0
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      // A model on several glets: what the glets before carry already.
      let before = 0
      for (let j = 0; j < i; j++) if (models[j] === model) before += rps[j]!
      sum += weights[model]! * Math.max(0, Math.min(rps[i]!, lack[model]! - before))
    }
    return sum
  }
  const worthIt = (before: GpuState, after: GpuState): boolean => valueOf(after) > valueOf(before) + 1e-9

  /** Other models into the time that a glet has left, those that lose least by its cycle first. */
  const fillGlet = (given: GpuState, at: number): GpuState => {
    let state = given
    const { kind } = state
    const { modelBytes } = kinds[kind]!
    const { isStrict, sloMs } = space
    const share = state.glets[at]!.share
    const singles = space.rows.singles(kind, share)
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
      const step = Math.ceil(open.length / mostFillers)
      for (let at = pick(step); at < open.length; at += step) {
        const model = open[at]!
        // Most do not fit: told apart by what is at hand.
        const duty = Math.min(cycleMs, sloMs[model]! / 2)
        if (singles[model]! > leftMs - (cycleMs - duty)) continue
        const left = lacking(model)
        if (!(left > 1e-9) || modelBytes[model]! > state.freeBytes || tried.has(model)) continue
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
      if (next === undefined || !worthIt(state, next)) continue
      state = next
      note(state)
    }
  }

  /** Copies of the state of which each is used in full. */
  const copiesOf = (state: GpuState): number => {
    const carried = new Map<number, number>()
    state.models.forEach((model, i) => carried.set(model, (carried.get(model) ?? 0) + state.rps[i]!))
    let most = Infinity
    for (const [model, rps] of carried) most = Math.min(most, Math.floor(lack[model]! / rps))
    return Math.max(1, most)
  }

  return {
    /** What a state carries of what is lacking, in parts of a GPU. */
    valueOf,
    /** Lacks are as given anew. */
    restart: (models: ReadonlyArray<number>): void => {
      open = [...models]
    },
    /** The next GPU of a kind, and how many of it may stand there. Undefined where nothing more can be carried. */
    next: (kind: number): GpuState | undefined => {
      open = open.filter(isOpen).sort((a, b) => worth(b) - worth(a))
      if (open.length === 0) return undefined
      let state = build(kind)
      const others = [bestCut(kind), build(kind)]
      for (const other of others) if (other !== undefined && valueOf(other) > valueOf(state)) state = other
      if (state.glets.length === 0) return undefined
      return copiesOf(state) > 1 ? polished(state) : state
    },
    /** Takes what copies of the state carry from what is lacking. */
    take: (state: GpuState, copies: number): void => {
      for (let i = 0; i < state.models.length; i++) {
        const model = state.models[i]!
        lack[model] = Math.max(0, lack[model]! - copies * state.rps[i]!)
      }
    },
    copies: copiesOf
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
