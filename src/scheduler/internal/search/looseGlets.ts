/**
 * Glets that stand on no GPU yet: what each costs, and the smallest share on which given models carry given rates together.
 */
import { keepsSlo } from "../keepsSlo.js"
import type { SearchSpace } from "./searchSpace.js"
import type { Slowing } from "./slowing.js"

/** A glet of a kind of GPU, with the items per second that each of its models is to carry there. */
export interface LooseGlet {
  readonly kind: number
  /** Place of its share on the grid: the smallest that carries the rates. */
  readonly share: number
  readonly models: ReadonlyArray<number>
  readonly rps: ReadonlyArray<number>
  /** The part of its time that is needed, in the longest cycle that its models allow. */
  readonly used: number
  /** A cycle in which the models carry their rates, in ms; of a single model the longest that single items allow. */
  readonly cycleMs: number
  /** In the currency of GPUs' costs, less what its free time is worth. */
  readonly cost: number
}

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
  /** Items per second of a model, there already or not, that a glet carries beyond what it does: whole batches in its cycle, as large as its free time allows. */
  readonly room: (glet: LooseGlet, model: number) => number
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
  const { isStrict, kinds, maxModels, rows, sloMs } = space
  const shares = Math.max(...kinds.map(({ sharesPct }) => sharesPct.length))
  const place = (kind: number, share: number, model: number): number => (kind * shares + share) * space.models + model
  const places = kinds.length * shares * space.models
  // By place: latencies beside average neighbours, from that of one item on; the largest batch; the least that a further item adds; the most that is carried.
  const begins = new Int32Array(places)
  const largest = new Int32Array(places)
  const least = new Float64Array(places)
  const most = new Float64Array(places)
  let end = 0
  kinds.forEach(({ sharesPct }, kind) =>
    sharesPct.forEach((_, share) => {
      for (let model = 0, at = place(kind, share, 0); model < space.models; model++, at++) {
        largest[at] = rows.largest(kind, model, share)
        begins[at] = end
        end += largest[at]!
      }
    })
  )
  const latencies = new Float64Array(end)
  kinds.forEach(({ sharesPct }, kind) =>
    sharesPct.forEach((_, share) => {
      for (let model = 0, at = place(kind, share, 0); model < space.models; model++, at++) {
        const start = rows.start(kind, model, share)
        const longer = 1 + slowing[kind]![share]![model]!
        const begin = begins[at]!
        let best = 0
        let added = Infinity
        for (let batch = 1; batch <= largest[at]!; batch++) {
          const ms = rows.data[start + batch * rows.stride]! * longer
          latencies[begin + batch - 1] = ms
          if (batch > 1) added = Math.min(added, (ms - latencies[begin]!) / (batch - 1))
          if (keepsSlo(ms, sloMs[model]!) && (1000 * batch) / ms > best) best = (1000 * batch) / ms
        }
        least[at] = largest[at]! > 1 ? added : 0
        most[at] = best
      }
    })
  )

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
  const own = new Float64Array(maxModels)

  /** In the shortest cycle that carries the rates, which is no shorter than `fromMs`. */
  const settles = (first: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>, fromMs: number): boolean => {
    let dutyMs = fromMs
    for (let round = 0; round < mostRounds; round++) {
      let sumMs = 0
      for (let i = 0; i < models.length; i++) {
        const at = first + models[i]!
        const batch = Math.max(1, Math.ceil((rps[i]! * dutyMs) / 1000 - slack))
        if (batch > largest[at]!) return false
        sumMs += own[i] = latencies[begins[at]! + batch - 1]!
      }
      const isSettled = sumMs <= dutyMs + slack
      dutyMs = Math.max(dutyMs, sumMs)
      for (let i = 0; i < models.length; i++) if (dutyMs + (isStrict ? sumMs : own[i]!) > sloMs[models[i]!]! + slack) return false
      if (isSettled) {
        foundMs = dutyMs
        return true
      }
    }
    return false
  }

  /** Whether the models carry the rates together on a share; then `used` says how much of the time that takes. */
  const carries = (kind: number, share: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>): boolean => {
    const first = place(kind, share, 0)
    let load = 0
    let onceMs = 0
    let longestMs = Infinity
    // A cycle takes `fixedMs` and this part of itself at the least.
    let fixedMs = 0
    let part = 0
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      const at = first + model
      const full = most[at]!
      if (full === 0) return false
      load += rps[i]! / full
      const ms = latencies[begins[at]!]!
      onceMs += ms
      fixedMs += ms - least[at]!
      part += (rps[i]! * least[at]!) / 1000
      longestMs = Math.min(longestMs, isStrict ? sloMs[model]! / 2 : sloMs[model]! - ms)
    }
    // Whatever the cycle, batches take so much of it.
    if (load > 1 + slack || onceMs > longestMs + slack) return false
    if (models.length === 1) {
      used = Math.min(1, Math.max(load, onceMs / longestMs))
      foundMs = longestMs
      return true
    }
    const fromMs = fixedMs > 0 ? Math.max(onceMs, (fixedMs / Math.max(0, 1 - part)) * (1 - shortOf)) : onceMs
    if (fromMs > longestMs + slack) return false
    // In the longest cycle that single items allow, if its batches allow it.
    let sumMs = 0
    let cycleMs = longestMs
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      const at = first + model
      const batch = Math.max(1, Math.ceil((rps[i]! * longestMs) / 1000 - slack))
      if (batch > largest[at]!) {
        sumMs = Infinity
        break
      }
      const ms = latencies[begins[at]! + batch - 1]!
      sumMs += ms
      if (!isStrict) cycleMs = Math.min(cycleMs, sloMs[model]! - ms)
    }
    used = sumMs <= cycleMs ? sumMs / cycleMs : 1
    foundMs = cycleMs
    return sumMs <= cycleMs || settles(first, models, rps, fromMs)
  }

  const fixedCost = (kind: number, models: ReadonlyArray<number>): number => {
    let cost = gletCosts[kind]!
    for (let i = 0; i < models.length; i++) cost += modelCosts[kind]![models[i]!]!
    return cost
  }
  const costOn = (kind: number, share: number, part: number, fixed: number): number =>
    fixed + shareCosts[kind]![share]! * (1 - worthOfFree * (1 - part) * (1 - part))

  const make: LooseGlets["make"] = (kind, models, rps, near, mostCost, largest = Infinity) => {
    if (models.length > maxModels) return undefined
    const { gletBytes, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    let bytes = gletBytes
    for (let i = 0; i < models.length; i++) bytes += modelBytes[models[i]!]!
    if (bytes > roomBytes) return undefined
    // A single model's memory is what it is.
    const leastPct = models.length === 1 ? 0 : (100 * (bytes / roomBytes - mostOfMemory)) / (1 - mostOfMemory)
    const fixed = fixedCost(kind, models)
    const last = Math.min(largest, sharesPct.length - 1)
    let share = Math.min(near, last)
    while (sharesPct[share]! < leastPct && share < sharesPct.length - 1) share++
    if (share > last) return undefined
    let part = 1
    let cycleMs = 0
    if (carries(kind, share, models, rps)) {
      part = used
      cycleMs = foundMs
      while (share > 0 && sharesPct[share - 1]! >= leastPct && carries(kind, share - 1, models, rps)) {
        share--
        part = used
        cycleMs = foundMs
      }
    } else {
      do {
        if (share === last) return undefined
        share++
        if (costOn(kind, share, 0, fixed) > mostCost) return undefined
      } while (!carries(kind, share, models, rps))
      part = used
      cycleMs = foundMs
    }
    const cost = costOn(kind, share, part, fixed)
    return cost > mostCost ? undefined : { kind, share, models, rps, used: part, cycleMs, cost }
  }

  const room: LooseGlets["room"] = ({ cycleMs: foundMs, kind, models, rps, share, used: busy }, model) => {
    const there = models.indexOf(model)
    const already = there < 0 ? 0 : rps[there]!
    if (models.length === 1 && there === 0) return most[place(kind, share, model)]! - already
    const first = place(kind, share, 0)
    const msOf = (each: number, batch: number): number => (batch === 0 ? 0 : latencies[begins[first + each]! + batch - 1]!)
    let cycleMs = foundMs
    let othersMs = busy * cycleMs
    if (models.length === 1) {
      // Alone it has any cycle; beside another the longest is as good as any.
      const batch = Math.max(1, Math.ceil((rps[0]! * cycleMs) / 1000 - slack))
      if (batch > largest[first + models[0]!]!) return 0
      othersMs = msOf(models[0]!, batch)
      if (!isStrict) cycleMs = Math.min(cycleMs, sloMs[models[0]!]! - othersMs)
    }
    const now = there < 0 ? 0 : Math.max(1, Math.ceil((already * cycleMs) / 1000 - slack))
    othersMs -= msOf(model, now)
    let batch = now
    while (batch < largest[first + model]!) {
      const ms = msOf(model, batch + 1)
      if (othersMs + ms > cycleMs + slack || cycleMs + ms + (isStrict ? othersMs : 0) > sloMs[model]! + slack) break
      batch++
    }
    return Math.max(0, (1000 * batch) / cycleMs - already)
  }

  return {
    make,
    room,
    most: (kind, share, model) => most[place(kind, share, model)]!,
    batchMs: (kind, share, model, batch) => {
      const at = place(kind, share, model)
      return batch <= largest[at]! ? latencies[begins[at]! + batch - 1]! : Infinity
    },
    costOf: (kind, share, model, part) => part * shareCosts[kind]![share]! + modelCosts[kind]![model]!,
    fullCost: ({ kind, models, share }) => costOn(kind, share, 1, fixedCost(kind, models)),
    repriced: (glet) => ({ ...glet, cost: costOn(glet.kind, glet.share, glet.used, fixedCost(glet.kind, glet.models)) }),
    setPrices
  }
}
