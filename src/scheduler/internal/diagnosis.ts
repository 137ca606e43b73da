/**
 * Why a demand cannot be met, and what would be possible instead.
 */
import type { Culprit } from "../Planner.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { GpuDraft, PackingStart } from "./packing.js"
import { pack } from "./packing.js"
import type { PlanTables } from "./planTables.js"
import { makePlanTables } from "./planTables.js"

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
  let keepsSlo = false
  let leastBytes = Infinity
  for (const { gpu } of gpus) {
    const ms = Math.min(...gpu.sharesPct.map((share) => tables.latencyMs(gpu.type, demand, share, 1)))
    fastestMs = Math.min(fastestMs, ms)
    if (ms === Infinity || 2 * ms > sloMs) continue
    keepsSlo = true
    const bytes = tables.gletMemoryBytes(gpu.type) + tables.memoryBytes(gpu.type, demand)
    if (bytes <= gpu.memoryBytes * room) return undefined
    leastBytes = Math.min(leastBytes, bytes)
  }
  if (gpus.length === 0) return { model, reason: "not-enough-gpus", detail: "has no GPU to run on" }
  if (fastestMs === Infinity) {
    const asked = [...new Set(gpus.map(({ gpu }) => `${gpu.type} at ${gpu.sharesPct.join(", ")} %`))]
    return { model, reason: "no-profile", detail: `was never measured on ${asked.join(" or ")}; run \`glet profile\`, or offer shares that were measured` }
  }
  if (!keepsSlo) {
    return {
      model,
      reason: "slo-too-short",
      detail: `has an SLO of ${shown(sloMs)} ms, but waiting for one execution and then running takes ${shown(2 * fastestMs)} ms (99th percentile, head-room included)`,
      ...(serviceClass === "latency-critical" ? { nearestSloMs: roundUp(2 * fastestMs) } : {})
    }
  }
  return { model, reason: "memory", detail: `needs ${Math.ceil(leastBytes / 1e6)} MB, more than a GPU may be filled with` }
}

/** The largest rate of one demand, in items per second, with which the demands of `start` can be packed; undefined where none is. */
const nearestRate = (tables: PlanTables, gpus: ReadonlyArray<GpuDraft>, start: PackingStart, demand: number): number | undefined => {
  const packsAt = (rateRps: number): boolean => {
    const demands = tables.problem.demands.map((other, i) => (i === demand ? { ...other, rateRps } : other))
    return pack(makePlanTables({ ...tables.problem, demands }), { start, factor: 1, gpus }) !== undefined
  }
  if (!packsAt(0)) return undefined
  let low = 0
  let high = tables.demands[demand]!.rateRps
  for (let step = 0; step < 12; step++) {
    const middle = (low + high) / 2
    if (packsAt(middle)) low = middle
    else high = middle
  }
  return low
}

/** Demands for which the nearest rate is searched. */
const examined = 4

/** Why demands that are possible one by one do not fit together, or not at their rates. */
export const shortage = (
  tables: PlanTables,
  gpus: ReadonlyArray<GpuDraft>,
  start: PackingStart
): ReadonlyArray<Culprit> => {
  const unplaced = pack(tables, { start: { ...start, spread: true }, factor: 1, gpus, partial: true })?.unplaced ?? []
  const culprits = unplaced.length === 0 ? start.order.slice(-1) : unplaced
  return culprits.map((demand, i): Culprit => {
    const { model, rateRps } = tables.demands[demand]!
    const alone = { order: [demand], spread: true }
    const isTooMuch = pack(tables, { start: alone, factor: 1, gpus }) === undefined
    const nearest = i < examined ? nearestRate(tables, gpus, isTooMuch ? alone : { ...start, spread: true }, demand) : undefined
    const nearestField = nearest === undefined ? {} : { nearestRateRps: nearest }
    const instead = nearest === undefined ? "" : `; ${shown(nearest)} items/s would fit`
    return isTooMuch
      ? { model, reason: "rate-too-high", detail: `asks for ${shown(rateRps)} items/s, more than all GPUs can carry of it${instead}`, ...nearestField }
      : { model, reason: "not-enough-gpus", detail: `asks for ${shown(rateRps)} items/s, which do not fit beside the other models${instead}`, ...nearestField }
  })
}
