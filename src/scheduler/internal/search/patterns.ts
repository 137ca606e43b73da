/**
 * Patterns: glets that are worth having, and what each model is worth by them.
 *
 * A pattern is a glet with the models that it runs; it costs its share and its memory. Patterns that carry all rates at the least cost, if parts of
 * patterns could be had, are a covering program; its prices say what carrying a model is worth, and patterns that are worth more than they cost at these
 * prices are added to it, again and again: column generation. A glet's cycle is the longest that its tightest model allows, so every model is tried as the
 * tightest.
 */
import type { Covering } from "./coveringPrices.js"
import { coveringPrices } from "./coveringPrices.js"
import type { Choice, GletMenu } from "./gletChoice.js"
import { makeGletChooser } from "./gletChoice.js"
import type { SearchSpace } from "./searchSpace.js"

interface Pattern {
  readonly kind: number
  readonly share: number
  /** Of which its models' batches fill as much as they do. */
  readonly cycleMs: number
  readonly models: ReadonlyArray<number>
  readonly batches: ReadonlyArray<number>
  /** Items per second that each gets at the least. */
  readonly rps: ReadonlyArray<number>
  /** Of a GPU's share and of its memory, in the kind's cost. */
  readonly size: number
  readonly memory: number
  readonly key: string
}

/** Parts of a rate that are not lacking. */
export const negligible = 1e-9

/** Sets of models for each share and tightest model that are looked for at once. */
const setsEach = 4
/** What a pattern must be worth, of its cost, to be of use. */
const ofUse = 1.001
/** Patterns that are worth less of their cost are forgotten. */
const hopeless = 0.85
const hopelessOfFew = 0.4
/** Up to which more patterns are looked for. */
export const fewModels = 150
const leastMemory = 0.003
/** Parts of a GPU. */
const leastValue = 1e-3
const mostMemory = 0.4

/** The part by which the average neighbours slow a model down on a share. */
const slowingOf = (space: SearchSpace, kind: number): ReadonlyArray<Float64Array> => {
  const { models, resources, rows } = space
  const { sharesPct } = space.kinds[kind]!
  const last = sharesPct.length - 1
  const entryOf = (model: number, share: number): number => rows.start(kind, model, share) + rows.stride
  const pressure = new Float64Array(resources)
  let count = 0
  for (let model = 0; model < models; model++) {
    if (rows.largest(kind, model, last) === 0) continue
    const entry = entryOf(model, last) + 2 + resources
    for (let r = 0; r < resources; r++) pressure[r]! += rows.data[entry + r]!
    count++
  }
  return sharesPct.map((pct) => Float64Array.from({ length: models }, (_, model) => {
    if (count === 0 || resources === 0 || rows.largest(kind, model, last) === 0) return 0
    const entry = entryOf(model, last)
    let part = 0
    for (let r = 0; r < resources; r++) part += rows.data[entry + 2 + r]! * (pressure[r]! / count)
    return (part * (100 - pct)) / 100
  }))
}

export interface PatternPool {
  /** What carrying what a model lacks is worth, by model. */
  readonly value: Float64Array
  readonly patterns: ReadonlyArray<Pattern>
  /** How much of each pattern is used. */
  readonly used: Float64Array
  /** Looks for patterns with each `stride`th model as the tightest, from `offset`; answers how many were found. */
  readonly grow: (open: ReadonlyArray<number>, lack: Float64Array, stride: number, offset: number) => number
  /** Prices and use anew, for what is lacking now. Patterns of models that lack nothing go. */
  readonly solve: (open: ReadonlyArray<number>, lack: Float64Array, steps: number) => void
  /** The best set of open models for a share and a cycle. */
  readonly choose: (kind: number, share: number, cycleMs: number, open: ReadonlyArray<number>, lack: Float64Array, value: Float64Array) => ReadonlyArray<Choice>
  readonly costOf: (pattern: Pattern) => number
  readonly memoryPrice: () => number
  readonly longestCycle: (kind: number, share: number, model: number, rps: number) => number
}

/** By kind and share, the part by which average neighbours slow each model down. */
type Slowing = ReadonlyArray<ReadonlyArray<Float64Array>>

export const slowingsOf = (space: SearchSpace): Slowing => space.kinds.map((_, kind) => slowingOf(space, kind))

export const makePatternPool = (
  space: SearchSpace,
  slowing: Slowing,
  firstMemoryPrice: number,
  start: Float64Array,
  left: ReadonlyArray<number>
): PatternPool => {
  const { kinds, rows, sloMs } = space
  const chooser = makeGletChooser(space)
  let value: Float64Array = start.slice()
  let used: Float64Array = new Float64Array(0)
  let patterns: Array<Pattern> = []
  let keys = new Set<string>()
  let memoryPrice = Math.max(leastMemory, firstMemoryPrice)
  const loading = kinds.map(() => new Float64Array(space.models))
  const gletCost = kinds.map(({ sharesPct }) => new Float64Array(sharesPct.length))
  const setMemoryPrice = (price: number): void => {
    memoryPrice = price
    kinds.forEach(({ cost, gletBytes, modelBytes, roomBytes, sharesPct }, kind) => {
      modelBytes.forEach((bytes, model) => {
        loading[kind]![model] = (cost * price * bytes) / roomBytes
      })
      sharesPct.forEach((pct, share) => {
        gletCost[kind]![share] = cost * (((1 - price) * pct) / 100 + (price * gletBytes) / roomBytes)
      })
    })
  }
  setMemoryPrice(memoryPrice)
  const dearest = new Float64Array(space.models)
  const costOf = ({ memory, size }: Pattern): number => (1 - memoryPrice) * size + memoryPrice * memory

  const menuOf = (kind: number, share: number, cycleMs: number, open: ReadonlyArray<number>, lack: Float64Array): GletMenu =>
    ({ kind, share, cycleMs, open, lack, value, loading: loading[kind]!, slowing: slowing[kind]![share]! })

  /** The longest cycle that a model allows while its batch carries what it lacks. */
  const longestCycle = (kind: number, share: number, model: number, rps: number): number => {
    const { data, stride } = rows
    const first = rows.start(kind, model, share)
    const most = rows.largest(kind, model, share)
    const slo = sloMs[model]!
    const longer = 1 + slowing[kind]![share]![model]!
    let batch = 1
    let ms = 0
    for (let round = 0; round < 3; round++) {
      ms = data[first + batch * stride]! * longer
      batch = Math.max(1, Math.min(most, Math.ceil((rps * (slo - ms)) / 1000 - 1e-9)))
    }
    ms = data[first + batch * stride]! * longer
    return space.isStrict ? slo / 2 : Math.max(ms, slo - ms)
  }

  const add = (kind: number, share: number, cycleMs: number, set: ReadonlyArray<Choice>): boolean => {
    const key = `${kind}/${share}/${set.map(({ batch, model }) => `${model}x${batch}`).sort().join()}`
    if (keys.has(key)) return false
    keys.add(key)
    const dutyMs = set.reduce((sum, { ms }) => sum + ms, 0)
    const models = set.map(({ model }) => model)
    const { cost, gletBytes, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    const memory = models.reduce((bytes, model) => bytes + modelBytes[model]!, gletBytes) / roomBytes
    patterns.push({ kind, share, cycleMs, models, batches: set.map(({ batch }) => batch), rps: set.map(({ batch }) => (1000 * batch) / dutyMs), size: (cost * sharesPct[share]!) / 100, memory: cost * memory, key })
    return true
  }

  const grow: PatternPool["grow"] = (open, lack, stride, offset) => {
    let found = 0
    for (let kind = 0; kind < kinds.length; kind++) {
      if (left[kind] === 0) continue
      for (let share = 0; share < kinds[kind]!.sharesPct.length; share++) {
        const least = gletCost[kind]![share]! * ofUse
        for (let o = offset % stride; o < open.length; o += stride) {
          const model = open[o]!
          if (rows.largest(kind, model, share) === 0) continue
          const cycleMs = longestCycle(kind, share, model, lack[model]!)
          for (const set of chooser.chooseSeveral(menuOf(kind, share, cycleMs, open, lack), least, setsEach)) {
            if (add(kind, share, cycleMs, set)) found++
          }
        }
      }
    }
    return found
  }

  /** At the beginning every model has a pattern of its own for each share. */
  const begin = (open: ReadonlyArray<number>, lack: Float64Array): void => {
    for (let kind = 0; kind < kinds.length; kind++) {
      if (left[kind] === 0) continue
      for (let share = 0; share < kinds[kind]!.sharesPct.length; share++) {
        for (const model of open) {
          if (rows.largest(kind, model, share) === 0) continue
          const cycleMs = longestCycle(kind, share, model, lack[model]!)
          const set = chooser.choose({ ...menuOf(kind, share, cycleMs, [model], lack), value: always }, model)
          if (set.length > 0) add(kind, share, cycleMs, set)
        }
      }
    }
  }
  const always = new Float64Array(space.models).fill(Infinity)
  let hasBegun = false
  let rounds = 0

  const solve: PatternPool["solve"] = (open, lack, steps) => {
    if (!hasBegun) begin(open, lack)
    hasBegun = true
    const place = new Int32Array(space.models).fill(-1)
    open.forEach((model, at) => {
      place[model] = at
    })
    const kept: Array<Pattern> = []
    const keptUse: Array<number> = []
    patterns.forEach((pattern, j) => {
      if (left[pattern.kind] === 0 || !pattern.models.some((model) => place[model]! >= 0)) return
      if (rounds > 3 && (used[j] ?? 1) < 1e-6) {
        let worth = 0
        for (let i = 0; i < pattern.models.length; i++) worth += value[pattern.models[i]!]! * (lack[pattern.models[i]!]! > 0 ? Math.min(1, pattern.rps[i]! / lack[pattern.models[i]!]!) : 0)
        if (worth < (open.length > fewModels ? hopeless : hopelessOfFew) * costOf(pattern)) return
      }
      kept.push(pattern)
      keptUse.push(used[j] ?? 0)
    })
    patterns = kept
    keys = new Set(kept.map(({ key }) => key))
    const starts = new Int32Array(patterns.length + 1)
    const row: Array<number> = []
    const part: Array<number> = []
    patterns.forEach(({ models, rps }, j) => {
      for (let i = 0; i < models.length; i++) {
        const at = place[models[i]!]!
        if (at < 0) continue
        row.push(at)
        part.push(Math.min(1, rps[i]! / lack[models[i]!]!))
      }
      starts[j + 1] = row.length
    })
    const covering: Covering = { rows: open.length, cost: Float64Array.from(patterns, costOf), starts, row, part }
    const solved = coveringPrices(covering, open.map((model) => value[model]!), keptUse, steps)
    value = new Float64Array(space.models)
    for (const model of open) dearest[model] = loading.reduce((most, costs) => Math.max(most, costs[model]! < Infinity ? costs[model]! : 0), 0)
    open.forEach((model, at) => {
      // Even what others carry for nothing wants a place.
      value[model] = Math.max(solved.prices[at]!, leastValue + (1 + leastValue) * dearest[model]!)
    })
    used = solved.used
    // Where patterns fill more memory than share it becomes dearer, else cheaper.
    let [sizes, memories] = [0, 0]
    patterns.forEach(({ memory, size }, j) => {
      sizes += used[j]! * size
      memories += used[j]! * memory
    })
    if (sizes > 0) setMemoryPrice(Math.min(mostMemory, Math.max(leastMemory, memoryPrice * Math.min(1.1, Math.max(0.9, memories / sizes)))))
    rounds++
  }

  return {
    get value() {
      return value
    },
    get patterns() {
      return patterns
    },
    get used() {
      return used
    },
    grow,
    solve,
    choose: (kind, share, cycleMs, open, lack, worth) => chooser.choose({ ...menuOf(kind, share, cycleMs, open, lack), value: worth }),
    costOf,
    memoryPrice: () => memoryPrice,
    longestCycle
  }
}
