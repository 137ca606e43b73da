/**
 * Simulated annealing over glets that stand on no GPU yet. All rates are carried all the time; what changes is which models are on a glet together, and
 * how much each carries there. What glets cost together falls in much smaller steps than a number of GPUs does, and no change has to do with more than two.
 *
 * Nearly all changes are refused, so they are looked for among several glets each time, by what these cost at the least (`gletFloors.ts`); only what passes is
 * looked at exactly.
 */
import type { LooseGlet } from "./looseGlet.js"
import type { LooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"
import { gletOfTrial, makeTrials, setTrial } from "./trials.js"

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

/** Glets that are looked at for one that a model may join, and for one with a model that it may change places with. */
const looks = 8
const swapLooks = 2
/** So often it is one with a model of nearly the same SLO: of all models, those within this part of them by rank. */
const oftenNear = 0.9
const nearPart = 0.05
/** Rates that take less of a glet are not split. */
const splitFrom = 0.3
/** Of rates that are split, so often at any place. */
const anyPart = 0.1

/** Slots for glets that come to be, beyond those of the given ones. */
const spareSlots = 64

export const annealGlets = (
  space: SearchSpace, loose: LooseGlets, given: ReadonlyArray<LooseGlet>, { cold, hot, limitsPct, random, steps }: GletAnnealing
): ReadonlyArray<LooseGlet> => {
  const { kinds, maxModels: width, sloMs } = space
  const pick = (n: number): number => Math.floor(random() * n)

  // Slots by place; those after the last place are free, and the next two are what is tried.
  const slots = given.reduce((sum, { models }) => sum + models.length, spareSlots)
  const trials = makeTrials(slots, width)
  const { cost, count, kind: kindOf, models, rps, share: shareOf } = trials
  const slotAt = Int32Array.from({ length: slots }, (_, at) => at)
  given.forEach((glet, at) => setTrial(trials, at, glet))
  let size = given.length
  let first = slotAt[size]!
  let second = slotAt[size + 1]!
  // What a glet costs less one of its models, where that was looked at.
  const lessCosts = new Float64Array(slots * width).fill(NaN)

  if (size === 0) return []
  const { floor, note } = loose.floors(trials)

  // By model, places of the glets that have it.
  const holders: ReadonlyArray<Array<number>> = Array.from({ length: space.models }, () => [])
  /** How many, and one of them, by model; -1 where there is none. */
  const holding = new Int32Array(space.models)
  const home = new Int32Array(space.models).fill(-1)
  const enter = (at: number): void => {
    const from = slotAt[at]! * width
    for (let m = from; m < from + count[slotAt[at]!]!; m++) {
      holders[models[m]!]!.push(at)
      home[models[m]!] = at
      holding[models[m]!]!++
    }
  }
  const leave = (at: number): void => {
    const from = slotAt[at]! * width
    for (let m = from; m < from + count[slotAt[at]!]!; m++) {
      const of = holders[models[m]!]!
      of[of.indexOf(at)] = of[of.length - 1]!
      of.pop()
      holding[models[m]!]!--
      if (home[models[m]!] === at) home[models[m]!] = of.length > 0 ? of[pick(of.length)]! : -1
    }
  }
  for (let at = 0; at < size; at++) {
    enter(at)
    note(slotAt[at]!)
  }

  const usedPct = kinds.map(() => 0)
  const pctOf = (slot: number): number => kinds[kindOf[slot]!]!.sharesPct[shareOf[slot]!]!
  for (let at = 0; at < size; at++) usedPct[kindOf[slotAt[at]!]!]! += pctOf(slotAt[at]!)
  /** What it costs extra that glets take the place of others, or of none; -1 where there is none. */
  const extraOf = (a: number, b: number, nextA: number, nextB: number): number => {
    let sum = 0
    for (let kind = 0; kind < kinds.length; kind++) {
      let change = 0
      if (a >= 0 && kindOf[a] === kind) change -= pctOf(a)
      if (b >= 0 && kindOf[b] === kind) change -= pctOf(b)
      if (nextA >= 0 && kindOf[nextA] === kind) change += pctOf(nextA)
      if (nextB >= 0 && kindOf[nextB] === kind) change += pctOf(nextB)
      if (change === 0) continue
      const over = usedPct[kind]! - limitsPct![kind]!
      sum += ((beyond * kinds[kind]!.cost) / 100) * (Math.max(0, over + change) - Math.max(0, over))
    }
    return sum
  }
  /** How much dearer a change of these glets may be, for it may save extra. */
  const relief = (a: number, b: number): number => (limitsPct === undefined ? 0 : -extraOf(a, b, -1, -1))
  const costIn = (slot: number): number => (slot < 0 ? 0 : cost[slot]!)
  const isDear = (allowed: number, a: number, b: number, nextA: number, nextB: number): boolean =>
    limitsPct !== undefined && extraOf(a, b, nextA, nextB) + costIn(nextA) + costIn(nextB) - costIn(a) - costIn(b) > allowed

  /** The slot that is free now. */
  const put = (at: number, slot: number): number => {
    const before = slotAt[at]!
    leave(at)
    usedPct[kindOf[slot]!]! += pctOf(slot)
    usedPct[kindOf[before]!]! -= pctOf(before)
    lessCosts.fill(NaN, slot * width, (slot + 1) * width)
    slotAt[at] = slot
    enter(at)
    note(slot)
    return before
  }
  const putFirst = (at: number): void => {
    first = put(at, first)
  }
  const putSecond = (at: number): void => {
    second = put(at, second)
  }
  const drop = (at: number): void => {
    const slot = slotAt[at]!
    const last = --size
    usedPct[kindOf[slot]!]! -= pctOf(slot)
    leave(at)
    if (at < last) leave(last)
    slotAt[at] = slotAt[last]!
    slotAt[last] = slot
    if (at < last) enter(at)
    // Places from `size` on: free slots, of which the first two are tried.
    slotAt[size + 2] = slot
    slotAt[size] = first
    slotAt[size + 1] = second
  }
  const addSecond = (): void => {
    const at = size++
    usedPct[kindOf[second]!]! += pctOf(second)
    lessCosts.fill(NaN, second * width, (second + 1) * width)
    slotAt[at] = second
    enter(at)
    note(second)
    second = slotAt[size + 1]!
  }

  const ranked = Int32Array.from(Array.from({ length: space.models }, (_, model) => model).filter((model) => holders[model]!.length > 0)
    .sort((a, b) => sloMs[a]! - sloMs[b]! || a - b))
  const rank = new Int32Array(space.models)
  ranked.forEach((model, at) => {
    rank[model] = at
  })

  /** A place with a model of nearly the same SLO, or any. */
  const look = (model: number): number => {
    if (random() >= oftenNear) return pick(size)
    const near = rank[model]! + Math.round((random() - random()) * nearPart * ranked.length)
    if (near < 0 || near >= ranked.length) return -1
    return home[ranked[near]!]!
  }
  const copy = (to: number, from: number): void => {
    kindOf[to] = kindOf[from]!
    const all = count[to] = count[from]!
    for (let i = 0; i < all; i++) {
      models[to * width + i] = models[from * width + i]!
      rps[to * width + i] = rps[from * width + i]!
    }
  }
  const placeOf = (slot: number, model: number): number => {
    for (let i = count[slot]! - 1; i >= 0; i--) if (models[slot * width + i] === model) return i
    return -1
  }
  /** What is left where a glet gives up a model, or carries less of it. */
  const less = (slot: number, i: number, left: number): boolean => {
    copy(first, slot)
    if (left > 0) rps[first * width + i] = left
    else {
      const last = --count[first]!
      for (let m = first * width + i; m < first * width + last; m++) {
        models[m] = models[m + 1]!
        rps[m] = rps[m + 1]!
      }
    }
    return loose.settle(trials, first, shareOf[slot]!, Infinity)
  }
  /** What the glet costs without a model; infinite where that cannot be. */
  const lessCost = (slot: number, i: number): number => {
    const known = lessCosts[slot * width + i]!
    if (!Number.isNaN(known)) return known
    return (lessCosts[slot * width + i] = less(slot, i, 0) ? cost[first]! : Infinity)
  }
  /** Adds to what is tried second; false where there is no place for it. */
  const join = (model: number, added: number): boolean => {
    const there = placeOf(second, model)
    if (there >= 0) {
      rps[second * width + there]! += added
      return true
    }
    const all = count[second]!
    if (all === width) return false
    models[second * width + all] = model
    rps[second * width + all] = added
    count[second] = all + 1
    return true
  }

  /** How much dearer glets may be that are looked for: what is beyond a limit is told exactly, later. */
  const atMost = (allowed: number): number => allowed + (limitsPct === undefined ? 0 : beyond)
  /** A glet that a model of glet `not` may join, which may then cost so much more than it does; -1 where none was seen. */
  const partner = (not: number, model: number, added: number, mostMore: number): number => {
    for (let n = 0; n < looks; n++) {
      const at = look(model)
      if (at < 0 || at === not) continue
      const slot = slotAt[at]!
      const mostCost = cost[slot]! + mostMore
      if ((holding[model]! > 1 && placeOf(slot, model) >= 0) || floor(slot, -1, model, added, mostCost) <= mostCost) return at
    }
    return -1
  }
  /** The place of a model of glet `b` that the one in place `i` of glet `a` may change with; -1 where there is none. */
  const counterpart = (a: number, i: number, b: number, allowed: number): number => {
    const one = slotAt[a]!
    const two = slotAt[b]!
    const model = models[one * width + i]!
    if (holding[model]! > 1 && placeOf(two, model) >= 0) return -1
    const mostCost = cost[one]! + cost[two]! + allowed
    // More than the first saves without the model is not there for the second.
    const mostTwo = mostCost - (count[one] === 1 ? 0 : lessCost(one, i))
    const all = count[two]!
    const start = pick(all)
    for (let n = 0; n < all; n++) {
      const j = start + n < all ? start + n : start + n - all
      const other = models[two * width + j]!
      if (holding[other]! > 1 && placeOf(one, other) >= 0) continue
      const least = floor(two, j, model, rps[one * width + i]!, mostTwo)
      if (least <= mostTwo && least + floor(one, i, other, rps[two * width + j]!, mostCost - least) <= mostCost) return j
    }
    return -1
  }

  /** A model, or a part of its rate, goes to another glet. */
  const move = (a: number, i: number, allowed: number): void => {
    const from = slotAt[a]!
    const model = models[from * width + i]!
    const among = holders[model]!
    const isShared = among.length > 1 && random() < 0.5
    const all = rps[from * width + i]!
    let moved = all
    const isSplit = (isShared || moved > splitFrom * loose.most(kindOf[from]!, shareOf[from]!, model)) && random() < 0.6
    let b: number
    if (isShared) b = among[pick(among.length)]!
    else if (isSplit) b = look(model)
    else b = partner(a, model, all, cost[from]! - (count[from] === 1 ? 0 : lessCost(from, i)) + atMost(allowed))
    if (b < 0 || b === a) return
    const to = slotAt[b]!
    if (isSplit) {
      // As much as fits, or any part.
      const part = random() < anyPart ? moved * (0.1 + 0.8 * random()) : loose.roomIn(trials, to, model)
      if (part <= 0) return
      moved = Math.min(moved, part)
    }
    if (isSplit && placeOf(to, model) < 0) {
      const mostCost = cost[from]! + cost[to]! + atMost(allowed) - (count[from] === 1 ? 0 : lessCost(from, i))
      if (floor(to, -1, model, moved, mostCost) > mostCost) return
    }
    const isWhole = moved === all
    const isGone = isWhole && count[from] === 1
    const rest = isGone ? 0 : isWhole ? lessCost(from, i) : less(from, i, all - moved) ? cost[first]! : Infinity
    copy(second, to)
    if (!join(model, moved) || !loose.settle(trials, second, shareOf[to]!, cost[from]! + cost[to]! + allowed + relief(from, to) - rest)) return
    if (isWhole && !isGone && !less(from, i, 0)) return
    if (isDear(allowed, from, to, isGone ? -1 : first, second)) return
    putSecond(b)
    if (isGone) drop(a)
    else putFirst(a)
  }
  /** Two models of two glets change places. */
  const swap = (a: number, i: number, allowed: number): void => {
    const one = slotAt[a]!
    const model = models[one * width + i]!
    let b = -1
    let j = -1
    for (let n = 0; n < swapLooks && j < 0; n++) {
      b = look(model)
      if (b >= 0 && b !== a) j = counterpart(a, i, b, atMost(allowed))
    }
    if (j < 0) return
    const two = slotAt[b]!
    const other = models[two * width + j]!
    const mostCost = cost[one]! + cost[two]! + allowed + relief(one, two)
    copy(first, one)
    models[first * width + i] = other
    rps[first * width + i] = rps[two * width + j]!
    if (!loose.settle(trials, first, shareOf[one]!, mostCost)) return
    copy(second, two)
    models[second * width + j] = model
    rps[second * width + j] = rps[one * width + i]!
    if (!loose.settle(trials, second, shareOf[two]!, mostCost - cost[first]!) || isDear(allowed, one, two, first, second)) return
    putFirst(a)
    putSecond(b)
  }
  /** Two glets become one. */
  const merge = (a: number, i: number, allowed: number): void => {
    const one = slotAt[a]!
    const b = look(models[one * width + i]!)
    if (b < 0 || b === a) return
    const two = slotAt[b]!
    if (count[one]! + count[two]! > width) return
    copy(second, two)
    for (let m = one * width; m < one * width + count[one]!; m++) join(models[m]!, rps[m]!)
    if (!loose.settle(trials, second, shareOf[two]!, cost[one]! + cost[two]! + allowed + relief(one, two)) || isDear(allowed, one, two, second, -1)) return
    putSecond(b)
    drop(a)
  }
  /** A model gets a glet of its own. */
  const isolate = (a: number, i: number, allowed: number): void => {
    const from = slotAt[a]!
    const kind = pick(kinds.length)
    if (count[from] === 1 || size + 2 === slots) return
    const rest = lessCost(from, i)
    kindOf[second] = kind
    count[second] = 1
    models[second * width] = models[from * width + i]!
    rps[second * width] = rps[from * width + i]!
    if (!loose.settle(trials, second, 0, cost[from]! + allowed + relief(from, -1) - rest)) return
    if (!less(from, i, 0) || isDear(allowed, from, -1, first, second)) return
    putFirst(a)
    addSecond()
  }
  const changeKind = (a: number, allowed: number): void => {
    const slot = slotAt[a]!
    copy(first, slot)
    kindOf[first] = (kindOf[slot]! + 1 + pick(kinds.length - 1)) % kinds.length
    if (loose.settle(trials, first, shareOf[slot]!, cost[slot]! + allowed + relief(slot, -1)) && !isDear(allowed, slot, -1, first, -1)) putFirst(a)
  }

  const cooling = (cold / hot) ** (1 / Math.max(1, steps))
  let temperature = hot
  for (let step = 0; step < steps; step++, temperature *= cooling) {
    const a = pick(size)
    const i = pick(count[slotAt[a]!]!)
    // Drawn before the change is known: what costs more than this need not be looked at to the end.
    const allowed = -temperature * Math.log(1 - random())
    const way = random()
    if (way < 0.5 || size === 1) move(a, i, allowed)
    else if (way < 0.85) swap(a, i, allowed)
    else if (way < 0.92) merge(a, i, allowed)
    else if (way < 0.97 || kinds.length === 1) isolate(a, i, allowed)
    else changeKind(a, allowed)
  }
  return Array.from({ length: size }, (_, at) => gletOfTrial(trials, slotAt[at]!))
}
