/**
 * The fewest GPUs, or the cheapest, that carry given rates.
 *
 * Where GPUs are of one kind and few, each number from the bound upward is climbed: the answer is the smallest number whose climb reaches the rates. A
 * climb depends on the direction of the rates alone, so rates grown by a factor never need fewer GPUs. Elsewhere GPUs are built one after the other and
 * then shrunk.
 */
import { makeRandom } from "../../../core/internal/random.js"
import { byGlets, costOf as costOfAll } from "./byGlets.js"
import { climb, worthOf } from "./climb.js"
import { constructBest } from "./construct.js"
import { eased, scaled } from "./direction.js"
import type { Direction } from "./direction.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import { balancedPrices } from "./prices.js"
import type { Regroup } from "./regroup.js"
import type { SearchSpace } from "./searchSpace.js"
import { shrink } from "./shrink.js"
import { squeeze } from "./squeeze.js"
import { headroomLimit, nearEnough, tidy } from "./tidy.js"

interface FewestRequest {
  readonly direction: Direction
  /** No plan uses fewer GPUs, or costs less. */
  readonly bound: { readonly gpus: number; readonly cost: number }
  readonly seed: number
  /** Multiple of the usual number of steps. */
  readonly effort: number
  /** Whether glets go that are hardly of use. */
  readonly isTidy: boolean
  /** What is done with more effort than usual. */
  readonly regroup?: Regroup | undefined
}

export interface Found {
  readonly states: ReadonlyArray<GpuState>
  /** Every model gets this multiple of its part of the direction. */
  readonly length: number
}

/** Models times GPUs up to which every number of GPUs is climbed. */
const climbedUpTo = 320

/** More GPUs than this, and than models, are mostly alike: an attempt takes no more steps for them, and a number that is one too few is given up in a second. */
const leastBalanced = 5

/** Annealing steps of a climb's attempt on some GPUs. */
export const attemptSteps = (gpus: number, effort: number): number => Math.round(effort * (2000 + 1000 * gpus))
export const climbAttempts = 30

/** Between so few models there is little to try. */
const handful = 24
/** GPUs that are built anew in shrinking. */
const shrinkBuilds = 2000
const shrinkBuildsEach = (models: number): number => (models <= handful ? 2 : 30)
/** And annealing steps with one GPU less, or a cheaper one. */
const squeezeSteps = 100_000
/** More GPUs than this take more steps than there are. */
const squeezedUpTo = 100

const factorOf = (space: SearchSpace, states: ReadonlyArray<GpuState>, unit: Float64Array): number => {
  const carried = new Float64Array(space.models)
  for (const { models, rps } of states) models.forEach((model, i) => carried[model]! += rps[i]!)
  return carried.reduce((least, rps, model) => (unit[model]! > 0 ? Math.min(least, rps / unit[model]!) : least), Infinity)
}

/** Models that have a rate. */
const countAsked = ({ unit }: Direction): number => unit.reduce((count, rps) => count + (rps > 0 ? 1 : 0), 0)

/** Constructions fill GPUs, however little is asked: ten copies of a model on the smallest share would carry one item a minute. */
const withFewerGlets = (space: SearchSpace, solver: GpuSolver, { length: asked, unit }: Direction, { length, states }: Found): ReadonlyArray<GpuState> => {
  const fewer = tidy(space, solver, states, scaled(unit, Math.max(asked, nearEnough * Math.min(length, headroomLimit * asked))))
  // The number of GPUs is the climb's answer: what more load needs is not compared with what a tidy plan leaves.
  return fewer.every(({ glets }) => glets.length > 0) ? fewer : states
}

const climbUpward = (space: SearchSpace, solver: GpuSolver, { bound, direction, effort, isTidy, seed }: FewestRequest): Found | undefined => {
  const available = space.kinds[0]!.members.length
  const asked = countAsked(direction)
  for (let count = Math.max(1, bound.gpus); count <= available; count++) {
    const climbed = climb(space, solver, {
      kinds: new Array<number>(count).fill(0),
      unit: direction.unit,
      enough: direction.length,
      mayFail: true,
      smallestRaise: 0.002,
      patience: 4,
      random: makeRandom(seed),
      attempts: climbAttempts,
      steps: attemptSteps(Math.min(count, Math.max(leastBalanced, asked)), effort)
    })
    if (climbed.length >= direction.length) return isTidy ? { ...climbed, states: withFewerGlets(space, solver, direction, climbed) } : climbed
  }
  return undefined
}

/**
 * Annealing steps of glets: so many for each pair of models, up to so many, fewer where there are fewer models than this for each GPU, or more GPUs than
 * this, which take their time to be put together.
 */
const gletSteps = 40
const mostGletSteps = 350_000
const manyModels = 2
const manyGpus = 300
/** Fewer models settle sooner: the steps go into several runs then, which differ in how much room they leave for neighbours. */
const fewModels = 400
const fewModelsSteps = 60_000
const fewModelsRuns = 3
/** Of few GPUs of several kinds one more of a kind is much, and glets are looked at for longer. */
const fewOfKinds = 12
/** On few GPUs one more or less is luck, and both starts are gone on with. */
const fewGpus = 100
/** Where a model takes more GPUs than this on average, nothing is gained by looking at glets. */
const largeModels = 8

const costOf = (space: SearchSpace, states: ReadonlyArray<GpuState> | undefined): number =>
  states === undefined ? Infinity : costOfAll(space, states)

/** GPUs made of glets, or built one after the other, whichever are cheaper in the end. */
const buildAndShrink = (space: SearchSpace, solver: GpuSolver, { bound, direction, effort, regroup, seed }: FewestRequest): Found | undefined => {
  const random = makeRandom(seed)
  const target = scaled(direction.unit, direction.length)
  const { costs, prices } = balancedPrices(space, target)
  const weights = costs.map((cost, model) => (target[model]! > 0 ? cost / target[model]! : 0))
  const available = space.kinds.map(({ members }) => members.length)
  const asked = countAsked(direction)
  const gpus = Math.max(1, bound.gpus)
  const isFew = asked <= fewModels
  const again = effort > 1 ? regroup : undefined
  const often = space.kinds.length > 1 && gpus <= fewOfKinds ? 2 : 1
  const steps = often * Math.min(isFew ? fewModelsSteps : mostGletSteps, gletSteps * asked ** 2) * Math.min(1, asked / (manyModels * gpus)) * Math.min(1, manyGpus / gpus)
  const assembled = gpus > largeModels * asked ? undefined : byGlets(space, solver, {
    target, available, random, enough: bound.cost + 1e-9, isPacked: !isFew,
    // More effort is better spent on all glets at once than on more steps.
    regroup: again,
    steps: Math.round((isFew || again !== undefined ? Math.sqrt(effort) : effort) * steps),
    runs: isFew ? Math.max(1, Math.round(fewModelsRuns * (again === undefined || space.kinds.length === 1 ? Math.sqrt(effort) : 1))) : 1
  })
  // What is made of glets is hardly ever bettered.
  const isSettled = assembled !== undefined && asked > handful
  if (isSettled) return { states: assembled, length: factorOf(space, assembled, direction.unit) }
  const constructed = costOf(space, assembled) <= bound.cost + 1e-9
    ? undefined
    : constructBest(space, solver, { lack: Float64Array.from(target), prices, weights, random }, available)
  // Each start is finished, and ten times the steps hardly ever save a GPU.
  const more = Math.min(effort, Math.sqrt(effort))
  /** Some GPUs at a time are built anew; then one less is tried. */
  const finish = (built: ReadonlyArray<GpuState>): ReadonlyArray<GpuState> => {
    const states = shrink(space, solver, { states: built, target, weights, prices, bound: bound.cost, builds: more * shrinkBuilds * Math.min(1, manyGpus / gpus), buildsEach: more * shrinkBuildsEach(asked), random })
    return states.length > squeezedUpTo ? states : squeeze(space, solver, {
      states, target, weights: worthOf(costs, target), bound: bound.cost, stepsEach: attemptSteps(states.length, more), steps: more * squeezeSteps, random
    })
  }
  // The dearer start may have the cheaper end.
  const isBehind = costOf(space, constructed) >= costOf(space, assembled)
  const starts = [assembled, constructed].filter((states, i) => states !== undefined && (gpus <= fewGpus || (i === 1) !== isBehind))
  const ends = starts.map((states) => finish(states!))
  if (ends.length === 0) return undefined
  const states = ends.reduce((a, b) => (costOf(space, b) < costOf(space, a) ? b : a))
  return { states, length: factorOf(space, states, direction.unit) }
}

export const fewest = (space: SearchSpace, solver: GpuSolver, asIs: FewestRequest): Found | undefined => {
  // Where rates are just what a share carries, a billionth more would take another GPU.
  const request = { ...asIs, direction: eased(asIs.direction) }
  const { bound, direction } = request
  const asked = countAsked(direction)
  if (space.kinds.length === 1 && asked * bound.gpus <= climbedUpTo) return climbUpward(space, solver, request)
  const found = buildAndShrink(space, solver, request)
  if (request.effort <= 1) return found
  // More effort begins elsewhere, and may end there: it is never to come to more than the usual one does.
  const usual = buildAndShrink(space, solver, { ...request, effort: 1, regroup: undefined })
  return costOf(space, usual?.states) < costOf(space, found?.states) ? usual : found
}
