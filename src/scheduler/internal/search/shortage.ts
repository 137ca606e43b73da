/**
 * Why rates do not fit on the GPUs there are, and how much of them does.
 */
import type { Culprit } from "../../Planner.js"
import { boundFewest } from "../../bounds/internal/boundFewest.js"
import { anneal } from "./anneal.js"
import { worthOf } from "./climb.js"
import { construct } from "./construct.js"
import type { Direction } from "./direction.js"
import { scaled } from "./direction.js"
import { makeFleet } from "./fleet.js"
import type { Fleet } from "./fleet.js"
import type { GpuSolver } from "./gpuState.js"
import { balancedPrices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

/** As much of the rates as all GPUs carry. */
export const carryMost = (space: SearchSpace, solver: GpuSolver, direction: Direction, random: () => number, steps: number): Fleet => {
  const target = scaled(direction.unit, direction.length)
  const { costs, prices } = balancedPrices(space, target)
  const weights = worthOf(costs, target)
  const kinds = space.kinds.flatMap(({ members }, kind) => members.map(() => kind))
  const built = construct(space, solver, { lack: Float64Array.from(target), prices, weights, random }, kinds)
  const fleet = makeFleet(space, kinds.map((kind, at) => built[at] ?? solver.empty(kind)), weights, target)
  anneal(space, solver, fleet, random, { steps, hot: 0.03, cold: 0.001 })
  return fleet
}

const shown = (value: number): string => String(Number(value.toPrecision(4)))

/** The models that get less than they ask for. */
export const shortageOf = (space: SearchSpace, fleet: Fleet): ReadonlyArray<Culprit> => {
  const { demands, problem } = space.tables
  return [...fleet.unmet].sort((a, b) => a - b).map((model): Culprit => {
    const demand = demands[model]!
    const isTooMuch = boundFewest({ ...problem, demands: [demand] }, {}, undefined).gpus > problem.gpus.length
    // What the search carried, less what rounding may have added.
    const carried = Math.min(fleet.carried[model]!, demand.rateRps) * (1 - 1e-6)
    const nearest = carried > 0 && demand.rateRps > 0 ? { nearestRateRps: carried } : {}
    const instead = carried > 0 ? `; ${shown(carried)} items/s would fit` : ""
    return {
      model: demand.model,
      reason: isTooMuch ? "rate-too-high" : "not-enough-gpus",
      detail: `asks for ${shown(demand.rateRps)} items/s, ${isTooMuch ? "more than all GPUs can carry of it" : "which do not fit beside the other models"}${instead}`,
      ...nearest
    }
  })
}
