/**
 * A plan by its glets: what large models need of glets of their own is set aside, the rest is annealed as glets that stand on no GPU yet, and GPUs are put
 * together of all of them.
 */
import { annealGlets } from "./annealGlets.js"
import { assemble } from "./assemble.js"
import { cutPrices } from "./cutPrices.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { LooseGlet, LooseGlets, LoosePrices } from "./looseGlets.js"
import { makeLooseGlets } from "./looseGlets.js"
import type { SearchSpace } from "./searchSpace.js"
import { slowingsOf } from "./slowing.js"

interface ByGletsRequest {
  /** Items per second, by model. */
  readonly target: Float64Array
  /** GPUs there are, by kind. */
  readonly available: ReadonlyArray<number>
  /** Plans that are made; the cheapest is the answer, or the first that costs no more than `enough`. */
  readonly runs: number
  readonly enough: number
  /** Of annealing, for each. */
  readonly steps: number
  readonly random: () => number
}

/** Neighbours may slow a model down by so much more than average ones: less leaves more room, and fewer neighbours that go together. By run. */
const margins = [1.5, 2]
/** Temperatures, in parts of a GPU. */
const hot = 0.003
const cold = 0.0001
/** Of annealing; between them prices follow what is scarce. */
const rounds = 8
/** So far the prices of shares go at once. */
const following = 0.5
const leastMemory = 0.01
const mostMemory = 0.6
/** Memory is not scarce while no more of it is used for each GPU's worth of share. */
const plentyOfMemory = 0.75
/** By what a kind becomes dearer of which there are too few, and how often that is tried. */
const dearer = 1.1
const mostTries = 5

/** Saturated glets of one model each, and the glets that are annealed. */
interface Split {
  readonly whole: ReadonlyArray<LooseGlet>
  readonly rest: ReadonlyArray<LooseGlet>
}

/** Of each model saturated glets where they are cheapest for the rate, all but the last; what is left stands on glets of its own. */
const split = ({ kinds, models }: SearchSpace, loose: LooseGlets, target: Float64Array): Split | undefined => {
  const whole: Array<LooseGlet> = []
  const rest: Array<LooseGlet> = []
  for (let model = 0; model < models; model++) {
    if (!(target[model]! > 0)) continue
    let best: LooseGlet | undefined
    kinds.forEach(({ sharesPct }, kind) => sharesPct.forEach((_, share) => {
      const most = loose.most(kind, share, model)
      const glet = most > 0 ? loose.make(kind, [model], [most], share, Infinity) : undefined
      if (glet !== undefined && (best === undefined || glet.cost / most < best.cost / best.rps[0]!)) best = glet
    }))
    if (best === undefined) return undefined
    const most = best.rps[0]!
    const count = Math.max(0, Math.floor(target[model]! / most) - 1)
    for (let i = 0; i < count; i++) whole.push(best)
    for (let left = target[model]! - count * most; left > 1e-9 * target[model]!;) {
      const rps = Math.min(most, left)
      left -= rps
      const glets = kinds.flatMap((_, kind) => loose.make(kind, [model], [rps], 0, Infinity) ?? [])
      rest.push(glets.reduce((a, b) => (a.cost <= b.cost ? a : b)))
    }
  }
  return { whole, rest }
}

const run = (space: SearchSpace, solver: GpuSolver, request: ByGletsRequest, margin: number): ReadonlyArray<GpuState> | undefined => {
  const { available, random, steps, target } = request
  const { kinds } = space
  const scarcity = kinds.map(() => 1)
  const memory = kinds.map(() => leastMemory)
  let parts = kinds.map(({ sharesPct }) => Float64Array.from(sharesPct, (pct) => pct / 100))
  const prices = (): LoosePrices => ({
    share: kinds.map(({ cost }, kind) => parts[kind]!.map((part) => scarcity[kind]! * cost * (1 - memory[kind]!) * part)),
    memory: kinds.map(({ cost }, kind) => scarcity[kind]! * cost * memory[kind]!)
  })
  const loose = makeLooseGlets(space, slowingsOf(space, margin), prices())
  const follow = (glets: ReadonlyArray<LooseGlet>): void => {
    kinds.forEach(({ gletBytes, modelBytes, roomBytes, sharesPct }, kind) => {
      const counts = new Float64Array(sharesPct.length)
      let [gpus, filled] = [0, 0]
      for (const glet of glets) {
        if (glet.kind !== kind) continue
        counts[glet.share]!++
        gpus += sharesPct[glet.share]! / 100
        filled += glet.models.reduce((sum, model) => sum + modelBytes[model]!, gletBytes) / roomBytes
      }
      if (gpus === 0) return
      const exact = cutPrices(sharesPct, counts)
      parts[kind] = parts[kind]!.map((part, share) => part + following * (exact[share]! - part))
      const change = Math.min(2, Math.max(0.5, (filled / gpus / plentyOfMemory) ** 2))
      memory[kind] = Math.min(mostMemory, Math.max(leastMemory, memory[kind]! * change))
    })
    loose.setPrices(prices())
  }
  for (let attempt = 0; attempt < mostTries; attempt++) {
    const made = split(space, loose, target)
    if (made === undefined) return undefined
    let { rest } = made
    const temperature = (round: number): number => hot * (cold / hot) ** (round / rounds)
    for (let round = 0; round < rounds && rest.length > 0; round++) {
      if (round > 0) {
        follow([...made.whole, ...rest])
        rest = rest.map(loose.repriced)
      }
      rest = annealGlets(space, loose, rest, { steps: Math.ceil(steps / rounds), hot: temperature(round), cold: temperature(round + 1), random })
    }
    const states = assemble(space, solver, [...made.whole, ...rest], random)
    if (states === undefined) return undefined
    const isShort = kinds.map((_, kind) => states.reduce((count, state) => count + (state.kind === kind ? 1 : 0), 0) > available[kind]!)
    if (!isShort.includes(true)) return states
    if (!isShort.includes(false)) return undefined
    isShort.forEach((short, kind) => {
      if (short) scarcity[kind]! *= dearer
    })
    parts = kinds.map(({ sharesPct }) => Float64Array.from(sharesPct, (pct) => pct / 100))
    loose.setPrices(prices())
  }
  return undefined
}

/** GPUs that carry the target; undefined where there are too few, or a model has no glet. */
export const byGlets = (space: SearchSpace, solver: GpuSolver, request: ByGletsRequest): ReadonlyArray<GpuState> | undefined => {
  let best: ReadonlyArray<GpuState> | undefined
  let least = Infinity
  for (let i = 0; i < request.runs && least > request.enough; i++) {
    const states = run(space, solver, request, margins[i % margins.length]!)
    if (states === undefined) continue
    const cost = states.reduce((sum, { kind }) => sum + space.kinds[kind]!.cost, 0)
    if (cost >= least) continue
    best = states
    least = cost
  }
  return best
}
