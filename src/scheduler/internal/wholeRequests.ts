/**
 * A request's items run together: where requests bring several, batches of fewer hardly come, and a glet that is fast enough only for them answers none in
 * time. To who plans, an execution of fewer items takes as long as one of a whole request.
 */
import type { Execution, LatencyModel } from "../../core/LatencyModel.js"
import type { ModelName } from "../../core/Ids.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { keepsSlo } from "./keepsSlo.js"

/** By GPU type and model, where it is more than one item. */
type Wholes = ReadonlyMap<string, ReadonlyMap<ModelName, number>>

/** The items of a request, as far as whole GPUs of the type can keep the SLO with them: of larger ones, what they can. */
const wholesOf = ({ demands, gpus, latency, options: { latencyHeadroom } }: PlanProblem): Wholes => {
  const wholes = new Map<string, Map<ModelName, number>>()
  for (const { sharesPct, type } of gpus) {
    if (wholes.has(type)) continue
    const ofType = new Map<ModelName, number>()
    wholes.set(type, ofType)
    for (const { itemsPerRequest = 1, maxBatch, model, sloMs } of demands) {
      let batch = Math.min(Math.round(itemsPerRequest), maxBatch)
      while (batch > 1 && !keepsSlo(latency.latencyMs({ gpuType: type, model, sharePct: sharesPct.at(-1)!, batch }) * latencyHeadroom, sloMs)) batch -= 1
      if (batch > 1) ofType.set(model, batch)
    }
  }
  return wholes
}

const wrap = (latency: LatencyModel, wholes: Wholes): LatencyModel => {
  const { latenciesMs } = latency
  const wholeOf = (gpuType: string, model: ModelName): number => wholes.get(gpuType)?.get(model) ?? 1
  const whole = (execution: Execution): Execution => {
    const least = wholeOf(execution.gpuType, execution.model)
    return execution.batch >= least ? execution : { ...execution, batch: least }
  }
  return {
    ...latency,
    latencyMs: (execution) => latency.latencyMs(whole(execution)),
    typicalMs: (execution) => latency.typicalMs(whole(execution)),
    ...(latenciesMs === undefined ? {} : {
      latenciesMs: (type, model, sharePct, upTo) => {
        const row = latenciesMs(type, model, sharePct, upTo)
        const least = Math.min(wholeOf(type, model), upTo)
        return least > 1 ? row.map((ms, batch) => (batch > 0 && batch < least ? row[least]! : ms)) : row
      }
    })
  }
}

/** The last one of each model of latencies: what is tabulated of it serves the next plan too. */
const known = new WeakMap<LatencyModel, { readonly key: string; readonly wrapped: LatencyModel }>()

/** The problem as one of whole requests; the same where all bring single items. */
export const withWholeRequests = (problem: PlanProblem): PlanProblem => {
  if (problem.demands.every(({ itemsPerRequest = 1 }) => Math.round(itemsPerRequest) === 1)) return problem
  const wholes = wholesOf(problem)
  const key = JSON.stringify([...wholes].map(([type, models]) => [type, [...models]]))
  let found = known.get(problem.latency)
  if (found?.key !== key) {
    found = { key, wrapped: wrap(problem.latency, wholes) }
    known.set(problem.latency, found)
  }
  return { ...problem, latency: found.wrapped }
}
