/**
 * A plan by its glets: what large models need of glets of their own is set aside, the rest is annealed as glets that stand on no GPU yet, and GPUs are put
 * together of all of them.
 */
import { annealGlets } from "./annealGlets.js"
import { arrange } from "./arrange.js"
import type { Filling } from "./assemble.js"
import { assemble, fillings, isCrowded } from "./assemble.js"
import { cutPrices } from "./cutPrices.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { LooseGlet } from "./looseGlet.js"
import type { LooseGlets, LoosePrices } from "./looseGlets.js"
import { makeLooseGlets } from "./looseGlets.js"
import { packGlets } from "./packGlets.js"
import { remix } from "./remix.js"
import type { Regroup } from "./regroup.js"
import type { SearchSpace } from "./searchSpace.js"
import { slowingsOf } from "./slowing.js"
import { areSums } from "./tolerance.js"

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
  /** Whether it begins with glets that models share, instead of one for each: where there are many models it has too few steps to get there by itself. */
  readonly isPacked: boolean
  /** Where given, the glets of the cheapest plan are grouped anew, all at once. */
  readonly regroup: Regroup | undefined
  readonly random: () => number
}

/** Neighbours may slow a model down by so much more than average ones: less leaves more room, and fewer neighbours that go together. By run. */
const margins = [1.5, 2, 2.5]
/** So often GPUs are put together of the same glets, if no time before left less than a GPU over. */
const assemblies = 6
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
/** Rounds before which saturated glets go to other shares; of several kinds that changes nothing. */
const remixedBefore = [2, 5]
/** By what a kind becomes dearer of which there are too few, and how often that is tried. */
const dearer = 1.1
const mostTries = 5
/**
 * Of several kinds so many numbers of whole GPUs are tried, fewer where there were too few of a kind or one GPU is a small part of the cost; for this part of
 * the steps each, but no more than so many, and how warm glets are then.
 */
const mostMixes = 4
const mixesLater = 2
const manyWhole = 300
const mixSteps = 0.5
const mostMixSteps = 60_000
const mixHot = 0.001
/** What is over by no more than so many percent of a GPU is annealed again, so often. */
const nearMissPct = 50
const mostNearMisses = 2
/** So many GPUs more or fewer of a kind, of two, three and more kinds, and for no less than this part of what glets cost now. */
const mixRanges = [3, 1, 0]
const leastOfLoose = 0.99
const mostLooks = 5000
/** How often and for how many rounds glets are grouped anew; annealing after it, for this part of the steps, finds what rates are better split otherwise. */
const regroupings = 2
const regroupRounds = 30
const afterSteps = 0.25
const afterHot = 0.0005

/** Saturated glets of one model each, and the glets that are annealed. */
interface Split {
  readonly whole: ReadonlyArray<LooseGlet>
  readonly rest: ReadonlyArray<LooseGlet>
}

/**
 * Of each model saturated glets where they are cheapest for the rate, all but the last; what is left stands on glets of its own, of the kind on which it
 * costs least alone, or (`isShared`) by the part of its glet's time that it takes, as if others paid for the rest.
 */
const split = ({ kinds, models }: SearchSpace, loose: LooseGlets, target: Float64Array, isShared: boolean): Split | undefined => {
  const costOf = ({ cost, used }: LooseGlet): number => (isShared ? cost * used : cost)
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
      rest.push(glets.reduce((a, b) => (costOf(a) <= costOf(b) ? a : b)))
    }
  }
  return { whole, rest }
}

/** How GPUs are put together: all at once, or one after the other. */
type Way = "arranged" | Filling

/** What GPUs cost together. */
export const costOf = ({ kinds }: SearchSpace, states: ReadonlyArray<GpuState>): number => states.reduce((sum, { kind }) => sum + kinds[kind]!.cost, 0)

const pctsOf = ({ kinds }: SearchSpace, glets: ReadonlyArray<LooseGlet>): ReadonlyArray<number> => {
  const pcts = kinds.map(() => 0)
  for (const { kind, share } of glets) pcts[kind]! += kinds[kind]!.sharesPct[share]!
  return pcts
}

/** What whole GPUs for their shares cost at the least. */
const wholeCost = (space: SearchSpace, glets: ReadonlyArray<LooseGlet>): number => {
  const pcts = pctsOf(space, glets)
  return space.kinds.reduce((sum, { cost }, kind) => sum + cost * Math.ceil(pcts[kind]! / 100), 0)
}

/**
 * The cheapest of some ways to put the glets together; undefined where none costs less than `below`. `order`: the ways that are tried first, of which the best
 * is moved to the front.
 */
const assembleBest = (
  space: SearchSpace, solver: GpuSolver, glets: ReadonlyArray<LooseGlet>, order: Array<Way>, below: number, random: () => number
): ReadonlyArray<GpuState> | undefined => {
  const least = wholeCost(space, glets)
  const ways = isCrowded(space, glets) ? order : order.filter((filling) => filling !== "even")
  const smallest = Math.min(...space.kinds.map(({ cost }) => cost))
  let best: ReadonlyArray<GpuState> | undefined
  let cost = Infinity
  let winner = ways[0]!
  for (let i = 0; i < assemblies && Math.min(cost, below) > least + 1e-9; i++) {
    // What is far from it will not get there by chance.
    if (i >= ways.length && cost > below + smallest) break
    const way = ways[i % ways.length]!
    const states = way === "arranged" ? arrange(space, solver, glets, random) : assemble(space, solver, glets, way, random)
    if (states === undefined) return undefined
    if (costOf(space, states) >= cost - 1e-9) continue
    best = states
    cost = costOf(space, states)
    winner = way
  }
  order.unshift(...order.splice(order.indexOf(winner), 1))
  return cost < below - 1e-9 ? best : undefined
}

/** Numbers of whole GPUs are worth the more the cheaper they are, and the less the more glets have to change for them. */
const worthOfShift = 2

/** Numbers of GPUs of each kind that glets of so many percent may be brought to, for less than a cost; undefined where all such were tried. */
const nextMix = (
  { kinds }: SearchSpace, pcts: ReadonlyArray<number>, available: ReadonlyArray<number>, below: number, tried: ReadonlyArray<ReadonlyArray<number>>
): ReadonlyArray<number> | undefined => {
  let best: ReadonlyArray<number> | undefined
  let least = Infinity
  const most = kinds.reduce((sum, { cost }, kind) => sum + (cost * pcts[kind]!) / 100, 0)
  const range = mixRanges[Math.min(kinds.length, mixRanges.length + 1) - 2] ?? 0
  let looked = 0
  const extend = (counts: ReadonlyArray<number>, cost: number, shift: number): void => {
    if (looked++ > mostLooks || cost >= below - 1e-9) return
    const kind = counts.length
    if (kind === kinds.length) {
      if (cost < most * leastOfLoose || tried.some((mix) => mix.every((count, each) => count === counts[each]))) return
      const worth = cost + worthOfShift * shift
      if (worth >= least) return
      least = worth
      best = counts
      return
    }
    const wanted = pcts[kind]! / 100
    for (let count = Math.max(0, Math.floor(wanted) - range); count <= Math.min(available[kind]!, Math.ceil(wanted) + range); count++) {
      extend([...counts, count], cost + count * kinds[kind]!.cost, shift + kinds[kind]!.cost * Math.max(0, wanted - count))
    }
  }
  extend([], 0, 0)
  return best
}

/** GPUs, and the glets that they were put together of. */
interface Made {
  readonly states: ReadonlyArray<GpuState>
  readonly glets: Split
}

/** `begun`: the glets of a plan, which are grouped anew; without them they are annealed from nothing. */
const run = (
  space: SearchSpace, solver: GpuSolver, request: ByGletsRequest, margin: number, isShared: boolean, below: number, begun?: Split
): Made | undefined => {
  const { available, random, steps, target } = request
  const { kinds } = space
  const order: Array<Way> = areSums(space) ? ["arranged", ...fillings] : [...fillings]
  const scarcity = kinds.map(() => 1)
  const memory = kinds.map(() => leastMemory)
  let parts = kinds.map(({ sharesPct }) => Float64Array.from(sharesPct, (pct) => pct / 100))
  const prices = (): LoosePrices => ({
    share: kinds.map(({ cost }, kind) => parts[kind]!.map((part) => scarcity[kind]! * cost * (1 - memory[kind]!) * part)),
    memory: kinds.map(({ cost }, kind) => scarcity[kind]! * cost * memory[kind]!)
  })
  const loose = makeLooseGlets(space, slowingsOf(space, margin), prices())
  const follow = (glets: ReadonlyArray<LooseGlet>): void => {
    kinds.forEach(({ gletBytes, maxGlets, modelBytes, roomBytes, sharesPct }, kind) => {
      const counts = new Float64Array(sharesPct.length)
      let [gpus, filled] = [0, 0]
      for (const glet of glets) {
        if (glet.kind !== kind) continue
        counts[glet.share]!++
        gpus += sharesPct[glet.share]! / 100
        filled += glet.models.reduce((sum, model) => sum + modelBytes[model]!, gletBytes) / roomBytes
      }
      if (gpus === 0) return
      const exact = cutPrices(sharesPct, counts, maxGlets)
      parts[kind] = parts[kind]!.map((part, share) => part + following * (exact[share]! - part))
      const change = Math.min(2, Math.max(0.5, (filled / gpus / plentyOfMemory) ** 2))
      memory[kind] = Math.min(mostMemory, Math.max(leastMemory, memory[kind]! * change))
    })
    loose.setPrices(prices())
  }
  const countOf = (states: ReadonlyArray<GpuState>, kind: number): number => states.reduce((count, state) => count + (state.kind === kind ? 1 : 0), 0)
  const isThere = (states: ReadonlyArray<GpuState>): boolean => kinds.every((_, kind) => countOf(states, kind) <= available[kind]!)
  for (let attempt = 0; attempt < mostTries; attempt++) {
    const made: Split | undefined = attempt === 0 && begun !== undefined ? begun : split(space, loose, target, isShared)
    if (made === undefined) return undefined
    let { rest, whole } = made
    const reprice = (): void => {
      follow([...whole, ...rest])
      rest = rest.map(loose.repriced)
    }
    if (made === begun) {
      for (let i = 0; request.regroup !== undefined && i < regroupings && rest.length > 0; i++) {
        reprice()
        rest = request.regroup(space, loose, rest, { rounds: regroupRounds, random })
        reprice()
        rest = annealGlets(space, loose, rest, { steps: Math.ceil(steps * afterSteps), hot: afterHot, cold, random })
      }
    } else {
      if (request.isPacked) rest = packGlets(space, loose, rest)
      const temperature = (round: number): number => hot * (cold / hot) ** (round / rounds)
      for (let round = 0; round < rounds && rest.length > 0; round++) {
        if (round > 0) reprice()
        const mixed = kinds.length === 1 && remixedBefore.includes(round) && whole.length > 0 ? remix(space, loose, whole, rest, scarcity) : undefined
        if (mixed !== undefined) {
          whole = mixed.whole
          rest = [...rest, ...mixed.left]
          reprice()
        }
        rest = annealGlets(space, loose, rest, { steps: Math.ceil(steps / rounds), hot: temperature(round), cold: temperature(round + 1), random })
      }
    }
    let states = assembleBest(space, solver, [...whole, ...rest], order, below, random)
    const costNow = (): number => (states !== undefined && isThere(states) ? costOf(space, states) : below)
    // GPUs are whole: of several kinds what is asked for is made to fit into whole numbers of each.
    if (kinds.length > 1 && rest.length > 0) {
      const wholePcts = pctsOf(space, whole)
      const tried: Array<ReadonlyArray<number>> = []
      for (let i = 0; i < (attempt === 0 && wholeCost(space, [...whole, ...rest]) <= manyWhole ? mostMixes : mixesLater); i++) {
        const mix = nextMix(space, pctsOf(space, [...whole, ...rest]), available, costNow(), tried)
        if (mix === undefined) break
        tried.push(mix)
        const limitsPct = mix.map((count, kind) => 100 * count - wholePcts[kind]!)
        let glets = rest
        for (let again = 0; again < mostNearMisses; again++) {
          glets = annealGlets(space, loose, glets, { steps: Math.ceil(Math.min(mostMixSteps, steps * mixSteps)), hot: mixHot, cold, random, limitsPct })
          const over = pctsOf(space, glets).reduce((sum, pct, kind) => sum + kinds[kind]!.cost * Math.max(0, pct - limitsPct[kind]!), 0)
          if (over === 0 || over > nearMissPct) break
        }
        const other = assembleBest(space, solver, [...whole, ...glets], order, costNow(), random)
        if (other === undefined || !isThere(other)) continue
        states = other
        rest = glets
      }
    }
    if (states === undefined) return undefined
    const end = states
    const isShort = kinds.map((_, kind) => countOf(end, kind) > available[kind]!)
    if (!isShort.includes(true)) return { states, glets: { whole, rest } }
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
  let best: Made | undefined
  let least = Infinity
  let margin = margins[0]!
  for (let i = 0; i < request.runs && least > request.enough; i++) {
    // Of several kinds most runs begin on the one that is cheapest where all is shared.
    const made = run(space, solver, request, margins[i % margins.length]!, space.kinds.length > 1 && i % 3 !== 1, least)
    if (made === undefined) continue
    const cost = costOf(space, made.states)
    if (cost >= least) continue
    best = made
    least = cost
    margin = margins[i % margins.length]!
  }
  if (best === undefined || request.regroup === undefined || least <= request.enough) return best?.states
  const other = run(space, solver, request, margin, false, least, best.glets)
  return other !== undefined && costOf(space, other.states) < least ? other.states : best.states
}
