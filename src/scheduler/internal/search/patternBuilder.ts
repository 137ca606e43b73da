/**
 * Puts a GPU together of patterns: what is left of its share is filled with those that are worth most together and fit the memory, and of these the one that
 * is worth most for its share is taken, and so on.
 */
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { PatternPool } from "./patterns.js"
import { negligible } from "./patterns.js"
import type { SearchSpace } from "./searchSpace.js"

interface BuiltGpu {
  readonly state: GpuState
  /** Of what is lacking, at the pool's prices. */
  readonly value: number
  /** For what it takes. */
  readonly efficiency: number
}

interface PatternBuilder {
  /** The pool has changed. */
  readonly restart: (open: ReadonlyArray<number>) => void
  /** The best of some GPUs; undefined where nothing can be built. */
  readonly build: (left: ReadonlyArray<number>, tries: number) => BuiltGpu | undefined
  /** Takes away from what is lacking. */
  readonly take: (state: GpuState) => void
}

/** Patterns that are looked at, of a share. */
const perShare = 200
/** What carries much of what a model lacks comes first: by so much. */
const rigid = 0.03
const wholePart = 0.3
/** And what fills memory: what is left for the end would need a GPU's memory and none of its share. In parts of a GPU for all of its memory. */
const heavy = 0.04
/** Patterns change places by so much. */
const noise = 0.015
/** Prices of memory that are tried for one choice. */
const memoryPrices = 6
/** Of what a glet can do of a model, where its neighbours slow it. */
const slowed = 0.9

/** Patterns of a kind. */
interface Candidates {
  readonly index: Int32Array
  readonly share: Int32Array
  readonly score: Float64Array
  readonly memory: Float64Array
  readonly ofModel: Map<number, Array<number>>
}

export const makePatternBuilder = (space: SearchSpace, solver: GpuSolver, pool: PatternPool, lack: Float64Array, random: () => number): PatternBuilder => {
  const { kinds } = space
  const noises = Float64Array.from({ length: 1024 }, () => 1 - noise * random())
  let candidates: Array<Candidates> = []
  let open: ReadonlyArray<number> = []
  // While a GPU is built: what is lacking beside it, and what that is worth.
  const lacking = new Float64Array(space.models)
  const worth = new Float64Array(space.models)
  const reckon = (state: GpuState): void => {
    for (const model of open) lacking[model] = lack[model]!
    for (let i = 0; i < state.models.length; i++) lacking[state.models[i]!] = Math.max(0, lacking[state.models[i]!]! - state.rps[i]!)
    for (const model of open) worth[model] = lack[model]! > 0 ? (pool.value[model]! * lacking[model]!) / lack[model]! : 0
  }
  const valueOf = ({ models, rps }: GpuState): number => {
    let sum = 0
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      if (!(lack[model]! > 0)) continue
      let before = 0
      for (let j = 0; j < i; j++) if (models[j] === model) before += rps[j]!
      sum += (pool.value[model]! * Math.max(0, Math.min(lack[model]!, before + rps[i]!) - Math.min(lack[model]!, before))) / lack[model]!
    }
    return sum
  }
  /** Its share, all of it, and the memory that it fills. */
  const costOf = ({ freeBytes, kind }: GpuState): number => {
    const price = pool.memoryPrice()
    return kinds[kind]!.cost * (1 - price + price * (1 - freeBytes / kinds[kind]!.roomBytes))
  }

  /** What pattern `c` is worth of what is lacking, and the memory that takes. */
  const rate = (c: number, { index, memory, score }: Candidates, kind: number): void => {
    const { models, rps } = pool.patterns[index[c]!]!
    let value = 0
    let whole = 0
    let bytes = kinds[kind]!.gletBytes
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      const left = lacking[model]!
      if (!(left > 0)) continue
      const each = worth[model]! * Math.min(1, rps[i]! / left)
      value += each
      if (rps[i]! > wholePart * left) whole += each
      bytes += kinds[kind]!.modelBytes[model]!
    }
    score[c] = (value * (1 - rigid) + rigid * whole)
    memory[c] = bytes / kinds[kind]!.roomBytes
  }

  const restart = (next: ReadonlyArray<number>): void => {
    open = next
    lacking.fill(0)
    reckon(solver.empty(0))
    candidates = kinds.map((_, kind) => {
      const all: Array<number> = []
      pool.patterns.forEach((pattern, j) => {
        if (pattern.kind === kind) all.push(j)
      })
      const made: Candidates = {
        index: Int32Array.from(all), share: Int32Array.from(all, (j) => pool.patterns[j]!.share),
        score: new Float64Array(all.length), memory: new Float64Array(all.length), ofModel: new Map()
      }
      for (let c = 0; c < all.length; c++) rate(c, made, kind)
      const places = [...all.keys()].sort((a, b) => made.score[b]! / pool.costOf(pool.patterns[all[b]!]!) - made.score[a]! / pool.costOf(pool.patterns[all[a]!]!))
      const count = new Int32Array(kinds[kind]!.sharesPct.length)
      const kept = places.filter((c) => made.score[c]! > 0 && count[made.share[c]!]!++ < perShare)
      const ofModel = new Map<number, Array<number>>()
      kept.forEach((c, at) => {
        for (const model of pool.patterns[all[c]!]!.models) {
          const known = ofModel.get(model)
          if (known === undefined) ofModel.set(model, [at])
          else known.push(at)
        }
      })
      return {
        index: Int32Array.from(kept, (c) => all[c]!), share: Int32Array.from(kept, (c) => made.share[c]!),
        score: Float64Array.from(kept, (c) => made.score[c]!), memory: Float64Array.from(kept, (c) => made.memory[c]!), ofModel
      }
    })
  }

  const rateAgain = (models: ReadonlyArray<number>, all: Candidates, kind: number): void => {
    for (const model of models) for (const c of all.ofModel.get(model) ?? []) rate(c, all, kind)
  }

  const take = (state: GpuState): void => {
    for (let i = 0; i < state.models.length; i++) {
      const model = state.models[i]!
      const before = lack[model]!
      if (!(before > 0)) continue
      const after = before - state.rps[i]!
      lack[model] = after > negligible * before ? after : 0
      pool.value[model]! *= lack[model]! / before
    }
    reckon(solver.empty(state.kind))
    candidates.forEach((all, kind) => rateAgain(state.models, all, kind))
  }

  const isEnough = (model: number, rps: number): boolean => rps >= lack[model]! * (1 - negligible) || rps < slowed * lack[model]!
  /** All that it lacks, or nearly what it can get. */
  const wanted = (kind: number, share: number, model: number): number => {
    const most = space.best(kind, model, share).rps
    return lack[model]! <= most ? lack[model]! : slowed * most
  }
  /** Adds a glet; where its neighbours slow it or it slows them too much, batches are fitted, and models that no longer fit go. */
  const join = (state: GpuState, glet: GletState): GpuState | undefined => {
    const { kind } = state
    const glets = [...state.glets, glet]
    const joined = solver.evaluate(kind, glets)
    if (joined !== undefined && joined.models.every((model, i) => isEnough(model, joined.rps[i]!))) return joined
    for (let at = glets.length - 1; at >= 0; at--) {
      const { share } = glets[at]!
      for (let { models } = glets[at]!;;) {
        if (models.length === 0) return undefined
        const fitted = solver.fit(kind, glets, at, share, models, models.map((model) => wanted(kind, share, model)))
        if (fitted !== undefined) {
          glets[at] = fitted
          break
        }
        // The one that is worth least goes.
        const least = models.reduce((a, b) => (pool.value[a]! <= pool.value[b]! ? a : b))
        models = models.filter((model) => model !== least)
      }
    }
    return solver.settle(kind, glets)
  }

  const put = (state: GpuState, pattern: number, rest: ReadonlyArray<number>): GpuState | undefined => {
    const { cycleMs, kind, share } = pool.patterns[pattern]!
    const { gletBytes, modelBytes } = kinds[kind]!
    let room = state.freeBytes - gletBytes
    const { batches, models } = pool.patterns[pattern]!
    if (models.every((model) => lacking[model] === lack[model]) && models.reduce((bytes, model) => bytes - modelBytes[model]!, room) >= 0) {
      const own = join(state, { share, models, batches })
      if (own !== undefined && valueOf(own) > valueOf(state) + 1e-9) return own
    }
    let set = pool.choose(kind, share, cycleMs, rest.filter((model) => modelBytes[model]! <= room), lacking, worth)
    for (const { model } of set) room -= modelBytes[model]!
    while (room < 0 && set.length > 0) {
      const least = set.reduce((a, b) => (a.value / modelBytes[a.model]! <= b.value / modelBytes[b.model]! ? a : b))
      set = set.filter((each) => each !== least)
      room += modelBytes[least.model]!
    }
    if (set.length === 0) return undefined
    const next = join(state, { share, models: set.map(({ model }) => model), batches: set.map(({ batch }) => batch) })
    return next !== undefined && valueOf(next) > valueOf(state) + 1e-9 ? next : undefined
  }

  const most = new Float64Array(101)
  const chosen = new Int32Array(101)
  const buildKind = (kind: number): GpuState => {
    const { cost, maxGlets, roomBytes, sharesPct } = kinds[kind]!
    const base = candidates[kind]!
    const all: Candidates = { ...base, score: base.score.slice(), memory: base.memory.slice() }
    const { index, memory, score, share } = all
    const bestOf = new Float64Array(sharesPct.length)
    const placeOf = new Int32Array(sharesPct.length)
    const offset = Math.floor(random() * noises.length)
    let state = solver.empty(kind)
    reckon(state)
    let rest: ReadonlyArray<number> = open.filter((model) => lack[model]! > 0)

    /** What fills the share that is left best at a price of memory, and of that what is worth most for its share; whether it fits. */
    const chooseAt = (price: number): { readonly choice: number; readonly fits: boolean } => {
      bestOf.fill(0)
      placeOf.fill(-1)
      for (let c = 0; c < score.length; c++) {
        const value = score[c]! * noises[(c + offset) & 1023]! - price * memory[c]!
        if (value > bestOf[share[c]!]!) {
          bestOf[share[c]!] = value
          placeOf[share[c]!] = c
        }
      }
      for (let pct = 1; pct <= state.freePct; pct++) {
        most[pct] = most[pct - 1]!
        chosen[pct] = -1
        for (let s = 0; s < sharesPct.length && sharesPct[s]! <= pct; s++) {
          const value = most[pct - sharesPct[s]!]! + bestOf[s]!
          if (value > most[pct]! + 1e-12) {
            most[pct] = value
            chosen[pct] = s
          }
        }
      }
      let choice = -1
      let bestScore = 0
      let filled = 0
      for (let pct = state.freePct; pct > 0;) {
        const s = chosen[pct]!
        if (s < 0) {
          pct--
          continue
        }
        filled += memory[placeOf[s]!]!
        if (bestOf[s]! / sharesPct[s]! > bestScore) {
          bestScore = bestOf[s]! / sharesPct[s]!
          choice = placeOf[s]!
        }
        pct -= sharesPct[s]!
      }
      return { choice, fits: filled <= state.freeBytes / roomBytes }
    }

    while (rest.length > 0 && state.glets.length < maxGlets) {
      let low = pool.memoryPrice() * cost
      const cheap = chooseAt(low)
      let { choice } = cheap
      for (let step = 0, high = 2 * cost; !cheap.fits && step < memoryPrices; step++) {
        const middle = step === 0 ? high : Math.sqrt(low * high)
        const next = chooseAt(middle)
        if (next.fits) {
          high = middle
          if (next.choice >= 0) choice = next.choice
        } else low = middle
      }
      if (choice < 0) break
      const next = put(state, index[choice]!, rest)
      if (next === undefined) {
        // Not worth a glet here.
        score[choice] = 0
        continue
      }
      state = next
      reckon(state)
      rateAgain(state.models, all, kind)
      rest = rest.filter((model) => lacking[model]! > negligible * lack[model]!)
    }
    return state
  }

  return {
    restart,
    take,
    build: (left, tries) => {
      let best: BuiltGpu | undefined
      for (let kind = 0; kind < kinds.length; kind++) {
        if (left[kind] === 0) continue
        for (let attempt = 0; attempt < tries; attempt++) {
          const state = buildKind(kind)
          const value = valueOf(state)
          const efficiency = (value + heavy * kinds[kind]!.cost * (1 - state.freeBytes / kinds[kind]!.roomBytes)) / costOf(state)
          if (state.glets.length > 0 && efficiency > (best?.efficiency ?? 0)) best = { state, value, efficiency }
        }
      }
      return best
    }
  }
}
