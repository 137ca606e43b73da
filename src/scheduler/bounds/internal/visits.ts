/**
 * Visits: one model on one glet. What a visit must take of its glet for the rate it carries, whatever else the glet runs.
 *
 * With batch b of latency L in a duty cycle d, the visit fills y = L / d of the glet's time and carries 1000 b / d = (1000 b / L) y. A cycle may be taken
 * to be no longer than its batches, d = sum L: a shorter one carries more and waits less. Then all y of a glet sum to 1, and the SLO asks for
 * d + L <= SLO (`cycle`), so y >= L / (SLO - L), or 2 d <= SLO (`strict`), so y >= 2 L / SLO: even the smallest rate costs one batch a cycle.
 */
import type { PlanProblem } from "../../../core/PlanProblem.js"
import { latencyRows } from "../../internal/latencyRows.js"
import type { GpuClass } from "./gpuClasses.js"
import { relativeSlack } from "./slack.js"

/** One model on one share of a class: its batches that are worth using, ascending in both. */
export interface VisitCurve {
  /** Place of the class. */
  readonly gpuClass: number
  /** Place of the share among the class's. */
  readonly share: number
  /** Device memory of the model there, as a part of what may be filled. */
  readonly memory: number
  readonly batches: ReadonlyArray<number>
  /** Least time, as a part of the glet's, of a cycle with the batch. */
  readonly leastTime: ReadonlyArray<number>
  /** Items per second for each part of the glet's time. */
  readonly rateRps: ReadonlyArray<number>
}

/** The least part of a glet's time in which a visit carries a rate; `Infinity` where it cannot. */
export const timeFor = ({ leastTime, rateRps }: VisitCurve, rate: number): number => {
  let least = Infinity
  for (let i = 0; i < rateRps.length; i++) {
    // Later batches only take longer.
    if (leastTime[i]! >= least) break
    const time = Math.max(leastTime[i]!, rate / rateRps[i]!)
    if (time < least) least = time
  }
  return least <= 1 ? least : Infinity
}

/** The most that a visit carries. */
export const mostOf = (curve: VisitCurve): number => curve.rateRps[curve.rateRps.length - 1]!

const curveOf = (problem: PlanProblem, demand: number, gpuType: string, sharePct: number) => {
  const { maxBatch, model, sloMs } = problem.demands[demand]!
  const limitMs = sloMs * (1 + relativeSlack)
  const batches: Array<number> = []
  const leastTime: Array<number> = []
  const rateRps: Array<number> = []
  // Above the largest batch that was measured nothing is known.
  const row = latencyRows(problem.latency).row(gpuType, model, sharePct, maxBatch)
  for (let batch = 1; batch <= maxBatch && batch < row.length; batch++) {
    const ms = row[batch]! * problem.options.latencyHeadroom
    if (!(ms > 0) || !(2 * ms <= limitMs)) continue
    const least = problem.options.dutyRule === "strict" ? (2 * ms) / limitMs : ms / (limitMs - ms)
    const rate = (1000 * batch) / ms
    while (leastTime.length > 0 && leastTime.at(-1)! >= least && rateRps.at(-1)! <= rate) {
      batches.pop()
      leastTime.pop()
      rateRps.pop()
    }
    if (leastTime.length > 0 && rate <= rateRps.at(-1)!) continue
    batches.push(batch)
    leastTime.push(least)
    rateRps.push(rate)
  }
  return { batches, leastTime, rateRps }
}

/** All curves of a demand that has a rate to carry. */
export const visitCurves = (problem: PlanProblem, classes: ReadonlyArray<GpuClass>, demand: number): ReadonlyArray<VisitCurve> =>
  classes.flatMap((gpuClass, at) => {
    const bytes = problem.latency.memoryBytes(gpuClass.type, problem.demands[demand]!.model)
    if (!(bytes + gpuClass.gletBytes <= gpuClass.memoryBytes * (1 + relativeSlack)) || gpuClass.maxGlets < 1) return []
    return gpuClass.sharesPct.flatMap((sharePct, share): Array<VisitCurve> => {
      const curve = curveOf(problem, demand, gpuClass.type, sharePct)
      return curve.batches.length === 0 ? [] : [{ gpuClass: at, share, memory: bytes / gpuClass.memoryBytes, ...curve }]
    })
  })
