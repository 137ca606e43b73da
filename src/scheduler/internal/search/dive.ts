/**
 * A plan out of patterns: GPUs are put together of patterns that the covering program uses, a few at a time; then the program is solved anew for what is
 * still lacking.
 *
 * Models of which much is lacking fill whatever others leave, so they come last.
 */
import type { PatternPool } from "./patterns.js"
import { fewModels, makePatternPool, negligible, slowingsOf } from "./patterns.js"
import { makePatternBuilder } from "./patternBuilder.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { Prices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

interface DiveRequest {
  /** Items per second, by model. */
  readonly target: Float64Array
  readonly prices: Prices
  /** What carrying a model is worth at first. */
  readonly costs: Float64Array
  /** GPUs there are, by kind. */
  readonly available: ReadonlyArray<number>
  readonly effort: number
  readonly random: () => number
}

interface Dived {
  readonly states: ReadonlyArray<GpuState>
  /** What carrying a model is worth, in GPUs. */
  readonly worth: Float64Array
}

/** What models are taken to be worth before it is known: too much, so that patterns of several are found. */
const optimism = 1.5
const leastCost = 0.02
/** By what they are raised where nothing is worth a place, and how often at most. */
const raise = 3
const mostRaises = 12

/** Where memory is not scarce, `balancedPrices` has this price. */
const cheapMemory = 0.021

/** Rounds of looking for patterns before anything is built; steps of the program in each. */
const firstRounds = 6
const solveSteps = 120
/** Of few new patterns no more are looked for. */
const fewPatterns = 0.005
/** Steps, and rounds for few models, once GPUs are built. */
const laterSteps = 60
const laterRounds = 3
/** New patterns are looked for whenever so much of what is lacking was built. */
const growPart = 0.04
/** A GPU must be worth so much of the best since the program was solved. */
const goodEnough = 0.985
/** Models that are tried as a glet's tightest in one round. */
const anchors = 200
/** GPUs that are built for one that is taken. */
const tries = 2

/** GPUs that carry the target; undefined where there are too few, or no way to build them is found. */
export const dive = (space: SearchSpace, solver: GpuSolver, request: DiveRequest): Dived | undefined => {
  const { available, effort, prices, random, target } = request
  const lack = Float64Array.from(target)
  const slowing = slowingsOf(space)
  const isOpen = (model: number): boolean => lack[model]! > negligible * target[model]!
  let open = Array.from({ length: space.models }, (_, model) => model).filter((model) => target[model]! > 0)
  const left = [...available]
  const pool = makePatternPool(space, slowing, prices.memory <= cheapMemory ? 0 : prices.memory, request.costs.map((cost) => Math.max(cost, leastCost) * optimism), left)
  let round = 0
  const lookFor = (rounds: number): void => {
    for (let i = 0; i < rounds; i++) {
      const stride = Math.max(1, Math.ceil(open.length / anchors))
      const found = pool.grow(open, lack, stride, round++)
      pool.solve(open, lack, solveSteps)
      if (found < fewPatterns * pool.patterns.length) break
    }
  }
  lookFor(Math.max(2, Math.round(firstRounds * Math.sqrt(effort))))
  const worth = pool.value.slice()
  const states: Array<GpuState> = []
  const builder = makePatternBuilder(space, solver, pool, lack, random)
  let sinceGrown = 0
  let raises = 0
  while (open.length > 0) {
    builder.restart(open)
    const total = totalOf(pool, open)
    let best = 0
    while (open.length > 0) {
      const built = builder.build(left, Math.max(1, Math.round(tries * effort ** 0.25)))
      if (built === undefined) {
        // What is worth nothing at these prices needs a place all the same.
        if (raises++ >= mostRaises) return undefined
        for (const model of open) pool.value[model] = Math.max(pool.value[model]!, leastCost) * raise
        builder.restart(open)
        continue
      }
      if (best > 0 && built.efficiency < best * goodEnough) break
      best = Math.max(best, built.efficiency)
      sinceGrown += built.value
      states.push(built.state)
      left[built.state.kind]!--
      builder.take(built.state)
      open = open.filter(isOpen)
    }
    if (open.length <= fewModels || sinceGrown > growPart * total) {
      sinceGrown = 0
      lookFor(open.length <= fewModels ? laterRounds : 1)
    } else pool.solve(open, lack, laterSteps)
  }
  return { states, worth }
}

const totalOf = ({ value }: PatternPool, open: ReadonlyArray<number>): number => open.reduce((sum, model) => sum + value[model]!, 0)
