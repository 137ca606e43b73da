/**
 * What is wrong with a demand by itself, and what would be possible instead.
 */
import type { Culprit } from "../Planner.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { GpuDraft } from "./gletSolver.js"
import { keepsSlo } from "./keepsSlo.js"
import type { PlanTables } from "./planTables.js"

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1

/** What is wrong with the problem itself. */
export const invalidDemands = ({ demands, options }: PlanProblem): ReadonlyArray<Culprit> => {
  const seen = new Set<string>()
  return demands.flatMap((demand): Array<Culprit> => {
    const { maxBatch, model, rateRps, serviceClass, sloMs } = demand
    const wrong: Array<string> = []
    if (seen.has(model)) wrong.push("is asked for twice; give one demand per model")
    seen.add(model)
    if (!isCount(maxBatch)) wrong.push(`has a maximum batch of ${maxBatch}; give an integer of at least 1`)
    if (serviceClass === "latency-critical") {
      if (!(rateRps >= 0 && rateRps < Infinity)) wrong.push(`has a rate of ${rateRps} items/s; give a finite number, at least 0`)
      if (!(sloMs > 0 && sloMs < Infinity)) wrong.push(`has an SLO of ${sloMs} ms; give a finite number above 0`)
    }
    if (!(options.latencyHeadroom >= 1 && options.latencyHeadroom < Infinity)) wrong.push(`has a latency head-room of ${options.latencyHeadroom}; give at least 1`)
    return wrong.length === 0 ? [] : [{ model, reason: "invalid", detail: wrong.join(" and ") }]
  })
}

/** Rounded up to four significant digits, so that what is promised as possible is. */
const roundUp = (value: number): number => {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 3)
  return Math.ceil(value / unit) * unit
}
const shown = (value: number): string => String(Number(value.toPrecision(4)))

/** What makes a latency-critical demand impossible whatever else is asked, its rate left aside; undefined where nothing does. */
export const impossibleAlone = (tables: PlanTables, gpus: ReadonlyArray<GpuDraft>, demand: number): Culprit | undefined => {
  const { model, serviceClass, sloMs } = tables.demands[demand]!
  const room = tables.problem.options.memoryFraction
  let fastestMs = Infinity
  let isFastEnough = false
  let leastBytes = Infinity
  for (const { gpu } of gpus) {
    const ms = Math.min(...gpu.sharesPct.map((share) => tables.latencyMs(gpu.type, demand, share, 1)))
    fastestMs = Math.min(fastestMs, ms)
    if (ms === Infinity || !keepsSlo(ms, sloMs)) continue
    isFastEnough = true
    const bytes = tables.gletMemoryBytes(gpu.type) + tables.memoryBytes(gpu.type, demand)
    if (bytes <= gpu.memoryBytes * room) return undefined
    leastBytes = Math.min(leastBytes, bytes)
  }
  if (gpus.length === 0) return { model, reason: "not-enough-gpus", detail: "has no GPU to run on" }
  if (fastestMs === Infinity) {
    const asked = [...new Set(gpus.map(({ gpu }) => `${gpu.type} at ${gpu.sharesPct.join(", ")} %`))]
    return { model, reason: "no-profile", detail: `was never measured on ${asked.join(" or ")}; run \`glet profile\`, or offer shares that were measured` }
  }
  if (!isFastEnough) {
    return {
      model,
      reason: "slo-too-short",
      detail: `has an SLO of ${shown(sloMs)} ms, but waiting for one execution and then running takes ${shown(2 * fastestMs)} ms (99th percentile, head-room included)`,
      ...(serviceClass === "latency-critical" ? { nearestSloMs: roundUp(2 * fastestMs) } : {})
    }
  }
  return { model, reason: "memory", detail: `needs ${Math.ceil(leastBytes / 1e6)} MB, more than a GPU may be filled with` }
}
