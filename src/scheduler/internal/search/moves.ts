/**
 * Changes of one GPU that the search proposes. Each answers the GPU's new state, or undefined where it does not exist.
 */
import type { Fleet } from "./fleet.js"
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

export interface Moves {
  /** Puts more of a model onto a GPU, in some way. */
  readonly place: (at: number, model: number) => GpuState | undefined
  /** Takes work `index` of glet `glet` away. */
  readonly remove: (state: GpuState, glet: number, index: number) => GpuState | undefined
  /** Changes how the GPU is cut, keeping its models. */
  readonly reshape: (at: number) => GpuState | undefined
  /** Changes a batch. */
  readonly rebatch: (at: number) => GpuState | undefined
}

export const makeMoves = (space: SearchSpace, solver: GpuSolver, fleet: Fleet, random: () => number): Moves => {
  const { best, kinds } = space
  const pick = (count: number): number => Math.floor(random() * count)

  const replace = (glets: ReadonlyArray<GletState>, at: number, glet: GletState): Array<GletState> => {
    const next = [...glets]
    next[at] = glet
    return next
  }
  const without = (glets: ReadonlyArray<GletState>, at: number): Array<GletState> => glets.filter((_, g) => g !== at)

  /** A glet that does one model, as much as it can. */
  const saturated = (kind: number, model: number, share: number): GletState | undefined => {
    const { batch } = best(kind, model, share)
    return batch === 0 ? undefined : { share, models: [model], batches: [batch] }
  }
  /** The place of the largest share up to `pct`, -1 where there is none. */
  const largestShare = (kind: number, pct: number): number => {
    const { sharesPct } = kinds[kind]!
    let share = sharesPct.length - 1
    while (share >= 0 && sharesPct[share]! > pct) share--
    return share
  }
  /** A share for a model: the smallest that carries what it lacks, or any. */
  const chooseShare = (kind: number, model: number, mostPct: number): number => {
    const most = largestShare(kind, mostPct)
    if (most <= 0 || random() < 0.5) return most <= 0 ? most : pick(most + 1)
    const lack = fleet.lack(model)
    let share = 0
    while (share < most && best(kind, model, share).rps < lack) share++
    return share
  }

  /** What works of a glet must carry there so that no model gets less than its target. */
  const needs = (state: GpuState, glet: number): Array<number> => {
    let first = 0
    for (let g = 0; g < glet; g++) first += state.glets[g]!.models.length
    return state.glets[glet]!.models.map((model, i) => Math.max(0, state.rps[first + i]! + Math.min(0, fleet.lack(model))))
  }

  /** Puts a model into a glet beside its works, which give up what they do not need. */
  const join = (state: GpuState, glet: number, model: number): GpuState | undefined => {
    const { glets, kind } = state
    const old = glets[glet]!
    const rps = needs(state, glet)
    const models = [...old.models]
    const lack = Math.max(0, fleet.lack(model))
    const there = models.indexOf(model)
    const most = best(kind, model, old.share).rps
    if (most === 0) return undefined
    const already = there < 0 ? 0 : rps[there]!
    let wanted = Math.min(most, already + lack)
    if (there < 0) {
      models.push(model)
      rps.push(wanted)
    } else rps[there] = wanted
    const index = there < 0 ? models.length - 1 : there
    for (let step = 0; step < 4; step++) {
      rps[index] = wanted
      const fitted = solver.fit(kind, glets, glet, old.share, models, rps)
      if (fitted !== undefined) return solver.settle(kind, replace(glets, glet, fitted))
      wanted = already + (wanted - already) * (0.3 + 0.6 * random())
    }
    return undefined
  }

  const place = (at: number, model: number): GpuState | undefined => {
    const state = fleet.gpus[at]!
    const { freePct, glets, kind } = state
    const { sharesPct } = kinds[kind]!
    if (glets.length === 0 || (freePct >= sharesPct[0]! && random() < 0.6)) {
      const share = chooseShare(kind, model, freePct)
      const glet = share < 0 ? undefined : saturated(kind, model, share)
      return glet === undefined ? undefined : solver.settle(kind, [...glets, glet])
    }
    const g = pick(glets.length)
    const old = glets[g]!
    const way = random()
    if (way < 0.5) return join(state, g, model)
    if (way < 0.75) {
      // In its place, on its share and what is free.
      const share = chooseShare(kind, model, freePct + sharesPct[old.share]!)
      const glet = saturated(kind, model, share)
      return glet === undefined ? undefined : solver.settle(kind, replace(glets, g, glet))
    }
    // On a part of its share.
    if (old.share === 0) return undefined
    const less = pick(old.share)
    const share = chooseShare(kind, model, freePct + sharesPct[old.share]! - sharesPct[less]!)
    const glet = share < 0 ? undefined : saturated(kind, model, share)
    return glet === undefined ? undefined : solver.settle(kind, [...replace(glets, g, { ...old, share: less }), glet])
  }

  const remove = (state: GpuState, glet: number, index: number): GpuState | undefined => {
    const { glets, kind } = state
    const { batches, models, share } = glets[glet]!
    if (models.length === 1) return solver.evaluate(kind, without(glets, glet))
    const rest = models.filter((_, i) => i !== index)
    // The others use what time it leaves.
    const most = rest.length === 1 ? best(kind, rest[0]!, share).batch : 0
    const scale = 1 + random() / (models.length - 1)
    const larger = batches.filter((_, i) => i !== index).map((batch) => (most > 0 ? most : Math.ceil(batch * scale)))
    return solver.settle(kind, replace(glets, glet, { share, models: rest, batches: larger }))
  }

  const reshape = (at: number): GpuState | undefined => {
    const { freePct, glets, kind } = fleet.gpus[at]!
    const { sharesPct } = kinds[kind]!
    if (glets.length === 0) return undefined
    const g = pick(glets.length)
    const glet = glets[g]!
    const fill = (share: number): GletState => {
      if (glet.models.length === 1) return saturated(kind, glet.models[0]!, share) ?? { ...glet, share }
      const scale = sharesPct[share]! / sharesPct[glet.share]!
      return { ...glet, share, batches: glet.batches.map((batch) => Math.max(1, Math.round(batch * scale))) }
    }
    const way = random()
    if (way < 0.35) {
      const most = largestShare(kind, freePct + sharesPct[glet.share]!)
      return solver.settle(kind, replace(glets, g, fill(pick(most + 1))))
    }
    if (way < 0.7 && glets.length > 1) {
      // Share goes from one glet to another.
      const h = (g + 1 + pick(glets.length - 1)) % glets.length
      const other = glets[h]!
      if (other.share === 0) return undefined
      const less = pick(other.share)
      const most = largestShare(kind, freePct + sharesPct[glet.share]! + sharesPct[other.share]! - sharesPct[less]!)
      return solver.settle(kind, replace(replace(glets, h, { ...other, share: less }), g, fill(most)))
    }
    if (way < 0.85 && glets.length > 1) {
      // Two glets become one.
      const h = (g + 1 + pick(glets.length - 1)) % glets.length
      const other = glets[h]!
      const models = [...glet.models]
      const batches = [...glet.batches]
      other.models.forEach((model, i) => {
        const there = models.indexOf(model)
        if (there < 0) {
          models.push(model)
          batches.push(other.batches[i]!)
        } else batches[there]! += other.batches[i]!
      })
      const share = largestShare(kind, freePct + sharesPct[glet.share]! + sharesPct[other.share]!)
      return solver.settle(kind, without(replace(glets, g, { share, models, batches }), h))
    }
    // A glet becomes two, its models on one or the other.
    if (glet.share === 0) return undefined
    const part = pick(glet.share)
    const rest = largestShare(kind, sharesPct[glet.share]! - sharesPct[part]! + freePct)
    if (rest < 0) return undefined
    const left = glet.models.length === 1 ? [0] : glet.models.map((_, i) => i).filter(() => random() < 0.5)
    const right = glet.models.length === 1 ? [0] : glet.models.map((_, i) => i).filter((i) => !left.includes(i))
    if (left.length === 0 || right.length === 0) return undefined
    const made = (share: number, indices: ReadonlyArray<number>): GletState =>
      indices.length === 1
        ? saturated(kind, glet.models[indices[0]!]!, share) ?? { share, models: [glet.models[indices[0]!]!], batches: [1] }
        : { share, models: indices.map((i) => glet.models[i]!), batches: indices.map((i) => glet.batches[i]!) }
    return solver.settle(kind, [...replace(glets, g, made(part, left)), made(rest, right)])
  }

  const rebatch = (at: number): GpuState | undefined => {
    const { glets, kind } = fleet.gpus[at]!
    if (glets.length === 0) return undefined
    const g = pick(glets.length)
    const { batches, models, share } = glets[g]!
    const i = pick(models.length)
    const limit = space.rows.largest(kind, models[i]!, share)
    const step = 1 + pick(random() < 0.7 ? 2 : Math.max(2, batches[i]! >> 1))
    const batch = Math.min(limit, Math.max(1, batches[i]! + (random() < 0.5 ? -step : step)))
    if (batch === batches[i]) return undefined
    const next = [...batches]
    next[i] = batch
    if (models.length > 1 && random() < 0.5) {
      // Time goes from one model to another.
      const j = (i + 1 + pick(models.length - 1)) % models.length
      next[j] = Math.max(1, batches[j]! + (batch > batches[i]! ? -1 : 1) * (1 + pick(2)))
    }
    return solver.evaluate(kind, replace(glets, g, { share, models, batches: next }))
  }
  return { place, remove, reshape, rebatch }
}
