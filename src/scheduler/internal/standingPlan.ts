/**
 * The deployed plan as an answer to what is asked now, where the GPUs are too few for that. Whatever is planned then, some go without; what another plan carries
 * more must be worth the glets that it closes and the models that it loads, which cost all that is served meanwhile. And searches end at other plans for
 * other rates, a few percent better or worse: of plans that are as good as each other the one that is there is best.
 */
import type { ModelName } from "../../core/Ids.js"
import type { Plan, PlannedGlet, PlannedGpu, Shortfall } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import type { Demand, PlanProblem } from "../../core/PlanProblem.js"
import { plannedLatencyMs, validatePlan } from "../../core/ValidatePlan.js"
import type { PlanBasis } from "../PlanBasis.js"
import { carriedRps, leastPart, leastPartOf, nearlyAll } from "./carried.js"

/** A plan that closes and loads carries so many times what the deployed one does. */
const worthChanging = 1.1

const worksOf = ({ assignments, bestEffort }: PlannedGlet): ReadonlyArray<ModelName> => [...assignments, ...bestEffort].map(({ model }) => model)

/** Whether the plan leaves all that is deployed where it is, and loads models only on GPUs that have none. */
export const disturbsNothing = (plan: Plan, deployed: Plan): boolean => {
  const there = new Map(gletsOf(deployed).map(({ glet }) => [glet.id, new Set(worksOf(glet))]))
  const inUse = new Set(gletsOf(deployed).map(({ gpu }) => gpu.gpu))
  const stays = new Set(gletsOf(plan).map(({ glet }) => glet.id))
  return gletsOf(plan).every(({ glet, gpu }) => !inUse.has(gpu.gpu) || worksOf(glet).every((model) => there.get(glet.id)?.has(model) === true)) &&
    gletsOf(deployed).every(({ glet }) => stays.has(glet.id))
}

const modelsOf = (plan: Plan): ReadonlySet<ModelName> => new Set(gletsOf(plan).flatMap(({ glet }) => worksOf(glet)))

const restateGlet = (problem: PlanProblem, demands: ReadonlyMap<ModelName, Demand>, carried: ReadonlyMap<ModelName, number>, gpu: PlannedGpu, glet: PlannedGlet): PlannedGlet => {
  const latenciesMs = glet.assignments.map((work) => plannedLatencyMs(problem, gpu, glet, work))
  const bestEffort = glet.bestEffort.map((work) => ({ ...work, blockingMs: plannedLatencyMs(problem, gpu, glet, work) }))
  const sumMs = latenciesMs.reduce((sum, ms) => sum + ms, 0)
  const blockingMs = bestEffort.reduce((most, work) => Math.max(most, work.blockingMs), 0)
  return {
    ...glet, bestEffort,
    assignments: glet.assignments.map((work, i) => {
      const demand = demands.get(work.model)
      const latencyMs = latenciesMs[i]!
      const worstMs = glet.dutyMs + (problem.options.dutyRule === "strict" ? sumMs : latencyMs) + blockingMs
      const allRps = carried.get(work.model)!
      return { ...work, latencyMs, worstMs, slackMs: (demand?.sloMs ?? 0) - worstMs, rateRps: work.capacityRps * Math.min(1, (demand?.rateRps ?? 0) / allRps) }
    })
  }
}

/** The deployed plan's glets with what they carry of what is asked now; of what they leave short the answer knows the reasons. */
const restate = (deployed: Plan, answer: Plan, problem: PlanProblem): Plan => {
  const demands = new Map(problem.demands.map((demand) => [demand.model, demand]))
  const carried = carriedRps(deployed)
  const critical = problem.demands.filter(({ serviceClass }) => serviceClass === "latency-critical")
  const headroom = critical.reduce((least, { model, rateRps }) => (rateRps > 0 ? Math.min(least, (carried.get(model) ?? 0) / rateRps) : least), Infinity)
  const reasons = new Map(answer.shortfalls.map(({ model, reason }) => [model, reason]))
  const shortReason = `the GPUs carry ${Math.floor(100 * headroom)} % of what all models ask for together`
  const shortfalls = critical.flatMap(({ model, rateRps }): ReadonlyArray<Shortfall> => {
    const plannedRps = Math.min(rateRps, carried.get(model) ?? 0)
    return plannedRps < rateRps * nearlyAll ? [{ model, askedRps: rateRps, plannedRps, reason: carried.has(model) ? shortReason : reasons.get(model) ?? shortReason }] : []
  })
  const isCritical = new Set(critical.map(({ model }) => model))
  const { headroomBound, boundPrices } = answer
  return {
    ...deployed,
    generation: deployed.generation + 1,
    gpus: deployed.gpus.map((gpu) => ({ ...gpu, glets: gpu.glets.map((glet) => restateGlet(problem, demands, carried, gpu, glet)) })),
    shortfalls: [...shortfalls, ...answer.shortfalls.filter(({ model }) => !isCritical.has(model))],
    ...(deployed.objective === "headroom" && headroom < Infinity ? { headroom } : {}),
    ...(headroomBound === undefined ? {} : { headroomBound }),
    ...(boundPrices === undefined ? {} : { boundPrices })
  }
}

/**
 * The deployed plan, restated, where it is to stay instead of an answer that does not carry all that is asked for either. Undefined: the answer is to be deployed. So it is if there is
 * a GPU that the deployed plan does not know, or a model that is on no glet yet; if the deployed plan breaks a rule by now; and if the answer carries clearly more, or more without
 * disturbing what serves.
 *
 * What was learned of interference breaks no rule: what that does to the deployed plan was seen, in the part of each model's requests that was `kept`, at the least. Learned it was with all
 * neighbours busy all the time, as no plan is; and of the answer it says what it says of a plan that nobody has tried. But a plan that misses objectives carries what arrives at most, and
 * not the head-room that is asked for beyond.
 */
export const standingPlan = (
  deployed: Plan, answer: Plan, { arriving, asked, needed, objectives, problem, profiled }: Pick<PlanBasis, "arriving" | "asked" | "needed" | "objectives" | "problem" | "profiled">, kept = 1
): Plan | undefined => {
  if (deployed.generation === 0 || deployed.planner !== answer.planner || leastPart(answer, asked) >= nearlyAll) return undefined
  const known = new Set(deployed.gpus.map(({ gpu }) => gpu))
  if (problem.gpus.some(({ id }) => !known.has(id))) return undefined
  const placed = modelsOf(deployed)
  for (const model of modelsOf(answer)) if (!placed.has(model)) return undefined
  const worth = disturbsNothing(answer, deployed) ? 1 : worthChanging
  const carriedPart = (rates: ReadonlyMap<ModelName, number>): number => (kept < 1 ? kept * Math.min(leastPart(deployed, rates), leastPartOf(arriving, rates)) : leastPart(deployed, rates))
  const isBetter = [needed, asked].some((rates) => leastPart(answer, rates) > worth * carriedPart(rates) + 1e-9)
  if (isBetter) return undefined
  // What it leaves free of objectives may be less than is wanted by now.
  const demands = problem.demands.map((demand) => ({ ...demand, sloMs: objectives.get(demand.model) ?? demand.sloMs }))
  for (const latency of [problem.latency, profiled]) {
    const standing = restate(deployed, answer, { ...problem, latency })
    if (validatePlan(standing, { ...problem, latency, demands }).length === 0) return standing
  }
  return undefined
}
