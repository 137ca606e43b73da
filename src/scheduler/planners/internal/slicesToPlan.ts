/**
 * The plan of finished slices.
 */
import { unsafeGletId } from "../../../core/Ids.js"
import type { Assignment, Plan, PlannedGlet, Shortfall } from "../../../core/Plan.js"
import type { PlanTables } from "../../internal/planTables.js"
import type { SlicedGpu, SliceRun } from "./slices.js"
import { slowdownsOf } from "./slices.js"

type SliceChoice = Pick<SliceRun, "batches" | "dutyMs">

/** What the plan says of a GPU: the latencies that the problem's own rules predict, whatever the planner left out of account. */
const latenciesOf = (tables: PlanTables, sliced: SlicedGpu, runs: ReadonlyArray<SliceChoice>): ReadonlyArray<ReadonlyArray<number>> => {
  const slowdowns = tables.problem.options.interference ? slowdownsOf(tables, sliced, runs) : undefined
  return sliced.slices.map(({ sharePct, works }, i) =>
    works.map(({ demand }, w) => tables.latencyMs(sliced.gpu.type, demand, sharePct, runs[i]!.batches[w]!) * (slowdowns?.[i]?.[w] ?? 1)))
}

/** The plan; slices without works are not in it. */
export const planOfSlices = (
  tables: PlanTables,
  name: string,
  sliced: ReadonlyArray<SlicedGpu>,
  runsOf: (gpu: SlicedGpu) => ReadonlyArray<SliceChoice>,
  shortfalls: ReadonlyArray<Shortfall>
): Plan => {
  const isStrict = tables.problem.options.dutyRule === "strict"
  return {
    apiVersion: "glet/v1alpha1",
    kind: "Plan",
    generation: 0,
    planner: name,
    dutyRule: tables.problem.options.dutyRule,
    gpus: sliced.map((each) => {
      const runs = runsOf(each)
      const latencies = latenciesOf(tables, each, runs)
      const glets = each.slices.flatMap(({ sharePct, works }, i): ReadonlyArray<PlannedGlet> => {
        const { batches, dutyMs } = runs[i]!
        const latenciesMs = latencies[i]!
        const sumMs = latenciesMs.reduce((sum, ms) => sum + ms, 0)
        const assignments = works.map(({ demand, rateRps }, w): Assignment => {
          const { model, sloMs } = tables.demands[demand]!
          const latencyMs = latenciesMs[w]!
          const worstMs = dutyMs + (isStrict ? sumMs : latencyMs)
          return { model, batch: batches[w]!, rateRps, latencyMs, worstMs, slackMs: sloMs - worstMs, capacityRps: (1000 * batches[w]!) / dutyMs }
        })
        return works.length === 0 ? [] : [{ id: unsafeGletId(`${each.gpu.id}/${i}`), sharePct, priority: 0, dutyMs, assignments, bestEffort: [] }]
      })
      return { gpu: each.gpu.id, type: each.gpu.type, glets }
    }),
    shortfalls
  }
}
