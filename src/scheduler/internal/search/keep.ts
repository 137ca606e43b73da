/**
 * A deployed plan under changed rates: what of it is kept, what it may cost to keep it, and the bound that holds for it.
 */
import { makeRandom } from "../../../core/internal/random.js"
import type { Plan } from "../../../core/Plan.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import { boundFewest } from "../../bounds/internal/boundFewest.js"
import type { FewestBound } from "../../bounds/Bound.js"
import type { Direction } from "./direction.js"
import { leastCost, likelyLength, scaled } from "./direction.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import { repair, statesOfPlan } from "./repair.js"
import type { SearchSpace } from "./searchSpace.js"

/** A deployed structure is kept while it has this part of the head-room that was planned. */
const keepRatio = 0.8

/** Where the rates would do with less of the GPUs in use than this, and have fallen, fewer GPUs are looked for; below half of them in any case. */
const worthwhileUse = 0.85
const worthwhileFall = 0.98
const leastUse = 0.5

/** GPUs and what they carry, by place in the problem. */
export interface Structure {
  readonly states: ReadonlyArray<GpuState | undefined>
  /** Every model gets this multiple of its rate. */
  readonly factor: number
  /** GPUs on which nothing changes. */
  readonly kept?: ReadonlySet<number>
}

/** The multiple of the rates that every model gets at least. */
export const factorOf = (direction: Direction, states: ReadonlyArray<GpuState | undefined>): number => {
  const carried = new Float64Array(direction.unit.length)
  for (const state of states) state?.models.forEach((model, i) => carried[model]! += state.rps[i]!)
  return carried.reduce((least, rps, model) => {
    const unit = direction.unit[model]!
    return unit > 0 ? Math.min(least, rps / (unit * direction.length)) : least
  }, Infinity)
}

export interface Kept {
  readonly structure: Structure
  /** What was deployed. */
  readonly deployed: ReadonlyArray<GpuState>
  /** Whether the rates take so much of its GPUs that fewer need not be looked for. */
  readonly isUsed: () => boolean
  /** With objective `fewest`. */
  readonly bound: FewestBound | undefined
}

export const costOf = (space: SearchSpace, states: ReadonlyArray<GpuState | undefined>): number =>
  states.reduce((sum, state) => (state === undefined || state.glets.length === 0 ? sum : sum + space.kinds[state.kind]!.cost), 0)

/** Of a deployed plan, whose GPUs may be gone. */
const costOfPlan = ({ gpus }: PlanProblem, { gpus: planned }: Plan): number => {
  const costs = new Map(gpus.map(({ cost = 1, id }) => [id, cost]))
  return planned.reduce((sum, { glets, gpu }) => sum + (glets.length === 0 ? 0 : costs.get(gpu) ?? 0), 0)
}

/** Copies of models that stand where none is deployed: each has to be loaded. */
export const movesBetween = (deployed: ReadonlyArray<GpuState>, states: ReadonlyArray<GpuState | undefined>): number =>
  states.reduce((moves, state, at) => moves + [...new Set(state?.models)].filter((model) => !deployed[at]!.models.includes(model)).length, 0)

/** Items per second that a deployed plan was asked for, by model of the problem. */
const deployedRates = (space: SearchSpace, current: Plan): Float64Array => {
  const rates = new Map<string, number>()
  for (const { glets } of current.gpus) {
    for (const { assignments } of glets) for (const { model, rateRps } of assignments) rates.set(model, (rates.get(model) ?? 0) + rateRps)
  }
  return Float64Array.from(space.tables.problem.demands, ({ model }) => rates.get(model) ?? 0)
}

/** The head-room that a deployed plan was made with, or what can still be had where rates have grown since. */
const headroomLeft = (space: SearchSpace, { length, unit }: Direction, current: Plan, limit: number): number => {
  const planned = Math.min(current.headroom ?? 1 / keepRatio, limit)
  const cost = space.kinds.reduce((sum, kind) => sum + kind.cost * kind.members.length, 0)
  return leastCost(space, unit, planned * length) <= cost ? planned : likelyLength(space, unit, cost) / length
}

/** A kept plan's bound may lie so much further below its cost than the bound before did; then better prices are looked for. */
const looser = 1.05

/** The least that any plan for these rates costs, by the prices that proved it of the deployed plan. */
const boundOfKept = (problem: PlanProblem, current: Plan, cost: number): FewestBound => {
  const looked = boundFewest(problem, { prices: current.boundPrices }, undefined)
  const before = current.lowerBound ?? 0
  return current.boundPrices === undefined || cost * before <= looser * looked.cost * costOfPlan(problem, current) ? looked : boundFewest(problem, {}, undefined)
}

/** The deployed plan with as few changes as the rates need; undefined where a few do not do. */
export const keep = (
  space: SearchSpace, solver: GpuSolver, direction: Direction, current: Plan, objective: "fewest" | "headroom", limit: number
): Kept | undefined => {
  const states = statesOfPlan(space, solver, current)
  if (states.every(({ glets }) => glets.length === 0)) return undefined
  const wanted = direction.length * (objective === "fewest" ? 1 : Math.max(1, keepRatio * headroomLeft(space, direction, current, limit)))
  const repaired = repair(space, solver, {
    states, target: scaled(direction.unit, wanted), deployedRps: deployedRates(space, current), spread: objective === "headroom", random: makeRandom(space.tables.problem.options.seed)
  })
  if (repaired === undefined) return undefined
  const kept = new Set(states.flatMap((state, at) => (repaired.states[at] === state ? [at] : [])))
  const { growth } = repaired
  const cost = costOf(space, repaired.states)
  const bound = objective === "fewest" ? boundOfKept(space.tables.problem, current, cost) : undefined
  return {
    bound,
    structure: { states: repaired.states, factor: factorOf(direction, repaired.states), kept },
    deployed: states,
    isUsed: () => {
      // The least that the rates cost, of what is in use.
      const use = (bound?.cost ?? leastCost(space, direction.unit, wanted)) / cost
      return use >= worthwhileUse || (use >= leastUse && growth >= worthwhileFall)
    }
  }
}
