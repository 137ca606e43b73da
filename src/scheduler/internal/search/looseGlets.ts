/**
 * Glets that stand on no GPU yet: what each costs, and the smallest share on which given models carry given rates together.
 */
import type { GletFloors } from "./gletFloors.js"
import { makeGletFloors } from "./gletFloors.js"
import { addedPerRps, batchFor, fixedMs, longestMs, makeGletTables, onceMs, perRps, width } from "./gletTables.js"
import type { LooseGlet } from "./looseGlet.js"
import type { SearchSpace } from "./searchSpace.js"
import type { Slowing } from "./slowing.js"
import type { Trials } from "./trials.js"
import { makeTrials, setTrial } from "./trials.js"

export interface LoosePrices {
  /** By kind and share, what a glet of that share costs. */
  readonly share: ReadonlyArray<Float64Array>
  /** By kind, what all of a GPU's memory costs. */
  readonly memory: ReadonlyArray<number>
}

export interface LooseGlets {
  /**
   * The glet on the smallest share that carries the rates, looked for from the share `near`; undefined where there is none, or where it costs more than
   * `mostCost`, or none up to the share `largest`.
   */
  readonly make: (
    kind: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>, near: number, mostCost: number, largest?: number
  ) => LooseGlet | undefined
  /** What `make` does, in place: whether there is such a glet; if not, what stands there of share, time and cost is of no use. */
  readonly settle: (trials: Trials, slot: number, near: number, mostCost: number, largest?: number) => boolean
  /** Items per second of a model, there already or not, that a glet carries beyond what it does: whole batches in its cycle, as large as its free time allows. */
  readonly room: (glet: LooseGlet, model: number) => number
  readonly roomIn: (trials: Trials, slot: number, model: number) => number
  /** Items per second that a model gets at most of a share. */
  readonly most: (kind: number, share: number, model: number) => number
  /** Latency of a batch beside average neighbours, in ms; `Infinity` beyond the largest. */
  readonly batchMs: (kind: number, share: number, model: number, batch: number) => number
  /** What a model costs that needs a part of a glet's time, at the prices there are now, and others the rest; without what the glet itself takes of memory. */
  readonly costOf: (kind: number, share: number, model: number, part: number) => number
  /** What it costs with nothing taken off for free time, at the prices there are now. */
  readonly fullCost: (glet: LooseGlet) => number
  /** The same glet at the prices there are now. */
  readonly repriced: (glet: LooseGlet) => LooseGlet
  readonly setPrices: (prices: LoosePrices) => void
  /** At the prices there are now. */
  readonly floors: (trials: Trials) => GletFloors
}

/** Sums of floating-point milliseconds and of parts of time. */
const slack = 1e-9
/** A bound on cycles is taken to be so much less. */
const shortOf = 1e-6

/** Free time is worth more where there is much of it in one glet, up to so much of the share: glets get full, and others empty. */
const worthOfFree = 0.7

/** The smallest glet may fill so much of a GPU's memory: what fills all of it, and little of the share, leaves a rest that is of no use. */
const mostOfMemory = 0.5

/** Batches grow from round to round; where they have not settled by then, the glet is taken not to carry its rates. */
const mostRounds = 200

export const makeLooseGlets = (space: SearchSpace, slowing: Slowing, prices: LoosePrices): LooseGlets => {
  const { isStrict, kinds, maxModels, sloMs } = space
  const tables = makeGletTables(space, slowing)
  const { batches, begins, largest, numbers, place, shares } = tables
  const mostOf = (kind: number, share: number, model: number): number => 1 / numbers[place(kind, share, model) * width + perRps]!

  let shareCosts: ReadonlyArray<Float64Array> = []
  let modelCosts: ReadonlyArray<Float64Array> = []
  let gletCosts: ReadonlyArray<number> = []
  const setPrices = ({ memory, share }: LoosePrices): void => {
    shareCosts = share
    modelCosts = kinds.map(({ modelBytes, roomBytes }, kind) => modelBytes.map((bytes) => (memory[kind]! * bytes) / roomBytes))
    gletCosts = kinds.map(({ gletBytes, roomBytes }, kind) => (memory[kind]! * gletBytes) / roomBytes)
  }
  setPrices(prices)

  // What `carries` found.
  let used = 1
  let foundMs = 0
  /** Of the models at hand on the share at hand. */
  const own = new Float64Array(maxModels)

  /** In the shortest cycle that carries the rates, which is no shorter than `fromMs`. */
  const settles = (first: number, { models, rps }: Trials, from: number, to: number, fromMs: number): boolean => {
    let dutyMs = fromMs
    for (let round = 0; round < mostRounds; round++) {
      let sumMs = 0
      for (let i = from; i < to; i++) {
        const at = first + models[i]! * shares
        const batch = batchFor((rps[i]! * dutyMs) / 1000)
        if (batch > largest[at]!) return false
        sumMs += own[i - from] = batches[begins[at]! + 2 * batch]!
      }
      const isSettled = sumMs <= dutyMs + slack
      if (sumMs > dutyMs) dutyMs = sumMs
      for (let i = from; i < to; i++) if (dutyMs + (isStrict ? sumMs : own[i - from]!) > sloMs[models[i]!]! + slack) return false
      if (isSettled) {
        foundMs = dutyMs
        return true
      }
    }
    return false
  }

  /** Whether the models carry the rates together on a share; then `used` says how much of the time that takes. */
  const carries = (trials: Trials, kind: number, from: number, to: number, share: number): boolean => {
    const { models, rps } = trials
    const first = place(kind, share, 0)
    let load = 0
    let once = 0
    let longest = Infinity
    // A cycle takes `fixed` and this part of itself at the least.
    let fixed = 0
    let part = 0
    for (let i = from; i < to; i++) {
      const at = (first + models[i]! * shares) * width
      load += rps[i]! * numbers[at + perRps]!
      once += numbers[at + onceMs]!
      fixed += numbers[at + fixedMs]!
      part += rps[i]! * numbers[at + addedPerRps]!
      if (numbers[at + longestMs]! < longest) longest = numbers[at + longestMs]!
    }
    // Whatever the cycle, batches take so much of it.
    if (!(load <= 1 + slack && once <= longest + slack)) return false
    if (to - from === 1) {
      used = Math.min(1, Math.max(load, once / longest))
      foundMs = longest
      return true
    }
    const fromMs = fixed > 0 ? Math.max(once, (fixed / Math.max(0, 1 - part)) * (1 - shortOf)) : once
    if (fromMs > longest + slack) return false
    // In the longest cycle that single items allow, if its batches allow it.
    let sumMs = 0
    let cycleMs = longest
    for (let i = from; i < to; i++) {
      const model = models[i]!
      const at = first + model * shares
      const batch = batchFor((rps[i]! * longest) / 1000)
      if (batch > largest[at]!) {
        sumMs = Infinity
        break
      }
      const ms = batches[begins[at]! + 2 * batch]!
      sumMs += ms
      if (!isStrict && sloMs[model]! - ms < cycleMs) cycleMs = sloMs[model]! - ms
    }
    foundMs = cycleMs
    if (sumMs <= cycleMs) {
      used = sumMs / cycleMs
      return true
    }
    used = 1
    return settles(first, trials, from, to, fromMs)
  }

  const fixedCost = (kind: number, models: ArrayLike<number>, from: number, to: number): number => {
    const costs = modelCosts[kind]!
    let cost = gletCosts[kind]!
    for (let i = from; i < to; i++) cost += costs[models[i]!]!
    return cost
  }
  const costOn = (kind: number, share: number, part: number, fixed: number): number =>
    fixed + shareCosts[kind]![share]! * (1 - worthOfFree * (1 - part) * (1 - part))

  const settle: LooseGlets["settle"] = (trials, slot, near, mostCost, most = Infinity) => {
    const { count, models, width: places } = trials
    const kind = trials.kind[slot]!
    const from = slot * places
    const to = from + count[slot]!
    const { gletBytes, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    let bytes = gletBytes
    for (let i = from; i < to; i++) bytes += modelBytes[models[i]!]!
    if (bytes > roomBytes) return false
    // A single model's memory is what it is.
    const leastPct = to - from === 1 ? 0 : (100 * (bytes / roomBytes - mostOfMemory)) / (1 - mostOfMemory)
    const fixed = fixedCost(kind, models, from, to)
    const last = Math.min(most, sharesPct.length - 1)
    let share = Math.min(near, last)
    while (sharesPct[share]! < leastPct && share < sharesPct.length - 1) share++
    if (share > last) return false
    let part = 1
    let cycleMs = 0
    if (carries(trials, kind, from, to, share)) {
      part = used
      cycleMs = foundMs
      while (share > 0 && sharesPct[share - 1]! >= leastPct && carries(trials, kind, from, to, share - 1)) {
        share--
        part = used
        cycleMs = foundMs
      }
    } else {
      do {
        if (share === last) return false
        share++
        if (costOn(kind, share, 0, fixed) > mostCost) return false
      } while (!carries(trials, kind, from, to, share))
      part = used
      cycleMs = foundMs
    }
    const cost = costOn(kind, share, part, fixed)
    trials.share[slot] = share
    trials.used[slot] = part
    trials.cycleMs[slot] = cycleMs
    trials.cost[slot] = cost
    return cost <= mostCost
  }

  const one = makeTrials(1, maxModels)
  const make: LooseGlets["make"] = (kind, models, rps, near, mostCost, most = Infinity) => {
    if (models.length > maxModels) return undefined
    setTrial(one, 0, { kind, models, rps, share: 0, used: 0, cycleMs: 0, cost: 0 })
    return settle(one, 0, near, mostCost, most)
      ? { kind, share: one.share[0]!, models, rps, used: one.used[0]!, cycleMs: one.cycleMs[0]!, cost: one.cost[0]! }
      : undefined
  }

  const roomIn: LooseGlets["roomIn"] = ({ count, cycleMs: foundMs, kind, models, rps, share, used: busy, width: places }, slot, model) => {
    const from = slot * places
    const to = from + count[slot]!
    let there = to - 1
    while (there >= from && models[there] !== model) there--
    const isThere = there >= from
    const already = isThere ? rps[there]! : 0
    const at = place(kind[slot]!, share[slot]!, model)
    if (to - from === 1 && isThere) return mostOf(kind[slot]!, share[slot]!, model) - already
    let cycleMs = foundMs[slot]!
    let othersMs = busy[slot]! * cycleMs
    if (to - from === 1) {
      // Alone it has any cycle; beside another the longest is as good as any.
      const batch = batchFor((rps[from]! * cycleMs) / 1000)
      const alone = place(kind[slot]!, share[slot]!, models[from]!)
      if (batch > largest[alone]!) return 0
      othersMs = batches[begins[alone]! + 2 * batch]!
      if (!isStrict) cycleMs = Math.min(cycleMs, sloMs[models[from]!]! - othersMs)
    }
    let batch = isThere ? batchFor((already * cycleMs) / 1000) : 0
    othersMs -= batches[begins[at]! + 2 * batch]!
    while (batch < largest[at]!) {
      const ms = batches[begins[at]! + 2 * batch + 2]!
      if (othersMs + ms > cycleMs + slack || cycleMs + ms + (isStrict ? othersMs : 0) > sloMs[model]! + slack) break
      batch++
    }
    return Math.max(0, (1000 * batch) / cycleMs - already)
  }

  return {
    make,
    settle,
    room: (glet, model) => {
      setTrial(one, 0, glet)
      return roomIn(one, 0, model)
    },
    roomIn,
    most: mostOf,
    batchMs: (kind, share, model, batch) => {
      const at = place(kind, share, model)
      return batch <= largest[at]! ? batches[begins[at]! + 2 * batch]! : Infinity
    },
    costOf: (kind, share, model, part) => part * shareCosts[kind]![share]! + modelCosts[kind]![model]!,
    fullCost: ({ kind, models, share }) => costOn(kind, share, 1, fixedCost(kind, models, 0, models.length)),
    repriced: (glet) => ({ ...glet, cost: costOn(glet.kind, glet.share, glet.used, fixedCost(glet.kind, glet.models, 0, glet.models.length)) }),
    setPrices,
    floors: (trials) => makeGletFloors(space, tables, trials, { share: shareCosts, model: modelCosts, glet: gletCosts }, worthOfFree)
  }
}
