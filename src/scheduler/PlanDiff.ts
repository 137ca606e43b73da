/**
 * From one plan to the next: which glets stay, and the changes that lead from what is deployed to what is wanted.
 *
 * Plans are compared in canonical order (GPUs, glets, models by name); `adoptPlan` answers in it, so that
 * `applyChanges(diffPlans(a, b), a)` equals `b` to the byte for adopted plans.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { GletId, GpuId, ModelName } from "../core/Ids.js"
import { unsafeGletId } from "../core/Ids.js"
import type { PlannedGlet, PlannedGpu } from "../core/Plan.js"
import { Assignment, BestEffortAssignment, Plan } from "../core/Plan.js"

/** A model's place on a glet, of either class. @since 0.1.0 @category changes */
export type PlannedWork =
  | { readonly serviceClass: "latency-critical"; readonly assignment: Assignment }
  | { readonly serviceClass: "best-effort"; readonly assignment: BestEffortAssignment }

/** Everything of a plan but its GPUs. @since 0.1.0 @category changes */
export type PlanHeader = Omit<Plan, "gpus">

/**
 * One step. `diffPlans` gives them in an order in which nothing is taken away before what replaces it is there.
 * @since 0.1.0
 * @category changes
 */
export type PlanChange =
  | { readonly kind: "add-gpu"; readonly gpu: GpuId; readonly type: string }
  | { readonly kind: "open-glet"; readonly gpu: GpuId; readonly glet: GletId; readonly sharePct: number; readonly priority: number; readonly overlay?: true }
  | { readonly kind: "load-model"; readonly glet: GletId; readonly work: PlannedWork }
  /** Same model on the same glet, other numbers or another class: nothing is loaded. */
  | { readonly kind: "retune-model"; readonly glet: GletId; readonly work: PlannedWork }
  | { readonly kind: "retune-glet"; readonly glet: GletId; readonly dutyMs: number }
  | { readonly kind: "unload-model"; readonly glet: GletId; readonly model: ModelName }
  | { readonly kind: "close-glet"; readonly gpu: GpuId; readonly glet: GletId }
  | { readonly kind: "remove-gpu"; readonly gpu: GpuId }
  /** Generation, planner, duty rule, shortfalls, bound. */
  | { readonly kind: "describe"; readonly header: PlanHeader }

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byModel = (a: { readonly model: ModelName }, b: { readonly model: ModelName }): number => byText(a.model, b.model)

/** The number at the end of a glet's id; ids without one sort first. */
const numberOf = (id: string): number => {
  const digits = /\/(\d+)$/.exec(id)?.[1]
  return digits === undefined ? -1 : Number(digits)
}
const byGlet = (a: PlannedGlet, b: PlannedGlet): number => numberOf(a.id) - numberOf(b.id) || byText(a.id, b.id)

/** The same plan with GPUs, glets, models and shortfalls in canonical order. @since 0.1.0 @category plans */
export const canonicalPlan = (plan: Plan): Plan => ({
  ...plan,
  gpus: plan.gpus.map((gpu) => ({
    ...gpu,
    glets: gpu.glets.map((glet) => ({
      ...glet,
      assignments: [...glet.assignments].sort(byModel),
      bestEffort: [...glet.bestEffort].sort(byModel)
    })).sort(byGlet)
  })).sort((a, b) => byText(a.gpu, b.gpu)),
  shortfalls: [...plan.shortfalls].sort(byModel)
})

const worksOf = (glet: PlannedGlet): ReadonlyArray<PlannedWork> => [
  ...glet.assignments.map((assignment): PlannedWork => ({ serviceClass: "latency-critical", assignment })),
  ...glet.bestEffort.map((assignment): PlannedWork => ({ serviceClass: "best-effort", assignment }))
]

/** Models both would have loaded; latency-critical ones weigh more, for moving those costs capacity that has a deadline. */
const overlap = (current: PlannedGlet, next: PlannedGlet): number => {
  const loaded = new Set<string>(worksOf(current).map((work) => work.assignment.model))
  let score = 0
  for (const work of worksOf(next)) if (loaded.has(work.assignment.model)) score += work.serviceClass === "latency-critical" ? 4 : 1
  return score
}

const sameAssignment = Schema.equivalence(Assignment)
const sameBestEffort = Schema.equivalence(BestEffortAssignment)
const sameHeader = Schema.equivalence(Plan.omit("gpus"))

const sameWork = (a: PlannedWork, b: PlannedWork): boolean =>
  a.serviceClass === "latency-critical"
    ? b.serviceClass === "latency-critical" && sameAssignment(a.assignment, b.assignment)
    : b.serviceClass === "best-effort" && sameBestEffort(a.assignment, b.assignment)

// All but the GPUs, whatever fields plans come to have.
const headerOf = ({ gpus: _, ...header }: Plan): PlanHeader => header

const placedGlets = (plan: Plan): ReadonlyMap<GletId, { readonly gpu: PlannedGpu; readonly glet: PlannedGlet }> =>
  new Map(plan.gpus.flatMap((gpu) => gpu.glets.map((glet) => [glet.id, { gpu, glet }] as const)))

const gletChanges = (from: PlannedGlet, to: PlannedGlet): ReadonlyArray<PlanChange> => {
  const before = new Map(worksOf(from).map((work) => [work.assignment.model, work]))
  const after = new Map(worksOf(to).map((work) => [work.assignment.model, work]))
  const changes: Array<PlanChange> = []
  if (from.dutyMs !== to.dutyMs) changes.push({ kind: "retune-glet", glet: to.id, dutyMs: to.dutyMs })
  for (const [model, work] of after) {
    const old = before.get(model)
    if (old === undefined) changes.push({ kind: "load-model", glet: to.id, work })
    else if (!sameWork(old, work)) changes.push({ kind: "retune-model", glet: to.id, work })
  }
  for (const model of before.keys()) if (!after.has(model)) changes.push({ kind: "unload-model", glet: to.id, model })
  return changes
}

const overlayOf = ({ overlay }: Pick<PlannedGlet, "overlay">): Pick<PlannedGlet, "overlay"> => (overlay === undefined ? {} : { overlay })

/** Whether a glet can go on as the other: what it was opened with is the same. */
const sameGround = (a: PlannedGlet, b: PlannedGlet): boolean => a.sharePct === b.sharePct && a.priority === b.priority && a.overlay === b.overlay

/** Which glet of `current` each glet of `next` on the same GPU goes on as: equal ones first, then pairs of most overlap, then of fewest changes. */
const matchGlets = (current: ReadonlyArray<PlannedGlet>, next: ReadonlyArray<PlannedGlet>): ReadonlyMap<PlannedGlet, GletId> => {
  const pairs = next
    .flatMap((to) =>
      current
        .filter((from) => sameGround(from, to))
        .map((from) => ({ from, to, score: overlap(from, to), changes: gletChanges(from, to).length }))
    )
    // A stable sort of pairs in canonical order: equal input, equal answer.
    .sort((a, b) => Number(a.changes > 0) - Number(b.changes > 0) || b.score - a.score || a.changes - b.changes)
  const matched = new Map<PlannedGlet, GletId>()
  const taken = new Set<GletId>()
  for (const { from, to } of pairs) {
    if (matched.has(to) || taken.has(from.id)) continue
    matched.set(to, from.id)
    taken.add(from.id)
  }
  return matched
}

/**
 * Makes a planner's answer the successor of the deployed plan: glets that can stay (same GPU, share, priority and layer; of those the ones with most
 * models in common) keep their ids, all others get ids `gpu/N` counted on from `nextGletNumber`, so that no id is ever used twice on a host.
 * @since 0.1.0
 * @category plans
 */
export const adoptPlan = (
  current: Plan,
  next: Plan,
  nextGletNumber: number
): { readonly plan: Plan; readonly nextGletNumber: number } => {
  let number = nextGletNumber
  const deployed = new Map(canonicalPlan(current).gpus.map((gpu) => [gpu.gpu, gpu]))
  const gpus = canonicalPlan(next).gpus.map((gpu) => {
    const matched = matchGlets(deployed.get(gpu.gpu)?.glets ?? [], gpu.glets)
    return { ...gpu, glets: gpu.glets.map((glet) => ({ ...glet, id: matched.get(glet) ?? unsafeGletId(`${gpu.gpu}/${number++}`) })) }
  })
  return { plan: canonicalPlan({ ...next, generation: current.generation + 1, gpus }), nextGletNumber: number }
}

const rank: Readonly<Record<PlanChange["kind"], number>> = {
  "add-gpu": 0, "open-glet": 1, "load-model": 2, "retune-model": 3, "retune-glet": 4, "unload-model": 5, "close-glet": 6, "remove-gpu": 7, "describe": 8
}

/**
 * The changes from one plan to another; none for equal plans. Both must be valid in that glet ids are unique and a model stands on a glet at
 * most once. What `adoptPlan` never makes, a glet with another GPU or share under its old id or a GPU of another type, is taken away first.
 * @since 0.1.0
 * @category changes
 */
export const diffPlans = (current: Plan, next: Plan): ReadonlyArray<PlanChange> => {
  const from = canonicalPlan(current)
  const to = canonicalPlan(next)
  const first: Array<PlanChange> = []
  const changes: Array<PlanChange> = []
  const oldTypes = new Map(from.gpus.map((gpu) => [gpu.gpu, gpu.type]))
  const newTypes = new Map(to.gpus.map((gpu) => [gpu.gpu, gpu.type]))
  const oldGlets = placedGlets(from)
  const newGlets = placedGlets(to)
  const staysGpu = (gpu: GpuId): boolean => oldTypes.get(gpu) === newTypes.get(gpu)
  const stays = (id: GletId): boolean => {
    const old = oldGlets.get(id)
    const now = newGlets.get(id)
    return old !== undefined && now !== undefined && old.gpu.gpu === now.gpu.gpu && staysGpu(now.gpu.gpu) &&
      sameGround(old.glet, now.glet)
  }
  for (const [id, { gpu }] of oldGlets) {
    if (stays(id)) continue
    const isReplaced = newGlets.has(id) || newTypes.has(gpu.gpu) && !staysGpu(gpu.gpu)
    ;(isReplaced ? first : changes).push({ kind: "close-glet", gpu: gpu.gpu, glet: id })
  }
  for (const { gpu } of from.gpus) {
    if (!staysGpu(gpu)) (newTypes.has(gpu) ? first : changes).push({ kind: "remove-gpu", gpu })
  }
  for (const { gpu, type } of to.gpus) if (!staysGpu(gpu)) changes.push({ kind: "add-gpu", gpu, type })
  for (const [id, { glet, gpu }] of newGlets) {
    if (stays(id)) {
      changes.push(...gletChanges(oldGlets.get(id)!.glet, glet))
    } else {
      changes.push({ kind: "open-glet", gpu: gpu.gpu, glet: id, sharePct: glet.sharePct, priority: glet.priority, ...overlayOf(glet) })
      changes.push(...gletChanges({ ...glet, dutyMs: 0, assignments: [], bestEffort: [] }, glet))
    }
  }
  const header = headerOf(to)
  if (!sameHeader(headerOf(from), header)) changes.push({ kind: "describe", header })
  return [...first, ...changes.sort((a, b) => rank[a.kind] - rank[b.kind])]
}

const withoutModel = (glet: PlannedGlet, model: ModelName): PlannedGlet => ({
  ...glet,
  assignments: glet.assignments.filter((work) => work.model !== model),
  bestEffort: glet.bestEffort.filter((work) => work.model !== model)
})

const withWork = (glet: PlannedGlet, work: PlannedWork): PlannedGlet => {
  const rest = withoutModel(glet, work.assignment.model)
  return work.serviceClass === "latency-critical"
    ? { ...rest, assignments: [...rest.assignments, work.assignment] }
    : { ...rest, bestEffort: [...rest.bestEffort, work.assignment] }
}

/**
 * The plan after the changes, in canonical order.
 * @since 0.1.0
 * @category changes
 */
export const applyChanges = (changes: ReadonlyArray<PlanChange>, current: Plan): Plan => {
  let header = headerOf(current)
  const types = new Map(current.gpus.map((gpu) => [gpu.gpu, gpu.type]))
  const glets = new Map(
    current.gpus.flatMap((gpu) => gpu.glets.map((glet) => [glet.id, { gpu: gpu.gpu, glet }] as const))
  )
  const change = (id: GletId, to: (glet: PlannedGlet) => PlannedGlet): void => {
    const placed = glets.get(id)
    if (placed !== undefined) glets.set(id, { gpu: placed.gpu, glet: to(placed.glet) })
  }
  for (const step of changes) {
    switch (step.kind) {
      case "add-gpu":
        types.set(step.gpu, step.type)
        break
      case "remove-gpu":
        types.delete(step.gpu)
        break
      case "open-glet":
        glets.set(step.glet, {
          gpu: step.gpu,
          glet: { id: step.glet, sharePct: step.sharePct, priority: step.priority, ...overlayOf(step), dutyMs: 0, assignments: [], bestEffort: [] }
        })
        break
      case "close-glet":
        glets.delete(step.glet)
        break
      case "load-model":
      case "retune-model":
        change(step.glet, (glet) => withWork(glet, step.work))
        break
      case "unload-model":
        change(step.glet, (glet) => withoutModel(glet, step.model))
        break
      case "retune-glet":
        change(step.glet, (glet) => ({ ...glet, dutyMs: step.dutyMs }))
        break
      case "describe":
        header = step.header
        break
    }
  }
  return canonicalPlan({
    ...header,
    gpus: [...types].map(([gpu, type]) => ({
      gpu,
      type,
      glets: [...glets.values()].filter((placed) => placed.gpu === gpu).map((placed) => placed.glet)
    }))
  })
}
