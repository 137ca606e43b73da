/**
 * The GPUs are given: the largest factor by which all rates can grow on them, and which models have no place at any.
 *
 * Where not all models have one, as few as possible are left out. Those cost most that need much of a GPU for a single item now and then: long executions
 * under short SLOs, or much memory. Models that nobody asks for go first.
 */
import { makeRandom } from "../../../core/internal/random.js"
import type { Climbed } from "../../internal/search/climb.js"
import { climb } from "../../internal/search/climb.js"
import type { Direction } from "../../internal/search/direction.js"
import { directionOf, scaled } from "../../internal/search/direction.js"
import { attemptSteps, climbAttempts } from "../../internal/search/fewest.js"
import type { GpuSolver, GpuState } from "../../internal/search/gpuState.js"
import type { Structure } from "../../internal/search/keep.js"
import { factorOf } from "../../internal/search/keep.js"
import { onGpus } from "../../internal/search/onGpus.js"
import { balancedPrices } from "../../internal/search/prices.js"
import type { SearchSpace } from "../../internal/search/searchSpace.js"
import { headroomLimit, nearEnough, tidy } from "../../internal/search/tidy.js"

/**
 * The same where what several glets do to each other is assumed, or made of what pairs do: what one glet does is known, and a part more from several is a hope.
 * On an H200 one glet carried 15.9 times scen2, as simulated, and six, simulated as well to carry 16.4, 13.3 times (bench/gpu/README.md).
 */
const nearEnoughAssumed = 0.8
/**
 * Likewise where the GPUs do not carry all that is asked for, which has room for bursts, and nothing is given up for no glet less: three and six glets that promised 4 and 3 % more
 * than one carried 14.2 and 13.3 times scen4 and scen2 where one carried 15.7 and 15.9.
 */
const nearEnoughShort = 0.92
/** Halvings of what lies between that and all. */
const shortRounds = 4

/** Of an attempt for head-room, whatever the effort: between a few GPUs and models a good plan takes a tenth of a second, and is worth percents. */
const leastSteps = (gpus: number, models: number): number => (gpus * models <= 64 ? 1000 : 0)

/** Of the rates: what is left of a model's cost is its place. */
const hardlyAnything = 1e-6

/** Searches with models that were left out before. */
const mostReturns = 12

interface HeadroomRequest {
  /** Items per second by model. */
  readonly rates: ReadonlyArray<number>
  /** Models that want a place. */
  readonly models: ReadonlyArray<number>
  /** No plan for all of them has more head-room; 0 where some model has no place. */
  readonly bound: number
  readonly effort: number
}

interface MostHeadroom {
  /** Models without a place, each for itself possible. */
  readonly homeless: ReadonlyArray<number>
  readonly direction: Direction
  readonly structure: Structure
}

const cheapestFirst = (costs: Float64Array, models: ReadonlyArray<number>): ReadonlyArray<number> => [...models].sort((a, b) => costs[a]! - costs[b]! || a - b)

const gletsOf = (states: ReadonlyArray<GpuState>): number => states.reduce((sum, { glets }) => sum + glets.length, 0)

/** What carries nearly all of `length` on as few glets as it takes for that, and of those what carries most. */
const mostWithFewest = (tidied: (length: number) => ReadonlyArray<GpuState>, length: number): ReadonlyArray<GpuState> => {
  const all = tidied(length)
  let found = tidied(nearEnoughShort * length)
  const fewest = gletsOf(found)
  if (fewest >= gletsOf(all)) return all
  let [carried, tooMuch] = [nearEnoughShort, 1]
  for (let round = 0; round < shortRounds; round++) {
    const middle = (carried + tooMuch) / 2
    const tried = tidied(middle * length)
    if (gletsOf(tried) <= fewest) [found, carried] = [tried, middle]
    else tooMuch = middle
  }
  return found
}

interface Found {
  readonly direction: Direction
  readonly climbed: Climbed
}

const search = (space: SearchSpace, solver: GpuSolver, { bound, effort, models, rates }: HeadroomRequest) => {
  const kinds = space.kinds.flatMap(({ members }, kind) => members.map(() => kind))
  const { latency, options } = space.tables.problem
  /** `most`: a factor at which to stop. */
  const climbWith = (placed: ReadonlyArray<number>, most: number): Found => {
    const direction = directionOf(rates, placed)
    const climbed = climb(space, solver, {
      kinds,
      unit: direction.unit,
      enough: most * direction.length,
      random: makeRandom(options.seed),
      smallestRaise: 0.01,
      patience: 2,
      attempts: climbAttempts,
      steps: Math.max(leastSteps(kinds.length, placed.length), Math.min(0.5 * attemptSteps(kinds.length, effort), effort * 10_000))
    })
    return { direction, climbed }
  }
  // A bound of 0 says that some model has no place: then what there is room for is to be found.
  const climbFully = (placed: ReadonlyArray<number>): Found => climbWith(placed, bound > 0 ? Math.min(headroomLimit, bound * nearEnough) : Infinity)

  const finish = ({ climbed, direction }: Found, placed: ReadonlyArray<number>): MostHeadroom => {
    const length = Math.min(climbed.length, headroomLimit * direction.length)
    const isAssumed = latency.interference?.isAssumed === true
    const tidied = (wanted: number): ReadonlyArray<GpuState> => tidy(space, solver, climbed.states, scaled(direction.unit, wanted))
    const tidiest = length >= direction.length
      ? tidied(Math.max(direction.length, length * (isAssumed ? nearEnoughAssumed : nearEnough)))
      : isAssumed ? mostWithFewest(tidied, length) : tidied(length)
    const states = onGpus(space, tidiest)
    return {
      homeless: models.filter((model) => !placed.includes(model)),
      direction,
      structure: { states, factor: placed.length === 0 ? 1 : factorOf(direction, states) }
    }
  }
  const isPlaced = ({ climbed }: Found, placed: ReadonlyArray<number>): boolean => climbed.length > 0 || placed.length === 0
  return { climbWith, climbFully, finish, isPlaced }
}

/** Undefined where not all models have a place. */
export const headroomOfAll = (space: SearchSpace, solver: GpuSolver, request: HeadroomRequest): MostHeadroom | undefined => {
  const { climbFully, finish, isPlaced } = search(space, solver, request)
  const found = climbFully(request.models)
  return isPlaced(found, request.models) ? finish(found, request.models) : undefined
}

/** With as many of the models as there is room for. */
export const mostHeadroom = (space: SearchSpace, solver: GpuSolver, request: HeadroomRequest): MostHeadroom => {
  const { models, rates } = request
  const { climbFully, climbWith, finish, isPlaced } = search(space, solver, request)
  let placed = models
  let found = climbFully(placed)
  if (isPlaced(found, placed)) return finish(found, placed)

  const { costs } = balancedPrices(space, scaled(found.direction.unit, hardlyAnything * found.direction.length))
  const isAsked = (model: number): boolean => rates[model]! > 0
  // The costliest half at a time: of models that nobody asks for while there are some, then of those that found no place.
  do {
    const idle = placed.filter((model) => !isAsked(model))
    const unmet = found.climbed.unmet.length > 0 ? found.climbed.unmet : placed
    const leaving = idle.length > 0 && idle.length < placed.length && unmet.some(isAsked) ? idle : unmet
    const left = new Set(cheapestFirst(costs, leaving).slice(Math.floor(leaving.length / 2)))
    placed = placed.filter((model) => !left.has(model))
    found = climbFully(placed)
  } while (!isPlaced(found, placed))

  // Half of them may have been too many: the cheapest come back as long as no fewer items are carried with them.
  const carried = ({ climbed, direction }: Found): number => Math.min(climbed.length, direction.length)
  let most = carried(found)
  let waiting = models.filter((model) => !placed.includes(model))
  waiting = [...cheapestFirst(costs, waiting.filter(isAsked)), ...cheapestFirst(costs, waiting.filter((model) => !isAsked(model)))]
  let size = Math.ceil(waiting.length / 2)
  let isChanged = false
  for (let turn = 0; turn < mostReturns && waiting.length > 0; turn++) {
    const more = new Set([...placed, ...waiting.slice(0, size)])
    const wider = models.filter((model) => more.has(model))
    const tried = climbWith(wider, 1)
    if (tried.climbed.length > 0 && carried(tried) >= most) {
      placed = wider
      most = carried(tried)
      waiting = waiting.slice(size)
      isChanged = true
    } else if (size === 1) waiting = waiting.slice(1)
    else size >>= 1
  }
  return finish(isChanged ? climbFully(placed) : found, placed)
}
