/**
 * Glets change places on GPUs until memory fits and all bear their neighbours, by sums alone: what each does to others, and how much of them it bears.
 */
import type { Tolerance } from "./tolerance.js"

interface Places {
  /** Numbers of the glets on each GPU. */
  readonly gpus: ReadonlyArray<ReadonlyArray<number>>
  /** By glet, in percent of a GPU, and as a part of its memory. */
  readonly pcts: Float64Array
  readonly memory: Float64Array
  readonly tolerances: ReadonlyArray<Tolerance>
  readonly maxGlets: number
}

interface Exchange {
  /** As they stand now; what changes is another list. */
  readonly gpus: ReadonlyArray<ReadonlyArray<number>>
  /** Looks for places where nothing is too much on any GPU; answers whether these are such. */
  readonly settle: () => boolean
  /** These glets go together less well than sums say, and bear less from now on. */
  readonly bearLess: (glets: ReadonlyArray<number>) => void
}

/** Changes of places that are tried for each glet. */
const changesEach = 50
/** Memory that is too much counts for more than neighbours that are. */
const ofMemory = 4
/** One glet that bears next to nothing is no worse than this. */
const worst = 1
/** What is too much may become so much more, at first and at the end. */
const hot = 0.02
const cold = 0.001
/** So often the other GPU gives one glet of the same share; else any that make up for it, each of which is passed over now and then. */
const oftenAlike = 0.6
const passedOver = 0.3
const lessBorne = 1.2

export const makeExchange = (places: Places, random: () => number): Exchange => {
  const { maxGlets, memory, pcts, tolerances } = places
  const gpus = [...places.gpus]
  const effects = tolerances[0]?.pressure.length ?? 0
  const pressure = new Float64Array(pcts.length * effects)
  const burden = new Float64Array(pcts.length * effects)
  tolerances.forEach((tolerance, i) => {
    pressure.set(tolerance.pressure, i * effects)
    burden.set(tolerance.burden, i * effects)
  })
  const free = Float64Array.from(gpus, (gpu) => 100 - gpu.reduce((sum, i) => sum + pcts[i]!, 0))
  const where = new Int32Array(pcts.length)
  gpus.forEach((gpu, at) => {
    for (const i of gpu) where[i] = at
  })
  const alike = new Map<number, Array<number>>()
  pcts.forEach((pct, i) => {
    const known = alike.get(pct)
    if (known === undefined) alike.set(pct, [i])
    else known.push(i)
  })

  const sums = new Float64Array(effects)
  /** What is too much on a GPU with some glets. */
  const excessOf = (gpu: ReadonlyArray<number>): number => {
    sums.fill(0)
    let filled = 0
    for (let n = 0; n < gpu.length; n++) {
      const i = gpu[n]!
      filled += memory[i]!
      for (let effect = 0, p = i * effects; effect < effects; effect++, p++) sums[effect]! += pressure[p]!
    }
    let excess = filled > 1 ? ofMemory * (filled - 1) : 0
    if (gpu.length === 1) return excess
    for (let n = 0; n < gpu.length; n++) {
      let load = -1
      for (let effect = 0, p = gpu[n]! * effects; effect < effects; effect++, p++) load += burden[p]! * (sums[effect]! - pressure[p]!)
      if (load > 0) excess += load < worst ? load : worst
    }
    return excess
  }
  const excess = new Float64Array(gpus.length)
  /** GPUs on which something is too much, and where each stands among them. */
  const over: Array<number> = []
  const place = new Int32Array(gpus.length).fill(-1)
  const mark = (at: number, next: number): void => {
    excess[at] = next
    const isOver = next > 0
    if (isOver === (place[at]! >= 0)) return
    if (isOver) {
      place[at] = over.length
      over.push(at)
      return
    }
    const last = over.pop()!
    if (last !== at) {
      over[place[at]!] = last
      place[last] = place[at]!
    }
    place[at] = -1
  }
  gpus.forEach((gpu, at) => mark(at, excessOf(gpu)))

  const pick = (n: number): number => Math.floor(random() * n)
  const given: Array<number> = []
  /** GPU `u` gives a glet and gets those of `given` from `v`, if that is not too much worse. */
  const change = (u: number, one: number, v: number, givenPct: number, temperature: number): void => {
    const from = gpus[u]!
    const to = gpus[v]!
    if (to.length - given.length + 1 > maxGlets || from.length - 1 + given.length > maxGlets) return
    const nextFrom = from.filter((i) => i !== one)
    for (const other of given) nextFrom.push(other)
    const nextTo = to.filter((i) => !given.includes(i))
    nextTo.push(one)
    const excessFrom = excessOf(nextFrom)
    const excessTo = excessOf(nextTo)
    const more = excessFrom + excessTo - excess[u]! - excess[v]!
    if (more > 0 && !(random() < Math.exp(-more / temperature))) return
    gpus[u] = nextFrom
    gpus[v] = nextTo
    mark(u, excessFrom)
    mark(v, excessTo)
    free[u]! += pcts[one]! - givenPct
    free[v]! += givenPct - pcts[one]!
    where[one] = v
    for (const other of given) where[other] = u
  }

  return {
    gpus,
    settle: () => {
      const steps = changesEach * pcts.length
      const cooling = (cold / hot) ** (1 / steps)
      let temperature = hot
      for (let step = 0; step < steps && over.length > 0; step++, temperature *= cooling) {
        // One of two GPUs that exchange glets has too much of something. The first gives one glet, the other any number: both ways are needed.
        const tooMuch = over[pick(over.length)]!
        const isFirst = random() < 0.5
        const u = isFirst ? tooMuch : pick(gpus.length)
        const from = gpus[u]!
        if (from.length === 0) continue
        const one = from[pick(from.length)]!
        given.length = 0
        if (isFirst && random() < oftenAlike) {
          const of = alike.get(pcts[one]!)!
          const other = of[pick(of.length)]!
          if (where[other] === u) continue
          given.push(other)
          change(u, one, where[other]!, pcts[other]!, temperature)
          continue
        }
        const v = isFirst ? pick(gpus.length) : tooMuch
        if (v === u) continue
        const to = gpus[v]!
        const most = pcts[one]! + free[u]!
        let givenPct = 0
        for (let n = 0, at = pick(to.length + 1); n < to.length; n++, at++) {
          const other = to[at % to.length]!
          if (givenPct + pcts[other]! > most || (givenPct > 0 && random() < passedOver)) continue
          given.push(other)
          givenPct += pcts[other]!
        }
        if (pcts[one]! <= free[v]! + givenPct) change(u, one, v, givenPct, temperature)
      }
      return over.length === 0
    },
    bearLess: (glets) => {
      for (const i of glets) for (let effect = 0; effect < effects; effect++) burden[i * effects + effect]! *= lessBorne
      for (const at of new Set(glets.map((i) => where[i]!))) mark(at, excessOf(gpus[at]!))
    }
  }
}
