/**
 * What a bound needs to know of a problem, made once.
 */
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

export const makeBoundModel = (problem: PlanProblem): BoundModel => {
  const classes = gpuClasses(problem)
  const demands = problem.demands.map((_, demand) => demand).filter((demand) => {
    const { rateRps, serviceClass } = problem.demands[demand]!
    return serviceClass === "latency-critical" && rateRps > leastRate
  })
  const resources = makeResources(classes, Math.min(problem.options.maxModelsPerGlet, Math.max(1, demands.length)))
  const curves = demands.map((demand) => visitCurves(problem, classes, demand))
  return {
    problem,
    classes,
    resources,
    demands,
    curves,
    tablesAt: (factor, cells) =>
      demands.map((demand, i) => coverTable(resources, curves[i]!, factor * problem.demands[demand]!.rateRps * (1 - rateSlack), cells))
  }
}
