/**
 * The default planner: any number of glets per GPU, models over several glets, several models on a glet, found by a search over complete plans.
 *
 * Objective `fewest`: the fewest GPUs, or the cheapest, that carry the rates. Objective `headroom`: the GPUs are given, and all rates may grow by the
 * largest factor, up to tenfold; where they do not fit, the largest part of them that does is planned and the plan says what it could not do. Then
 * best-effort models get slack and idle share, and what share is still left makes glets larger.
 *
 * A deployed plan is kept as far as it goes: changed rates change only GPUs that have to do with them, and another plan must be better by more than
 * its moves cost.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { makeRandom } from "../../core/internal/random.js"
import type { Plan } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { boundFewest } from "../bounds/internal/boundFewest.js"
import { boundHeadroom } from "../bounds/internal/boundHeadroom.js"
import { impossibleAlone, invalidDemands } from "../internal/diagnosis.js"
import { draftToPlan } from "../internal/draftToPlan.js"
import type { GpuDraft } from "../internal/gletSolver.js"
import { bestOverlaid, usesOverlays } from "../internal/overlays.js"
import { makePlanTables } from "../internal/planTables.js"
import { directionOf, isAll } from "../internal/search/direction.js"
import { fewest } from "../internal/search/fewest.js"
import { makeGpuSolver } from "../internal/search/gpuState.js"
import type { Structure } from "../internal/search/keep.js"
import { costOf, factorOf, keep, movesBetween } from "../internal/search/keep.js"
import { onGpus } from "../internal/search/onGpus.js"
import type { SearchSpace } from "../internal/search/searchSpace.js"
import type { Regroup } from "../internal/search/regroup.js"
import { makeSearchSpace } from "../internal/search/searchSpace.js"
import { copyToSpares } from "../internal/search/spare.js"
import { carryMost, shortageOf } from "../internal/search/shortage.js"
import { headroomLimit, nearEnough } from "../internal/search/tidy.js"
import { growGlets } from "../internal/spareCapacity.js"
import { withWholeRequests } from "../internal/wholeRequests.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"
import { joinedGlets, withBestEffort } from "./internal/bestEffortPlaces.js"
import { coarserCuts, fullest, mayBeCoarser } from "./internal/coarserCuts.js"
import { headroomOfAll, mostHeadroom } from "./internal/mostHeadroom.js"

const name = "orion"

/** Where best-effort work waits for what is left, latency-critical models get no more head-room than this: the search is for the fewest GPUs then. */
const headroomBesideBestEffort = 2.5

const defaultMoveCost = 0.02

/** Any prices prove a bound: there is no need for all their digits. */
const shortened = (price: number): number => Number(price.toPrecision(5))

const diagnosisSteps = 20_000

/** Whether some GPU holds the model and keeps its SLO for single items. */
const runsSomewhere = ({ kinds, rows }: SearchSpace, model: number): boolean =>
  kinds.some(({ gletBytes, modelBytes, roomBytes, sharesPct }, kind) =>
    gletBytes + modelBytes[model]! <= roomBytes && sharesPct.some((_, share) => rows.largest(kind, model, share) > 0))

const planOn = (problem: PlanProblem, current: Plan | undefined, regroup: Regroup | undefined): Either.Either<Plan, Infeasible> => {
  const infeasible = (culprits: ReadonlyArray<Culprit>) =>
    Either.left(new Infeasible({ planner: name, culprits: culprits as [Culprit, ...Array<Culprit>] }))
  const invalid = invalidDemands(problem)
  if (invalid.length > 0) return infeasible(invalid)

  const { options } = problem
  const tables = makePlanTables(problem)
  const space = makeSearchSpace(tables)
  const solver = makeGpuSolver(space)
  const mustFit = options.whenShort === "fail"
  const objective = options.objective ?? (mustFit ? "fewest" : "headroom")
  const effort = options.effort ?? 1
  const moveCost = options.moveCost ?? defaultMoveCost
  const numbers = problem.demands.map((_, demand) => demand)
  const isCritical = (demand: number): boolean => problem.demands[demand]!.serviceClass === "latency-critical"
  const impossible = new Map<number, Culprit>()
  const all: ReadonlyArray<GpuDraft> = space.kinds.map(({ gpu }) => ({ gpu, glets: [] }))
  for (const demand of numbers) {
    if (isCritical(demand) && runsSomewhere(space, demand)) continue
    const culprit = impossibleAlone(tables, all, demand)
    if (culprit !== undefined) impossible.set(demand, culprit)
  }
  const critical = numbers.filter((demand) => isCritical(demand) && !impossible.has(demand))
  const bestEffort = numbers.filter((demand) => !isCritical(demand) && !impossible.has(demand))
  const hopeless = numbers.filter((demand) => isCritical(demand) && impossible.has(demand))
  if (mustFit && hopeless.length > 0) return infeasible(hopeless.map((demand) => impossible.get(demand)!))
  const reasons = new Map([...impossible].map(([demand, culprit]) => [demand, culprit.detail]))

  const rates = problem.demands.map(({ rateRps, serviceClass }) => (serviceClass === "latency-critical" ? rateRps : 0))
  const direction = directionOf(rates, critical)
  let structure: Structure | undefined = critical.length === 0 ? { states: problem.gpus.map(() => undefined), factor: 1 } : undefined
  let lowerBound: number | undefined = objective === "fewest" && critical.length === 0 ? 0 : undefined
  let upperBound: number | undefined
  let boundPrices: ReadonlyArray<number> | undefined

  // Best-effort work is to get whole GPUs where it can: there nothing slows it down, nor does it slow anything.
  const isCompact = objective === "headroom" && bestEffort.length > 0
  const limit = isCompact ? headroomBesideBestEffort : headroomLimit
  // Beside best-effort work GPUs are to be had: a kept plan's head-room is no less than a new one's for having been less before.
  const deployed = current === undefined || !isCompact ? current : { ...current, headroom: limit }
  const kept = structure === undefined && deployed !== undefined ? keep(space, solver, direction, deployed, objective, limit) : undefined
  if (kept !== undefined && ((objective === "headroom" && !isCompact) || kept.isUsed())) {
    structure = kept.structure
    lowerBound = kept.bound?.cost
    boundPrices = kept.bound?.prices
  }
  if (structure === undefined && (objective === "fewest" || isCompact)) {
    const bound = boundFewest(problem, {}, undefined)
    if (!isCompact) {
      lowerBound = bound.cost
      boundPrices = bound.prices
    }
    const wanted = isCompact ? { ...direction, length: direction.length * limit } : direction
    const found = bound.gpus > problem.gpus.length ? undefined : fewest(space, solver, { direction: wanted, bound, seed: options.seed, effort, isTidy: !isCompact, regroup })
    if (found !== undefined) structure = { states: onGpus(space, found.states), factor: found.length / direction.length }
    if (kept !== undefined) {
      const moving = structure === undefined ? Infinity : costOf(space, structure.states) + moveCost * movesBetween(kept.deployed, structure.states)
      if (costOf(space, kept.structure.states) <= moving) structure = kept.structure
    }
    if (structure === undefined && mustFit && !isCompact) {
      const fleet = carryMost(space, solver, direction, makeRandom(options.seed), diagnosisSteps)
      if (fleet.unmet.length > 0) return infeasible(shortageOf(space, fleet))
      structure = { states: onGpus(space, fleet.gpus), factor: factorOf(direction, fleet.gpus) }
    }
  }
  if (structure === undefined) {
    const headroom = boundHeadroom(problem, {}, undefined)
    upperBound = headroom.factor
    boundPrices = headroom.prices
    const request = { rates, models: critical, bound: upperBound, effort }
    const most = mustFit ? headroomOfAll(space, solver, request) : mostHeadroom(space, solver, request)
    if (most === undefined || (mustFit && !isAll(most.structure.factor))) {
      const fleet = carryMost(space, solver, direction, makeRandom(options.seed), diagnosisSteps)
      if (fleet.unmet.length > 0) return infeasible(shortageOf(space, fleet))
      structure = { states: onGpus(space, fleet.gpus), factor: factorOf(direction, fleet.gpus) }
    } else {
      for (const demand of most.homeless) reasons.set(demand, `no glet has room for it beside the other models, of which each holds at most ${options.maxModelsPerGlet}; add a GPU or memory, or relax SLOs`)
      structure = most.structure
    }
  }

  if (objective === "headroom" && upperBound === undefined && critical.length > 0) {
    const known = current?.boundPrices === undefined ? undefined : { prices: current.boundPrices, factor: current.headroomBound ?? structure.factor }
    const bound = boundHeadroom(problem, { known }, undefined)
    upperBound = bound.factor
    boundPrices = bound.prices
  }
  if (objective === "headroom" && bestEffort.length === 0) {
    const states = copyToSpares(space, solver, structure.states)
    structure = { ...structure, states, factor: Math.max(structure.factor, factorOf(direction, states)) }
  }
  let filled = withBestEffort(space, structure, bestEffort, objective === "headroom")
  if (objective === "headroom" && filled.unplaced.length > 0 && isAll(structure.factor)) {
    // Room for best-effort models is searched for as for models that hardly anybody asks for.
    const wider = headroomOfAll(space, solver, { rates, models: [...critical, ...filled.unplaced].sort((a, b) => a - b), bound: 1 / nearEnough, effort })
    if (wider !== undefined && isAll(wider.structure.factor)) {
      structure = { ...wider.structure, factor: factorOf(direction, wider.structure.states) }
      const standing = new Set(filled.unplaced)
      filled = withBestEffort(space, structure, bestEffort.filter((demand) => !standing.has(demand)), true)
    }
  }
  for (const demand of filled.unplaced) reasons.set(demand, "no glet has slack for a batch of it, and no share is left for a glet of its own")
  const grown = new Map<GpuDraft["glets"], GpuDraft>()
  const grow = (draft: GpuDraft): GpuDraft => {
    const larger = grown.get(draft.glets) ?? growGlets(tables, draft)
    grown.set(draft.glets, larger)
    return { ...larger, gpu: draft.gpu }
  }
  const planOf = ({ factor, kept: unchanged }: Structure, drafts: ReadonlyArray<GpuDraft>): Plan | undefined => draftToPlan(tables, {
    planner: name,
    gpus: drafts.map((draft, at) => (unchanged?.has(at) === true ? draft : grow(draft))),
    reasons,
    shortReason: `the GPUs carry ${Math.floor(100 * factor)} % of what all models ask for together`,
    objective,
    ...(lowerBound === undefined ? {} : { lowerBound }),
    ...(factor === Infinity ? {} : { headroom: factor }),
    ...(upperBound === undefined || upperBound === Infinity ? {} : { headroomBound: upperBound }),
    ...(boundPrices === undefined ? {} : { boundPrices: boundPrices.map(shortened) })
  })
  const planned = planOf(structure, filled.gpus)
  if (planned === undefined) return infeasible(shortageOf(space, carryMost(space, solver, direction, makeRandom(options.seed), diagnosisSteps)))
  if (objective === "fewest" || !usesOverlays(problem)) return Either.right(planned)
  // On whole GPUs, one after the other, latency-critical batches leave more to what lies over them than side by side, where they are short.
  const joined = isCompact ? joinedGlets(space, solver, direction, structure) : []
  const alternatives = joined.flatMap((each) => planOf(each, withBestEffort(space, each, bestEffort, true).gpus) ?? [])
  return Either.right(bestOverlaid(tables, [planned, ...alternatives], bestEffort))
}

/**
 * Where best-effort work that gives way lies over latency-critical glets, coarser cuts are planned too, and the plan is taken beside which most of it is done.
 */
const planWith = (regroup: Regroup | undefined): PlannerAlgorithm["plan"] => (asked, current) => {
  const problem = withWholeRequests(asked)
  const finest = planOn(problem, current, regroup)
  if (Either.isLeft(finest) || !mayBeCoarser(problem, finest.right)) return finest
  const coarser = coarserCuts(problem).flatMap((cut) => Option.toArray(Either.getRight(planOn(cut, current, regroup))))
  return Either.right(fullest(problem, finest.right, coarser, current))
}

/**
 * The planner; `regroup` is what it does with more effort than usual. It comes as an argument, so that a page that plans with the usual effort does not load it.
 * @since 0.1.0
 * @category planners
 */
export const orionWith = (regroup?: Regroup): PlannerAlgorithm => ({
  name,
  summary: "Any number of glets per GPU, replicas and time sharing; fewest GPUs, or most head-room where the GPUs are given. The default.",
  plan: planWith(regroup)
})

/**
 * The planner, where no more than the usual effort is asked for.
 * @since 0.1.0
 * @category planners
 */
export const orion: PlannerAlgorithm = orionWith()
