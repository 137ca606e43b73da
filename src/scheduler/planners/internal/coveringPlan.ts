/**
 * The cheapest GPUs whose configurations carry all rates together: an integer program, and the plan of its solution.
 */
import { unsafeGletId } from "../../../core/Ids.js"
import type { Assignment, Plan, PlannedGlet } from "../../../core/Plan.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { GpuClass } from "../../bounds/internal/gpuClasses.js"
import { classKeyOf } from "../../bounds/internal/gpuClasses.js"
import { ProgramBuilder } from "../../solver/ProgramBuilder.js"
import type { Solver } from "../../solver/Solver.js"
import type { Configuration, GletRun } from "./configurations.js"

/** How many GPUs run each configuration; `none` where no number of those there are does. */
export const cheapestCover = (
  solver: Solver,
  classes: ReadonlyArray<GpuClass>,
  demands: number,
  found: ReadonlyArray<Configuration>,
  maxNodes: number
): ReadonlyArray<number> | "none" | "unknown" => {
  if (found.length === 0) return demands === 0 ? [] : "none"
  const program = new ProgramBuilder()
  const ofClass = classes.map(({ count }) => program.row(-Infinity, count))
  const rates = Array.from({ length: demands }, () => program.row(1, Infinity))
  for (const { gpuClass, parts } of found) {
    const column = program.column({ cost: classes[gpuClass]!.cost, upper: classes[gpuClass]!.count, isWhole: true })
    program.entry(ofClass[gpuClass]!, column, 1)
    parts.forEach((part, at) => program.entry(rates[at]!, column, part))
  }
  const { status, values } = solver.solve(program.build(), { maxNodes })
  if (status === "infeasible") return "none"
  return status === "optimal" ? Array.from(values, Math.round) : "unknown"
}

/** The plan in which so many GPUs run each configuration; each model's rate is split by what its glets can carry. */
export const planOfCover = (
  problem: PlanProblem,
  planner: string,
  found: ReadonlyArray<Configuration>,
  counts: ReadonlyArray<number>,
  classes: ReadonlyArray<GpuClass>
): Plan => {
  const capacityOf = ({ choice, dutyMs }: GletRun, i: number): number => (1000 * choice.works[i]!.batch) / dutyMs
  const capacity = new Map<number, number>()
  found.forEach(({ glets }, at) => {
    for (const run of glets) {
      run.choice.demands.forEach((demand, i) => capacity.set(demand, (capacity.get(demand) ?? 0) + counts[at]! * capacityOf(run, i)))
    }
  })
  const gletOf = (run: GletRun, id: string): PlannedGlet => ({
    id: unsafeGletId(id),
    sharePct: run.choice.sharePct,
    priority: 0,
    dutyMs: run.dutyMs,
    assignments: run.choice.demands.map((demand, i): Assignment => {
      const { model, rateRps, sloMs } = problem.demands[demand]!
      const latencyMs = run.latenciesMs[i]!
      const worstMs = run.dutyMs + (problem.options.dutyRule === "strict" ? run.dutyMs : latencyMs)
      const capacityRps = capacityOf(run, i)
      return {
        model, batch: run.choice.works[i]!.batch, rateRps: rateRps * Math.min(1, capacityRps / capacity.get(demand)!), latencyMs, worstMs, slackMs: sloMs - worstMs, capacityRps
      }
    }),
    bestEffort: []
  })
  const waiting = found.flatMap((configuration, at) => Array.from({ length: counts[at]! }, () => configuration))
  const keys = classes.map(({ key }) => key)
  return {
    apiVersion: "glet/v1alpha1",
    kind: "Plan",
    generation: 0,
    planner,
    dutyRule: problem.options.dutyRule,
    gpus: problem.gpus.map((gpu) => {
      const gpuClass = keys.indexOf(classKeyOf(gpu))
      const next = waiting.findIndex((configuration) => configuration.gpuClass === gpuClass)
      const [configuration] = next < 0 ? [] : waiting.splice(next, 1)
      return { gpu: gpu.id, type: gpu.type, glets: (configuration?.glets ?? []).map((run, g) => gletOf(run, `${gpu.id}/${g}`)) }
    }),
    shortfalls: []
  }
}
