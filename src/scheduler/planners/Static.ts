/**
 * A given partition: the glets of `fixedGlets` (a ModelList.txt), or else those that are deployed, whatever the rates are.
 *
 * A model's rate goes to its glets in proportion to what they carry. Works of models that nobody asks for are left out. A partition that breaks a
 * rule is refused, with the rule.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Plan, Shortfall } from "../../core/Plan.js"
import type { FixedGlet, PlanProblem } from "../../core/PlanProblem.js"
import type { Violation } from "../../core/ValidatePlan.js"
import { validatePlan } from "../../core/ValidatePlan.js"
import { invalidDemands } from "../internal/diagnosis.js"
import { makePlanTables } from "../internal/planTables.js"
import type { Culprit, PlannerAlgorithm } from "../Planner.js"
import { Infeasible } from "../Planner.js"
import type { Sliced } from "./internal/elasticSearch.js"
import { planOfSlices } from "./internal/slicesToPlan.js"

const name = "static"

const fixedGletsOf = (plan: Plan): ReadonlyArray<FixedGlet> =>
  plan.gpus.flatMap(({ glets }, gpu) => glets.map(({ assignments, dutyMs, sharePct }) => ({ gpu, sharePct, dutyMs, works: assignments })))

const reasonOf = (kind: Violation["kind"]): Culprit["reason"] => {
  if (kind === "slo-missed" || kind === "duty-overrun") return "slo-too-short"
  if (kind === "memory-exceeded") return "memory"
  return kind === "latency-unknown" ? "no-profile" : "invalid"
}

const plan = (problem: PlanProblem, current?: Plan): Either.Either<Plan, Infeasible> => {
  const infeasible = ([first, ...others]: ReadonlyArray<Culprit>) =>
    Either.left(new Infeasible({ planner: name, culprits: [first!, ...others] }))
  const invalid = invalidDemands(problem)
  if (invalid.length > 0) return infeasible(invalid)
  const { demands, gpus, options } = problem
  if (demands.length === 0) return Either.right(planOfSlices(makePlanTables(problem), name, gpus.map((gpu) => ({ gpu, slices: [] })), () => [], []))
  const all = (reason: Culprit["reason"], detail: string) => infeasible(demands.map(({ model }) => ({ model, reason, detail })))
  const fixed = options.fixedGlets ?? (current === undefined ? [] : fixedGletsOf(current))
  if (fixed.length === 0) return all("invalid", "has no glet: this planner needs a partition, give it a model list or a deployed plan")
  const wrong = fixed.find(({ dutyMs, works }) => works.some(({ batch }) => !(Number.isInteger(batch) && batch >= 1 && dutyMs > 0 && dutyMs < Infinity)))
  if (wrong !== undefined) {
    const detail = `stands on a glet with a duty cycle of ${wrong.dutyMs} ms and batches of ${wrong.works.map(({ batch }) => batch).join(", ")}; give positive ones`
    return infeasible(wrong.works.map(({ model }) => ({ model, reason: "invalid", detail })))
  }
  const beyond = fixed.find(({ gpu, works }) => works.length > 0 && gpus[gpu] === undefined)
  if (beyond !== undefined) {
    return infeasible(beyond.works.map(({ model }) => ({ model, reason: "not-enough-gpus", detail: `stands on GPU ${beyond.gpu} of the partition, there are ${gpus.length}` })))
  }

  const numbers = new Map<string, number>(demands.flatMap(({ model, serviceClass }, i) => (serviceClass === "latency-critical" ? [[model, i]] : [])))
  const wanted = fixed.map((glet) => ({ ...glet, works: glet.works.filter(({ model }) => numbers.has(model)) })).filter(({ works }) => works.length > 0)
  const capacities = new Map<string, number>()
  for (const { dutyMs, works } of wanted) {
    for (const { batch, model } of works) capacities.set(model, (capacities.get(model) ?? 0) + (1000 * batch) / dutyMs)
  }
  const short: Array<Culprit> = []
  const shortfalls: Array<Shortfall> = []
  for (const { model, rateRps, serviceClass } of demands) {
    const isCritical = serviceClass === "latency-critical"
    const carriedRps = isCritical ? capacities.get(model) ?? 0 : 0
    // The partition may come from a file with rounded duty cycles.
    if (isCritical && carriedRps >= rateRps * (1 - 1e-6) && carriedRps > 0) continue
    const reason = !isCritical
      ? "is best-effort, which a given partition does not place"
      : carriedRps === 0 ? "has no glet in the partition" : `asks for ${rateRps} items/s, the partition carries ${carriedRps}`
    shortfalls.push({ model, askedRps: isCritical ? rateRps : 0, plannedRps: Math.min(carriedRps, rateRps), reason })
    if (isCritical) short.push({ model, reason: "rate-too-high", detail: reason, ...(carriedRps > 0 ? { nearestRateRps: carriedRps } : {}) })
  }
  if (options.whenShort === "fail" && short.length > 0) return infeasible(short)

  const sliced: Sliced = gpus.map((gpu, at) => ({
    gpu,
    slices: wanted.filter((glet) => glet.gpu === at).map(({ dutyMs, sharePct, works }) => ({
      sharePct,
      works: works.map(({ batch, model }) => {
        const demand = numbers.get(model)!
        const capacity = capacities.get(model)!
        return { demand, rateRps: (Math.min(demands[demand]!.rateRps, capacity) * (1000 * batch)) / dutyMs / capacity }
      })
    }))
  }))
  const made = planOfSlices(makePlanTables(problem), name, sliced, ({ gpu, slices }) => {
    const glets = wanted.filter((glet) => gpus[glet.gpu] === gpu)
    return slices.map((_, i) => ({ dutyMs: glets[i]!.dutyMs, batches: glets[i]!.works.map(({ batch }) => batch) }))
  }, shortfalls)
  const violations = validatePlan(made, problem)
  if (violations.length === 0) return Either.right(made)
  return infeasible(violations.map(({ glet, gpu, kind, message, model }): Culprit => {
    const glets = made.gpus.filter((each) => each.gpu === gpu).flatMap((each) => each.glets)
    const named = model ?? (glets.find(({ id }) => id === glet) ?? glets[0])?.assignments[0]?.model
    const where = `on ${glet ?? gpu ?? "the GPUs"}: `
    return { model: demands[numbers.get(named ?? "") ?? 0]!.model, reason: reasonOf(kind), detail: `${where}${message}` }
  }))
}

/** @since 0.1.0 @category planners */
export const staticPartition: PlannerAlgorithm = {
  name,
  summary: "A given partition (a model list, or what is deployed), whatever the rates are.",
  plan
}
