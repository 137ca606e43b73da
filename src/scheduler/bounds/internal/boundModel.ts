/**
 * What a bound needs to know of a problem, made once.
 */
import type { ModelName } from "../../../core/Ids.js"
import type { LatencyModel } from "../../../core/LatencyModel.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { CoverTable } from "./covers.js"
import { coverTable } from "./covers.js"
import type { GpuClass } from "./gpuClasses.js"
import { gpuClasses } from "./gpuClasses.js"
import type { Resources } from "./resources.js"
import { makeResources } from "./resources.js"
import { leastRate, rateSlack } from "./slack.js"
import type { VisitCurve } from "./visits.js"
import { visitCurves } from "./visits.js"

export interface BoundModel {
  readonly problem: PlanProblem
  readonly classes: ReadonlyArray<GpuClass>
  readonly resources: Resources
  /** The latency-critical demands that have a rate. */
  readonly demands: ReadonlyArray<number>
  /** Of each of `demands`. */
  readonly curves: ReadonlyArray<ReadonlyArray<VisitCurve>>
  /** Covers of all rates times a factor, in so many cells. */
  readonly tablesAt: (factor: number, cells: number) => ReadonlyArray<CoverTable>
}

/** Of a model under the same limits on the same kinds of GPU. */
interface KnownModel {
  readonly limits: string
  readonly curves: ReadonlyArray<VisitCurve>
  /** The last that was asked for. */
  table?: CoverTable
}

/** By latency model: a replan's bound is asked for rates of which few have changed since the one before. Answers do not depend on it. */
const known = new WeakMap<LatencyModel, Map<ModelName, KnownModel>>()

const knownOf = ({ latency }: PlanProblem): Map<ModelName, KnownModel> => {
  let models = known.get(latency)
  if (models === undefined) known.set(latency, models = new Map())
  return models
}

export const makeBoundModel = (problem: PlanProblem): BoundModel => {
  const classes = gpuClasses(problem)
  const demands = problem.demands.map((_, demand) => demand).filter((demand) => {
    const { rateRps, serviceClass } = problem.demands[demand]!
    return serviceClass === "latency-critical" && rateRps > leastRate
  })
  const resources = makeResources(classes, Math.min(problem.options.maxModelsPerGlet, Math.max(1, demands.length)))
  const models = knownOf(problem)
  const { dutyRule, latencyHeadroom } = problem.options
  const limits = JSON.stringify([dutyRule, latencyHeadroom, classes.map(({ gletBytes, maxGlets, memoryBytes, sharesPct, type }) => [type, sharesPct, memoryBytes, gletBytes, maxGlets])])
  const visits = demands.map((demand): KnownModel => {
    const { maxBatch, model, sloMs } = problem.demands[demand]!
    const own = `${sloMs} ${maxBatch} ${limits}`
    let found = models.get(model)
    if (found?.limits !== own) models.set(model, found = { limits: own, curves: visitCurves(problem, classes, demand) })
    return found
  })
  return {
    problem,
    classes,
    resources,
    demands,
    curves: visits.map(({ curves }) => curves),
    tablesAt: (factor, cells) =>
      demands.map((demand, i) => {
        const visit = visits[i]!
        const rateRps = factor * problem.demands[demand]!.rateRps * (1 - rateSlack)
        if (visit.table?.rateRps !== rateRps || visit.table.cells !== cells) visit.table = coverTable(resources, visit.curves, rateRps, cells)
        return visit.table
      })
  }
}
