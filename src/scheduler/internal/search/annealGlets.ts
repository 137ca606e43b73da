/**
 * Simulated annealing over glets that stand on no GPU yet. All rates are carried all the time; what changes is which models are on a glet together, and
 * how much each carries there. What glets cost together falls in much smaller steps than a number of GPUs does, and no change has to do with more than two.
 */
import type { LooseGlet, LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"

interface GletAnnealing {
  /** Proposals. */
  readonly steps: number
  /** Parts of a GPU. */
  readonly hot: number
  readonly cold: number
  readonly random: () => number
  /** By kind, the share in percent that glets are to take together at most: more of it costs extra. */
  readonly limitsPct?: ReadonlyArray<number>
}

/** What a part of a GPU beyond the limit costs extra, in such parts. */
const beyond = 1

/** Glets that are looked at for one that a model may join. */
const looks = 4
/** So often it is one with a model of nearly the same SLO: of all models, those within this part of them by rank. */
const oftenNear = 0.9
const nearPart = 0.05
/** Rates that take less of a glet are not split. */
const splitFrom = 0.3
/** Of rates that are split, so often at any place. */
const anyPart = 0.1

/** The list with another value, or without it. */
const withAt = (list: ReadonlyArray<number>, at: number, value: number): Array<number> => {
  const next = list.slice()
  next[at] = value
  return next
}
const withoutAt = (list: ReadonlyArray<number>, at: number): Array<number> => {
  const next: Array<number> = []
  for (let i = 0; i < list.length; i++) if (i !== at) next.push(list[i]!)
  return next
}

export const annealGlets = (
  space: SearchSpace, loose: LooseGlets, given: ReadonlyArray<LooseGlet>, { cold, hot, limitsPct, random, steps }: GletAnnealing
): ReadonlyArray<LooseGlet> => {
  const { kinds, maxModels, rows, sloMs } = space
  const glets = [...given]
  const pick = (n: number): number => Math.floor(random() * n)

  // By model, places of the glets that have it.
  const holders: ReadonlyArray<Array<number>> = Array.from({ length: space.models }, () => [])
  const enter = (at: number): void => {
    for (const model of glets[at]!.models) holders[model]!.push(at)
  }
  const leave = (at: number): void => {
    for (const model of glets[at]!.models) {
      const of = holders[model]!
      of[of.indexOf(at)] = of[of.length - 1]!
      of.pop()
    }
  }
  glets.forEach((_, at) => enter(at))

  const usedPct = kinds.map(() => 0)
  const pctOf = ({ kind, share }: LooseGlet): number => kinds[kind]!.sharesPct[share]!
  for (const glet of glets) usedPct[glet.kind]! += pctOf(glet)
  /** What it costs extra that glets take the place of others. */
  const extraOf = (before: ReadonlyArray<LooseGlet>, after: ReadonlyArray<LooseGlet | undefined>): number => {
    let sum = 0
    for (let kind = 0; kind < kinds.length; kind++) {
      let change = 0
      for (const glet of before) if (glet.kind === kind) change -= pctOf(glet)
      for (const glet of after) if (glet?.kind === kind) change += pctOf(glet)
      if (change === 0) continue
      const over = usedPct[kind]! - limitsPct![kind]!
      sum += ((beyond * kinds[kind]!.cost) / 100) * (Math.max(0, over + change) - Math.max(0, over))
    }
    return sum
  }
  /** How much dearer a change of these glets may be, for it may save extra. */
  const relief = (...before: ReadonlyArray<LooseGlet>): number => (limitsPct === undefined ? 0 : -extraOf(before, []))
  const isDear = (allowed: number, before: ReadonlyArray<LooseGlet>, after: ReadonlyArray<LooseGlet | undefined>): boolean => {
    if (limitsPct === undefined) return false
    let change = extraOf(before, after)
    for (const glet of before) change -= glet.cost
    for (const glet of after) change += glet?.cost ?? 0
    return change > allowed
  }
  const put = (at: number, glet: LooseGlet): void => {
    leave(at)
    usedPct[glet.kind]! += pctOf(glet)
    usedPct[glets[at]!.kind]! -= pctOf(glets[at]!)
    glets[at] = glet
    enter(at)
  }
  const add = (glet: LooseGlet): void => {
    glets.push(glet)
    usedPct[glet.kind]! += pctOf(glet)
    enter(glets.length - 1)
  }
  const drop = (at: number): void => {
    const last = glets.length - 1
    usedPct[glets[at]!.kind]! -= pctOf(glets[at]!)
    leave(at)
    if (at < last) {
      leave(last)
      glets[at] = glets[last]!
    }
    glets.pop()
    if (at < last) enter(at)
  }

  const ranked = Array.from({ length: space.models }, (_, model) => model).filter((model) => holders[model]!.length > 0)
    .sort((a, b) => sloMs[a]! - sloMs[b]! || a - b)
  const rank = new Int32Array(space.models)
  ranked.forEach((model, at) => {
    rank[model] = at
  })

  /** Whether single items of all fit into the tightest SLO, on a somewhat larger share: most do not. */
  const mayJoin = ({ kind, models, share }: LooseGlet, model: number): boolean => {
    if (models.length >= maxModels) return false
    const singles = rows.singles(kind, Math.min(kinds[kind]!.sharesPct.length - 1, share + 2))
    let sumMs = singles[model]!
    let tightestMs = sloMs[model]!
    for (let i = 0; i < models.length; i++) {
      sumMs += singles[models[i]!]!
      tightestMs = Math.min(tightestMs, sloMs[models[i]!]!)
    }
    return sumMs <= tightestMs
  }
  /** A glet that a model of glet `not` may join; -1 where none was seen. */
  const partner = (not: number, model: number): number => {
    for (let look = 0; look < looks; look++) {
      let at: number
      if (random() < oftenNear) {
        const near = rank[model]! + Math.round((random() - random()) * nearPart * ranked.length)
        if (near < 0 || near >= ranked.length) continue
        const of = holders[ranked[near]!]!
        at = of[pick(of.length)]!
      } else at = pick(glets.length)
      if (at !== not && mayJoin(glets[at]!, model)) return at
    }
    return -1
  }

  /** What is left where a glet gives up a model, or carries less of it. */
  const less = ({ kind, models, rps, share }: LooseGlet, at: number, left: number): LooseGlet | undefined =>
    left > 0
      ? loose.make(kind, models, withAt(rps, at, left), share, Infinity)
      : loose.make(kind, withoutAt(models, at), withoutAt(rps, at), share, Infinity)
  const more = ({ kind, models, rps, share }: LooseGlet, added: ReadonlyArray<number>, addedRps: ReadonlyArray<number>, mostCost: number): LooseGlet | undefined => {
    const all = models.slice()
    const allRps = rps.slice()
    for (let i = 0; i < added.length; i++) {
      const there = models.indexOf(added[i]!)
      if (there >= 0) allRps[there]! += addedRps[i]!
      else {
        all.push(added[i]!)
        allRps.push(addedRps[i]!)
      }
    }
    return loose.make(kind, all, allRps, share, mostCost)
  }

  /** A model, or a part of its rate, goes to another glet. */
  const move = (a: number, i: number, allowed: number): void => {
    const from = glets[a]!
    const model = from.models[i]!
    const among = holders[model]!
    const isShared = among.length > 1 && random() < 0.5
    const b = isShared ? among[pick(among.length)]! : partner(a, model)
    if (b < 0 || b === a) return
    const to = glets[b]!
    let moved = from.rps[i]!
    if ((isShared || moved > splitFrom * loose.most(from.kind, from.share, model)) && random() < 0.6) {
      // As much as fits, or any part.
      const part = random() < anyPart ? moved * (0.1 + 0.8 * random()) : loose.room(to, model)
      if (part <= 0) return
      moved = Math.min(moved, part)
    }
    const isGone = moved === from.rps[i]! && from.models.length === 1
    const rest = isGone ? undefined : less(from, i, from.rps[i]! - moved)
    if (rest === undefined && !isGone) return
    const next = more(to, [model], [moved], from.cost + to.cost + allowed + relief(from, to) - (rest?.cost ?? 0))
    if (next === undefined || isDear(allowed, [from, to], [rest, next])) return
    put(b, next)
    if (rest === undefined) drop(a)
    else put(a, rest)
  }
  /** Two models of two glets change places. */
  const swap = (a: number, i: number, allowed: number): void => {
    const one = glets[a]!
    const model = one.models[i]!
    const b = partner(a, model)
    if (b < 0) return
    const two = glets[b]!
    const j = pick(two.models.length)
    const other = two.models[j]!
    if (one.models.includes(other) || two.models.includes(model)) return
    const mostCost = one.cost + two.cost + allowed + relief(one, two)
    const first = loose.make(one.kind, withAt(one.models, i, other), withAt(one.rps, i, two.rps[j]!), one.share, mostCost)
    if (first === undefined) return
    const second = loose.make(two.kind, withAt(two.models, j, model), withAt(two.rps, j, one.rps[i]!), two.share, mostCost - first.cost)
    if (second === undefined || isDear(allowed, [one, two], [first, second])) return
    put(a, first)
    put(b, second)
  }
  /** Two glets become one. */
  const merge = (a: number, i: number, allowed: number): void => {
    const one = glets[a]!
    const b = partner(a, one.models[i]!)
    if (b < 0 || one.models.length + glets[b]!.models.length > maxModels) return
    const two = glets[b]!
    const next = more(two, one.models, one.rps, one.cost + two.cost + allowed + relief(one, two))
    if (next === undefined || isDear(allowed, [one, two], [next])) return
    put(b, next)
    drop(a)
  }
  /** A model gets a glet of its own. */
  const isolate = (a: number, i: number, allowed: number): void => {
    const from = glets[a]!
    if (from.models.length === 1) return
    const rest = less(from, i, 0)
    if (rest === undefined) return
    const alone = loose.make(pick(kinds.length), [from.models[i]!], [from.rps[i]!], 0, from.cost + allowed + relief(from) - rest.cost)
    if (alone === undefined || isDear(allowed, [from], [rest, alone])) return
    put(a, rest)
    add(alone)
  }
  const changeKind = (a: number, allowed: number): void => {
    const glet = glets[a]!
    const { cost, kind, models, rps, share } = glet
    const next = loose.make((kind + 1 + pick(kinds.length - 1)) % kinds.length, models, rps, share, cost + allowed + relief(glet))
    if (next !== undefined && !isDear(allowed, [glet], [next])) put(a, next)
  }

  const cooling = (cold / hot) ** (1 / Math.max(1, steps))
  let temperature = hot
  for (let step = 0; step < steps; step++, temperature *= cooling) {
    const a = pick(glets.length)
    const i = pick(glets[a]!.models.length)
    // Drawn before the change is known: what costs more than this need not be looked at to the end.
    const allowed = -temperature * Math.log(1 - random())
    const way = random()
    if (way < 0.5 || glets.length === 1) move(a, i, allowed)
    else if (way < 0.85) swap(a, i, allowed)
    else if (way < 0.92) merge(a, i, allowed)
    else if (way < 0.97 || kinds.length === 1) isolate(a, i, allowed)
    else changeKind(a, allowed)
  }
  return glets
}
