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
import { makeRandom } from "../../core/internal/random.js"
import type { Plan } from "../../core/Plan.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { boundFewest } from "../bounds/internal/boundFewest.js"
import { boundHeadroom } from "../bounds/internal/boundHeadroom.js"
import { impossibleAlone, invalidDemands } from "../internal/diagnosis.js"
import { draftToPlan } from "../internal/draftToPlan.js"
import type { GpuDraft } from "../internal/gletSolver.js"
import { layOverlays } from "../internal/overlays.js"
import { makePlanTables } from "../internal/planTables.js"
import { directionOf } from "../internal/search/direction.js"
import { fewest } from "../internal/search/fewest.js"
import { makeGpuSolver } from "../internal/search/gpuState.js"
import type { Structure } from "../internal/search/keep.js"
import { costOf, factorOf, keep, movesBetween } from "../internal/search/keep.js"
import { onGpus } from "../internal/search/onGpus.js"
import type { SearchSpace } from "../internal/search/searchSpace.js"
import { makeSearchSpace } from "../internal/search/searchSpace.js"
import { copyToSpares } from "../internal/search/spare.js"
import { carryMost, shortageOf } from "../internal/search/shortage.js"
import { toDrafts } from "../internal/search/toDrafts.js"
import { fillBestEffort, growGlets, tightenGlets } from "../internal/spareCapacity.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"
import { headroomLimit, headroomOfAll, mostHeadroom, nearEnough } from "./internal/mostHeadroom.js"

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

/** Best-effort models on the GPUs that nothing else uses: over the others an overlay is laid. */
const onIdleGpus = (space: SearchSpace, drafts: ReadonlyArray<GpuDraft>, demands: ReadonlyArray<number>) => {
  const idle = drafts.filter(({ glets }) => glets.length === 0)
  const filled = fillBestEffort(space.tables, idle, demands, true).gpus
  return { gpus: drafts.map((draft) => (draft.glets.length === 0 ? filled[idle.indexOf(draft)]! : draft)), unplaced: [] }
}

/** Best-effort models beside the structure at its own factor, else at less. */
const withBestEffort = (space: SearchSpace, structure: Structure, demands: ReadonlyArray<number>, useIdle: boolean) => {
  const { factor, states } = structure
  const draftsAt = (multiple: number): ReadonlyArray<GpuDraft> => toDrafts(space, states, multiple, (at) => structure.kept?.has(at) === true)
  const most = Math.min(factor, headroomLimit)
  if (useIdle && space.tables.problem.options.overlayPct !== undefined) return onIdleGpus(space, draftsAt(most), demands)
  let best = fillBestEffort(space.tables, draftsAt(most), demands, useIdle)
  for (const less of most > 1 ? [Math.sqrt(most), 1] : []) {
    if (best.unplaced.length === 0) break
    const filled = fillBestEffort(space.tables, draftsAt(less), demands, useIdle)
    if (filled.unplaced.length < best.unplaced.length) best = filled
  }
  if (best.unplaced.length === 0 || states.every((state) => state === undefined)) return best
  const tight = fillBestEffort(space.tables, draftsAt(Math.min(most, 1)).map((draft) => tightenGlets(space.tables, draft)), demands, useIdle)
  return tight.unplaced.length < best.unplaced.length ? tight : best
}

const plan = (problem: PlanProblem, current?: Plan): Either.Either<Plan, Infeasible> => {
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
  const kept = structure === undefined && current !== undefined ? keep(space, solver, direction, current, objective, limit) : undefined
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
    const found = bound.gpus > problem.gpus.length ? undefined : fewest(space, solver, { direction: wanted, bound, seed: options.seed, effort })
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
    const most = mostHeadroom(space, solver, { rates, models: critical, bound: upperBound, effort })
    if (mustFit && (most.homeless.length > 0 || most.structure.factor < 1)) {
      const fleet = carryMost(space, solver, direction, makeRandom(options.seed), diagnosisSteps)
      if (fleet.unmet.length > 0) return infeasible(shortageOf(space, fleet))
      structure = { states: onGpus(space, fleet.gpus), factor: factorOf(direction, fleet.gpus) }
    } else {
      for (const demand of most.homeless) reasons.set(demand, "no glet has room for it beside the other models; add a GPU or memory, or relax SLOs")
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
  if (objective === "headroom" && filled.unplaced.length > 0 && structure.factor >= 1) {
    // Room for best-effort models is searched for as for models that hardly anybody asks for.
    const wider = headroomOfAll(space, solver, { rates, models: [...critical, ...filled.unplaced].sort((a, b) => a - b), bound: 1 / nearEnough, effort })
    if (wider !== undefined && wider.structure.factor >= 1) {
      structure = { ...wider.structure, factor: factorOf(direction, wider.structure.states) }
      const standing = new Set(filled.unplaced)
      filled = withBestEffort(space, structure, bestEffort.filter((demand) => !standing.has(demand)), true)
    }
  }
  const { factor } = structure
  for (const demand of filled.unplaced) reasons.set(demand, "no glet has slack for a batch of it, and no share is left for a glet of its own")
  const grown = new Map<GpuDraft["glets"], GpuDraft>()
  const grow = (draft: GpuDraft): GpuDraft => {
    const larger = grown.get(draft.glets) ?? growGlets(tables, draft)
    grown.set(draft.glets, larger)
    return { ...larger, gpu: draft.gpu }
  }
  const unchanged = structure.kept
  const planned = draftToPlan(tables, {
    planner: name,
    gpus: filled.gpus.map((draft, at) => (unchanged?.has(at) === true ? draft : grow(draft))),
    reasons,
    shortReason: `the GPUs carry ${Math.floor(100 * factor)} % of what all models ask for together`,
    objective,
    ...(lowerBound === undefined ? {} : { lowerBound }),
    ...(factor === Infinity ? {} : { headroom: factor }),
    ...(upperBound === undefined || upperBound === Infinity ? {} : { headroomBound: upperBound }),
    ...(boundPrices === undefined ? {} : { boundPrices: boundPrices.map(shortened) })
  })
  if (planned === undefined) return infeasible(shortageOf(space, carryMost(space, solver, direction, makeRandom(options.seed), diagnosisSteps)))
  return Either.right(options.overlayPct === undefined || objective === "fewest" ? planned : layOverlays(tables, planned, bestEffort, options.overlayPct))
}

/**
 * The planner.
 * @since 0.1.0
 * @category planners
 */
export const orion: PlannerAlgorithm = {
  name,
  summary: "Any number of glets per GPU, replicas and time sharing; fewest GPUs, or most head-room where the GPUs are given. The default.",
  plan
}
