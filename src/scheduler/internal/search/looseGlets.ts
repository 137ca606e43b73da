/**
 * Glets that stand on no GPU yet: what each costs, and the smallest share on which given models carry given rates together.
 */
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
   * `mostCost`.
   */
  readonly make: (kind: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>, near: number, mostCost: number) => LooseGlet | undefined
  /** Items per second of a model, there already or not, that a glet carries beyond what it does: whole batches in its cycle, as large as its free time allows. */
  readonly room: (glet: LooseGlet, model: number) => number
  /** Items per second that a model gets at most of a share. */
  readonly most: (kind: number, share: number, model: number) => number
  /** The same glet at the prices there are now. */
  readonly repriced: (glet: LooseGlet) => LooseGlet
  readonly setPrices: (prices: LoosePrices) => void
}

/** Sums of floating-point milliseconds and of parts of time. */
const slack = 1e-9

/** Free time is worth more where there is much of it in one glet, up to so much of the share: glets get full, and others empty. */
const worthOfFree = 0.7

/** The smallest glet may fill so much of a GPU's memory: what fills all of it, and little of the share, leaves a rest that is of no use. */
const mostOfMemory = 0.5

/** Batches grow from round to round; where they have not settled by then, the glet is taken not to carry its rates. */
const mostRounds = 200

export const makeLooseGlets = (space: SearchSpace, slowing: Slowing, prices: LoosePrices): LooseGlets => {
  const { isStrict, kinds, maxModels, rows, sloMs } = space
  const { data, stride } = rows
  const shares = Math.max(...kinds.map(({ sharesPct }) => sharesPct.length))
  const place = (kind: number, share: number, model: number): number => (kind * shares + share) * space.models + model
  const most = new Float64Array(kinds.length * shares * space.models)
  kinds.forEach(({ sharesPct }, kind) =>
    sharesPct.forEach((_, share) => {
      for (let model = 0; model < space.models; model++) {
        const start = rows.start(kind, model, share)
        const largest = rows.largest(kind, model, share)
        const longer = 1 + slowing[kind]![share]![model]!
        let best = 0
        for (let batch = 1; batch <= largest; batch++) {
          const ms = data[start + batch * stride]! * longer
          if (2 * ms > sloMs[model]!) break
          if ((1000 * batch) / ms > best) best = (1000 * batch) / ms
        }
        most[place(kind, share, model)] = best
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
  const batches = new Int32Array(maxModels)
  const own = new Float64Array(maxModels)

  /** In the shortest cycle that carries the rates, from single items upward. */
  const settles = (kind: number, share: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>, onceMs: number): boolean => {
    const slow = slowing[kind]![share]!
    batches.fill(1)
    let dutyMs = onceMs
    for (let round = 0; round < mostRounds; round++) {
      let sumMs = 0
      for (let i = 0; i < models.length; i++) {
        const model = models[i]!
        const batch = Math.max(batches[i]!, Math.ceil((rps[i]! * dutyMs) / 1000 - slack))
        if (batch > rows.largest(kind, model, share)) return false
        batches[i] = batch
        sumMs += own[i] = data[rows.start(kind, model, share) + batch * stride]! * (1 + slow[model]!)
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
    const slow = slowing[kind]![share]!
    let load = 0
    let onceMs = 0
    let longestMs = Infinity
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      const full = most[place(kind, share, model)]!
      if (full === 0) return false
      load += rps[i]! / full
      const ms = data[rows.start(kind, model, share) + stride]! * (1 + slow[model]!)
      onceMs += ms
      longestMs = Math.min(longestMs, isStrict ? sloMs[model]! / 2 : sloMs[model]! - ms)
    }
    // Whatever the cycle, batches take so much of it.
    if (load > 1 + slack || onceMs > longestMs + slack) return false
    if (models.length === 1) {
      used = Math.min(1, Math.max(load, onceMs / longestMs))
      foundMs = longestMs
      return true
    }
    // In the longest cycle that single items allow, if its batches allow it.
    let sumMs = 0
    let cycleMs = longestMs
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      const batch = Math.max(1, Math.ceil((rps[i]! * longestMs) / 1000 - slack))
      if (batch > rows.largest(kind, model, share)) {
        sumMs = Infinity
        break
      }
      const ms = data[rows.start(kind, model, share) + batch * stride]! * (1 + slow[model]!)
      sumMs += ms
      if (!isStrict) cycleMs = Math.min(cycleMs, sloMs[model]! - ms)
    }
    used = sumMs <= cycleMs ? sumMs / cycleMs : 1
    foundMs = cycleMs
    return sumMs <= cycleMs || settles(kind, share, models, rps, onceMs)
  }

  const fixedCost = (kind: number, models: ReadonlyArray<number>): number => {
    let cost = gletCosts[kind]!
    for (let i = 0; i < models.length; i++) cost += modelCosts[kind]![models[i]!]!
    return cost
  }
  const costOn = (kind: number, share: number, part: number, fixed: number): number =>
    fixed + shareCosts[kind]![share]! * (1 - worthOfFree * (1 - part) * (1 - part))

  const make: LooseGlets["make"] = (kind, models, rps, near, mostCost) => {
    if (models.length > maxModels) return undefined
    const { gletBytes, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    let bytes = gletBytes
    for (let i = 0; i < models.length; i++) bytes += modelBytes[models[i]!]!
    if (bytes > roomBytes) return undefined
    // A single model's memory is what it is.
    const leastPct = models.length === 1 ? 0 : (100 * (bytes / roomBytes - mostOfMemory)) / (1 - mostOfMemory)
    const fixed = fixedCost(kind, models)
    const last = sharesPct.length - 1
    let share = Math.min(near, last)
    while (sharesPct[share]! < leastPct && share < last) share++
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
    const msOf = (each: number, batch: number): number =>
      batch === 0 ? 0 : data[rows.start(kind, each, share) + batch * stride]! * (1 + slowing[kind]![share]![each]!)
    let cycleMs = foundMs
    let othersMs = busy * cycleMs
    if (models.length === 1) {
      // Alone it has any cycle; beside another the longest is as good as any.
      const batch = Math.max(1, Math.ceil((rps[0]! * cycleMs) / 1000 - slack))
      if (batch > rows.largest(kind, models[0]!, share)) return 0
      othersMs = msOf(models[0]!, batch)
      if (!isStrict) cycleMs = Math.min(cycleMs, sloMs[models[0]!]! - othersMs)
    }
    const now = there < 0 ? 0 : Math.max(1, Math.ceil((already * cycleMs) / 1000 - slack))
    othersMs -= msOf(model, now)
    const largest = rows.largest(kind, model, share)
    let batch = now
    while (batch < largest) {
      const ms = msOf(model, batch + 1)
      if (othersMs + ms > cycleMs || cycleMs + ms + (isStrict ? othersMs : 0) > sloMs[model]!) break
      batch++
    }
    return Math.max(0, (1000 * batch) / cycleMs - already)
  }

  return {
    make,
    room,
    most: (kind, share, model) => most[place(kind, share, model)]!,
    repriced: (glet) => ({ ...glet, cost: costOn(glet.kind, glet.share, glet.used, fixedCost(glet.kind, glet.models)) }),
    setPrices
  }
}
