/**
 * The largest multiple of given rates that given GPUs carry: a target is raised whenever it is reached, by less and less where it is not.
 *
 * The climb knows the direction of the rates, not their size. `enough` ends it early and changes nothing before; so whatever length is enough for one
 * problem is enough for every problem of smaller rates in the same direction.
 */
import { anneal } from "./anneal.js"
import { construct } from "./construct.js"
import { likelyLength, scaled } from "./direction.js"
import { makeFleet } from "./fleet.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import { balancedPrices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

interface ClimbRequest {
  /** Kinds of the GPUs. */
  readonly kinds: ReadonlyArray<number>
  /** A direction. */
  readonly unit: Float64Array
  /** The smallest raise of a target, as a part of it, and how many targets may be missed by it before the climb is over. */
  readonly smallestRaise: number
  readonly patience: number
  /** A length at which to stop. */
  readonly enough: number
  /** Give up where `enough` is out of sight. What is given up for some length is given up for larger ones. */
  readonly mayFail?: boolean
  readonly random: () => number
  /** Targets to try at most, and annealing steps for each. */
  readonly attempts: number
  readonly steps: number
  /** Where to begin instead of with a construction. */
  readonly start?: ReadonlyArray<GpuState>
}

export interface Climbed {
  readonly states: ReadonlyArray<GpuState>
  /** Every model gets at least this multiple of its part of the direction; 0 where no target was reached. */
  readonly length: number
  /** Where none was: models without enough. */
  readonly unmet: ReadonlyArray<number>
}

/** On so few GPUs a plan is made from nothing in one attempt. */
const fewGpus = 8
const firstPart = 0.75
const lowestPart = 0.5
const constructions = 5
const widestRaise = 0.04
/** Any growth at all. */
const finestRaise = 1e-8
/** For which so many attempts may fail. */
const lastMisses = 2
/**
 * Temperatures of an attempt, in parts of a GPU; of one that begins at the best plan, after a miss, where a certain length is wanted: hotter it would forget where it
 * began. The largest length there is is found no better so, with the few steps of a server.
 */
const searching = { hot: 0.08, cold: 0.003 }
const nearBest = { hot: 0.01, cold: 0.0005 }
/** After each miss the next attempt is longer. */
const lengthening = 1.3
const longest = 5
/** After some misses in a row, by what reached lengths may still grow: where that is not enough, the climb is given up. */
const hopes = [Infinity, Infinity, 1.5, 1.35, 1.25, 1.18, 1.13, 1.1, 1.08, 1.06]
/** Of a GPU: even the smallest model is worth a place. */
const leastWorth = 0.03

/** What items per second are worth, by model, for rates of a length. */
export const worthOf = (costs: Float64Array, target: Float64Array): Float64Array =>
  costs.map((cost, model) => (target[model]! > 0 ? Math.max(cost, leastWorth) / target[model]! : 0))

export const climb = (space: SearchSpace, solver: GpuSolver, request: ClimbRequest): Climbed => {
  const { attempts, enough, kinds, patience, random, smallestRaise, steps, unit } = request
  const likely = likelyLength(space, unit, kinds.reduce((sum, kind) => sum + space.kinds[kind]!.cost, 0))
  const likelyRates = scaled(unit, likely)
  const { costs, prices } = balancedPrices(space, likelyRates)
  const weights = worthOf(costs, likelyRates)
  const empty = kinds.map((kind) => solver.empty(kind))
  const fleet = makeFleet(space, request.start ?? empty, weights, scaled(unit, likely))
  let states = request.start ?? empty
  let reached = request.start === undefined ? 0 : fleet.factor() * likely
  const reset = (to: ReadonlyArray<GpuState>): void => to.forEach((state, at) => fleet.set(at, state))

  // What a construction carries, and the plans closest below what it does not.
  let [low, high] = [lowestPart, 1]
  for (let step = 0; step < constructions && reached < enough; step++) {
    const part = step === 0 ? firstPart : Math.sqrt(low * high)
    const target = scaled(unit, part * likely)
    const built = construct(space, solver, { lack: Float64Array.from(target), prices, weights, random }, kinds)
    const all = kinds.map((kind, at) => built[at] ?? solver.empty(kind))
    reset(all)
    fleet.setTargets(target)
    const carried = fleet.factor() * part * likely
    if (fleet.unmet.length === 0) low = part
    else high = part
    if (carried > reached) {
      reached = carried
      states = all
    }
  }
  if (reached >= enough) return { states, length: reached, unmet: [] }
  const isHopeless = (misses: number): boolean => reached > 0 && reached * hopes[Math.min(hopes.length - 1, misses)]! < enough
  let target = reached > 0 ? reached * (1 + widestRaise) : lowestPart * likely
  reset(states)
  let isNearBest = false
  let raise = widestRaise
  let narrowest = smallestRaise
  // Where less than the smallest raise is lacking, any growth may be enough. That, too, is given up for larger lengths where it is for some.
  const isClose = (): boolean => request.mayFail === true && narrowest > finestRaise && reached * (1 + smallestRaise) >= enough
  let missed = 0
  let misses = 0
  let unmet: ReadonlyArray<number> = []
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (request.mayFail && isHopeless(misses)) break
    fleet.setTargets(scaled(unit, target))
    const longer = Math.min(longest, lengthening ** misses)
    if (anneal(space, solver, fleet, random, { steps: steps * longer, ...(isNearBest ? nearBest : searching) })) {
      reached = fleet.factor() * target
      states = [...fleet.gpus]
      missed = 0
      misses = 0
      isNearBest = false
      if (reached >= enough) break
      raise = Math.min(widestRaise, raise * 1.5)
    } else if (reached === 0) {
      unmet = [...fleet.unmet]
      // Not even a part of it.
      if (request.mayFail && attempt >= 2 && target < enough / 2) break
      target *= attempt < 4 ? 0.8 : 0.3
      if (target < 1e-4 * likely) break
      continue
    } else {
      misses++
      if (raise <= narrowest && ++missed > patience) {
        if (!isClose()) break
        narrowest = finestRaise
        raise = finestRaise
        missed = patience - lastMisses
        misses = 0
      }
      raise = Math.max(narrowest, raise / 2)
      // From the best plan, from where the last attempt ended, or from nothing, in turn.
      isNearBest = request.mayFail === true && misses % 3 === 1
      if (misses % 3 === 1) reset(states)
      else if (misses % 3 === 0 && kinds.length <= fewGpus) reset(empty)
    }
    target = reached * (1 + raise)
  }
  return { states, length: reached, unmet }
}
