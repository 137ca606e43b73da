/**
 * The judge of plans, apart from all planners: nothing is deployed and no comparison counts that fails here.
 *
 * For every glet with duty cycle d and assignments i of predicted latency L_i (99th percentile, head-room and interference included) and
 * best-effort blocking B: sum L_i <= d; d + L_i + B <= SLO_i (rule `cycle`) or d + sum L + B <= SLO_i (rule `strict`); 1000 batch_i / d >=
 * rate_i. A glet that always has work for its one assignment has d = L, hence 2 L <= SLO. Memory fits, shares of a GPU sum to at most 100 (those of
 * overlays, which lie over the others, by themselves), every demand is carried in full unless the plan declares a shortfall.
 *
 * @since 0.1.0
 */
import { unitsOfShare } from "./Gpu.js"
import type { Execution } from "./LatencyModel.js"
import type { Assignment, Plan, PlannedGlet, PlannedGpu } from "./Plan.js"
import type { Demand, PlanProblem } from "./PlanProblem.js"

/** @since 0.1.0 @category validation */
export type ViolationKind =
  | "unknown-gpu" | "duplicate-gpu" | "duplicate-glet" | "share-not-offered" | "shares-exceed-gpu" | "units-exceed-gpu" | "too-many-glets"
  | "unknown-model" | "duplicate-model" | "wrong-class" | "too-many-models" | "batch-too-large" | "latency-unknown" | "latency-understated"
  | "duty-overrun" | "slo-missed" | "capacity-short" | "rate-unmet" | "memory-exceeded"

/** One broken rule, with where it is broken. @since 0.1.0 @category validation */
export interface Violation {
  readonly kind: ViolationKind
  readonly gpu?: string
  readonly glet?: string
  readonly model?: string
  readonly message: string
}

// Sums of floating-point milliseconds; a plan is not wrong for their last bits.
const tolerance = 1e-6
const exceeds = (value: number, limit: number): boolean => !(value <= limit * (1 + tolerance) + 1e-9)

const execution = (gpu: PlannedGpu, glet: PlannedGlet, work: { readonly model: Assignment["model"]; readonly batch: number }): Execution => ({
  gpuType: gpu.type, model: work.model, sharePct: glet.sharePct, batch: work.batch
})

/** What each other glet of the GPU may run beside `glet`. Overlays are not among them: of those the gate starts only what the others can bear. @since 0.1.0 @category validation */
export const neighboursOf = (gpu: PlannedGpu, glet: PlannedGlet): ReadonlyArray<ReadonlyArray<Execution>> =>
  gpu.glets
    .filter((other) => other.id !== glet.id && other.overlay !== true)
    .map((other) => [...other.assignments, ...other.bestEffort].map((work) => execution(gpu, other, work)))
    .filter((group) => group.length > 0)

/** Planning latency in ms of one batch on a glet of a plan: table, interference and head-room. @since 0.1.0 @category validation */
export const plannedLatencyMs = (
  problem: PlanProblem,
  gpu: PlannedGpu,
  glet: PlannedGlet,
  work: { readonly model: Assignment["model"]; readonly batch: number }
): number => {
  const run = execution(gpu, glet, work)
  const slowdown = problem.options.interference ? problem.latency.slowdown(run, neighboursOf(gpu, glet)) : 1
  return problem.latency.latencyMs(run) * slowdown * problem.options.latencyHeadroom
}

const checkGlet = (
  problem: PlanProblem,
  demands: ReadonlyMap<string, Demand>,
  plan: Plan,
  gpu: PlannedGpu,
  glet: PlannedGlet,
  add: (kind: ViolationKind, message: string, where?: { readonly glet?: string; readonly model?: string }) => void
): void => {
  const report = (kind: ViolationKind, message: string, model?: string) =>
    add(kind, message, { glet: glet.id, ...(model === undefined ? {} : { model }) })
  if (glet.assignments.length > problem.options.maxModelsPerGlet) {
    report("too-many-models", `${glet.assignments.length} models, at most ${problem.options.maxModelsPerGlet} allowed`)
  }
  if (glet.overlay === true) {
    for (const { model } of glet.assignments) report("wrong-class", "is latency-critical, planned on an overlay", model)
  }
  const seen = new Set<string>()
  let blockingMs = 0
  for (const work of [...glet.assignments, ...glet.bestEffort]) {
    const demand = demands.get(work.model)
    if (seen.has(work.model)) report("duplicate-model", "stands twice on the glet", work.model)
    seen.add(work.model)
    if (demand === undefined) {
      report("unknown-model", "is not among the demands", work.model)
    } else if (work.batch > demand.maxBatch) {
      report("batch-too-large", `batch ${work.batch} above the model's maximum ${demand.maxBatch}`, work.model)
    }
  }
  for (const work of glet.bestEffort) {
    const latency = plannedLatencyMs(problem, gpu, glet, work)
    if (demands.get(work.model)?.serviceClass === "latency-critical") report("wrong-class", "is latency-critical, planned as best-effort", work.model)
    if (!Number.isFinite(latency)) report("latency-unknown", `no latency known for batch ${work.batch} at ${glet.sharePct} %`, work.model)
    else if (exceeds(latency, work.blockingMs)) report("latency-understated", `blocks ${latency} ms, the plan says ${work.blockingMs} ms`, work.model)
    blockingMs = Math.max(blockingMs, latency)
  }

  const latencies = glet.assignments.map((work) => plannedLatencyMs(problem, gpu, glet, work))
  const sum = latencies.reduce((total, latency) => total + latency, 0)
  glet.assignments.forEach((work, i) => {
    const latency = latencies[i]!
    if (!Number.isFinite(latency)) {
      report("latency-unknown", `no latency known for batch ${work.batch} at ${glet.sharePct} %`, work.model)
      return
    }
    if (exceeds(latency, work.latencyMs)) report("latency-understated", `takes ${latency} ms, the plan says ${work.latencyMs} ms`, work.model)
    const demand = demands.get(work.model)
    if (demand === undefined) return
    if (demand.serviceClass === "best-effort") report("wrong-class", "is best-effort, planned as latency-critical", work.model)
    const worst = glet.dutyMs + (plan.dutyRule === "strict" ? sum : latency) + blockingMs
    if (exceeds(worst, demand.sloMs)) report("slo-missed", `worst case ${worst} ms above the SLO of ${demand.sloMs} ms`, work.model)
    const capacity = glet.dutyMs > 0 ? (1000 * work.batch) / glet.dutyMs : 0
    if (exceeds(work.rateRps, capacity)) report("capacity-short", `carries ${capacity} of ${work.rateRps} items/s`, work.model)
  })
  if (glet.assignments.length > 0 && exceeds(sum, glet.dutyMs)) {
    report("duty-overrun", `the batches of one cycle take ${sum} ms, the duty cycle is ${glet.dutyMs} ms`)
  }
}

/**
 * Every rule the plan breaks; empty for a plan that may be deployed.
 * @since 0.1.0
 * @category validation
 */
export const validatePlan = (plan: Plan, problem: PlanProblem): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const demands = new Map<string, Demand>(problem.demands.map((demand) => [demand.model, demand]))
  const gpus = new Map(problem.gpus.map((gpu) => [gpu.id as string, gpu]))
  const gpuIds = new Set<string>()
  const gletIds = new Set<string>()
  const carried = new Map<string, number>()

  for (const planned of plan.gpus) {
    const add = (kind: ViolationKind, message: string, where: { readonly glet?: string; readonly model?: string } = {}) =>
      violations.push({ kind, gpu: planned.gpu, ...where, message })
    const gpu = gpus.get(planned.gpu)
    if (gpuIds.has(planned.gpu)) add("duplicate-gpu", "stands twice in the plan")
    gpuIds.add(planned.gpu)
    if (gpu === undefined || gpu.type !== planned.type) {
      add("unknown-gpu", gpu === undefined ? "is not in the inventory" : `is of type ${gpu.type}, the plan says ${planned.type}`)
      continue
    }
    if (planned.glets.length > problem.options.maxGletsPerGpu) {
      add("too-many-glets", `${planned.glets.length} glets, at most ${problem.options.maxGletsPerGpu} allowed`)
    }
    for (const layer of [planned.glets.filter(({ overlay }) => overlay !== true), planned.glets.filter(({ overlay }) => overlay === true)]) {
      const share = layer.reduce((total, glet) => total + glet.sharePct, 0)
      if (share > 100) add("shares-exceed-gpu", `shares ${layer[0]!.overlay === true ? "of overlays " : ""}sum to ${share} %`)
      const units = layer.reduce((total, glet) => total + unitsOfShare(gpu, glet.sharePct), 0)
      // A glet has at least one unit, so many small shares can ask for more units than there are.
      if (share <= 100 && layer.length > gpu.units) add("units-exceed-gpu", `${units} units for ${gpu.units}`)
    }

    let memory = 0
    for (const glet of planned.glets) {
      if (gletIds.has(glet.id)) add("duplicate-glet", "its id stands twice in the plan", { glet: glet.id })
      gletIds.add(glet.id)
      if (!gpu.sharesPct.includes(glet.sharePct)) {
        add("share-not-offered", `share ${glet.sharePct} % is not one of ${gpu.sharesPct.join(", ")}`, { glet: glet.id })
      }
      checkGlet(problem, demands, plan, planned, glet, add)
      for (const work of glet.assignments) carried.set(work.model, (carried.get(work.model) ?? 0) + work.rateRps)
      memory += problem.latency.gletMemoryBytes(gpu.type)
      for (const work of [...glet.assignments, ...glet.bestEffort]) memory += problem.latency.memoryBytes(gpu.type, work.model)
    }
    if (exceeds(memory, gpu.memoryBytes * problem.options.memoryFraction)) {
      add("memory-exceeded", `${Math.round(memory / 1e6)} MB of ${Math.round((gpu.memoryBytes * problem.options.memoryFraction) / 1e6)} MB`)
    }
  }

  const shortfalls = new Map(plan.shortfalls.map((short) => [short.model as string, short]))
  for (const demand of problem.demands) {
    if (demand.serviceClass === "best-effort") continue
    const asked = shortfalls.get(demand.model)?.plannedRps ?? demand.rateRps
    const rate = carried.get(demand.model) ?? 0
    if (exceeds(asked, rate)) {
      violations.push({ kind: "rate-unmet", model: demand.model, message: `${rate} of ${asked} items/s are assigned` })
    }
  }
  return violations
}
