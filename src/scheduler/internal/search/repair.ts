/**
 * A deployed plan for changed rates: what it does is kept. What is lacking is put where it fits; for what does not fit so, GPUs that have to
 * do with it are searched, a few at a time.
 */
import type { Plan } from "../../../core/Plan.js"
import { anneal } from "./anneal.js"
import { constructBest } from "./construct.js"
import type { Fleet } from "./fleet.js"
import { makeFleet } from "./fleet.js"
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import { mend } from "./mend.js"
import { balancedPrices } from "./prices.js"
import type { SearchSpace } from "./searchSpace.js"

/** What a plan's GPUs do, by place in the problem; what the problem does not have any more is left out. */
export const statesOfPlan = (space: SearchSpace, solver: GpuSolver, plan: Plan): ReadonlyArray<GpuState> => {
  const { demands, problem } = space.tables
  const numbers = new Map<string, number>()
  demands.forEach(({ model, serviceClass }, number) => serviceClass === "latency-critical" && numbers.set(model, number))
  const planned = new Map(plan.gpus.map((each) => [each.gpu as string, each]))
  const kindOf = new Int32Array(problem.gpus.length)
  space.kinds.forEach(({ members }, kind) => members.forEach((at) => kindOf[at] = kind))
  // A replan begins here, whatever changed: loops, for what is made and thrown away on the way took as long as the rest.
  return problem.gpus.map((gpu, at): GpuState => {
    const kind = kindOf[at]!
    const { sharesPct } = space.kinds[kind]!
    const old = planned.get(gpu.id)
    if (old === undefined || old.type !== gpu.type) return solver.empty(kind)
    const glets: Array<GletState> = []
    for (const { assignments, sharePct } of old.glets) {
      const share = sharesPct.indexOf(sharePct)
      if (share < 0) continue
      const models: Array<number> = []
      const batches: Array<number> = []
      for (const { batch, model } of assignments) {
        const number = numbers.get(model)
        const largest = number === undefined ? 0 : space.rows.largest(kind, number, share)
        if (largest === 0) continue
        models.push(number!)
        batches.push(Math.min(batch, largest))
      }
      if (models.length > 0) glets.push({ share, models, batches })
    }
    return solver.settle(kind, glets) ?? solver.empty(kind)
  })
}

interface RepairRequest {
  /** All GPUs of the problem, in its order. */
  readonly states: ReadonlyArray<GpuState>
  readonly target: Float64Array
  /** What was asked of the deployed plan, items per second by model. */
  readonly deployedRps: Float64Array
  /** Whether GPUs that are empty may be used before those in use were tried. */
  readonly spread: boolean
  readonly random: () => number
}

/** Of a GPU: even the smallest model is worth a place. */
const leastWorth = 0.03

/** What items per second are worth by what the plan spends on them: the model's part of its glets. */
const weightsOf = (space: SearchSpace, states: ReadonlyArray<GpuState>, target: Float64Array): Float64Array => {
  const costs = new Float64Array(space.models)
  for (const { glets, kind } of states) {
    for (const { models, share } of glets) for (const model of models) costs[model]! += space.kinds[kind]!.sharesPct[share]! / 100 / models.length
  }
  return costs.map((cost, model) => (target[model]! > 0 ? Math.max(cost, leastWorth) / target[model]! : 0))
}

const rounds = 5
const firstSteps = 400
const neighbours = 4
/** So many rounds look for room on the GPUs in use; what lacks as much as whole GPUs do is not looked for there. */
const roundsInUse = 2
const wholeGpus = 1

/** Builds what is lacking on GPUs that are empty; answers which, none where they do not suffice. */
const extend = (space: SearchSpace, solver: GpuSolver, fleet: Fleet, weights: Float64Array, random: () => number): ReadonlyArray<number> => {
  const lack = Float64Array.from(fleet.target, (_, model) => Math.max(0, fleet.lack(model)))
  const empty = fleet.gpus.flatMap(({ glets }, at) => (glets.length === 0 ? [at] : []))
  const available = space.kinds.map((_, kind) => empty.filter((at) => fleet.gpus[at]!.kind === kind).length)
  const built = constructBest(space, solver, { lack, prices: balancedPrices(space, lack).prices, weights, random }, available) ?? []
  return built.map((state) => {
    const at = empty.splice(empty.findIndex((place) => fleet.gpus[place]!.kind === state.kind), 1)[0]!
    fleet.set(at, state)
    return at
  })
}

interface Repaired {
  readonly states: ReadonlyArray<GpuState>
  /** What is asked for as a multiple of what was asked of the deployed plan. */
  readonly growth: number
}

/** The repaired states, or undefined where a few changes are not enough. */
export const repair = (space: SearchSpace, solver: GpuSolver, { deployedRps, random, spread, states, target }: RepairRequest): Repaired | undefined => {
  const weights = weightsOf(space, states, target)
  const fleet = makeFleet(space, states, weights, target)
  const inUse = states.flatMap(({ glets }, at) => (spread || glets.length > 0 ? [at] : []))
  const among = new Set(mend(space, solver, fleet, inUse))
  for (let round = 0; round < rounds && fleet.unmet.length > 0; round++) {
    if (round === roundsInUse || (round === 0 && fleet.penalty() >= wholeGpus)) {
      for (const at of extend(space, solver, fleet, weights, random)) among.add(at)
      if (fleet.unmet.length === 0) break
    }
    // A few GPUs that serve what is lacking, and a few with most room, more of them each round; then empty ones.
    const lacking = new Set(fleet.unmet)
    const offered = fleet.gpus.map((_, at) => at)
      .filter((at) => !among.has(at) && (spread || fleet.gpus[at]!.glets.length > 0))
      .sort((a, b) => fleet.gpus[b]!.freePct - fleet.gpus[a]!.freePct || a - b)
    const serving = offered.filter((at) => fleet.gpus[at]!.models.some((model) => lacking.has(model)))
    for (const at of [...serving.slice(0, neighbours), ...offered.slice(0, neighbours)]) among.add(at)
    const empty = fleet.gpus.findIndex(({ glets }, at) => glets.length === 0 && !among.has(at))
    if (round >= roundsInUse && empty >= 0) among.add(empty)
    anneal(space, solver, fleet, random, { steps: firstSteps * 2 ** round, hot: 0.004, cold: 0.001, among: [...among].sort((a, b) => a - b) })
  }
  if (fleet.unmet.length > 0) return undefined
  // Annealing wanders: what was not needed is taken back.
  for (const at of [...among].sort((a, b) => a - b)) {
    const old = states[at]!
    if (fleet.gpus[at] !== old && fleet.change(at, old) <= 1e-9) fleet.set(at, old)
  }
  let asked = 0
  let deployed = 0
  weights.forEach((weight, model) => {
    asked += weight * target[model]!
    deployed += weight * deployedRps[model]!
  })
  return { states: [...fleet.gpus], growth: deployed > 0 ? asked / deployed : Infinity }
}
